"""Restrictions of players, and what all those of a player come to."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum
from typing import NamedTuple

ALWAYS = datetime(1970, 1, 1, tzinfo=UTC)
"""Before every score."""
EVERY_BOARD = ""


class State(IntEnum):
    """The numbers are the contract's. Each is worse than those before it."""

    GOOD = 1
    THROTTLED = 2
    BLOCKED = 3


@dataclass(frozen=True, slots=True)
class Sanction:
    """A restriction of a player, from `since` until somebody or time ends it.

    `state` GOOD: only scores are hidden. `hidden_since`: scores reached then or later are hidden, of
    `boards`, or with none of every board; None: none are. `until`: None, until somebody decides. `reason`:
    what the player is told. `automated`: no person decided it. `flag_id`: empty, none led to it.
    """

    id: str
    player_id: str
    state: State
    hidden_since: datetime | None
    boards: tuple[str, ...]
    reason: str
    automated: bool
    since: datetime
    until: datetime | None
    flag_id: str = ""
    ended_at: datetime | None = None

    @property
    def holds(self) -> bool:
        """Events of the player are refused."""
        return self.state > State.GOOD

    def over(self, now: datetime) -> bool:
        """Whether its time is over."""
        return self.until is not None and self.until <= now


class Standing(NamedTuple):
    """What all restrictions of a player come to, as far as its events go. `reason`: what the player may be
    told. `until`: from then on it is good again; None: when somebody says so."""

    state: State
    reason: str
    until: datetime | None


GOOD = Standing(State.GOOD, "", None)


class Hidden(NamedTuple):
    """Scores of a board, or of every board, that were reached at `since` or later."""

    board: str
    since: datetime


def sanction_id(player_id: str, version: int, number: int) -> str:
    """Of the `number`th that the change made which left the player at `version`."""
    digest = hashlib.sha256(f"{player_id}\n{version}\n{number}".encode()).hexdigest()
    return f"s-{digest[:32]}"


def active(sanctions: Iterable[Sanction], now: datetime) -> list[Sanction]:
    """Those in force, the worst and latest first."""
    found = [it for it in sanctions if it.ended_at is None and not it.over(now)]
    return sorted(found, key=lambda it: (it.state, it.since, it.id), reverse=True)


def standing(sanctions: Iterable[Sanction]) -> Standing:
    """Of those that have not ended: the worst state, until the last one of it ends. When a lesser one ends
    later still, it is not good by itself then, so there is no `until`."""
    holds = [it for it in sanctions if it.ended_at is None and it.holds]
    if not holds:
        return GOOD
    state = max(it.state for it in holds)
    worst = max((it for it in holds if it.state is state), key=_by_end)
    last = max(holds, key=_by_end)
    return Standing(state, worst.reason, worst.until if last.until == worst.until else None)


def hidden(sanctions: Iterable[Sanction]) -> tuple[Hidden, ...]:
    """What is hidden by those that have not ended, by board; a board that hides no more than every board
    does is left out."""
    earliest: dict[str, datetime] = {}
    for it in sanctions:
        if it.ended_at is None and it.hidden_since is not None:
            for board in it.boards or (EVERY_BOARD,):
                earliest[board] = min(earliest.get(board, it.hidden_since), it.hidden_since)
    everywhere = earliest.get(EVERY_BOARD)
    return tuple(
        Hidden(board, since)
        for board, since in sorted(earliest.items())
        if board == EVERY_BOARD or everywhere is None or since < everywhere
    )


def _by_end(it: Sanction) -> tuple[bool, datetime, datetime, str]:
    """The one that ends last is the greatest; of equal ones the latest."""
    return it.until is None, it.until or it.since, it.since, it.id
