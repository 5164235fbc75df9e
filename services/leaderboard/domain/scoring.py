"""What a score makes of a player's entry."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from services.chassis.errors import FailedPrecondition
from services.leaderboard.domain.board import Board, Operator
from services.leaderboard.domain.order import INT64_MAX, INT64_MIN, Order, Result
from services.leaderboard.domain.places import Place


class Outcome(Enum):
    """As the contract numbers them."""

    COUNTED = 1
    NO_CHANGE = 2
    DUPLICATE = 3
    LATE = 4


@dataclass(frozen=True, slots=True)
class Score:
    """`at`: when it happened. `event`: its id; empty: it has none."""

    board: str
    player: str
    result: Result
    at: datetime
    event: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """A player's at a place. `achieved_at`: when the result was reached. `submissions`: scores that it was
    made of. `last_at`, `last_event`: the latest of them. `revision` grows with each change."""

    place: Place
    player: str
    result: Result
    achieved_at: datetime
    submissions: int
    last_at: datetime
    last_event: str
    quarantined: bool = False
    revision: int = 1


def first(place: Place, score: Score) -> Entry:
    """The entry of a player who has none."""
    return Entry(place, score.player, score.result, score.at, 1, score.at, score.event)


def scored(board: Board, entry: Entry, score: Score) -> Entry:
    """The entry after one more score; of the same result and time when it changed nothing that is ranked.

    Raises:
        FailedPrecondition: SCORE_OVERFLOW, of a sum.
    """
    result, achieved_at = _RULES[board.operator](Order.of(board), entry, score)
    last_at, last_event = max((entry.last_at, entry.last_event), (score.at, score.event))
    return Entry(
        entry.place,
        entry.player,
        result,
        achieved_at,
        entry.submissions + 1,
        last_at,
        last_event,
        entry.quarantined,
        entry.revision + 1,
    )


def changed(before: Entry, after: Entry) -> bool:
    """Whether it is ranked otherwise."""
    return (before.result, before.achieved_at) != (after.result, after.achieved_at)


def _best(order: Order, entry: Entry, score: Score) -> tuple[Result, datetime]:
    """Whole results are compared; of equal ones, who had it first counts."""
    ours, theirs = order.tuple(entry.result), order.tuple(score.result)
    if theirs < ours:
        return score.result, score.at
    if theirs == ours:
        return entry.result, min(entry.achieved_at, score.at)
    return entry.result, entry.achieved_at


def _latest(_order: Order, entry: Entry, score: Score) -> tuple[Result, datetime]:
    """By time, then event; who says the same again has had it since then."""
    held = (entry.last_at, entry.last_event, entry.result)
    if (score.at, score.event, score.result) <= held or score.result == entry.result:
        return entry.result, entry.achieved_at
    return score.result, score.at


def _sum(order: Order, entry: Entry, score: Score) -> tuple[Result, datetime]:
    """Reached with the latest score, unless it made the result no better."""
    columns = zip(entry.result.columns, score.result.columns, strict=True)
    result = Result(entry.result.score + score.result.score, tuple(ours + more for ours, more in columns))
    for value in (result.score, *result.columns):
        if not INT64_MIN <= value <= INT64_MAX:
            raise FailedPrecondition(
                f"The sum of {entry.player} would be beyond 64 bits.",
                reason="SCORE_OVERFLOW",
                metadata={"player_id": entry.player, "board": entry.place.board},
            )
    improved = order.tuple(result) < order.tuple(entry.result)
    return result, max(entry.achieved_at, score.at) if improved else entry.achieved_at


_RULES = {Operator.BEST: _best, Operator.LATEST: _latest, Operator.SUM: _sum}
