"""Whatever is wrong with a request is refused with its reason and the path of its field; nothing changes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import grpc
import pytest
from arenamesh.liveops.v1 import board_pb2, leaderboard_service_pb2

from services.chassis import clock, paging
from tests.support.leaderboard import Leaderboard, a_board, a_season, refused, score
from tests.support.tokens import Metadata, game_server, operator, player

INVALID = grpc.StatusCode.INVALID_ARGUMENT
NOT_FOUND = grpc.StatusCode.NOT_FOUND
EXISTS = grpc.StatusCode.ALREADY_EXISTS
PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION
NEW_YEAR, LATER = "2026-01-01T00:00:00Z", "2026-06-01T00:00:00Z"
KILL: Mapping[str, Any] = {"event": "combat.kill", "player": "killer_id"}
RESULTS: Mapping[str, Any] = {"event": "combat.session_ended", "each": "results", "player": "player_id"}

BOARDS: dict[str, tuple[dict[str, Any], str]] = {
    "no operator": ({"operator": "OPERATOR_UNSPECIFIED"}, "board.operator"),
    "an id of capitals": ({"id": "Kills"}, "board.id"),
    "no windows": ({"windows": []}, "board.windows"),
    "a window twice": ({"windows": ["daily", "daily"]}, "board.windows"),
    "a window that is none": ({"windows": ["hourly"]}, "board.windows[0]"),
    "three columns": ({"columns": [{"name": name} for name in "abc"]}, "board.columns"),
    "a column twice": ({"columns": [{"name": "a"}, {"name": "a"}]}, "board.columns"),
    "a zone that is none": ({"time_zone": "Mars/Olympus"}, "board.time_zone"),
    "a title that no row holds": ({"title": "a\0b"}, "board.title"),
    "a limit over a thousand": ({"default_limit": 1001}, "board.default_limit"),
    "a negative grace": ({"grace": "-1s"}, "board.grace"),
    "a grace of two months": ({"grace": "5184000s"}, "board.grace"),
    "an event that is no type": ({"sources": [{**KILL, "event": "kill"}]}, "board.sources[0].event"),
    "an event that names its board": (
        {"sources": [{"event": "liveops.score", "player": "player_id"}]},
        "board.sources[0].event",
    ),
    "a player that is not there": ({"sources": [{**KILL, "player": "slayer"}]}, "board.sources[0].player"),
    "a player that is a number": (
        {"sources": [{**KILL, "player": "distance_mm"}]},
        "board.sources[0].player",
    ),
    "a score that is not there": ({"sources": [KILL, {**KILL, "score": "x"}]}, "board.sources[1].score"),
    "elements that are not there": ({"sources": [{**RESULTS, "each": "kills"}]}, "board.sources[0].each"),
    "fewer columns than the board": (
        {"sources": [RESULTS], "columns": [{"name": "deaths"}]},
        "board.sources[0].columns",
    ),
    "a column that is not there": (
        {"sources": [{**RESULTS, "columns": ["x"]}], "columns": [{"name": "deaths"}]},
        "board.sources[0].columns[0]",
    ),
    "a filter of what is not there": (
        {"sources": [{**KILL, "filters": [{"field": "x", "values": ["1"]}]}]},
        "board.sources[0].filters[0].field",
    ),
    "a filter without values": (
        {"sources": [{**KILL, "filters": [{"field": "friendly"}]}]},
        "board.sources[0].filters[0].values",
    ),
    "a flag that is neither": (
        {"sources": [{**KILL, "filters": [{"field": "friendly", "values": ["no"]}]}]},
        "board.sources[0].filters[0].values",
    ),
}


async def test_a_wrong_board_is_refused(server: Leaderboard) -> None:
    for name, (fields, path) in BOARDS.items():
        assert path in await refused(server.board(**fields), INVALID, "FIELD_INVALID"), name
    assert not (await server.stub.ListBoards(leaderboard_service_pb2.ListBoardsRequest())).boards


async def test_boards_and_seasons_are_there_once(server: Leaderboard) -> None:
    await server.board()
    await refused(server.board(title="another"), EXISTS, "BOARD_EXISTS")
    await server.season("s1", NEW_YEAR, LATER)
    await refused(
        server.season("s1", "2027-01-01T00:00:00Z", "2027-02-01T00:00:00Z"), EXISTS, "SEASON_EXISTS"
    )


async def test_seasons_do_not_meet(server: Leaderboard) -> None:
    await server.season("s1", NEW_YEAR, LATER)
    for starts_at, ends_at in [
        (NEW_YEAR, LATER),
        ("2025-01-01T00:00:00Z", "2026-01-01T00:00:01Z"),
        ("2026-05-31T23:59:59Z", "2027-01-01T00:00:00Z"),
        ("2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z"),
    ]:
        await refused(server.season("s2", starts_at, ends_at), PRECONDITION, "SEASONS_MEET")
    await server.season("s2", LATER, "2026-12-01T00:00:00Z")
    await server.season("s0", "2025-01-01T00:00:00Z", NEW_YEAR)


async def test_a_season_ends_after_it_begins(server: Leaderboard) -> None:
    for ends_at in (NEW_YEAR, "2025-12-31T00:00:00Z"):
        wrong = await refused(server.season("s1", NEW_YEAR, ends_at), INVALID, "FIELD_INVALID")
        assert list(wrong) == ["season.ends_at"]
    wrong = await refused(server.season("s1", "1969-01-01T00:00:00Z", NEW_YEAR), INVALID, "FIELD_INVALID")
    assert list(wrong) == ["season.starts_at"]


async def test_a_season_ends_early_enough_for_its_grace(server: Leaderboard) -> None:
    await server.board(windows=["seasonal"], grace=f"{31 * 86_400}s")
    wrong = await refused(server.season("s1", NEW_YEAR, "9999-01-01T00:00:01Z"), INVALID, "FIELD_INVALID")
    assert list(wrong) == ["season.ends_at"]
    await server.season("s1", NEW_YEAR, "9999-01-01T00:00:00Z")
    assert await server.submit(score("ann", 1)) == ["counted"]
    assert (await server.top()).players == 1


def soon() -> str:
    return (clock.now() + timedelta(seconds=90)).isoformat().replace("+00:00", "Z")


SCORES: dict[str, tuple[dict[str, Any], str, str]] = {
    "no such board": ({"board": "none"}, "board", "BOARD_UNKNOWN"),
    "no player": ({"player_id": ""}, "player_id", "FIELD_INVALID"),
    "a player of spaces": ({"player_id": "a b"}, "player_id", "FIELD_INVALID"),
    "an event of spaces": ({"event_id": "a b"}, "event_id", "FIELD_INVALID"),
    "columns that the board has not": ({"columns": ["1"]}, "columns", "FIELD_INVALID"),
    "the future": ({"occurred_at": soon}, "occurred_at", "OCCURRED_IN_FUTURE"),
    "before 1970": ({"occurred_at": "1969-12-31T23:59:59Z"}, "occurred_at", "OCCURRED_BEFORE_1970"),
}


async def test_a_wrong_score_refuses_the_request(server: Leaderboard) -> None:
    """None of the others has counted."""
    await server.board()
    for name, (fields, path, reason) in SCORES.items():
        asked = {key: value() if callable(value) else value for key, value in fields.items()}
        wrong = await refused(server.submit(score("ann", 1), score("ben", 2) | asked), INVALID, reason)
        assert list(wrong) == [f"scores[1].{path}"], name
    assert (await server.top()).players == 0


async def test_too_few_and_too_many_scores_are_refused(server: Leaderboard) -> None:
    await server.board()
    assert "scores" in await refused(server.submit(), INVALID, "FIELD_INVALID")
    many = [score("ann", number) for number in range(501)]
    assert "scores" in await refused(server.submit(*many), INVALID, "FIELD_INVALID")
    assert (await server.submit(*many[:500]))[-1] == "counted"


async def test_a_sum_beyond_64_bits_is_refused(server: Leaderboard) -> None:
    await server.board(operator="OPERATOR_SUM")
    await server.submit(score("ann", 2**63 - 1))
    await refused(server.submit(score("ben", 1), score("ann", 1)), PRECONDITION, "SCORE_OVERFLOW")
    assert (await server.top()).players == 1


async def test_a_key_belongs_to_its_request(server: Leaderboard) -> None:
    await server.board()
    await server.submit(score("ann", 1), request_id="r1")
    await refused(server.submit(score("ann", 2), request_id="r1"), PRECONDITION, "IDEMPOTENCY_KEY_REUSED")


@pytest.mark.parametrize("who", [player("ann"), operator(), ()])
async def test_only_servers_submit_scores(server: Leaderboard, who: Metadata) -> None:
    await server.board()
    request = leaderboard_service_pb2.SubmitScoresRequest(scores=[board_pb2.Score(player_id="ann")])
    call = server.stub.SubmitScores(request, metadata=who)
    if who:
        await refused(call, grpc.StatusCode.PERMISSION_DENIED, "ROLE_NOT_ALLOWED")
    else:
        await refused(call, grpc.StatusCode.UNAUTHENTICATED, "TOKEN_MISSING")


@pytest.mark.parametrize("who", [player("ann"), game_server()])
async def test_only_operators_make_boards_and_seasons(server: Leaderboard, who: Metadata) -> None:
    board = leaderboard_service_pb2.CreateBoardRequest(board=a_board())
    season = leaderboard_service_pb2.CreateSeasonRequest(season=a_season("s1", NEW_YEAR, LATER))
    denied = grpc.StatusCode.PERMISSION_DENIED
    await refused(server.stub.CreateBoard(board, metadata=who), denied, "ROLE_NOT_ALLOWED")
    await refused(server.stub.CreateSeason(season, metadata=who), denied, "ROLE_NOT_ALLOWED")


PLACES: dict[str, tuple[dict[str, Any], grpc.StatusCode, str, list[str]]] = {
    "no such board": ({"board": "none"}, NOT_FOUND, "BOARD_NOT_FOUND", []),
    "a window that the board has not": ({"window": "weekly"}, NOT_FOUND, "WINDOW_NOT_FOUND", []),
    "a window that is none": ({"window": "hourly"}, INVALID, "FIELD_INVALID", ["window"]),
    "no such season": ({"window": "seasonal", "season": "s9"}, NOT_FOUND, "SEASON_NOT_FOUND", []),
    "no season now": ({"window": "seasonal"}, NOT_FOUND, "SEASON_NOT_FOUND", []),
    "a season of days": ({"window": "daily", "season": "s1"}, INVALID, "FIELD_INVALID", ["season"]),
    "a day of all time": (
        {"window": "all_time", "period": "2026-01-01"},
        INVALID,
        "FIELD_INVALID",
        ["period"],
    ),
    "a day that is none": ({"window": "daily", "period": "2026-02-30"}, INVALID, "FIELD_INVALID", ["period"]),
    "a day to come": ({"window": "daily", "period": "2126-01-01"}, NOT_FOUND, "PERIOD_NOT_FOUND", []),
}


async def test_a_place_that_there_is_not_is_refused_by_every_read(server: Leaderboard) -> None:
    await server.board(windows=["daily", "seasonal", "all_time"])
    for name, (fields, code, reason, paths) in PLACES.items():
        watching = server.stub.WatchLeaderboard(leaderboard_service_pb2.WatchLeaderboardRequest(**fields))
        for call in (
            server.top(**fields),
            server.around("ann", **fields),
            server.players("ann", **fields),
            watching.read(),
        ):
            assert list(await refused(call, code, reason)) == paths, name


async def test_a_week_is_named_by_its_monday(server: Leaderboard) -> None:
    await server.board(windows=["weekly"])
    assert (await server.top(period="2026-01-05")).period.period == "2026-01-05"
    wrong = await refused(server.top(period="2026-01-06"), INVALID, "FIELD_INVALID")
    assert wrong == {"period": "must be a Monday"}


async def test_who_is_not_on_the_board_is_not_found_there(server: Leaderboard) -> None:
    await server.board()
    await refused(server.around("ann"), NOT_FOUND, "NOT_ON_BOARD")
    assert not (await server.players("ann")).entries


async def test_limits_and_tokens_of_pages_are_checked(server: Leaderboard) -> None:
    await server.board(windows=["all_time", "daily"])
    await server.submit(*(score(f"p{number}", number) for number in range(3)))
    token = (await server.top(limit=1)).next_page_token
    wrong: list[tuple[dict[str, Any], str, str]] = [
        ({"limit": -1}, "limit", "FIELD_INVALID"),
        ({"limit": 1001}, "limit", "FIELD_INVALID"),
        ({"page_token": "nonsense"}, "page_token", "PAGE_TOKEN_INVALID"),
        ({"page_token": token, "window": "daily"}, "page_token", "PAGE_TOKEN_INVALID"),
    ]
    for fields, path, reason in wrong:
        assert list(await refused(server.top(**fields), INVALID, reason)) == [path]
    for time in ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-01-01T00:00:00"):
        forged = paging.encode([time], "periods score/all_time")
        call = server.periods(page_token=forged)
        assert list(await refused(call, INVALID, "PAGE_TOKEN_INVALID")) == ["page_token"]
    assert list(await refused(server.around("p1", limit=102), INVALID, "FIELD_INVALID")) == ["limit"]
    assert list(await refused(server.players("p1", "p1"), INVALID, "FIELD_INVALID")) == ["player_ids"]
    assert list(await refused(server.periods(page_size=-1), INVALID, "FIELD_INVALID")) == ["page_size"]
    await refused(server.periods(page_token=token), INVALID, "PAGE_TOKEN_INVALID")
    await refused(server.periods(window="weekly"), NOT_FOUND, "WINDOW_NOT_FOUND")
