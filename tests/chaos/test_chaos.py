"""Every kind of fault once, under load, in real processes: nothing is forgotten and nobody is stuck."""

from __future__ import annotations

import pytest

from tests.chaos.load import Shape
from tests.chaos.nemesis import KINDS
from tests.chaos.report import summary, table
from tests.chaos.run import Plan, run


@pytest.mark.slow
@pytest.mark.xdist_group("mesh")
async def test_nothing_acknowledged_is_lost_whatever_dies() -> None:
    """The short form of `scripts/chaos`: until each kind has come once. The load leaves room for others."""
    plan = Plan(minutes=0, seed=2026, shape=Shape(server_hz=20), between_s=(0.2, 0.6))
    outcome = await run(plan)
    result = summary(outcome)
    assert not result["findings"], table(result)
    dealt = {kind for fault in outcome.history.faults for kind in fault.kind.split("+")}
    assert dealt == set(KINDS)
    assert result["acknowledged"] > 1000
    assert result["verified_sessions"] == result["sessions"]
    assert result["counted_players"] > 0
