"""What boards find in events: paths, elements, filters, every kind of value, and what cannot be read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from arenamesh.events.v1 import combat_pb2, liveops_pb2
from arenamesh.events.v1.envelope_pb2 import Envelope
from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct

from services.chassis.errors import InvalidArgument, NotFound
from services.chassis.event_fields import payload
from services.leaderboard.boards import read
from services.leaderboard.domain.board import Board, Catalogue, Column, Filter, Operator, Source
from services.leaderboard.domain.order import Result
from services.leaderboard.domain.scoring import Score
from services.leaderboard.settings import LeaderboardSettings
from services.leaderboard.sources import Sources
from services.leaderboard.translate import board, to_board

AT = datetime(2026, 3, 29, 1, 30, 7, 250_000, tzinfo=UTC)
ENDED = combat_pb2.CombatSessionEnded(
    session_type="duel",
    results=[
        combat_pb2.CombatPlayerResult(player_id="ann", place=1, won=True, kills=7, deaths=2),
        combat_pb2.CombatPlayerResult(player_id="ben", place=2, deaths=7),
        combat_pb2.CombatPlayerResult(player_id="", kills=9),
    ],
)
BEST, SUM = Operator.BEST, Operator.SUM


def struct(**fields: Any) -> Struct:
    return ParseDict(fields, Struct())


def envelope(type_: str, data: Message, at: datetime | None = AT) -> Envelope:
    made = Envelope(id="e1", type=type_)
    made.data.Pack(data)
    if at is not None:
        made.time.FromDatetime(at)
    return made


def found(event: Envelope, *boards: Board, now: datetime = AT) -> list[Score]:
    sources = Sources(Catalogue(1, {each.id: each for each in boards}, {}, {}))
    return sources.read(event, payload(event), now) if sources.name(event.type) else []


def results(source: Source, operator: Operator, event: Envelope, *columns: str) -> list[tuple[str, Result]]:
    named = Board("b", operator, ("all_time",), columns=tuple(map(Column, columns)), sources=(source,))
    return [(each.player, each.result) for each in found(event, named)]


EACH: dict[str, Any] = {"event": "combat.session_ended", "player": "player_id", "each": "results"}
READ: dict[str, tuple[Source, Operator, tuple[str, ...], list[tuple[str, Result]]]] = {
    "how often": (Source(**EACH), SUM, (), [("ann", Result(1)), ("ben", Result(1))]),
    "a number": (Source(**EACH, score="kills"), BEST, (), [("ann", Result(7)), ("ben", Result(0))]),
    "nothing to add": (Source(**EACH, score="kills"), SUM, (), [("ann", Result(7))]),
    "a flag": (Source(**EACH, score="won"), BEST, (), [("ann", Result(1)), ("ben", Result(0))]),
    "columns": (
        Source(**EACH, score="kills", columns=("deaths", "place")),
        SUM,
        ("deaths", "place"),
        [("ann", Result(7, (2, 1))), ("ben", Result(0, (7, 2)))],
    ),
    "a filter of the element": (
        Source(**EACH, filters=(Filter("won", ("true",)),)),
        SUM,
        (),
        [("ann", Result(1))],
    ),
    "a filter of the event": (
        Source(**EACH, filters=(Filter("session_type", ("arena", "duel")), Filter("place", ("2",)))),
        SUM,
        (),
        [("ben", Result(1))],
    ),
    "a filter of nothing": (Source(**EACH, filters=(Filter("nothing", ("",)),)), SUM, (), []),
}


@pytest.mark.parametrize("name", READ)
def test_what_a_source_finds(name: str) -> None:
    source, operator, columns, expected = READ[name]
    assert results(source, operator, envelope("combat.session_ended", ENDED), *columns) == expected


@pytest.mark.parametrize(
    ("value", "score"),
    [(12, 12), ("-9223372036854775808", -(2**63)), (True, 1), ("9007199254740993", 2**53 + 1)],
)
def test_numbers_of_a_struct_are_exact(value: Any, score: int) -> None:
    event = envelope("studio.lap", struct(who="ann", run={"score": value}))
    source = Source("studio.lap", "who", score="run.score")
    assert results(source, BEST, event) == [("ann", Result(score))]


@pytest.mark.parametrize("value", ["x", 1.5, "9223372036854775808"])
def test_what_is_no_number_of_64_bits_is_refused(value: Any) -> None:
    event = envelope("studio.lap", struct(who="ann", score=value))
    with pytest.raises(InvalidArgument, match=r"score: must be a whole number") as caught:
        results(Source("studio.lap", "who", score="score"), BEST, event)
    assert caught.value.reason == "EVENT_MALFORMED"


def test_a_player_has_the_form_of_one() -> None:
    with pytest.raises(InvalidArgument, match="who: must match"):
        results(Source("studio.lap", "who"), SUM, envelope("studio.lap", struct(who="a b")))


def test_scores_of_an_event_have_its_time_and_ids_of_their_own() -> None:
    event = envelope("combat.session_ended", ENDED)
    one = Board("b", SUM, ("all_time",), sources=(Source(**EACH),))
    assert [(each.board, each.at, each.event) for each in found(event, one)] == [
        ("b", AT, "e1"),
        ("b", AT, "e1#2"),
    ]


@pytest.mark.parametrize(
    ("now", "reason"),
    [(AT - timedelta(seconds=61), "OCCURRED_IN_FUTURE"), (AT - timedelta(seconds=60), "")],
)
def test_the_future_is_a_minute_away(now: datetime, reason: str) -> None:
    event = envelope("combat.session_ended", ENDED)
    one = Board("b", SUM, ("all_time",), sources=(Source(**EACH),))
    if not reason:
        assert len(found(event, one, now=now)) == 2
        return
    with pytest.raises(InvalidArgument) as caught:
        found(event, one, now=now)
    assert caught.value.reason == reason


def test_an_event_without_a_time_is_refused() -> None:
    one = Board("b", SUM, ("all_time",), sources=(Source(**EACH),))
    with pytest.raises(InvalidArgument, match="time: must be given"):
        found(envelope("combat.session_ended", ENDED, at=None), one)


def test_a_score_names_its_board_or_means_the_default_one() -> None:
    boards = [Board("score", BEST, ("all_time",)), Board("laps", BEST, ("all_time",))]
    said = liveops_pb2.LiveopsScore(player_id="ann", score=-5)
    assert found(envelope("liveops.score", said), *boards) == [Score("score", "ann", Result(-5), AT, "e1")]
    said.board = "laps"
    said.achieved_at.FromDatetime(AT - timedelta(days=1))
    expected = Score("laps", "ann", Result(-5), AT - timedelta(days=1), "e1")
    assert found(envelope("liveops.score", said), *boards) == [expected]
    said.board = "none"
    with pytest.raises(NotFound) as caught:
        found(envelope("liveops.score", said), *boards)
    assert caught.value.reason == "BOARD_NOT_FOUND"


def test_boards_that_come_with_the_service_survive_being_written_and_read() -> None:
    boards = read(LeaderboardSettings().data_dir)
    assert {each.id for each in boards} == {"kills", "wins", "damage", "score"}
    for each in boards:
        assert to_board(board(each)) == each
        assert set(each.windows) == {"daily", "weekly", "seasonal", "all_time"}
