"""What time alone brings about, on real PostgreSQL."""

import asyncio
from datetime import datetime, timedelta

import pytest

from services.chassis import clock
from services.chassis.db import Database
from services.fairness.domain.finding import Reading
from services.fairness.sweeper import Sweeper
from tests.support import judged
from tests.support.judged import Judge, block, define, judge, rows, told

HOUR = timedelta(hours=1)


def sweeper(database: Database, one: Judge) -> Sweeper:
    return Sweeper(database, one.committer, every_s=1, keep=timedelta(days=7))


def later(monkeypatch: pytest.MonkeyPatch, by: timedelta) -> datetime:
    """It is that much later from now on, to the microsecond."""
    now = clock.now() + by
    monkeypatch.setattr(clock, "now", lambda: now)
    return now


async def test_restrictions_end_once(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await define(database)
    async with judge(database_url) as one, judge(database_url) as other:
        until = clock.now() + HOUR
        await asyncio.gather(*(one.run(block(f"p{n}", until, hide=True)) for n in range(210)))
        await one.run(block("for ever"))
        await one.hear("e", "flagged", value=11)
        await sweeper(database, one).sweep()
        assert not await rows(database, "SELECT FROM fairness.sanctions WHERE ended_at IS NOT NULL")
        later(monkeypatch, 2 * HOUR)
        await asyncio.gather(sweeper(database, one).sweep(), sweeper(database, other).sweep())
        swept = await judged.everything(database)
        await sweeper(database, one).sweep()
    assert await judged.everything(database) == swept
    left = await rows(database, "SELECT player_id, state FROM fairness.sanctions WHERE ended_at IS NULL")
    assert {tuple(row.values()) for row in left} == {("for ever", "blocked"), ("flagged", "good")}
    assert all(row["ended_at"] in (None, row["until"]) for row in swept["sanctions"])
    (_, _, stands), (_, _, scores) = (await told(database, "p7"))[-2:]
    assert (stands.state, list(scores.hidden)) == ("good", [])
    assert (await told(database, "flagged"))[-1][2].state == "good"
    ended = [row for row in swept["audit"] if row["action"] == "sanction.ended"]
    assert {row["actor"] for row in ended} == {"service:fairness"}
    assert len(ended) == 211
    await judged.check(database)


async def test_a_lesser_restriction_is_told_when_the_worse_one_is_over(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await define(database, mode="DETECTOR_MODE_THROTTLE", quarantine=False, hold="7200s")
    async with judge(database_url) as one:
        await one.hear("e", value=11)
        await one.run(block("p", clock.now() + HOUR))
        later(monkeypatch, HOUR + timedelta(minutes=1))
        await sweeper(database, one).sweep()
    stands = [each for type_, _, each in await told(database) if type_ == "fairness.standing_changed"]
    assert [each.state for each in stands] == ["throttled", "blocked", "throttled"]
    assert [each.HasField("until") for each in stands] == [True, False, True]
    await judged.check(database)


async def test_what_is_kept_for_a_time_only_is_deleted(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    outlier = {"threshold_milli": "3500", "least_peers": "10", "least_scale": "1", "days": 2}
    await define(database, "far", outlier=outlier, mode="DETECTOR_MODE_FLAG")
    async with judge(database_url) as one:
        for n in range(3):
            await one.hear(f"old{n}", far=Reading(n))
        later(monkeypatch, timedelta(days=7))
        await one.hear("new", far=Reading(1))
        await sweeper(database, one).sweep()
        kept = await rows(database, "SELECT number, event_id FROM fairness.observations")
        assert [tuple(row.values()) for row in kept] == [(4, "new")]
        assert len(await rows(database, "SELECT FROM fairness.peers")) == 4
        later(monkeypatch, timedelta(days=83))
        await sweeper(database, one).sweep()
        assert len(await rows(database, "SELECT FROM fairness.peers")) == 1
