"""The committer of leaderboards: what comes twice, at once, or goes wrong, has one effect or none."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from services.chassis import clock
from services.chassis.db import Database
from services.chassis.errors import FailedPrecondition, NotFound
from services.chassis.idempotency import IdempotencyKey
from services.leaderboard.batch import quarantine
from services.leaderboard.committer import Committer
from services.leaderboard.domain.board import ALL_TIME, DAILY, SEASONAL, WEEKLY, Board, Operator, Season
from services.leaderboard.domain.hold import Hidden, Hold
from services.leaderboard.domain.order import INT64_MAX
from tests.support.boards import add, committer, held, score, submitting

pytestmark = pytest.mark.usefixtures("noon")
BEST = Board("b", Operator.BEST, (ALL_TIME,))
SUM = Board("sum", Operator.SUM, (ALL_TIME,))
KEPT = "SELECT score, submissions, quarantined FROM leaderboard.entries WHERE board = $1 AND player_id = $2"


@pytest.fixture
async def one(database: Database, database_url: str) -> AsyncIterator[Committer]:
    await add(database, BEST, SUM)
    async with committer(database_url) as running:
        yield running


@pytest.fixture
async def two(database_url: str) -> AsyncIterator[Committer]:
    """Another process's."""
    async with committer(database_url, worker="w1") as running:
        yield running


async def rows(database: Database, query: str, *arguments: object) -> list[tuple[Any, ...]]:
    async with database.connection() as connection:
        return [tuple(row) for row in await connection.fetch(query, *arguments)]


async def test_scores_of_a_command_are_counted_each_by_itself(one: Committer, database: Database) -> None:
    answer = await one.run(submitting(score("ann", 5), score("ann", 4), score("ann", 6), score("bob", 1)))
    assert answer == b"COUNTED NO_CHANGE COUNTED COUNTED"
    assert await rows(database, KEPT, "b", "ann") == [(6, 3, False)]
    assert await one.run(submitting(score("ann", 6, ago_s=-1))) == b"NO_CHANGE"


async def test_an_event_of_a_caller_counts_once(one: Committer, two: Committer, database: Database) -> None:
    """Whoever brings it, and however often at the same time."""
    scored = score("ann", 1, board="sum", event="e1")
    calls = [running.run(submitting(scored, caller="gs")) for running in (one, two) for _ in range(5)]
    assert sorted(await asyncio.gather(*calls)) == [b"COUNTED"] + [b"DUPLICATE"] * 9
    assert await one.run(submitting(scored, scored, caller="other")) == b"COUNTED DUPLICATE"
    assert await rows(database, KEPT, "sum", "ann") == [(2, 2, False)]


async def test_a_repeated_key_gets_the_first_answer(
    one: Committer, two: Committer, database: Database
) -> None:
    command = replace(submitting(score("ann", 1, board="sum")), key=IdempotencyKey("test", "k", b"request"))
    answers = await asyncio.gather(*(running.run(command) for running in (one, two) for _ in range(3)))
    assert answers == [b"COUNTED"] * 6
    assert await rows(database, KEPT, "sum", "ann") == [(1, 1, False)]
    with pytest.raises(FailedPrecondition, match="another request"):
        await one.run(replace(command, key=IdempotencyKey("test", "k", b"other")))


async def test_an_event_of_the_bus_is_applied_once(one: Committer, database: Database) -> None:
    command = replace(submitting(score("ann", 1, board="sum")), event="e1")
    assert [await one.run(command) for _ in range(2)] == [b"COUNTED", b""]
    assert await rows(database, KEPT, "sum", "ann") == [(1, 1, False)]


async def test_two_processes_lose_nothing(one: Committer, two: Committer, database: Database) -> None:
    players = [f"p{number % 7}" for number in range(140)]
    calls = [
        running.run(submitting(score(player, 1, board="sum"), score(player, number)))
        for number, (running, player) in enumerate(zip([one, two] * 70, players, strict=True))
    ]
    await asyncio.gather(*calls)
    query = "SELECT score, submissions FROM leaderboard.entries WHERE board = $1 ORDER BY player_id"
    assert await rows(database, query, "sum") == [(20, 20)] * 7
    assert await rows(database, query, "b") == [(133 + number, 20) for number in range(7)]


async def test_a_sum_beyond_64_bits_is_refused_and_leaves_others_alone(
    one: Committer, database: Database
) -> None:
    assert await one.run(submitting(score("ann", INT64_MAX, board="sum"))) == b"COUNTED"
    refused = one.run(submitting(score("bob", 7, board="sum"), score("ann", 1, board="sum")))
    counted = one.run(submitting(score("eve", 1, board="sum")))
    outcomes = await asyncio.gather(refused, counted, return_exceptions=True)
    assert isinstance(outcomes[0], FailedPrecondition)
    assert outcomes[0].reason == "SCORE_OVERFLOW"
    assert outcomes[1] == b"COUNTED"
    assert await rows(database, KEPT, "sum", "bob") == []
    assert await rows(database, KEPT, "sum", "ann") == [(INT64_MAX, 1, False)]


async def test_a_board_that_is_not_there(one: Committer, database: Database) -> None:
    with pytest.raises(NotFound):
        await one.run(submitting(score("ann", 1, board="new")))
    await add(database, replace(BEST, id="new"))
    assert await one.run(submitting(score("ann", 1, board="new"))) == b"COUNTED"


async def test_late_scores_count_in_windows_that_are_open(one: Committer, database: Database) -> None:
    """A day that is over takes none; the season does; between seasons that window takes none."""
    now = clock.now()
    season = Season("s1", "", now - timedelta(days=30), now + timedelta(days=30))
    await add(database, replace(BEST, id="late", windows=(DAILY, WEEKLY, SEASONAL)), season)
    late = score("ann", 5, board="late", ago_s=20 * 86_400)
    before = score("ann", 5, board="late", ago_s=40 * 86_400)
    present = score("ann", 3, board="late")
    assert await one.run(submitting(late, before, present)) == b"COUNTED LATE COUNTED"
    kept = "SELECT window_name, score FROM leaderboard.entries WHERE board = 'late' ORDER BY window_name"
    assert await rows(database, kept) == [(DAILY, 3), (SEASONAL, 5), (WEEKLY, 3)]


async def test_quarantine_hides_and_clearing_shows_again(one: Committer, database: Database) -> None:
    await one.run(submitting(score("ann", 1, ago_s=60), score("ann", 1, board="sum"), score("bob", 1)))
    recently, ever = clock.now() - timedelta(seconds=30), clock.now() - timedelta(days=1)

    async def hold(revision: int, *hidden: Hidden, event: str = "") -> bytes:
        return await one.run(quarantine(Hold("ann", revision, hidden), actor="service:fairness", event=event))

    assert await hold(3, Hidden("", recently)) == b"1"
    assert await rows(database, KEPT, "b", "ann") == [(1, 1, False)]
    assert await rows(database, KEPT, "sum", "ann") == [(1, 1, True)]
    assert await hold(2) == await hold(3) == b"0", "what was said before says nothing new"
    assert await hold(4, Hidden("b", ever)) == b"2", "what is not named is shown"
    assert await hold(5, Hidden("b", ever), Hidden("sum", ever)) == b"1"
    # It goes on to take scores, where it is.
    assert await one.run(submitting(score("ann", 2), score("ann", 1, board="sum"))) == b"COUNTED COUNTED"
    assert await rows(database, KEPT, "b", "ann") == [(2, 2, True)]
    assert await hold(6, event="cleared") == b"2"
    assert await hold(6, event="cleared") == b""
    assert await rows(database, KEPT, "b", "ann") == [(2, 2, False)]
    assert await rows(database, KEPT, "b", "bob") == [(1, 1, False)]


async def test_what_comes_later_is_hidden_too(one: Committer, two: Committer, database: Database) -> None:
    """An entry that there was not yet, and one that was well and is beaten by a result under suspicion."""
    recently = clock.now() - timedelta(seconds=30)
    await one.run(submitting(score("ann", 1, ago_s=60)))
    hold = Hold("ann", 1, (Hidden("", recently),))
    assert await one.run(quarantine(hold, actor="service:fairness")) == b"0"
    assert (
        await two.run(submitting(score("ann", 2, ago_s=50), score("ann", 1, board="sum")))
        == b"COUNTED COUNTED"
    )
    assert await rows(database, KEPT, "b", "ann") == [(2, 2, False)]
    assert await rows(database, KEPT, "sum", "ann") == [(1, 1, True)]
    assert await two.run(submitting(score("ann", 3), score("bob", 3))) == b"COUNTED COUNTED"
    assert await rows(database, KEPT, "b", "ann") == [(3, 3, True)]
    assert await rows(database, KEPT, "b", "bob") == [(3, 1, False)]


async def test_no_entry_slips_past_a_hold(one: Committer, two: Committer, database: Database) -> None:
    """Scores of one process and holds of another, at the same time."""
    for number in range(100):
        hold = quarantine(held(1, f"p{number}", ""), actor="service:fairness")
        await asyncio.gather(one.run(submitting(score(f"p{number}", 1))), two.run(hold))
    shown = "SELECT player_id FROM leaderboard.entries WHERE NOT quarantined"
    assert await rows(database, shown) == []


async def test_what_redis_may_not_have_is_noted_with_the_change(one: Committer, database: Database) -> None:
    await one.run(submitting(score("ann", 1)))
    noted = "SELECT worker, changes::text FROM leaderboard.unprojected"
    assert await rows(database, noted) == [("w0", '[["b", "all_time", "", "", "ann"]]')]
