"""One thing that happened to a player and moves a metric."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from services.chassis.errors import InvalidArgument
from services.gamification.domain.definitions import Aggregation, Metric
from services.gamification.domain.window import EPOCH

MAX_AHEAD = timedelta(seconds=60)
"""How far a clock of whoever tells may be ahead of ours."""


@dataclass(frozen=True, slots=True)
class Observation:
    """`at`: when it happened, in UTC. `event`: unlike any other of the player and metric, never empty; it
    decides which of two at the same time was the last. `member`: of a DISTINCT metric. `cause`: what to show
    as the reason of what comes of it."""

    metric: str
    value: int
    member: str
    at: datetime
    event: str
    cause: str


class Outcome(Enum):
    COUNTED = "counted"
    LATE = "late"
    REFUSED = "refused"
    QUARANTINED = "quarantined"
    UNUSED = "unused"


def check(metric: Metric, observation: Observation, now: datetime, field: str = "") -> None:
    """Raises InvalidArgument when it can be true of nothing. `field`: path of the record, with its dot."""
    if observation.at > now + MAX_AHEAD:
        raise InvalidArgument.of(
            f"{field}occurred_at", "is more than a minute ahead", reason="OCCURRED_IN_FUTURE"
        )
    if observation.at < EPOCH:
        raise InvalidArgument.of(f"{field}occurred_at", "is before 1970", reason="OCCURRED_BEFORE_1970")
    if metric.aggregation is Aggregation.DISTINCT and not observation.member:
        raise InvalidArgument.of(
            f"{field}member", f"is missing: {metric.id} counts different ones", reason="MEMBER_MISSING"
        )
    if metric.aggregation is Aggregation.COUNT and observation.value < 0:
        raise InvalidArgument.of(
            f"{field}value", f"is negative: {metric.id} counts how often", reason="COUNT_NEGATIVE"
        )
