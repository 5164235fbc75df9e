"""As many seeds as fit in the time there is; what each chunk came to is printed."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.sim.runner import run

CHUNKS = 10
SEEDS = 1_000  # a chunk
FLOOR = 100  # a chunk; however loaded the machine is
BUDGET_S = 90.0  # a chunk; where a processor is free they are done in a quarter of it


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_sessions_survive(chunk: int, record_property: Callable[[str, object], None]) -> None:
    summary = run(chunk * SEEDS, (chunk + 1) * SEEDS, budget_s=BUDGET_S)
    record_property("told", summary.line())
    replays = [f"scripts/sim --trace {seed}: {wrong[0]}" for seed, wrong in summary.failed.items()]
    assert not replays
    assert summary.seeds >= FLOOR
    # Nothing is proved by sessions in which nothing happens.
    assert summary.acknowledged > 30 * summary.seeds
    assert summary.takeovers > 0.5 * summary.seeds
    assert summary.compared > 0.5 * summary.seeds
    assert summary.reads > summary.seeds
    assert set(summary.faults) == FAULTS


FAULTS = {
    "crash",
    "pause",
    "drain",
    "database restart",
    "database stall",
    "slow database",
    "lost requests",
    "lost presence",
    "lost notifications",
}
