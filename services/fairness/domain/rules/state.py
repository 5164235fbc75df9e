"""What rules remember, and what they share: memory that JSON can hold, numbers that the contract can."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from services.fairness.domain.finding import Finding, Peers

Value = int | list[int]
State = Mapping[str, Value]
"""A rule's memory of a player: whole numbers by name. Never changed, only replaced."""

INITIAL: State = {}
MICRO = 1_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TICK = timedelta(microseconds=1)
_INT64_MAX = (1 << 63) - 1


def number(state: State, name: str) -> int:
    """Of a memory; 0 when it is not there."""
    value = state.get(name, 0)
    if isinstance(value, list):
        raise TypeError(f"{name} is a list")
    return value


def numbers(state: State, name: str) -> list[int]:
    """Of a memory; none when it is not there."""
    value = state.get(name, [])
    if isinstance(value, int):
        raise TypeError(f"{name} is a number")
    return value


def micros(at: datetime) -> int:
    """Since 1970."""
    return (at - _EPOCH) // _TICK


def span(length: timedelta) -> int:
    """In microseconds."""
    return length // _TICK


def found(statistic_micro: int, threshold_micro: int, peers: Peers | None = None) -> Finding:
    """Beyond the numbers of the contract, the greatest of them."""
    return Finding(min(statistic_micro, _INT64_MAX), min(threshold_micro, _INT64_MAX), peers)
