"""Counting: an observation goes into an accumulator of each window that a scope uses.

A window is over when its end and the metric's allowed lateness have passed; nothing that is told later counts
in it. A part of a sliding window counts as long as any window that holds it is not over.
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from services.chassis.calendar import Calendar
from services.gamification.domain.accumulator import add, value_of_all
from services.gamification.domain.definitions import Metric
from services.gamification.domain.observation import Observation
from services.gamification.domain.player import Accumulator, AccumulatorKey, Draft, Reading
from services.gamification.domain.window import EPOCH, Ever, Sliding, Window

LIFETIME = ""
"""The name of the scope of all that ever happened to the player."""

MAX_LATENESS = timedelta(days=2)
"""The greatest lateness that a metric may allow. A calendar period is kept for so long after it is over: a
clause that waits for another metric may look at it until then."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Accumulators of a player that belong together. What happened before `since` does not count there."""

    draft: Draft
    metrics: Mapping[str, Metric]
    name: str = LIFETIME
    since: datetime = EPOCH

    def read(self, metric: str, window: Window, starts_at: datetime) -> Reading:
        """Of the period; of the sliding window whose last part began at `starts_at`."""
        accumulators = self.draft.accumulators
        key = AccumulatorKey(self.name, metric, window.key, starts_at)
        known = accumulators.readings.get(key)
        if known is not None:
            return known
        found: Sequence[Accumulator]
        if isinstance(window, Sliding):
            starts = self.parts(metric, window)
            first = bisect_right(starts, starts_at - window.length)
            inside = starts[first : bisect_right(starts, starts_at)]
            found = [accumulators[AccumulatorKey(self.name, metric, key.window, start)] for start in inside]
        else:
            accumulator = accumulators.get(key)
            found = () if accumulator is None else (accumulator,)
        reading = Reading(found, value_of_all(self.metrics[metric].aggregation, found))
        accumulators.readings[key] = reading
        return reading

    def parts(self, metric: str, window: Sliding) -> Sequence[datetime]:
        """Begins of the parts with something in them, in order."""
        return self.draft.accumulators.starts(self.name, metric, window.key)


class Touched(NamedTuple):
    """A period, or a part, whose accumulator an observation changed. `key`: of the window."""

    metric: str
    window: Window
    key: str
    starts_at: datetime


class Counted(NamedTuple):
    """`late`: it came too late for some of the windows."""

    touched: tuple[Touched, ...]
    late: bool


NOTHING = Counted((), late=False)


def count(scope: Scope, windows: Iterable[Window], observation: Observation, now: datetime) -> Counted:
    """Writes accumulators of the scope's draft."""
    if observation.at < scope.since:
        return NOTHING
    metric = scope.metrics[observation.metric]
    accumulators = scope.draft.accumulators
    touched = []
    late = False
    for window in windows:
        starts_at, closes_at, over_at = _place(window, metric, observation.at)
        if closes_at is not None and closes_at <= now:
            late = True
            continue
        key = AccumulatorKey(scope.name, metric.id, window.key, starts_at)
        accumulators[key] = add(accumulators.get(key), metric.aggregation, observation, over_at)
        touched.append(Touched(metric.id, window, key.window, starts_at))
    return Counted(tuple(touched), late)


def standing(window: Window, at: datetime) -> datetime:
    """Begin of the period that `at` is in; of a sliding window, of its last part."""
    if isinstance(window, Ever):
        return EPOCH
    if isinstance(window, Calendar):
        return window.period(at).start
    return window.part(at)


def _place(window: Window, metric: Metric, at: datetime) -> tuple[datetime, datetime | None, datetime | None]:
    """Where it counts, from when on it is too late, and from when on nobody looks at it."""
    if isinstance(window, Ever):
        return EPOCH, None, None
    if isinstance(window, Calendar):
        start, end = window.period(at)
        closes_at = end + metric.allowed_lateness
        return start, closes_at, closes_at + MAX_LATENESS
    part = window.part(at)
    closes_at = part + window.length + metric.allowed_lateness
    return part, closes_at, closes_at
