"""Redis and PostgreSQL have one order: after 100,000 random operations of two processes, on boards of every
kind, through changes of period, late scores, quarantine, and a Redis that forgets and dies in the middle."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count, product

import pytest

from services.chassis import clock
from services.chassis.db import Connection, Database
from services.leaderboard.batch import Command, quarantine
from services.leaderboard.catalogue_store import CatalogueStore
from services.leaderboard.domain.board import (
    ALL_TIME,
    DAILY,
    SEASONAL,
    Board,
    Column,
    Operator,
    Season,
    Sort,
    TiePolicy,
)
from services.leaderboard.domain.hold import Hidden, Hold
from services.leaderboard.domain.order import INT64_MAX, INT64_MIN, Result
from services.leaderboard.domain.places import Place, slot_of
from services.leaderboard.domain.scoring import Score
from services.leaderboard.finaliser import Finaliser
from services.leaderboard.standings import Unbuilt
from tests.support import redis as redis_server
from tests.support.boards import Process, add, process, submitting
from tests.support.redis import RedisServer

SEED = 20261120
ROUNDS, COMMANDS, SCORES = 16, 40, 165
OPERATIONS = 100_000
CHECKED = {5, 6, 11, 16}
START = datetime(2100, 3, 1, 20, tzinfo=UTC)
STEP = timedelta(hours=3)
_revisions = count(1)
PLAYERS = [f"p{number}" for number in range(60)] + ["A", "z", "Z.9", "a@b", "a:b", "_"]
ALL = 1000

ASCENDING, DESCENDING = Sort.ASCENDING, Sort.DESCENDING
SHAPES = [
    (Operator.BEST, DESCENDING, ()),
    (Operator.BEST, ASCENDING, (Column("c1"), Column("c2", ASCENDING))),
    (Operator.LATEST, DESCENDING, (Column("c1", ASCENDING),)),
    (Operator.SUM, ASCENDING, (Column("c1"),)),
]
BOARDS = [
    Board(
        f"b{number}",
        operator,
        (ALL_TIME, DAILY, SEASONAL) if number % 4 == 0 else (DAILY,),
        sort=sort,
        columns=columns,
        tie_policy=tie,
        time_zone="Europe/Berlin" if number % 2 else "UTC",
    )
    for number, ((operator, sort, columns), tie) in enumerate(product(SHAPES, TiePolicy))
]
SEASONS = [
    Season("s1", "", START - timedelta(days=10), START + 7 * STEP),
    Season("s2", "", START + 9 * STEP, START + timedelta(days=10)),
]


@dataclass
class Clock:
    now: datetime = START


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Stands still between rounds."""
    stopped = Clock()
    monkeypatch.setattr(clock, "now", lambda: stopped.now)
    return stopped


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    with redis_server.server() as started:
        yield started


def a_score(draw: random.Random, now: datetime) -> Score:
    board = draw.choice(BOARDS)
    values = [draw.randint(-3, 3) for _ in range(1 + len(board.columns))]
    if board.operator is not Operator.SUM and draw.random() < 0.05:
        values[0] = draw.choice([INT64_MIN, INT64_MAX, 2**53, 2**53 + 1, -(2**53) - 1])
    # Some at the same moment, most of today, some of days that are over, some of the next minute.
    ago = draw.choice([0, 0, draw.randint(-60, 3600), draw.randint(0, 3 * 86_400)])
    at = now - timedelta(seconds=ago, microseconds=draw.randint(0, 1))
    event = f"e{draw.randint(0, 10**6)}" if draw.random() < 0.5 else ""
    return Score(board.id, draw.choice(PLAYERS), Result(values[0], tuple(values[1:])), at, event)


def a_command(draw: random.Random, now: datetime) -> Command:
    chance = draw.random()
    if chance < 0.04:
        hidden = [Hidden("", now - timedelta(days=1)), Hidden(draw.choice(BOARDS).id, now)]
        hold = Hold(draw.choice(PLAYERS), next(_revisions), tuple(hidden[: draw.randrange(3)]))
        return quarantine(hold, actor="service:test")
    return submitting(*(a_score(draw, now) for _ in range(SCORES)), caller="gs")


async def test_redis_and_postgresql_have_one_order(
    database: Database,
    database_url: str,
    own_redis: RedisServer,
    time: Clock,
) -> None:
    draw = random.Random(SEED)
    print(f"seed {SEED}")  # shown when it fails
    await add(database, *BOARDS, *SEASONS)
    finaliser = Finaliser(database, every_s=1)
    async with (
        process(database, database_url, own_redis.url) as one,
        process(database, database_url, own_redis.url, worker="w1") as two,
    ):
        final = rebuilt = scores = 0
        for number in range(1, ROUNDS + 1):
            commands = [a_command(draw, time.now) for _ in range(COMMANDS)]
            scores += sum(len(command.scores) for command in commands)
            pairs = zip([one, two] * (COMMANDS // 2), commands, strict=True)
            runs = (each.committer.run(command) for each, command in pairs)
            disturbing = asyncio.create_task(disturb(number, one, own_redis))
            await asyncio.gather(*runs)
            await disturbing
            for each in (one, two):
                rebuilt += len(each.standings.wanted)
                await each.rebuilder.build_wanted()
            time.now += STEP
            final += len(await finaliser.finalise())
            if number in CHECKED:
                await check(one, two)
        assert scores >= OPERATIONS
        assert final > 20
        assert rebuilt > 20


async def disturb(number: int, one: Process, server: RedisServer) -> None:
    """While a round goes on."""
    await asyncio.sleep(0)
    if number == 5:
        await one.redis.flushall()
    elif number == 9:
        server.kill()
        server.start()
    elif number == 13:
        await one.rebuilder.rebuild(lambda _place, _count: None)


async def check(one: Process, two: Process) -> None:
    """Every place that is open is in Redis, in the order that SQL gives the columns, with counted ranks."""
    async with one.database.connection() as connection:
        catalogue = await CatalogueStore().present(connection)
        query = "SELECT board, window_name, season, period FROM leaderboard.periods WHERE NOT final"
        places = [Place(*row) for row in await connection.fetch(query)]
        expected = {
            place: await canonical(connection, catalogue.boards[place.board], place) for place in places
        }
    assert len(places) > 15
    for place, rows in expected.items():
        board, slot = catalogue.boards[place.board], slot_of(place, catalogue)
        assert slot is not None
        if not await built(two, board, place):
            await two.rebuilder.build(place)
        found = await two.standings.top(board, place, b"", ALL)
        kept = await one.archive.top(board, place, b"", ALL)
        assert found == kept, place
        page = await one.rankings.top(board, slot, ALL)
        entries = [(it.player, *it.result[:1], *it.result.columns, it.achieved_at) for it in page.entries]
        assert entries == [row[:-1] for row in rows], place
        assert [it.rank for it in page.entries] == [row[-1] for row in rows], place


async def built(process: Process, board: Board, place: Place) -> bool:
    try:
        await process.standings.top(board, place, b"", 1)
    except Unbuilt:
        return False
    return True


_RANKS = {
    TiePolicy.EARLIEST: "row_number() OVER (ORDER BY {order})",
    TiePolicy.LATEST: "row_number() OVER (ORDER BY {order})",
    TiePolicy.SHARED_COMPETITION: "rank() OVER (ORDER BY {result})",
    TiePolicy.SHARED_DENSE: "dense_rank() OVER (ORDER BY {result})",
}
_TIES = {TiePolicy.EARLIEST: ["achieved_at"], TiePolicy.LATEST: ["achieved_at DESC"]}


async def canonical(connection: Connection, board: Board, place: Place) -> list[tuple[object, ...]]:
    """By the columns, not by the key that both sides share."""
    columns = ["score", "c1", "c2"][: len(board.sorts)]
    result = [
        f"{column}{' DESC' if sort is DESCENDING else ''}"
        for column, sort in zip(columns, board.sorts, strict=True)
    ]
    order = ", ".join([*result, *_TIES.get(board.tie_policy, []), 'player_id COLLATE "C"'])
    rank = _RANKS[board.tie_policy].format(order=order, result=", ".join(result))
    query = (
        f"SELECT player_id, {', '.join(columns)}, achieved_at, {rank} FROM leaderboard.entries "
        "WHERE board = $1 AND window_name = $2 AND season = $3 AND period = $4 AND NOT quarantined "
        f"ORDER BY {order}"
    )
    return [tuple(row) for row in await connection.fetch(query, *place)]
