"""What boards find in the events of the bus: an envelope becomes scores of players."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from arenamesh.events.v1 import liveops_pb2
from arenamesh.events.v1.envelope_pb2 import Envelope
from google.protobuf.message import Message

from services.chassis.errors import NotFound
from services.chassis.event_fields import (
    Node,
    Path,
    elements,
    find,
    is_one_of,
    malformed,
    occurred_at,
    path_of,
    player_of,
    time_of,
    whole,
)
from services.leaderboard.domain.board import Board, Catalogue, Filter, Operator, Source
from services.leaderboard.domain.order import INT64_MAX, INT64_MIN, Result
from services.leaderboard.domain.scoring import Score
from services.leaderboard.translate import DEFAULT_BOARD, SCORES, check_time


@dataclass(frozen=True, slots=True)
class _Source:
    """A source of a board, its paths taken apart."""

    board: Board
    player: Path
    each: str
    values: tuple[Path, ...]
    """Of the score, and of each column."""
    filters: tuple[tuple[Path, Filter], ...]

    @classmethod
    def of(cls, board: Board, source: Source) -> "_Source":
        values = tuple(path_of(name) for name in (source.score, *source.columns))
        filters = tuple((path_of(each.field), each) for each in source.filters)
        return cls(board, path_of(source.player), source.each, values, filters)

    def read(self, event: Message) -> Iterator[tuple[str, Result]]:
        """Player and result of whatever counts."""
        for element in elements(event, self.each) if self.each else [event]:
            player = find(element, event, self.each, self.player)
            if player in (None, "") or not self._passes(element, event):
                continue
            values = [self._value(element, event, path) for path in self.values]
            if None in values or (self.board.operator is Operator.SUM and not any(values)):
                continue
            score, *columns = (value for value in values if value is not None)
            yield player_of(player, self.player), Result(score, tuple(columns))

    def _passes(self, element: Node, event: Message) -> bool:
        return all(
            is_one_of(find(element, event, self.each, path), wanted.values) for path, wanted in self.filters
        )

    def _value(self, element: Node, event: Message, path: Path) -> int | None:
        """None: it is not there."""
        if not path:
            return 1
        value = find(element, event, self.each, path)
        if value is None:
            return None
        number = int(value) if isinstance(value, bool) else whole(value)
        if number is None or not INT64_MIN <= number <= INT64_MAX:
            raise malformed(".".join(path), "must be a whole number of 64 bits")
        return number


class Sources:
    """Of all boards of a catalogue."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self._by_event: defaultdict[str, list[_Source]] = defaultdict(list)
        for board in catalogue.boards.values():
            for source in board.sources:
                self._by_event[source.event].append(_Source.of(board, source))

    def name(self, event_type: str) -> bool:
        """Whether any board counts events of this type."""
        return event_type == SCORES or event_type in self._by_event

    def read(self, envelope: Envelope, event: Message, now: datetime) -> list[Score]:
        """All scores that the event, which is the envelope's payload, says.

        Raises:
            InvalidArgument: EVENT_MALFORMED, something that a board counts cannot be read;
                OCCURRED_IN_FUTURE, OCCURRED_BEFORE_1970.
            NotFound: BOARD_NOT_FOUND, a score names a board that there is not.
        """
        if isinstance(event, liveops_pb2.LiveopsScore):
            return [self._named(envelope, event, now)]
        at = occurred_at(envelope)
        check_time(at, now, "time")
        found: list[Score] = []
        for source in self._by_event.get(envelope.type, ()):
            for number, (player, result) in enumerate(source.read(event), 1):
                id_ = envelope.id if number == 1 else f"{envelope.id}#{number}"
                found.append(Score(source.board.id, player, result, at, id_))
        return found

    def _named(self, envelope: Envelope, event: liveops_pb2.LiveopsScore, now: datetime) -> Score:
        """Of a score that names its board."""
        name = event.board or DEFAULT_BOARD
        board = self.catalogue.boards.get(name)
        if board is None:
            raise NotFound(f"There is no board {name}.", reason="BOARD_NOT_FOUND", metadata={"board": name})
        if len(event.columns) != len(board.columns):
            raise malformed("columns", f"must be as many as {name} has: {len(board.columns)}")
        at = (
            time_of(event.achieved_at, "achieved_at")
            if event.HasField("achieved_at")
            else occurred_at(envelope)
        )
        check_time(at, now, "achieved_at")
        result = Result(event.score, tuple(event.columns))
        return Score(name, player_of(event.player_id, ("player_id",)), result, at, envelope.id)
