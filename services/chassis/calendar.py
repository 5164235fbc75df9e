"""Days, weeks and months of time zones. Pure: rules of any service may use it."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache, lru_cache
from importlib import resources
from itertools import pairwise
from typing import NamedTuple
from zoneinfo import ZoneInfo

_SECOND = timedelta(seconds=1)
_DAY = timedelta(days=1)


class Period(NamedTuple):
    """From `start`, up to and without `end`; both in UTC."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Calendar:
    """Tumbling: `unit` is `day`, `week` (from Monday) or `month`, in an IANA zone.

    A day begins with the first moment that has its date, or a later one: so it may have 23 or 25 hours, and a
    day that a zone left out has none.
    """

    unit: str
    zone: str

    @property
    def key(self) -> str:
        return f"{self.unit}:{self.zone}"

    def period(self, at: datetime) -> Period:
        """The one that `at`, in UTC, is in."""
        for period in _periods(self.unit, self.zone, at.toordinal()):
            if at < period.end:
                return period
        raise AssertionError(f"no period of {self.key} holds {at}")


@cache
def zones() -> frozenset[str]:
    """Names of every zone that a calendar can have."""
    return frozenset(resources.files("tzdata").joinpath("zones").read_text().split())


@cache
def zone_of(name: str) -> ZoneInfo:
    """Out of the pinned tables, not the machine's: so all processes cut time alike."""
    if name not in zones():
        raise ValueError(f"no zone is called {name!r}")
    with resources.files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as table:
        return ZoneInfo.from_file(table, key=name)


@lru_cache(maxsize=8192)
def _periods(unit: str, zone_name: str, ordinal: int) -> tuple[Period, ...]:
    """Those that hold any of the day of that number in UTC, in order."""
    zone = zone_of(zone_name)
    begin = datetime.fromordinal(ordinal).replace(tzinfo=UTC)
    first = _first_date(unit, begin.astimezone(zone).date())
    while _start(zone, first) > begin:
        first = _first_date(unit, first - _DAY)
    starts = [_start(zone, first)]
    while starts[-1] < begin + _DAY:
        first = _next_date(unit, first)
        starts.append(_start(zone, first))
    return tuple(Period(start, end) for start, end in pairwise(starts) if begin < end)


def _first_date(unit: str, day: date) -> date:
    """Of the unit that the day is in."""
    match unit:
        case "day":
            return day
        case "week":
            return day - timedelta(days=day.weekday())
        case "month":
            return day.replace(day=1)
    raise ValueError(f"no calendar has the unit {unit!r}")


def _next_date(unit: str, first: date) -> date:
    match unit:
        case "day":
            return first + _DAY
        case "week":
            return first + timedelta(days=7)
    return (first + timedelta(days=31)).replace(day=1)


def _start(zone: ZoneInfo, day: date) -> datetime:
    """The first moment whose date is `day` or later."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=zone)
    before = midnight.astimezone(UTC)
    after = midnight.replace(fold=1).astimezone(UTC)
    if before <= after:
        return before
    # The clock jumps over midnight, somewhere after `after` and not later than `before`.
    jumped = before.astimezone(zone).utcoffset()
    low, high = 0, (before - after) // _SECOND
    while high - low > 1:
        middle = (low + high) // 2
        if (after + middle * _SECOND).astimezone(zone).utcoffset() == jumped:
            high = middle
        else:
            low = middle
    return after + high * _SECOND
