"""A match outlives the worker that plays it, and nothing of it is forgotten."""

from __future__ import annotations

from tests.chaos import match
from tests.chaos.cluster import Cluster
from tests.support.mesh import Supervisor

SECONDS = 14.0
BOTS = 32
# What people see of it: the aim is 2 s, on a machine that runs the bots and other tests too.
HICCUP_S = 4.0


async def test_a_match_goes_on_when_its_worker_is_killed(fragile: Supervisor) -> None:
    """`scripts/chaos --match 5` is the same for five minutes."""
    played = await match.play(Cluster(fragile), seconds=SECONDS, bots=BOTS, seed=11)
    killed = played.workers[0]
    fragile.until("part", where=lambda event: event["part"] == killed and event["state"] == "running")
    assert played.findings.good, played.findings.sentences()
    assert played.bots["matches"] == 1, "no bot had to begin again"
    assert played.bots["reconnects"] >= BOTS
    assert played.bots["kills"] > 0
    assert played.hiccup_s < HICCUP_S
    assert played.audited.records == played.records > SECONDS * 30
    assert played.audited.counted == BOTS
