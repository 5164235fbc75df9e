"""Ranks through Redis: what their owners are shown, and a Redis that is away, forgets, or comes back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from services.chassis import clock
from services.chassis.db import Database
from services.leaderboard import rows
from services.leaderboard.batch import quarantine
from services.leaderboard.catalogue_store import CatalogueStore
from services.leaderboard.domain.board import ALL_TIME, DAILY, Board, Operator, TiePolicy
from services.leaderboard.domain.order import Result
from services.leaderboard.domain.places import Place, Slot
from services.leaderboard.domain.ranking import Ranked
from services.leaderboard.standings import Away, Unbuilt
from tests.support import redis as redis_server
from tests.support.boards import Process, add, held, process, score, submitting
from tests.support.redis import RedisServer

BOARD = Board("b", Operator.BEST, (ALL_TIME,))
TIES = [replace(BOARD, id=policy.value, tie_policy=policy) for policy in TiePolicy]
PLACE = Place("b", ALL_TIME, "", "")
ACTOR = "service:test"
KEPT = "SELECT * FROM leaderboard.entries"


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    with redis_server.server() as started:
        yield started


@pytest.fixture
async def one(database: Database, database_url: str, own_redis: RedisServer) -> AsyncIterator[Process]:
    await add(database, BOARD, *TIES)
    async with process(database, database_url, own_redis.url) as running:
        yield running


@pytest.fixture
async def two(database: Database, database_url: str, own_redis: RedisServer) -> AsyncIterator[Process]:
    """Another process."""
    async with process(database, database_url, own_redis.url, worker="w1") as running:
        yield running


def slot(board: Board = BOARD) -> Slot:
    return Slot(Place(board.id, ALL_TIME, "", ""), clock.now(), None, timedelta(0))


async def told(running: Process, *scores: tuple[str, int], board: Board = BOARD) -> None:
    """Each a moment later than the one before, and whatever is wanted is built."""
    made = [score(player, value, board=board.id, ago_s=60 - n) for n, (player, value) in enumerate(scores)]
    await running.committer.run(submitting(*made))
    await running.rebuilder.build_wanted()


async def ranks(running: Process, board: Board = BOARD, owner: str = "") -> dict[str, int]:
    page = await running.rankings.top(board, slot(board), 100, owner=owner)
    return {each.player: each.rank for each in page.entries}


async def listing(running: Process, board: Board, limit: int, after: bytes, owner: str = "") -> list[Ranked]:
    return (await running.rankings.top(board, slot(board), limit, after=after, owner=owner)).entries


async def in_redis(running: Process, board: Board = BOARD) -> bool:
    try:
        await running.standings.top(board, Place(board.id, ALL_TIME, "", ""), b"", 1)
    except (Away, Unbuilt):
        return False
    return True


# -- ranks --------------------------------------------------------------------------------------------

FIVE = (("ann", 9), ("bob", 7), ("cid", 7), ("dan", 7), ("eve", 3))
RANKED = {
    TiePolicy.EARLIEST: [("ann", 1), ("bob", 2), ("cid", 3), ("dan", 4), ("eve", 5)],
    TiePolicy.LATEST: [("ann", 1), ("dan", 2), ("cid", 3), ("bob", 4), ("eve", 5)],
    TiePolicy.SHARED_COMPETITION: [("ann", 1), ("bob", 2), ("cid", 2), ("dan", 2), ("eve", 5)],
    TiePolicy.SHARED_DENSE: [("ann", 1), ("bob", 2), ("cid", 2), ("dan", 2), ("eve", 3)],
}


@pytest.mark.parametrize("board", TIES, ids=lambda board: board.id)
@pytest.mark.parametrize("through_redis", [True, False])
async def test_who_is_where_in_every_kind_of_read(one: Process, board: Board, through_redis: bool) -> None:
    await told(one, *FIVE, board=board)
    assert await in_redis(one, board)
    if not through_redis:
        await one.redis.flushall()
    wanted = RANKED[board.tie_policy]
    for limit in (1, 2, 5):
        found, after = [], b""
        while page := await listing(one, board, limit, after):
            found += [(each.player, each.rank) for each in page]
            after = page[-1].key
        assert found == wanted
    for number, (player, rank) in enumerate(wanted):
        near = await one.rankings.around(board, slot(board), player, 3)
        assert near is not None
        begin = min(max(number - 1, 0), 2)
        assert [(each.player, each.rank) for each in near.entries] == wanted[begin : begin + 3]
        assert near.players == 5
        (only,) = await one.rankings.players(board, slot(board), [player, "nobody"])
        assert (only.player, only.rank, only.submissions) == (player, rank, 1)
    assert await one.rankings.around(board, slot(board), "nobody", 3) is None


@pytest.mark.parametrize("board", TIES, ids=lambda board: board.id)
@pytest.mark.parametrize("through_redis", [True, False])
@pytest.mark.parametrize("hidden", [player for player, _ in FIVE])
async def test_its_owner_is_shown_a_quarantined_entry_as_if_nothing_were(
    one: Process, board: Board, through_redis: bool, hidden: str
) -> None:
    await told(one, *FIVE, board=board)
    assert await in_redis(one, board)
    assert await one.committer.run(quarantine(held(1, hidden, board.id), actor=ACTOR)) == b"1"
    if not through_redis:
        await one.redis.flushall()
    wanted = RANKED[board.tie_policy]
    assert hidden not in await ranks(one, board)
    assert await ranks(one, board, owner="ann" if hidden != "ann" else "bob") == await ranks(one, board)
    for limit in (1, 2, 4, 5):
        found, after = [], b""
        while entries := (
            await one.rankings.top(board, slot(board), limit, after=after, owner=hidden)
        ).entries:
            found += [(each.player, each.rank) for each in entries]
            after = entries[-1].key
        assert found == wanted
    assert (await one.rankings.top(board, slot(board), 1, owner=hidden)).players == 5
    assert await one.rankings.around(board, slot(board), hidden, 3) is None
    for limit in (1, 2, 3, 5):
        for number, (player, _) in enumerate(wanted):
            near = await one.rankings.around(board, slot(board), player, limit, owner=hidden)
            assert near is not None
            begin = min(max(number - (limit - 1) // 2, 0), 5 - limit)
            expected = wanted[begin : begin + limit]
            assert [(each.player, each.rank) for each in near.entries] == expected, (player, limit)
            assert [each.player for each in near.entries if each.quarantined] == [
                player for player, _ in expected if player == hidden
            ]
            assert near.players == 5
    assert await one.rankings.players(board, slot(board), [hidden]) == []
    (own,) = await one.rankings.players(board, slot(board), [hidden], owner=hidden)
    assert (hidden, own.rank) in wanted
    everybody = await one.rankings.players(board, slot(board), [player for player, _ in FIVE], owner=hidden)
    assert [(each.player, each.rank) for each in everybody] == wanted
    assert await one.committer.run(quarantine(held(2, hidden), actor=ACTOR)) == b"1"
    await one.rebuilder.build_wanted()
    assert list((await ranks(one, board)).items()) == wanted


# -- Redis is no truth --------------------------------------------------------------------------------


async def test_an_answer_is_what_everybody_reads(one: Process, two: Process) -> None:
    await told(one, ("ann", 1))
    for value in range(2, 30):
        running = (one, two)[value % 2]
        await running.committer.run(submitting(score(f"p{value % 3}", value)))
        best = (await two.rankings.top(BOARD, slot(), 1)).entries[0]
        assert best.result.score == value
    assert await in_redis(one)


async def test_redis_forgets(one: Process, two: Process) -> None:
    await told(one, ("ann", 1), ("bob", 2))
    await one.redis.flushall()
    assert not await in_redis(one)
    # It does not take what it is told after that for all there is.
    await two.committer.run(submitting(score("cid", 3)))
    assert await ranks(one) == {"cid": 1, "bob": 2, "ann": 3}
    await two.rebuilder.build_wanted()
    assert await in_redis(one)
    assert await ranks(one) == {"cid": 1, "bob": 2, "ann": 3}


async def test_redis_is_away_and_comes_back(one: Process, two: Process, own_redis: RedisServer) -> None:
    """What was committed meanwhile is not missed, whoever asks."""
    await told(one, ("ann", 1), ("bob", 2))
    own_redis.kill()
    await one.committer.run(submitting(score("cid", 3)))
    assert await ranks(one) == {"cid": 1, "bob": 2, "ann": 3}
    assert one.standings.dirty == {PLACE}
    own_redis.start()
    assert not await in_redis(one)
    await one.rankings.top(BOARD, slot(), 1)
    await one.rebuilder.build_wanted()
    assert await in_redis(two)
    assert one.standings.dirty == set()
    assert await ranks(two) == {"cid": 1, "bob": 2, "ann": 3}


async def test_who_could_not_write_is_not_trusted_with_what_is_there(
    one: Process, two: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis did not go away for others: they may be behind until the one that failed reaches it."""
    await told(one, ("ann", 1))

    async def fail(*_arguments: object, **_named: object) -> None:
        raise TimeoutError

    with monkeypatch.context() as patch:
        patch.setattr(one.standings, "_write", fail)
        await one.committer.run(submitting(score("bob", 2)))
    assert one.standings.dirty == {PLACE}
    assert await ranks(one) == {"bob": 1, "ann": 2}
    assert not await in_redis(two)


async def test_a_redis_that_comes_back_with_old_data_does_not_count(
    database: Database, database_url: str
) -> None:
    await add(database, BOARD)
    with redis_server.server(durable=True) as server:
        async with process(database, database_url, server.url) as one:
            await told(one, ("ann", 1))
            server.kill()
            server.start()
            await one.standings.look()
            assert await one.redis.exists("lb:{-}:all_time:b:")
            with pytest.raises(Unbuilt):
                await one.standings.top(BOARD, PLACE, b"", 1)


async def test_what_a_process_that_died_left_behind_is_caught_up_with(
    one: Process, two: Process, database: Database
) -> None:
    """It died between a commit and Redis; what it knew of is in PostgreSQL."""
    await told(one, ("ann", 1))
    kept = one.standings.write
    one.standings.write = lost  # type: ignore[method-assign,assignment]
    await one.committer.run(submitting(score("bob", 2)))
    one.standings.write = kept  # type: ignore[method-assign]
    assert await ranks(two) == {"ann": 1}
    async with database.connection() as connection:
        left = await connection.fetchval("SELECT changes FROM leaderboard.unprojected WHERE worker = 'w0'")
    assert json.loads(left) == [["b", "all_time", "", "", "bob"]]
    await two.rebuilder.catch_up()
    assert await ranks(two) == {"bob": 1, "ann": 2}
    assert await in_redis(two)


async def test_what_was_left_behind_is_not_forgotten_while_redis_is_away(
    one: Process, two: Process, database: Database, own_redis: RedisServer
) -> None:
    """Each transaction notes again what Redis still lacks."""
    await told(one, ("ann", 1))
    own_redis.kill()
    await two.rebuilder.catch_up()
    assert two.standings.dirty == {PLACE}
    await two.committer.run(submitting(score("bob", 2, board="earliest")))
    async with database.connection() as connection:
        left = await connection.fetchval("SELECT changes FROM leaderboard.unprojected WHERE worker = 'w1'")
    assert json.loads(left) == [["b", "all_time", "", "", ""], ["earliest", "all_time", "", "", "bob"]]


async def lost(*_arguments: object) -> None:
    """As if the process had died."""


async def test_a_place_is_built_by_one_while_scores_come_in(
    one: Process, two: Process, database: Database
) -> None:
    await asyncio.gather(
        *(each.committer.run(submitting(score(f"p{n}", n))) for n in range(40) for each in (one, two))
    )
    token = await one.standings.begin(PLACE)
    assert token
    assert await two.rebuilder.build(PLACE) is None
    await two.committer.run(submitting(score("new", 100)))
    assert not await in_redis(two)
    async with database.connection() as connection:
        catalogue = await CatalogueStore().present(connection)
        entries = [rows.entry(row) for row in await connection.fetch(KEPT)]
    assert await one.standings.fill(catalogue, PLACE, token, entries)
    # Whoever read before the others wrote changes nothing.
    older = [replace(each, result=Result(0), revision=0) for each in entries]
    assert await one.standings.fill(catalogue, PLACE, token, older)
    assert await one.standings.finish(catalogue, PLACE, token)
    assert not await one.standings.finish(catalogue, PLACE, token)
    assert await in_redis(two)
    assert list(await ranks(two))[:3] == ["new", "p39", "p38"]


async def test_final_periods_go_from_redis_and_are_read_all_the_same(
    one: Process, database: Database
) -> None:
    daily = replace(BOARD, id="daily", windows=(DAILY,))
    await add(database, daily)
    await one.committer.run(submitting(score("ann", 1, board="daily")))
    await one.rebuilder.build_wanted()
    names = await one.redis.keys("lb:{-}:daily:daily:*")
    assert len(names) == 3
    lifetimes = [await one.redis.pttl(each) for each in names]
    assert all(3_600_000 < each <= (25 + 1 + 1) * 3_600_000 for each in lifetimes)
    past = Slot(Place("daily", DAILY, "", "2020-01-01"), clock.now(), clock.now(), timedelta(0))
    assert (await one.rankings.top(daily, past, 10)).entries == []
    assert not one.standings.wanted
