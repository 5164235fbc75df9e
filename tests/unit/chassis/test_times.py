"""Times there and back."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.errors import InvalidArgument
from services.chassis.times import stamp, to_time


@given(st.datetimes(timezones=st.just(UTC)))
def test_a_time_is_the_same_afterwards(at: datetime) -> None:
    stamped = stamp(at)
    assert stamped is not None and to_time(stamped, "at") == at
    assert 0 <= stamped.nanos < 10**9


def test_times_of_any_zone_are_the_same_moment() -> None:
    at = datetime(2026, 11, 20, 9, 30, 0, 250_000, tzinfo=UTC)
    assert stamp(at.astimezone(timezone(timedelta(hours=-7)))) == stamp(at)


def test_no_time() -> None:
    assert stamp(None) is None


@pytest.mark.parametrize("seconds", [-62_135_596_801, 253_402_300_800, 2**62])
def test_a_time_of_no_calendar(seconds: int) -> None:
    with pytest.raises(InvalidArgument) as caught:
        to_time(Timestamp(seconds=seconds), "filter.since")
    assert caught.value.violations[0].field == "filter.since"
