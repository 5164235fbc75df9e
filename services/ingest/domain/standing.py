"""How a player stands with fairness, as far as it decides whether events are taken."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from services.ingest.domain import refusals


class State(Enum):
    """The values are those that are stored."""

    GOOD = "good"
    THROTTLED = "throttled"
    BLOCKED = "blocked"


@dataclass(frozen=True, slots=True)
class Standing:
    """`reason`: what the player may be told. `until`: from then on it is good again; None: only when somebody
    says so."""

    state: State
    reason: str = ""
    until: datetime | None = None

    def check(self, now: datetime, pause_s: float) -> None:
        """`pause_s`: how long a throttled player is asked to wait, at most.

        Raises PermissionDenied of a blocked player, ResourceExhausted of a throttled one.
        """
        if self.state is State.GOOD or (self.until is not None and self.until <= now):
            return
        if self.state is State.BLOCKED:
            raise refusals.blocked(self.reason, self.until)
        left_s = pause_s if self.until is None else min(pause_s, (self.until - now).total_seconds())
        raise refusals.throttled(self.reason, left_s)


GOOD = Standing(State.GOOD)
