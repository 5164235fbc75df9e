"""Contract to domain and back. What no field can say alone is said here: each fault raises InvalidArgument
with the path of its field, such as `board.sources[0].columns`."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from arenamesh.liveops.v1 import board_pb2, event_filter_pb2
from google.protobuf.duration_pb2 import Duration

from services.chassis.calendar import zones
from services.chassis.errors import InvalidArgument
from services.chassis.event_fields import check_named
from services.chassis.times import stamp, to_time
from services.leaderboard.domain.board import (
    DEFAULT_GRACE,
    DEFAULT_LIMIT,
    Board,
    Column,
    Filter,
    Operator,
    Season,
    Sort,
    Source,
    TiePolicy,
)
from services.leaderboard.domain.order import Result
from services.leaderboard.domain.places import Slot
from services.leaderboard.domain.ranking import Ranked
from services.leaderboard.domain.scoring import Score
from services.leaderboard.periods import State

DEFAULT_BOARD = "score"
"""The one that is meant when none is named."""
SCORES = "liveops.score"
"""Events of this type name their board themselves."""
MAX_GRACE = timedelta(days=31)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LAST_END = datetime(9999, 1, 1, tzinfo=UTC)
"""Of a season: with the longest grace it is still a time that a calendar has."""
MAX_AHEAD = timedelta(minutes=1)
_NUL = "\0"
E = TypeVar("E")

_SORTS: Mapping[int, Sort] = {
    board_pb2.SORT_UNSPECIFIED: Sort.DESCENDING,
    board_pb2.SORT_DESCENDING: Sort.DESCENDING,
    board_pb2.SORT_ASCENDING: Sort.ASCENDING,
}
_OPERATORS: Mapping[int, Operator] = {
    board_pb2.OPERATOR_BEST: Operator.BEST,
    board_pb2.OPERATOR_LATEST: Operator.LATEST,
    board_pb2.OPERATOR_SUM: Operator.SUM,
}
_TIES: Mapping[int, TiePolicy] = {
    board_pb2.TIE_POLICY_UNSPECIFIED: TiePolicy.EARLIEST,
    board_pb2.TIE_POLICY_EARLIEST: TiePolicy.EARLIEST,
    board_pb2.TIE_POLICY_LATEST: TiePolicy.LATEST,
    board_pb2.TIE_POLICY_SHARED_COMPETITION: TiePolicy.SHARED_COMPETITION,
    board_pb2.TIE_POLICY_SHARED_DENSE: TiePolicy.SHARED_DENSE,
}


# -- boards and seasons, in ---------------------------------------------------------------------------


def to_board(message: board_pb2.Board, path: str = "board") -> Board:
    """Raises InvalidArgument."""
    _no_nul(message.title, f"{path}.title")
    if message.time_zone and message.time_zone not in zones():
        raise InvalidArgument.of(f"{path}.time_zone", "must be the name of an IANA time zone")
    names = [each.name for each in message.columns]
    if len(set(names)) < len(names):
        raise InvalidArgument.of(f"{path}.columns", "must have different names")
    grace = _span(message.grace, f"{path}.grace") if message.HasField("grace") else DEFAULT_GRACE
    return Board(
        id=message.id,
        operator=_OPERATORS[message.operator],
        windows=tuple(message.windows),
        title=message.title,
        sort=_SORTS[message.sort],
        columns=tuple(Column(each.name, _SORTS[each.sort]) for each in message.columns),
        tie_policy=_TIES[message.tie_policy],
        time_zone=message.time_zone or "UTC",
        default_limit=message.default_limit or DEFAULT_LIMIT,
        grace=grace,
        quarantined_visible_to_owner=message.quarantined_visible_to_owner,
        sources=tuple(
            _source(each, len(names), f"{path}.sources[{number}]")
            for number, each in enumerate(message.sources)
        ),
    )


def _source(message: board_pb2.ScoreSource, columns: int, path: str) -> Source:
    if message.event == SCORES:
        raise InvalidArgument.of(f"{path}.event", "names its boards itself: it is counted by these")
    if len(message.columns) != columns:
        raise InvalidArgument.of(f"{path}.columns", f"must be as many as the board has: {columns}")
    for number, each in enumerate(message.filters):
        for text in each.values:
            _no_nul(text, f"{path}.filters[{number}].values")
    others = {"score": message.score} | {
        f"columns[{number}]": name for number, name in enumerate(message.columns)
    }
    check_named(
        message.event,
        path,
        each=message.each,
        player=message.player,
        others=others,
        filters=[(each.field, each.values) for each in message.filters],
    )
    return Source(
        event=message.event,
        player=message.player,
        each=message.each,
        score=message.score,
        columns=tuple(message.columns),
        filters=tuple(Filter(each.field, tuple(each.values)) for each in message.filters),
    )


def to_season(message: board_pb2.Season, path: str = "season") -> Season:
    """Raises InvalidArgument."""
    _no_nul(message.title, f"{path}.title")
    starts_at = to_time(message.starts_at, f"{path}.starts_at")
    ends_at = to_time(message.ends_at, f"{path}.ends_at")
    if starts_at < EPOCH:
        raise InvalidArgument.of(f"{path}.starts_at", "must not be before 1970")
    if ends_at <= starts_at:
        raise InvalidArgument.of(f"{path}.ends_at", "must be later than starts_at")
    if ends_at > LAST_END:
        raise InvalidArgument.of(f"{path}.ends_at", "must not be after the year 9998")
    return Season(message.id, message.title, starts_at, ends_at)


# -- scores, in ---------------------------------------------------------------------------------------


def to_score(message: board_pb2.Score, board: Board, now: datetime, path: str) -> Score:
    """Raises InvalidArgument: FIELD_INVALID, OCCURRED_IN_FUTURE, OCCURRED_BEFORE_1970."""
    at = to_time(message.occurred_at, f"{path}.occurred_at") if message.HasField("occurred_at") else now
    check_time(at, now, f"{path}.occurred_at")
    result = to_result(board, message.score, message.columns, f"{path}.columns")
    return Score(board.id, message.player_id, result, at, message.event_id)


def to_result(board: Board, score: int, columns: Iterable[int], path: str) -> Result:
    """Raises InvalidArgument."""
    found = tuple(columns)
    if len(found) != len(board.columns):
        raise InvalidArgument.of(path, f"must be as many as {board.id} has: {len(board.columns)}")
    return Result(score, found)


def check_time(at: datetime, now: datetime, path: str) -> None:
    """Raises InvalidArgument for a time at which nothing can have happened."""
    if at > now + MAX_AHEAD:
        raise InvalidArgument.of(path, "is more than a minute ahead", reason="OCCURRED_IN_FUTURE")
    if at < EPOCH:
        raise InvalidArgument.of(path, "is before 1970", reason="OCCURRED_BEFORE_1970")


def _span(duration: Duration, path: str) -> timedelta:
    try:
        span = duration.ToTimedelta()
    except (ValueError, OverflowError) as error:
        raise InvalidArgument.of(path, "is no duration") from error
    if not timedelta(0) <= span <= MAX_GRACE:
        raise InvalidArgument.of(path, f"must be from 0 to {MAX_GRACE.days} days")
    return span


def _no_nul(text: str, path: str) -> None:
    if _NUL in text:
        raise InvalidArgument.of(path, "must not have NUL in it")


# -- out ----------------------------------------------------------------------------------------------


def board(found: Board, created_at: datetime | None = None) -> board_pb2.Board:
    message = board_pb2.Board(
        id=found.id,
        title=found.title,
        sort=_number(_SORTS, found.sort),
        operator=_number(_OPERATORS, found.operator),
        columns=[board_pb2.Column(name=it.name, sort=_number(_SORTS, it.sort)) for it in found.columns],
        tie_policy=_number(_TIES, found.tie_policy),
        windows=found.windows,
        time_zone=found.time_zone,
        default_limit=found.default_limit,
        quarantined_visible_to_owner=found.quarantined_visible_to_owner,
        sources=[
            board_pb2.ScoreSource(
                event=it.event,
                each=it.each,
                player=it.player,
                score=it.score,
                columns=it.columns,
                filters=[
                    event_filter_pb2.EventFilter(field=each.field, values=each.values) for each in it.filters
                ],
            )
            for it in found.sources
        ],
        created_at=stamp(created_at),
    )
    message.grace.FromTimedelta(found.grace)
    return message


def season(found: Season) -> board_pb2.Season:
    return board_pb2.Season(
        id=found.id, title=found.title, starts_at=stamp(found.starts_at), ends_at=stamp(found.ends_at)
    )


def period(slot: Slot, state: State) -> board_pb2.Period:
    place = slot.place
    return board_pb2.Period(
        board=place.board,
        window=place.window,
        season=place.season,
        period=place.period,
        starts_at=stamp(slot.starts_at),
        ends_at=stamp(slot.ends_at),
        final=state.final,
        entries=state.entries,
        checksum=state.checksum.hex(),
    )


def entries(found: Iterable[Ranked]) -> list[board_pb2.Entry]:
    return [
        board_pb2.Entry(
            rank=each.rank,
            player_id=each.player,
            score=each.result.score,
            columns=each.result.columns,
            achieved_at=stamp(each.achieved_at),
            submissions=each.submissions,
            quarantined=each.quarantined,
        )
        for each in found
    ]


def _number(numbers: Mapping[int, E], wanted: E) -> Any:
    """What stands for it; not the unspecified one."""
    return next(number for number, each in numbers.items() if each is wanted and number)
