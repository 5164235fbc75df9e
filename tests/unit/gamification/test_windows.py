"""Periods of calendars, written down by hand, and parts of sliding windows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from services.chassis.calendar import Calendar, zone_of, zones
from services.gamification.domain.window import EPOCH, EVER, Sliding, Window, parse_window

TICK = timedelta(microseconds=1)
HOUR = timedelta(hours=1)

# Unit and zone, begin and end in UTC, and how long it is.
PERIODS = [
    ("day UTC", "2026-02-28T00:00", "2026-03-01T00:00", 24),
    ("day Europe/Berlin", "2026-03-28T23:00", "2026-03-29T22:00", 23),
    ("day Europe/Berlin", "2026-10-24T22:00", "2026-10-25T23:00", 25),
    ("week Europe/Berlin", "2026-03-22T23:00", "2026-03-29T22:00", 7 * 24 - 1),
    ("month Europe/Berlin", "2026-02-28T23:00", "2026-03-31T22:00", 31 * 24 - 1),
    ("month Europe/Berlin", "2026-09-30T22:00", "2026-10-31T23:00", 31 * 24 + 1),
    ("month Europe/Berlin", "2028-01-31T23:00", "2028-02-29T23:00", 29 * 24),
    ("month Europe/Berlin", "2026-11-30T23:00", "2026-12-31T23:00", 31 * 24),
    ("week Europe/Berlin", "2026-12-27T23:00", "2027-01-03T23:00", 7 * 24),
    ("day America/New_York", "2026-03-08T05:00", "2026-03-09T04:00", 23),
    ("day America/New_York", "2026-11-01T04:00", "2026-11-02T05:00", 25),
    # By half an hour, and by two.
    ("day Australia/Lord_Howe", "2026-04-04T13:00", "2026-04-05T13:30", 24.5),
    ("day Australia/Lord_Howe", "2026-10-03T13:30", "2026-10-04T13:00", 23.5),
    ("day Antarctica/Troll", "2026-03-29T00:00", "2026-03-29T22:00", 22),
    # At midnight: forward, so that the day begins at one; and back, into the day before.
    ("day Africa/Cairo", "2026-04-23T22:00", "2026-04-24T21:00", 23),
    ("day Africa/Cairo", "2026-10-28T21:00", "2026-10-29T22:00", 25),
    ("day America/Sao_Paulo", "2018-11-04T03:00", "2018-11-05T02:00", 23),
    ("day America/Sao_Paulo", "2018-02-17T02:00", "2018-02-18T03:00", 25),
    # Midnight comes twice: the first one counts.
    ("day America/Havana", "2024-11-03T04:00", "2024-11-04T05:00", 25),
    # From half past eleven to half past twelve: over midnight.
    ("day America/Toronto", "1919-03-30T05:00", "1919-03-31T04:30", 23.5),
    ("day America/Toronto", "1919-03-31T04:30", "1919-04-01T04:00", 23.5),
    # At one past midnight, back into the day before.
    ("day America/St_Johns", "2010-11-06T02:30", "2010-11-07T02:30", 24),
    ("day America/St_Johns", "2010-11-07T02:30", "2010-11-08T03:30", 25),
    # Friday the 30th was left out.
    ("day Pacific/Apia", "2011-12-29T10:00", "2011-12-30T10:00", 24),
    ("day Pacific/Apia", "2011-12-30T10:00", "2011-12-31T10:00", 24),
    ("week Pacific/Apia", "2011-12-26T10:00", "2012-01-01T10:00", 6 * 24),
    # Odd offsets: quarters of an hour, seconds, the farthest ones.
    ("day Asia/Kathmandu", "2026-05-31T18:15", "2026-06-01T18:15", 24),
    ("day Pacific/Chatham", "2026-04-04T10:15", "2026-04-05T11:15", 25),
    ("day Africa/Monrovia", "1971-06-01T00:44:30", "1971-06-02T00:44:30", 24),
    ("day Pacific/Kiritimati", "2026-01-01T10:00", "2026-01-02T10:00", 24),
    ("day Pacific/Pago_Pago", "2026-01-01T11:00", "2026-01-02T11:00", 24),
]


def _utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(("calendar", "start", "end", "hours"), PERIODS)
def test_a_period_holds_its_begin_and_not_its_end(calendar: str, start: str, end: str, hours: float) -> None:
    unit, zone = calendar.split()
    of = Calendar(unit, zone)
    begins, ends = _utc(start), _utc(end)
    assert ends - begins == hours * HOUR
    for at in (begins, begins + TICK, begins + (ends - begins) / 2, ends - TICK):
        assert of.period(at) == (begins, ends), at
    assert of.period(begins - TICK).end == begins
    assert of.period(ends).start == ends


@settings(max_examples=60, deadline=None)
@example("Pacific/Apia", "day", int(_utc("2011-12-30T03:00").timestamp()))
@example("America/St_Johns", "day", int(_utc("2010-11-07T02:40").timestamp()))
@example("Africa/Cairo", "month", int(_utc("2026-10-29T21:30").timestamp()))
@given(
    st.sampled_from(sorted(zones())),
    st.sampled_from(["day", "week", "month"]),
    st.integers(0, 2**31),
)
def test_every_zone_is_cut_without_a_gap_where_its_date_grows(zone: str, unit: str, second: int) -> None:
    calendar = Calendar(unit, zone)
    at = EPOCH + timedelta(seconds=second)
    start, end = calendar.period(at)
    assert start <= at < end
    assert calendar.period(end).start == end
    assert calendar.period(start - TICK).end == start
    there = zone_of(zone)
    before = max((start - TICK - step * HOUR / 4).astimezone(there).date() for step in range(110))
    first = start.astimezone(there).date()
    within = max((start + (end - TICK - start) * step / 100).astimezone(there).date() for step in range(101))
    assert before < first <= within
    match unit:
        case "day":
            assert first == within
        case "week":
            assert first.isocalendar()[:2] == within.isocalendar()[:2] > before.isocalendar()[:2]
        case "month":
            assert (first.year, first.month) == (within.year, within.month) > (before.year, before.month)


def test_parts_begin_at_multiples_of_their_length() -> None:
    window = Sliding(HOUR, 60)
    assert window.span == timedelta(minutes=1)
    begins = _utc("2026-05-05T12:34")
    for at in (begins, begins + TICK, begins + timedelta(minutes=1) - TICK):
        assert window.part(at) == begins
    assert window.part(begins - TICK) == begins - timedelta(minutes=1)
    assert Sliding(timedelta(days=7), 7).part(begins) == _utc("2026-05-05T00:00")
    # Seven days that do not divide those since 1970.
    assert Sliding(timedelta(days=7), 1).part(begins) == _utc("2026-04-30T00:00")


@pytest.mark.parametrize(("length", "parts"), [(HOUR, 0), (HOUR, -1), (timedelta(0), 1), (10 * TICK, 3)])
def test_a_window_of_unequal_parts_does_not_exist(length: timedelta, parts: int) -> None:
    with pytest.raises(ValueError, match="equal parts"):
        Sliding(length, parts)


@pytest.mark.parametrize(
    "window",
    [
        EVER,
        Calendar("day", "Europe/Berlin"),
        Calendar("week", "UTC"),
        Calendar("month", "Pacific/Apia"),
        Sliding(HOUR, 60),
        Sliding(timedelta(days=90), 90),
    ],
)
def test_the_key_tells_which_window_it_is(window: Window) -> None:
    assert parse_window(window.key) == window


@pytest.mark.parametrize(
    "key",
    [
        "",
        "never",
        "day",
        "day:",
        "day:Mars/Base",
        "day:../etc/passwd",
        "day:utc ",
        "year:UTC",
        "3600s",
        "3600s/",
        "s/1",
        "-60s/1",
        "60s/-1",
        "0s/1",
    ],
)
def test_other_keys_are_of_no_window(key: str) -> None:
    with pytest.raises(ValueError, match=r"no window|equal parts"):
        parse_window(key)


def test_an_unknown_zone_has_no_periods() -> None:
    with pytest.raises(ValueError, match="Mars/Base"):
        Calendar("day", "Mars/Base").period(EPOCH)
