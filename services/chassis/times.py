"""Times as Python and as the contract has them."""

from datetime import UTC, datetime, timedelta

from google.protobuf.timestamp_pb2 import Timestamp

from services.chassis.errors import InvalidArgument

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_US = timedelta(microseconds=1)


def stamp(at: datetime | None) -> Timestamp | None:
    """None: a field that is not there."""
    if at is None:
        return None
    seconds, us = divmod((at - _EPOCH) // _US, 1_000_000)
    return Timestamp(seconds=seconds, nanos=us * 1000)


def to_time(found: Timestamp, path: str) -> datetime:
    """In UTC. Raises InvalidArgument for a time that no calendar has."""
    try:
        return found.ToDatetime(UTC)
    except (ValueError, OverflowError) as error:
        raise InvalidArgument.of(path, "must be a time of the years 1 to 9999") from error
