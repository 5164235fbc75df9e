"""Periods become final once: with what was committed before, and nothing after."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from services.chassis import clock
from services.chassis.db import Database
from services.leaderboard.batch import quarantine
from services.leaderboard.committer import Committer
from services.leaderboard.domain.board import ALL_TIME, DAILY, Board, Column, Operator
from services.leaderboard.domain.order import Result
from services.leaderboard.domain.places import Place
from services.leaderboard.domain.scoring import Score
from services.leaderboard.finaliser import Finaliser
from tests.support.boards import add, committer, held, submitting

NOON = datetime(2100, 1, 1, 12, tzinfo=UTC)
OVER = datetime(2100, 1, 2, 1, tzinfo=UTC)
"""The end of the day, and an hour of grace."""
BOARD = Board("b", Operator.BEST, (DAILY, ALL_TIME), columns=(Column("c"),))
PLACE = Place("b", DAILY, "", "2100-01-01")
STATE = (
    "SELECT final, entries, checksum, finalised_at FROM leaderboard.periods "
    "WHERE board = $1 AND window_name = $2 AND season = $3 AND period = $4"
)


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch) -> list[datetime]:
    """Its only member is now."""
    time = [NOON]
    monkeypatch.setattr(clock, "now", lambda: time[0])
    return time


@pytest.fixture
async def running(stopped: list[datetime], database: Database, database_url: str) -> AsyncIterator[Committer]:
    await add(database, BOARD)
    async with committer(database_url) as started:
        yield started


def a_score(player: str, value: int) -> Score:
    return Score("b", player, Result(value, (-value,)), NOON + timedelta(microseconds=value))


async def state(database: Database) -> tuple[object, ...]:
    async with database.connection() as connection:
        return tuple(await connection.fetchrow(STATE, *PLACE) or ())


async def test_a_period_is_final_when_its_grace_is_over(
    running: Committer, database: Database, stopped: list[datetime]
) -> None:
    finaliser = Finaliser(database, every_s=1)
    await running.run(submitting(a_score("ann", 1), a_score("bob", 3), a_score("cid", 2)))
    await running.run(quarantine(held(1, "cid", ""), actor="service:test"))
    stopped[0] = OVER - timedelta(microseconds=1)
    assert await finaliser.finalise() == []
    assert await running.run(submitting(a_score("dan", 0))) == b"COUNTED"
    stopped[0] = OVER
    assert await finaliser.finalise() == [PLACE]
    start = (NOON - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    lines = [
        f"{player}\t{n}\t{-n}\t{start + n}\n"
        for player, n in [("bob", 3), ("cid", 2), ("ann", 1), ("dan", 0)]
    ]
    checksum = hashlib.sha256("".join(lines).encode()).digest()
    assert await state(database) == (True, 4, checksum, OVER)
    assert await finaliser.finalise() == []


async def test_what_is_final_changes_only_by_quarantine(
    running: Committer, database: Database, stopped: list[datetime]
) -> None:
    await running.run(submitting(a_score("ann", 1)))
    stopped[0] = OVER
    await Finaliser(database, every_s=1).finalise()
    before = await state(database)
    # A process whose clock is behind goes by what is written.
    stopped[0] = NOON
    assert await running.run(submitting(a_score("ann", 5))) == b"COUNTED"  # for all time
    assert await running.run(submitting(a_score("new", 5))) == b"COUNTED"
    async with database.connection() as connection:
        query = "SELECT player_id, score FROM leaderboard.entries WHERE window_name = 'daily'"
        assert [tuple(row) for row in await connection.fetch(query)] == [("ann", 1)]
    assert await running.run(quarantine(held(1, "ann", ""), actor="service:test")) == b"2"
    assert await state(database) == before


async def test_two_finalisers_and_a_commit_meet(
    running: Committer, database: Database, stopped: list[datetime]
) -> None:
    """Who changes entries of a period keeps it open until it is done."""
    await running.run(submitting(a_score("ann", 1)))
    lock = (
        "SELECT FROM leaderboard.periods "
        "WHERE board = $1 AND window_name = $2 AND season = $3 AND period = $4 FOR KEY SHARE"
    )
    stopped[0] = OVER
    finaliser = Finaliser(database, every_s=1)
    async with database.connection() as connection:
        changing = connection.transaction()
        await changing.start()
        await connection.execute(lock, *PLACE)
        finalising = asyncio.create_task(finaliser.finalise())
        waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        while not await connection.fetchval(waits):
            await connection.execute("SELECT pg_stat_clear_snapshot()")
        await connection.execute(
            "UPDATE leaderboard.entries SET score = 7 WHERE window_name = 'daily' AND player_id = 'ann'"
        )
        await changing.commit()
    assert await finalising == [PLACE]
    first = await state(database)
    expected = f"ann\t7\t-1\t{(NOON - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) + 1}\n"
    assert first[:3] == (True, 1, hashlib.sha256(expected.encode()).digest())
    both = await asyncio.gather(*(Finaliser(database, every_s=1).finalise() for _ in range(2)))
    assert both == [[], []]
    assert await state(database) == first


async def test_nobody_waits_for_a_late_score_while_its_period_is_made_final(
    running: Committer, database: Database, stopped: list[datetime]
) -> None:
    await running.run(submitting(a_score("ann", 1)))
    stopped[0] = OVER
    async with database.connection() as connection, connection.transaction():
        finaliser = Finaliser(database, every_s=1)
        assert await connection.fetchval(finaliser._sql["lock"], *PLACE)
        late, present = a_score("ann", 5), replace(a_score("bob", 2), at=OVER)
        async with asyncio.timeout(5):
            assert await running.run(submitting(late, present)) == b"COUNTED COUNTED"  # late: for all time
    assert await Finaliser(database, every_s=1).finalise() == [PLACE]
    assert (await state(database))[1] == 1


async def test_periods_of_boards_with_another_grace_wait_for_it(
    running: Committer, database: Database, stopped: list[datetime]
) -> None:
    await add(database, replace(BOARD, id="patient", windows=(DAILY,), grace=timedelta(days=2)))
    late = replace(a_score("ann", 1), board="patient")
    await running.run(submitting(late))
    stopped[0] = OVER + timedelta(days=1)
    assert await Finaliser(database, every_s=1).finalise() == []
    assert await running.run(submitting(replace(late, player="bob"))) == b"COUNTED"
