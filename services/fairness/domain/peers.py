"""Values of many players, kept as counts in buckets: each bucket is less than 1 % wide, and values below 256
have one of their own. Median and MAD are those of the least values of the buckets."""

from collections.abc import Iterable, Mapping

from services.fairness.domain.detector import Detector
from services.fairness.domain.finding import Peers

_BITS = 7
_HALF = 1 << _BITS
"""Buckets for each doubling of the values."""


def bucket_of(value: int) -> int:
    """In the order of the values."""
    if value < 0:
        return -bucket_of(-value)
    shift = max(value.bit_length() - _BITS - 1, 0)
    return (shift << _BITS) + (value >> shift)


def least_of(bucket: int) -> int:
    """Of the values of a bucket."""
    if bucket < 0:
        return 1 - least_of(1 - bucket)
    shift = max((bucket >> _BITS) - 1, 0)
    return (bucket - (shift << _BITS)) << shift


def kept_as(detector: Detector, group: str) -> str:
    """What the values of a group are kept under: those of other signals, or for another rule, say nothing."""
    return f"{detector.rule_version} {group}"


def median(counts: Mapping[int, int]) -> int:
    """Of values by how often they are, at least one; of two in the middle their mean, rounded down."""
    total = sum(counts.values())
    low = high = None
    passed = 0
    for value in sorted(counts):
        passed += counts[value]
        if low is None and 2 * passed >= total:
            low = value
        if 2 * passed > total:
            high = value
            break
    if low is None or high is None:
        raise ValueError("there are no values")
    return (low + high) // 2


def mad(counts: Mapping[int, int], middle: int) -> int:
    """The median of how far values are from `middle`."""
    away: dict[int, int] = {}
    for value, n in counts.items():
        away[abs(value - middle)] = away.get(abs(value - middle), 0) + n
    return median(away)


def peers_of(group: str, buckets: Mapping[int, int]) -> Peers:
    """Of how many values there are by the least one of each bucket; at least one."""
    middle = median(buckets)
    return Peers(group, sum(buckets.values()), middle, mad(buckets, middle), buckets)


class Histogram:
    """How many values of a group there are by bucket."""

    def __init__(self, buckets: Iterable[tuple[int, int]] = ()) -> None:
        """`buckets`: bucket and how many, each more than 0."""
        self._counts: dict[int, int] = {}
        for bucket, n in buckets:
            self.add(bucket, n)

    def add(self, bucket: int, n: int = 1) -> None:
        self._counts[bucket] = self._counts.get(bucket, 0) + n

    def peers(self, group: str) -> Peers | None:
        """None: there is no value."""
        if not self._counts:
            return None
        return peers_of(group, {least_of(bucket): n for bucket, n in self._counts.items()})
