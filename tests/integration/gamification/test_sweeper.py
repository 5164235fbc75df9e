"""What time alone brings about happens once, whoever sweeps, however late."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.chassis import clock, sweep
from services.chassis.db import Database
from services.chassis.errors import FailedPrecondition, Unavailable
from services.gamification import memory
from services.gamification.batch import Command
from services.gamification.committer import Committer
from services.gamification.sweeper import Sweeper
from tests.support.committers import check, claim, committer, define, give, record, start

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
GRACE = timedelta(seconds=60)
KEEP = timedelta(days=30)


class Time:
    """What the services' clock says."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    time = Time()
    monkeypatch.setattr(clock, "now", time)
    return time


@pytest.fixture
async def one(database_url: str, database: Database, time: Time) -> AsyncIterator[Committer]:
    await define(database, "metric", id="kills", aggregation="AGGREGATION_COUNT")
    await define(
        database,
        "reward",
        id="gold",
        type="REWARD_TYPE_CURRENCY",
        value="7",
        currency="gold",
        expires_after="3600s",
    )
    few = {"metric": "kills", "operator": "OPERATOR_LTE", "threshold": "3"}
    await define(
        database,
        "achievement",
        id="gentle",
        title="Gentle",
        type="ACHIEVEMENT_TYPE_CHALLENGE",
        requirements=[few | {"timeframe": {"calendar": "CALENDAR_DAY"}}],
        rewards=[{"id": "gold"}],
        is_enabled=True,
    )
    await define(
        database,
        "quest",
        id="hunt",
        title="Hunt",
        type="QUEST_TYPE_SIDE",
        steps=[
            {
                "id": "ten",
                "order": 1,
                "requirements": [{"metric": "kills", "operator": "OPERATOR_GTE", "threshold": "10"}],
            }
        ],
        time_limit="600s",
        is_active=True,
    )
    async with committer(database_url) as running:
        yield running


@pytest.fixture
async def two(database_url: str, one: Committer) -> AsyncIterator[Committer]:
    """Another process's."""
    async with committer(database_url) as running:
        yield running


def sweeper(database: Database, running: Committer) -> Sweeper:
    return Sweeper(database, running, every_s=1, grace=GRACE, keep_notifications=KEEP)


async def value(database: Database, query: str) -> Any:
    async with database.connection() as connection:
        return await connection.fetchval(query)


async def completed(database: Database) -> list[str]:
    query = (
        "SELECT array_agg(user_id ORDER BY user_id) FROM gamification.achievement_progress "
        "WHERE completed_at IS NOT NULL"
    )
    return await value(database, query) or []


async def kill(running: Committer, **kills: int) -> None:
    commands = [record(user_id, "kills") for user_id, count in kills.items() for _ in range(count)]
    assert {await each for each in map(running.run, commands)} <= {b"counted"}


# -- periods --------------------------------------------------------------------------------------------


async def test_a_period_is_looked_at_when_it_is_over_for_good(
    one: Committer, database: Database, time: Time
) -> None:
    """Not before its metric's lateness has passed too: somebody may still be told of."""
    await kill(one, ann=2, bob=5)
    swept = sweeper(database, one)
    for at in (NOON, NOON.replace(day=5, hour=0, minute=59)):
        time.now = at
        await swept.sweep()
        assert await completed(database) == []
    late = record("cid", "kills", 4, at=NOON)
    assert await one.run(late) == b"counted"
    time.now = NOON.replace(day=5, hour=1)
    await swept.sweep()
    assert await completed(database) == ["ann"]
    assert await value(database, "SELECT count(*) FROM gamification.closings") == 0
    assert await value(database, "SELECT array_agg(user_id) FROM gamification.grants") == ["ann"]
    await check(database)


async def test_two_that_sweep_at_once_do_nothing_twice(
    one: Committer, two: Committer, database: Database, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In pages much smaller than what is due."""
    monkeypatch.setattr(sweep, "_PAGE", 3)
    await kill(one, **{f"u{n}": 1 + n % 5 for n in range(20)})
    time.now = NOON + timedelta(days=2)
    await asyncio.gather(*(sweeper(database, running).sweep() for running in (one, two)))
    assert await completed(database) == sorted(f"u{n}" for n in range(20) if n % 5 < 3)
    assert await value(database, "SELECT count(*) FROM gamification.grants") == 12
    assert await value(database, "SELECT count(*) FROM gamification.closings") == 0
    await check(database)


@pytest.mark.parametrize("forgets", [False, True])
async def test_a_sweeper_that_was_away_for_long_finds_what_there_was(
    one: Committer, two: Committer, database: Database, time: Time, forgets: bool
) -> None:
    """An accumulator that nobody can count in any more stays until what waits for it was looked at. Without
    it, five kills would look like none."""
    await kill(one, ann=2, bob=5)
    time.now = NOON + timedelta(days=20)
    async with database.connection() as connection:
        old = "SELECT count(*) FROM gamification.accumulators WHERE over_at < $1"
        assert await connection.fetchval(old, time.now) > 0
    if not forgets:
        # So often that the players in memory are tidied, too.
        for _ in range(memory.TIDY_EVERY):
            await kill(one, bob=1)
    await sweeper(database, one)._sweep.delete("accumulators", time.now)
    await sweeper(database, two if forgets else one).sweep()
    first = "SELECT array_agg(DISTINCT user_id) FROM gamification.grants WHERE cause LIKE '%2026-03-04%'"
    assert await value(database, first) == ["ann"]
    query = "SELECT count(*) FROM gamification.accumulators WHERE starts_at = '2026-03-04 00:00:00+00'"
    assert await value(database, query) == 0
    await check(database)


async def test_what_cannot_be_swept_holds_up_nobody(
    one: Committer, database: Database, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "_PAGE", 2)
    await kill(one, ann=1, bob=1, cid=1)
    async with database.connection() as connection:
        await connection.execute(
            "INSERT INTO gamification.closings SELECT user_id, 'achievement:gentle:1', 'no window', $1, $1 "
            "FROM unnest('{ann,bob}'::text[]) user_id",
            NOON - timedelta(days=3),
        )
    time.now = NOON + timedelta(days=2)
    one._memory = memory.Memory(1000)  # which knows nothing of what was not done by a command
    await sweeper(database, one).sweep()
    assert await completed(database) == ["ann", "bob", "cid"]
    assert await value(database, "SELECT count(*) FROM gamification.closings") == 2


async def test_a_sweep_that_is_broken_off_is_finished_by_the_next(
    one: Committer, two: Committer, database: Database, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "_PAGE", 2)
    await kill(one, **{f"u{n}": 1 for n in range(8)})
    time.now = NOON + timedelta(days=2)
    real, done = one.run, 0

    async def dying(command: Command) -> bytes:
        nonlocal done
        done += 1
        if done > 4:
            raise Unavailable("Dead.", reason="TEST", retry_after_s=1)
        return await real(command)

    with monkeypatch.context() as patched:
        patched.setattr(one, "run", dying)
        with pytest.raises(Unavailable):
            await sweeper(database, one).sweep()
    assert len(await completed(database)) == 4
    await sweeper(database, two).sweep()
    assert len(await completed(database)) == 8
    assert await value(database, "SELECT count(*) FROM gamification.grants") == 8
    await check(database)


# -- what expires ---------------------------------------------------------------------------------------


async def test_a_quest_expires_when_its_grace_is_over(one: Committer, database: Database, time: Time) -> None:
    status = "SELECT status FROM gamification.quest_progress"
    assert await one.run(start("ann", "hunt")) == b"1"
    swept = sweeper(database, one)
    time.now = NOON + timedelta(seconds=659)
    await swept.sweep()
    assert await value(database, status) == "in_progress"
    # Happened before the deadline, and is told within the grace.
    assert await one.run(record("ann", "kills", 9, at=NOON + timedelta(seconds=599))) == b"counted"
    time.now = NOON + timedelta(seconds=660)
    await swept.sweep()
    assert await value(database, status) == "expired"
    await swept.sweep()
    told = "SELECT array_agg(type ORDER BY sequence) FROM gamification.notifications"
    assert await value(database, told) == ["QUEST_STARTED", "QUEST_EXPIRED"]
    assert await value(database, "SELECT ended_at FROM gamification.quest_progress") == NOON + timedelta(
        seconds=600
    )


async def test_a_grant_that_expires_goes_back_to_the_issuer(
    one: Committer, two: Committer, database: Database, time: Time
) -> None:
    """Also when it is claimed at the same time; nothing is paid twice, nothing is left in escrow."""
    kept, lost = [await one.run(give("ann", "gold", name)) for name in ("kept", "lost")]
    await one.run(claim("ann", kept.decode()))
    time.now = NOON + timedelta(hours=1)
    swept = asyncio.gather(*(sweeper(database, running).sweep() for running in (one, two)))
    with pytest.raises(FailedPrecondition) as refused:
        await one.run(claim("ann", lost.decode()))
    assert refused.value.reason == "GRANT_EXPIRED"
    await swept
    statuses = "SELECT array_agg(status ORDER BY source_id) FROM gamification.grants"
    assert await value(database, statuses) == ["claimed", "expired"]
    balances = "SELECT array_agg(account || ' ' || amount ORDER BY account) FROM gamification.balances"
    assert await value(database, balances) == ["escrow:ann 0", "player:ann 7"]
    await check(database)


# -- what is over ---------------------------------------------------------------------------------------


async def test_old_notifications_are_deleted_and_numbers_go_on(
    one: Committer, database: Database, time: Time
) -> None:
    await one.run(give("ann", "gold", "first"))
    time.now = NOON + KEEP
    await one.run(give("ann", "gold", "second"))
    await sweeper(database, one).sweep()
    numbers = "SELECT array_agg(sequence ORDER BY sequence) FROM gamification.notifications"
    # The first grant expired meanwhile: that was told third.
    assert await value(database, numbers) == [2, 3]
