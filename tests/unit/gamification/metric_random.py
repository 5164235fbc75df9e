"""Random metrics, requirements and histories: edges, late ones and ties are more frequent than in life."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random

from services.chassis.calendar import Calendar
from services.gamification.domain.definitions import (
    Aggregation,
    AllOf,
    AnyOf,
    Condition,
    Metric,
    Operator,
    Requirement,
)
from services.gamification.domain.observation import MAX_AHEAD, Observation
from services.gamification.domain.window import EVER, Sliding, Window
from tests.unit.gamification.metric_reference import Heard, period, slides

MINUTE = timedelta(minutes=1)
TICK = timedelta(microseconds=1)
# About when the clock of a zone is changed, or a month, a week and a day end there.
PLACES = [
    ("Europe/Berlin", datetime(2026, 3, 28, 23, tzinfo=UTC)),
    ("Europe/Berlin", datetime(2026, 10, 25, 23, tzinfo=UTC)),
    ("America/New_York", datetime(2026, 11, 1, 4, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2026, 4, 4, 15, tzinfo=UTC)),
    ("Africa/Cairo", datetime(2026, 4, 23, 22, tzinfo=UTC)),
    ("Pacific/Apia", datetime(2011, 12, 30, 10, tzinfo=UTC)),
    ("Asia/Kathmandu", datetime(2026, 5, 31, 18, 15, tzinfo=UTC)),
    ("UTC", datetime(2026, 2, 28, 23, 30, tzinfo=UTC)),
]
SLIDING = [
    Sliding(30 * MINUTE, 3),
    Sliding(60 * MINUTE, 6),
    Sliding(10 * MINUTE, 1),
    Sliding(timedelta(hours=24), 4),
]


@dataclass(frozen=True)
class History:
    """`heard`: in the order of arrival, each event once. `grows`: no value can ever fall."""

    metrics: dict[str, Metric]
    requirement: AllOf
    since: datetime
    heard: tuple[Heard, ...]
    ends: datetime
    grows: bool


def history(random: Random) -> History:
    zone, about = random.choice(PLACES)
    grows = random.random() < 0.5
    metrics = dict(_metrics(random, grows=grows))
    windows = _windows(random, zone)
    requirement = _requirement(random, metrics, windows, grows=grows)
    happened = _observations(random, metrics, windows, about, grows=grows)
    heard = sorted(
        (Heard(each, _heard_at(random, each, windows, metrics[each.metric])) for each in happened),
        key=lambda each: each.at,
    )
    since = about - random.choice([timedelta(days=9), timedelta(0), timedelta(hours=1)])
    return History(metrics, requirement, since, tuple(heard), heard[-1].at, grows)


def _metrics(random: Random, *, grows: bool) -> Iterator[tuple[str, Metric]]:
    growing = [Aggregation.COUNT, Aggregation.SUM, Aggregation.MAX, Aggregation.DISTINCT]
    for name in ("kills", "damage", "maps")[: random.randint(1, 3)]:
        aggregation = random.choice(growing if grows else list(Aggregation))
        lateness = random.choice([0, 0, 5, 60, 300]) * MINUTE
        yield name, Metric(name, name, aggregation, allowed_lateness=lateness)


def _windows(random: Random, zone: str) -> list[Window]:
    calendars: list[Window] = [Calendar(unit, zone) for unit in ("day", "day", "week", "month")]
    return random.sample([EVER, *SLIDING, *calendars, *calendars], k=random.randint(1, 3))


def _requirement(
    random: Random, metrics: dict[str, Metric], windows: list[Window], *, grows: bool, depth: int = 0
) -> AllOf:
    def member(depth: int) -> Requirement:
        kind = random.random()
        if kind > 0.9:
            # Of one window, most likely: different metrics, which may be told late differently.
            one = _condition(random, metrics, windows, grows=grows)
            other = _condition(random, metrics, [one.window], grows=grows)
            return AllOf((one, other))
        if depth < 2 and kind < 0.12:
            return AllOf(tuple(member(depth + 1) for _ in range(random.randint(1, 3))))
        if depth < 2 and kind < 0.3:
            return AnyOf(tuple(member(depth + 1) for _ in range(random.randint(1, 3))))
        return _condition(random, metrics, windows, grows=grows)

    return AllOf(tuple(member(depth) for _ in range(random.randint(1, 3))))


def _condition(
    random: Random, metrics: dict[str, Metric], windows: list[Window], *, grows: bool
) -> Condition:
    operators = [Operator.GTE] * 6 + [Operator.GT] * 2 + [Operator.LT, Operator.LTE, Operator.EQ]
    metric = metrics[random.choice(sorted(metrics))]
    operator = random.choice(operators)
    # An instant one of these can be lost again.
    instant = random.random() < 0.3 and not (grows and operator in operators[-3:])
    threshold = random.choice([1, 2, 2, 3, 4, 6, 9] if grows else [-2, 0, 1, 2, 3, 4, 6, 9])
    return Condition(metric.id, operator, threshold, random.choice(windows), instant)


def _observations(
    random: Random, metrics: dict[str, Metric], windows: list[Window], about: datetime, *, grows: bool
) -> Iterator[Observation]:
    around = random.choice([timedelta(minutes=40), timedelta(hours=4), timedelta(hours=50)])
    moments: list[datetime] = []
    for number in range(random.randint(3, 24)):
        at = about + (random.random() * 2 - 1) * around
        if moments and random.random() < 0.3:
            at = random.choice(moments)
        if random.random() < 0.4:
            at = _edge(random, random.choice(windows), at)
        moments.append(at)
        metric = metrics[random.choice(sorted(metrics))]
        least = 0 if grows or metric.aggregation is Aggregation.COUNT else -3
        # Many have the same value and the same moment, so that it shows which was the last.
        yield Observation(
            metric=metric.id,
            value=random.randint(least, 3),
            member=random.choice(["arena", "canyon", "docks", "ruins"]),
            at=at,
            event=f"e{random.randint(0, 99):02d}.{number}",
            cause="match",
        )


def _edge(random: Random, window: Window, at: datetime) -> datetime:
    match window:
        case Calendar():
            edge = random.choice(period(window, at))
        case Sliding():
            edge = random.choice(random.choice(slides(window, at)))
        case _:
            edge = at
    return edge + random.choice([-TICK, timedelta(0), timedelta(0), TICK])


def _heard_at(random: Random, observation: Observation, windows: list[Window], metric: Metric) -> datetime:
    """Often at once, at times exactly when a window that it is in is over."""
    kind = random.random()
    at = observation.at
    if kind < 0.4:
        return at + random.random() * timedelta(seconds=2)
    if kind < 0.5:
        return at - random.random() * MAX_AHEAD
    if kind < 0.8:
        return at + random.random() * random.choice([timedelta(hours=1), timedelta(hours=30)])
    window = random.choice(windows)
    match window:
        case Calendar():
            end = period(window, at)[1]
        case Sliding():
            end = random.choice(slides(window, at))[1]
        case _:
            end = at
    return end + metric.allowed_lateness + random.choice([-TICK, timedelta(0), TICK])
