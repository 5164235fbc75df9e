"""The simulation notices when a guard is missing: each one alone, within 100 seeds."""

from __future__ import annotations

import pytest

from tests.sim.guards import REMOVALS, without
from tests.sim.runner import run

SEEDS = 100


@pytest.mark.parametrize("guard", REMOVALS)
def test_a_missing_guard_is_noticed(guard: str) -> None:
    with without(guard):
        summary = run(0, SEEDS, stop_at_failure=True)
    assert summary.failed, f"{SEEDS} seeds pass without {guard}"


def test_with_every_guard_in_place_they_pass() -> None:
    assert run(0, SEEDS).failed == {}
