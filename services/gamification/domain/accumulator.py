"""What a metric came to: the same, in whatever order the observations come."""

from collections.abc import Sequence
from datetime import datetime

from services.gamification.domain.definitions import Aggregation
from services.gamification.domain.observation import Observation
from services.gamification.domain.player import Accumulator

MAX_MEMBERS = 1000
"""Of a DISTINCT metric, the greatest threshold. One member more is kept, so that more than that can be told
from just that many; further ones are not kept."""


def add(
    accumulator: Accumulator | None,
    aggregation: Aggregation,
    observation: Observation,
    over_at: datetime | None = None,
) -> Accumulator:
    """None: nothing yet. `over_at`: of what comes of it."""
    value = observation.value
    at, event = observation.at, observation.event
    members: frozenset[str] = frozenset()
    if aggregation is Aggregation.DISTINCT:
        members = _with(accumulator.members if accumulator else members, observation.member)
    if accumulator is None:
        return Accumulator(1, value, value, value, value, at, event, members, over_at)
    last, last_at, last_event = accumulator.last, accumulator.last_at, accumulator.last_event
    if (at, event, value) > (last_at, last_event, last):
        last, last_at, last_event = value, at, event
    return Accumulator(
        accumulator.count + 1,
        accumulator.sum + value,
        min(accumulator.min, value),
        max(accumulator.max, value),
        last,
        last_at,
        last_event,
        members,
        over_at,
    )


def value(aggregation: Aggregation, accumulator: Accumulator | None) -> int | None:
    """None: it has none yet. A COUNT is the sum of how often each observation counts."""
    return value_of_all(aggregation, () if accumulator is None else (accumulator,))


def value_of_all(aggregation: Aggregation, accumulators: Sequence[Accumulator]) -> int | None:
    """As of all their observations in one."""
    if aggregation is Aggregation.SUM or aggregation is Aggregation.COUNT:
        return sum([accumulator.sum for accumulator in accumulators])
    if aggregation is Aggregation.DISTINCT:
        members = frozenset[str]().union(*[accumulator.members for accumulator in accumulators])
        return min(len(members), MAX_MEMBERS + 1)
    if not accumulators:
        return None
    if aggregation is Aggregation.MAX:
        return max([accumulator.max for accumulator in accumulators])
    if aggregation is Aggregation.MIN:
        return min([accumulator.min for accumulator in accumulators])
    return max([(each.last_at, each.last_event, each.last) for each in accumulators])[2]


def _with(members: frozenset[str], member: str) -> frozenset[str]:
    if member in members or len(members) > MAX_MEMBERS:
        return members
    return members | {member}
