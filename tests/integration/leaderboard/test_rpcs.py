"""Every RPC of a leaderboard: boards, seasons, scores, ranks for every tie policy, pages, past periods."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from arenamesh.liveops.v1 import board_pb2, leaderboard_service_pb2
from redis.asyncio import Redis

from services.chassis import clock
from services.chassis.db import Database
from tests.support.leaderboard import Leaderboard, a_board, leaderboard, ranks, score
from tests.support.tokens import game_server, operator
from tests.support.waiting import eventually

pytestmark = pytest.mark.usefixtures("noon")
INT64 = 2**63
LATE = datetime(2026, 3, 1, tzinfo=UTC)


def at(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


# -- boards and seasons -------------------------------------------------------------------------------


async def test_a_board_is_made_and_listed_as_it_was_asked_for(server: Leaderboard) -> None:
    asked = a_board(
        "races",
        title="Laps",
        sort="SORT_ASCENDING",
        columns=[{"name": "crashes", "sort": "SORT_ASCENDING"}],
        tie_policy="TIE_POLICY_SHARED_DENSE",
        windows=["weekly", "daily"],
        time_zone="Europe/Berlin",
        default_limit=7,
        grace="90s",
        sources=[
            {
                "event": "combat.session_ended",
                "each": "results",
                "player": "player_id",
                "score": "place",
                "columns": ["deaths"],
                "filters": [{"field": "won", "values": ["true"]}],
            }
        ],
    )
    request = leaderboard_service_pb2.CreateBoardRequest(board=asked, request_id="b1")
    made = (await server.stub.CreateBoard(request, metadata=operator())).board
    assert abs(made.created_at.ToDatetime(UTC) - clock.now()) < timedelta(minutes=1)
    assert (await server.stub.CreateBoard(request, metadata=operator())).board == made
    assert list((await server.stub.ListBoards(leaderboard_service_pb2.ListBoardsRequest())).boards) == [made]
    made.ClearField("created_at")
    assert made == asked


async def test_what_a_board_does_not_say_has_defaults(server: Leaderboard) -> None:
    made = await server.board()
    assert made.sort == board_pb2.SORT_DESCENDING
    assert made.tie_policy == board_pb2.TIE_POLICY_EARLIEST
    assert (made.time_zone, made.default_limit, made.grace.seconds) == ("UTC", 100, 3600)


async def test_seasons_are_listed_the_latest_first(server: Leaderboard) -> None:
    for year in (2025, 2027, 2026):
        await server.season(f"s{year}", f"{year}-01-01T00:00:00Z", f"{year + 1}-01-01T00:00:00Z")
    answer = await server.stub.ListSeasons(leaderboard_service_pb2.ListSeasonsRequest())
    assert [each.id for each in answer.seasons] == ["s2027", "s2026", "s2025"]
    assert answer.seasons[0].starts_at.ToDatetime(UTC) == datetime(2027, 1, 1, tzinfo=UTC)


# -- scores -------------------------------------------------------------------------------------------


async def test_a_score_is_ranked_as_soon_as_it_is_answered(server: Leaderboard) -> None:
    await server.board()
    for number in range(5):
        assert await server.submit(score(f"p{number}", number * 10)) == ["counted"]
        top = await server.top()
        assert ranks(top.entries)[0] == (1, f"p{number}", number * 10)
        assert top.players == number + 1


async def test_the_best_whole_result_counts(server: Leaderboard) -> None:
    await server.board(columns=[{"name": "deaths", "sort": "SORT_ASCENDING"}])
    outcomes = await server.submit(
        score("ann", 10, columns=["4"]),
        score("ann", 10, columns=["7"]),
        score("ann", 9, columns=["0"]),
        score("ann", 10, columns=["1"]),
        score("ben", 10, columns=["2"]),
    )
    assert outcomes == ["counted", "no_change", "no_change", "counted", "counted"]
    entries = (await server.top()).entries
    assert ranks(entries) == [(1, "ann", 10), (2, "ben", 10)]
    assert [list(each.columns) for each in entries] == [[1], [2]]
    assert [each.submissions for each in entries] == [4, 1]


async def test_the_latest_event_counts_in_whatever_order_they_are_told(server: Leaderboard) -> None:
    await server.board(operator="OPERATOR_LATEST")
    now = clock.now()
    told = [score("ann", n, occurred_at=at(now - timedelta(seconds=n)), event_id=f"e{n}") for n in range(9)]
    random.Random(3).shuffle(told)
    await server.submit(*told)
    assert ranks((await server.top()).entries) == [(1, "ann", 0)]


async def test_sums_add_score_and_columns(server: Leaderboard) -> None:
    await server.board(operator="OPERATOR_SUM", columns=[{"name": "assists"}])
    await server.submit(*(score("ann", n, columns=[str(-n)]) for n in range(1, 11)))
    (entry,) = (await server.top()).entries
    assert (entry.score, list(entry.columns), entry.submissions) == (55, [-55], 10)


async def test_an_event_counts_once_for_its_caller(server: Leaderboard) -> None:
    await server.board(operator="OPERATOR_SUM")
    one = score("ann", 5, event_id="e1")
    assert await server.submit(one, one) == ["counted", "duplicate"]
    assert await server.submit(one) == ["duplicate"]
    assert await server.submit(one, metadata=game_server("gs-2")) == ["counted"]
    assert ranks((await server.top()).entries) == [(1, "ann", 10)]


async def test_ids_of_scores_are_kept_for_a_time(
    server: Leaderboard, database: Database, database_url: str, redis_url: str
) -> None:
    await server.board(operator="OPERATOR_SUM")
    old, new = score("ann", 5, event_id="old"), score("ann", 2, event_id="new")
    assert await server.submit(old, new) == ["counted", "counted"]
    async with database.connection() as connection:
        await connection.execute(
            "UPDATE leaderboard.seen SET noted_at = now() - interval '39 days' WHERE event_id = 'old'"
        )

    async def forgotten() -> bool:
        async with database.connection() as connection:
            rows = await connection.fetch("SELECT event_id FROM leaderboard.seen")
        return [row["event_id"] for row in rows] == ["new"]

    where = {"database_url": database_url, "redis_url": redis_url, "worker_name": "w1"}
    async with leaderboard(**where, seen_days=38, purge_s=0.02) as other:
        await eventually(forgotten)
        assert await other.submit(old, new) == ["counted", "duplicate"]


async def test_a_repeated_request_has_the_first_answer_and_no_effect(server: Leaderboard) -> None:
    await server.board(operator="OPERATOR_SUM")
    for _ in range(3):
        assert await server.submit(score("ann", 5), request_id="r1") == ["counted"]
    assert ranks((await server.top()).entries) == [(1, "ann", 5)]


async def test_scores_are_exact_over_all_64_bits(server: Leaderboard) -> None:
    await server.board()
    values = [INT64 - 1, INT64 - 2, 2**53 + 1, 2**53, 1, 0, -1, -(2**53) - 1, -INT64 + 1, -INT64]
    shuffled = random.Random(1).sample(values, len(values))
    await server.submit(*(score(f"p{value}", value) for value in shuffled))
    assert [each.score for each in (await server.top()).entries] == values


# -- ties ---------------------------------------------------------------------------------------------

FIRST = LATE + timedelta(microseconds=1)
TIES = {
    "EARLIEST": [(1, "zoe"), (2, "ann"), (3, "ben"), (4, "cat")],
    "LATEST": [(1, "ann"), (2, "zoe"), (3, "cat"), (4, "ben")],
    "SHARED_COMPETITION": [(1, "ann"), (1, "zoe"), (3, "ben"), (3, "cat")],
    "SHARED_DENSE": [(1, "ann"), (1, "zoe"), (2, "ben"), (2, "cat")],
}


@pytest.mark.parametrize("policy", TIES)
@pytest.mark.parametrize("ascending", [False, True])
async def test_equal_scores_are_ranked_by_the_policy(
    server: Leaderboard, policy: str, ascending: bool
) -> None:
    """A microsecond decides; every read says the same ranks."""
    sort = "SORT_ASCENDING" if ascending else "SORT_DESCENDING"
    await server.board(tie_policy=f"TIE_POLICY_{policy}", sort=sort)
    sign = -1 if ascending else 1
    await server.submit(
        score("ann", 9 * sign, occurred_at=at(FIRST)),
        score("zoe", 9 * sign, occurred_at=at(LATE)),
        score("cat", 5 * sign, occurred_at=at(FIRST)),
        score("ben", 5 * sign, occurred_at=at(LATE)),
    )
    expected = TIES[policy]
    answer = await server.top()
    assert [(each.rank, each.player_id) for each in answer.entries] == expected
    around = await server.around("ben", limit=3)
    assert [(each.rank, each.player_id) for each in around.entries] == expected[-3:]
    some = await server.players("cat", "zoe", "nobody")
    assert [(each.rank, each.player_id) for each in some.entries] == [
        each for each in expected if each[1] in ("cat", "zoe")
    ]
    paged: list[tuple[int, str]] = []
    token = ""
    while len(paged) < 4:
        page = await server.top(limit=1, page_token=token)
        paged += [(each.rank, each.player_id) for each in page.entries]
        token = page.next_page_token
    assert paged == expected
    assert not token


# -- reading ------------------------------------------------------------------------------------------


async def test_pages_follow_each_other(server: Leaderboard) -> None:
    await server.board(default_limit=30)
    await server.submit(*(score(f"p{number:03}", number // 3) for number in range(100)))
    pages: list[Sequence[board_pb2.Entry]] = []
    token = ""
    while not pages or token:
        page = await server.top(page_token=token)
        assert page.players == 100
        pages.append(page.entries)
        token = page.next_page_token
    assert [len(page) for page in pages] == [30, 30, 30, 10]
    everybody = [each for page in pages for each in page]
    assert [each.rank for each in everybody] == list(range(1, 101))
    assert all(one.score >= other.score for one, other in pairwise(everybody))


async def test_a_player_is_in_the_middle_as_far_as_that_goes(server: Leaderboard) -> None:
    await server.board()
    await server.submit(*(score(f"p{number}", -number) for number in range(10)))
    for player, limit, first, last in [
        ("p5", 5, 4, 8),
        ("p0", 5, 1, 5),
        ("p9", 5, 6, 10),
        ("p5", 0, 1, 10),
        ("p5", 1, 6, 6),
        ("p5", 4, 5, 8),
    ]:
        answer = await server.around(player, limit=limit)
        assert [each.rank for each in answer.entries] == list(range(first, last + 1)), (player, limit)
        assert player in {each.player_id for each in answer.entries}
        assert answer.players == 10


async def test_friends_have_their_ranks_among_all(server: Leaderboard) -> None:
    await server.board()
    await server.submit(*(score(f"p{number}", number) for number in range(50)))
    answer = await server.players("p3", "p49", "stranger", "p20")
    assert ranks(answer.entries) == [(1, "p49", 49), (30, "p20", 20), (47, "p3", 3)]


# -- windows and periods ------------------------------------------------------------------------------


async def test_a_score_counts_in_every_window_by_when_it_happened(server: Leaderboard) -> None:
    await server.board(windows=["daily", "weekly", "seasonal", "all_time"], grace="864000s")
    now = clock.now()
    yesterday = now - timedelta(days=1)
    await server.season("now", at(yesterday + timedelta(hours=1)), at(now + timedelta(days=9)))
    await server.submit(score("ann", 1), score("ben", 2, occurred_at=at(yesterday)))
    assert ranks((await server.top()).entries) == [(1, "ann", 1)]
    day = yesterday.date().isoformat()
    old = await server.top(period=day)
    assert ranks(old.entries) == [(1, "ben", 2)]
    assert (old.period.window, old.period.period, old.period.final) == ("daily", day, False)
    assert old.period.ends_at.ToDatetime(UTC) - old.period.starts_at.ToDatetime(UTC) == timedelta(days=1)
    monday = (yesterday - timedelta(days=yesterday.weekday())).date().isoformat()
    week = await server.top(window="weekly", period=monday)
    assert (2, "ben") in {(each.score, each.player_id) for each in week.entries}
    for season in ("", "now"):
        assert ranks((await server.top(window="seasonal", season=season)).entries) == [(1, "ann", 1)]
    assert ranks((await server.top(window="all_time")).entries) == [(1, "ben", 2), (2, "ann", 1)]


async def test_days_begin_by_the_zone_of_the_board(server: Leaderboard) -> None:
    await server.board(windows=["daily"], time_zone="Pacific/Kiritimati", grace="864000s")
    moment = clock.now().replace(hour=10, minute=30) - timedelta(days=2)
    await server.submit(score("ann", 1, occurred_at=at(moment)))
    found = (await server.periods()).periods[0]
    assert found.period == (moment + timedelta(hours=14)).date().isoformat()
    assert found.starts_at.ToDatetime(UTC).hour == 10


async def test_what_comes_after_the_grace_is_late(server: Leaderboard) -> None:
    await server.board(windows=["daily"], grace="60s")
    old = clock.now() - timedelta(days=3)
    assert await server.submit(score("ann", 1, occurred_at=at(old))) == ["late"]
    assert (await server.top(period=old.date().isoformat())).players == 0


async def test_periods_are_listed_the_latest_first(server: Leaderboard) -> None:
    await server.board(windows=["daily", "all_time"], grace="864000s")
    now = clock.now()
    days = [now - timedelta(days=number) for number in range(5)]
    await server.submit(*(score("ann", 1, occurred_at=at(day)) for day in days))
    one = await server.periods(page_size=3)
    two = await server.periods(page_size=3, page_token=one.next_page_token)
    found = [each.period for each in [*one.periods, *two.periods]]
    assert found == [day.date().isoformat() for day in days]
    assert not two.next_page_token
    (ever,) = (await server.periods(window="all_time")).periods
    assert (ever.window, ever.period, ever.HasField("ends_at"), ever.final) == ("all_time", "", False, False)


async def test_two_processes_are_one_leaderboard(
    server: Leaderboard, database_url: str, redis_url: str, redis: Redis
) -> None:
    await server.board(operator="OPERATOR_SUM")
    async with leaderboard(database_url=database_url, redis_url=redis_url, worker_name="w1") as other:
        for number in range(6):
            asked, watching = (server, other) if number % 2 else (other, server)
            await asked.submit(score("ann", 1), score(f"p{number}", -1))
            assert ranks((await watching.top()).entries)[0] == (1, "ann", number + 1)
