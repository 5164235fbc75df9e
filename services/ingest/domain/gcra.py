"""The generic cell rate algorithm, in whole microseconds.

What is kept of a key is one number, its theoretical arrival time (TAT): when it will be as if nothing had
ever been asked. Everything that is asked moves it on by the interval, and it may be ahead of now by at most
`burst` intervals. The script in `limits.py` is the same in Redis; what is changed here is changed there.
"""

from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass

MAX_SPAN_US = 1 << 50
"""Of `burst` intervals: 35 years. With the time of day it stays below 2**53, so that a double is exact."""


@dataclass(frozen=True, slots=True)
class Rate:
    """One more each `interval_us`, and `burst` at once after a rest."""

    interval_us: int
    burst: int

    def __post_init__(self) -> None:
        if self.interval_us < 1 or self.burst < 1 or self.interval_us * self.burst > MAX_SPAN_US:
            raise ValueError(f"no rate: {self.burst} at once, one each {self.interval_us} us")

    @classmethod
    def per_second(cls, count: float, burst: int) -> "Rate":
        """Rounded so that it is never less than asked for; at most a million a second."""
        return cls(max(1, int(1_000_000 / count)), burst)


@dataclass(frozen=True, slots=True)
class Charge:
    """`cost`, at least 1, of `key`, by its rate."""

    key: str
    rate: Rate
    cost: int = 1


@dataclass(frozen=True, slots=True)
class Verdict:
    """`denied`: the position of the charge that is longest to wait for; None: all were taken. `retry_us`: how
    long; None: for ever, it costs more than the burst."""

    denied: int | None
    retry_us: int | None = 0


ALLOWED = Verdict(None)


@dataclass(frozen=True, slots=True)
class Level:
    """How a key stands: `remaining` at once, and it is whole again after `reset_us`."""

    remaining: int
    reset_us: int


def take(tats: MutableMapping[str, int], charges: Sequence[Charge], now_us: int) -> Verdict:
    """All charges are taken, or none is. No two are of the same key. `tats` is what is kept, by key."""
    longest = ALLOWED
    moved = {}
    for position, charge in enumerate(charges):
        rate = charge.rate
        if charge.cost > rate.burst:
            return Verdict(position, None)
        tat = max(tats.get(charge.key, now_us), now_us) + rate.interval_us * charge.cost
        wait_us = tat - rate.interval_us * rate.burst - now_us
        if wait_us > (longest.retry_us or 0):
            longest = Verdict(position, wait_us)
        moved[charge.key] = tat
    if longest is ALLOWED:
        tats.update(moved)
    return longest


def level(tat: int | None, rate: Rate, now_us: int) -> Level:
    """`tat`: None: nothing is kept of the key."""
    ahead_us = max(0, (tat or 0) - now_us)
    return Level(max(0, rate.interval_us * rate.burst - ahead_us) // rate.interval_us, ahead_us)
