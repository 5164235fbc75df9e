"""Requirements read from their definition: everything is made of all observations anew, each time.

It knows of no accumulators and no parts that are kept, and finds periods by the dates that clocks show. So
it is slow, and plain. For zones whose date never goes back, which are those of the histories.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from functools import cache

from services.chassis.calendar import Calendar, zone_of
from services.gamification.domain.accumulator import MAX_MEMBERS
from services.gamification.domain.definitions import (
    Aggregation,
    AllOf,
    AnyOf,
    Condition,
    Metric,
    Operator,
    Requirement,
)
from services.gamification.domain.observation import Observation
from services.gamification.domain.window import Ever, Sliding, Window

FIRST = datetime(1970, 1, 1, tzinfo=UTC)
LAST = datetime(9000, 1, 1, tzinfo=UTC)
Span = tuple[datetime, datetime]


@dataclass(frozen=True)
class Heard:
    """An observation, and when it was told."""

    observation: Observation
    at: datetime


# -- periods ------------------------------------------------------------------------------------------


def label(calendar: Calendar, at: datetime) -> tuple[int, ...]:
    """What a clock and a calendar on the wall there say; equal within a period."""
    date = at.astimezone(zone_of(calendar.zone)).date()
    match calendar.unit:
        case "day":
            return (date.toordinal(),)
        case "week":
            return date.isocalendar()[:2]
    return date.year, date.month


@cache
def _edge(calendar: Calendar, name: tuple[int, ...], inside: int, way: int) -> int:
    """Seconds since 1970 of the first second with another label, or of the first with this one."""
    here, there = inside, inside
    while label(calendar, FIRST + timedelta(seconds=there)) == name:
        here, there = there, there + way * 900
    while abs(there - here) > 1:
        middle = (here + there) // 2
        if label(calendar, FIRST + timedelta(seconds=middle)) == name:
            here = middle
        else:
            there = middle
    return there if way > 0 else here


@cache
def _period(calendar: Calendar, name: tuple[int, ...], inside: int) -> Span:
    first, after = (_edge(calendar, name, inside, way) for way in (-1, 1))
    return FIRST + timedelta(seconds=first), FIRST + timedelta(seconds=after)


def period(calendar: Calendar, at: datetime) -> Span:
    name = label(calendar, at)
    known = _known.get((calendar, name))
    if known is None:
        known = _known[calendar, name] = _period(calendar, name, (at - FIRST) // timedelta(seconds=1))
    return known


_known: dict[tuple[Calendar, tuple[int, ...]], Span] = {}


def slides(window: Sliding, at: datetime) -> list[Span]:
    """Every window that holds that moment, the earliest first."""
    step = window.length / window.parts
    begin = FIRST + ((at - FIRST) // step) * step
    ends = [begin + step * number for number in range(1, window.parts + 1)]
    return [(end - window.length, end) for end in ends]


def spans(window: Window, at: datetime) -> list[Span]:
    match window:
        case Ever():
            return [(FIRST, LAST)]
        case Calendar():
            return [period(window, at)]
    return slides(window, at)


def standing(window: Window, at: datetime) -> Span:
    """The one that is going on at that time."""
    return spans(window, at)[0]


# -- values -------------------------------------------------------------------------------------------


def aggregate(aggregation: Aggregation, observations: Sequence[Observation]) -> int | None:
    values = [each.value for each in observations]
    match aggregation:
        case Aggregation.COUNT | Aggregation.SUM:
            return sum(values)
        case Aggregation.DISTINCT:
            return min(len({each.member for each in observations}), MAX_MEMBERS + 1)
        case Aggregation.MAX:
            return max(values, default=None)
        case Aggregation.MIN:
            return min(values, default=None)
    ordered = sorted(observations, key=lambda each: (each.at, each.event, each.value))
    return ordered[-1].value if ordered else None


_COMPARE: dict[Operator, Callable[[int, int], bool]] = {
    Operator.GT: lambda value, threshold: value > threshold,
    Operator.GTE: lambda value, threshold: value >= threshold,
    Operator.LT: lambda value, threshold: value < threshold,
    Operator.LTE: lambda value, threshold: value <= threshold,
    Operator.EQ: lambda value, threshold: value == threshold,
}


class Reference:
    """What a requirement comes to. `met`: when each clause was met, by number."""

    def __init__(
        self, requirement: AllOf, metrics: dict[str, Metric], since: datetime, *, grows: bool
    ) -> None:
        self.requirement = requirement
        self.metrics = metrics
        self.since = since
        self.grows = grows
        self.clauses: list[tuple[Condition, ...]] = list(clauses(requirement))
        self.met: dict[int, datetime] = {}
        self._heard: list[Heard] = []

    def hear(self, heard: Heard) -> None:
        observation, now = heard.observation, heard.at
        self._heard.append(heard)
        for number, clause in enumerate(self.clauses):
            if number in self.met or any(condition.closing for condition in clause):
                continue
            if observation.metric not in {condition.metric for condition in clause}:
                continue
            if observation.at < self.since:
                continue
            for span in self._looked_at(clause, observation, now):
                if self._true(clause, span):
                    self.met[number] = max(each.at for each in self._all_within(clause, span))
                    break

    def sweep(self, now: datetime) -> None:
        """Looks at periods that are over by then."""
        for number, clause in enumerate(self.clauses):
            window = clause[0].window
            closing = any(condition.closing for condition in clause)
            if number in self.met or not closing or not isinstance(window, Calendar):
                continue
            lateness = [self.metrics[condition.metric].allowed_lateness for condition in clause]
            periods = {period(window, heard.observation.at) for heard in self._heard}
            for span in sorted(periods):
                over = span[1] + max(lateness) <= now
                if over and self._all_within(clause, span) and self._true(clause, span):
                    self.met[number] = span[1]
                    break

    def checkpoint(self, now: datetime) -> None:
        for number, clause in enumerate(self.clauses):
            if number not in self.met and self._true(clause, standing(clause[0].window, now)):
                self.met[number] = now

    def holds(self) -> bool:
        return self._holds(self.requirement, iter(self._numbers()))

    def progress(self, now: datetime) -> int:
        if self.holds():
            return 100
        return min(99, int(100 * self._reached(self.requirement, iter(self._numbers()), now)))

    def value(self, metric: str, window: Window, now: datetime) -> int | None:
        return self._value(metric, standing(window, now))

    # -- how ----------------------------------------------------------------------------------------

    def _looked_at(self, clause: Sequence[Condition], observation: Observation, now: datetime) -> list[Span]:
        window = clause[0].window
        if isinstance(window, Ever):
            return spans(window, observation.at)
        own = self.metrics[observation.metric].allowed_lateness
        if isinstance(window, Calendar):
            return [span for span in spans(window, observation.at) if now < span[1] + own]
        least = min(self.metrics[condition.metric].allowed_lateness for condition in clause)
        open_ = [span for span in spans(window, observation.at) if now < span[1] + least]
        if self.grows:
            return open_
        # What may shrink depends on where one looks: at windows as they end where something happened.
        step = window.length / window.parts
        ends = {
            FIRST + ((each.at - FIRST) // step + 1) * step
            for each in self._all_within(clause, (FIRST, LAST), open_[-1:])
        }
        return [span for span in open_ if span == open_[0] or span[1] in ends]

    def _all_within(
        self, clause: Sequence[Condition], span: Span, instead: Sequence[Span] = ()
    ) -> list[Observation]:
        """What counts in it, of any metric of the clause. `instead`: what had to be told in time for it."""
        metrics = {condition.metric for condition in clause}
        until = instead[0] if instead else span
        return [each for metric in sorted(metrics) for each in self._within(metric, span, until)]

    def _within(self, metric: str, span: Span, until: Span) -> Iterator[Observation]:
        lateness = self.metrics[metric].allowed_lateness
        for heard in self._heard:
            observation = heard.observation
            if (
                observation.metric == metric
                and max(span[0], self.since) <= observation.at < span[1]
                and heard.at < until[1] + lateness
            ):
                yield observation

    def _value(self, metric: str, span: Span) -> int | None:
        return aggregate(self.metrics[metric].aggregation, list(self._within(metric, span, span)))

    def _true(self, clause: Iterable[Condition], span: Span) -> bool:
        for condition in clause:
            value = self._value(condition.metric, span)
            if value is None or not _COMPARE[condition.operator](value, condition.threshold):
                return False
        return True

    def _numbers(self) -> range:
        return range(len(self.clauses))

    def _holds(self, requirement: AllOf | AnyOf, numbers: Iterator[int]) -> bool:
        truths = [next(numbers) in self.met for _ in together(requirement)]
        truths += [self._holds(group, numbers) for group in groups(requirement)]
        return all(truths) if isinstance(requirement, AllOf) else any(truths)

    def _reached(self, requirement: AllOf | AnyOf, numbers: Iterator[int], now: datetime) -> Fraction:
        parts = [self._of_clause(next(numbers), now) for _ in together(requirement)]
        parts += [self._reached(group, numbers, now) for group in groups(requirement)]
        if isinstance(requirement, AnyOf):
            return max(parts)
        return sum(parts, Fraction(0)) / len(parts)

    def _of_clause(self, number: int, now: datetime) -> Fraction:
        clause = self.clauses[number]
        if number in self.met:
            return Fraction(1)
        if any(condition.closing for condition in clause):
            return Fraction(0)
        return sum((self._of_leaf(each, now) for each in clause), Fraction(0)) / len(clause)

    def _of_leaf(self, condition: Condition, now: datetime) -> Fraction:
        value = self._value(condition.metric, standing(condition.window, now))
        if value is None:
            return Fraction(0)
        if _COMPARE[condition.operator](value, condition.threshold):
            return Fraction(1)
        goal = condition.threshold + (1 if condition.operator is Operator.GT else 0)
        if condition.operator not in (Operator.GT, Operator.GTE) or value <= 0 or goal <= 0:
            return Fraction(0)
        return Fraction(value, goal)


# -- the tree -----------------------------------------------------------------------------------------


def together(requirement: AllOf | AnyOf) -> list[tuple[Condition, ...]]:
    """Clauses of its own members."""
    leaves = [member for member in requirement.members if isinstance(member, Condition)]
    if isinstance(requirement, AnyOf):
        return [(leaf,) for leaf in leaves]
    windows = list(dict.fromkeys(leaf.window for leaf in leaves))
    return [tuple(leaf for leaf in leaves if leaf.window == window) for window in windows]


def groups(requirement: Requirement) -> list[AllOf | AnyOf]:
    assert isinstance(requirement, AllOf | AnyOf)
    return [member for member in requirement.members if isinstance(member, AllOf | AnyOf)]


def clauses(requirement: AllOf | AnyOf) -> Iterator[tuple[Condition, ...]]:
    yield from together(requirement)
    for group in groups(requirement):
        yield from clauses(group)
