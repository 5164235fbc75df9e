"""The generic cell rate algorithm: its published table, and the same written down another way.

That is a leaky bucket in exact fractions. It holds `burst` and loses one each interval, bit by bit. What is
asked is taken if it fits.
"""

from collections.abc import Sequence
from fractions import Fraction

from hypothesis import strategies as st

from services.ingest.domain.gcra import Charge, Rate, Verdict

BEGIN_US = 1_750_000_000_000_000
Groups = list[list[Charge]]
SECOND = 1_000_000
FIVE = Rate(SECOND, 5)
# Published with the algorithm: one a second, five at once. At what time (ms) how many are asked for; how
# many remain then, after how long (ms) it is whole again, and how long (ms) to wait (None: for ever).
TABLE = [
    (0, 6, 5, 0, None),
    (0, 1, 4, 1000, 0),
    (0, 1, 3, 2000, 0),
    (0, 1, 2, 3000, 0),
    (0, 1, 1, 4000, 0),
    (0, 1, 0, 5000, 0),
    (0, 1, 0, 5000, 1000),
    (3000, 1, 2, 3000, 0),
    (3100, 1, 1, 3900, 0),
    (4000, 1, 1, 4000, 0),
    (8000, 1, 4, 1000, 0),
    (9500, 1, 4, 1000, 0),
    (9500, 2, 2, 3000, 0),
    (9500, 5, 2, 3000, 3000),
]


class Bucket:
    def __init__(self, rate: Rate) -> None:
        self.rate = rate
        self.level = Fraction(0)
        self.at_us = 0

    def level_at(self, now_us: int) -> Fraction:
        """Time that goes back stands still."""
        lost = Fraction(now_us - self.at_us, self.rate.interval_us)
        return max(Fraction(0), self.level - lost)

    def wait_us(self, cost: int, now_us: int) -> Fraction:
        over = self.level_at(now_us) + cost - self.rate.burst
        return max(Fraction(0), over * self.rate.interval_us)

    def add(self, cost: int, now_us: int) -> None:
        self.level, self.at_us = self.level_at(now_us) + cost, now_us


class Buckets:
    def __init__(self) -> None:
        self._buckets: dict[str, Bucket] = {}

    def take(self, charges: Sequence[Charge], now_us: int) -> Verdict:
        pairs = [(self._buckets.setdefault(charge.key, Bucket(charge.rate)), charge) for charge in charges]
        for position, charge in enumerate(charges):
            if charge.cost > charge.rate.burst:
                return Verdict(position, None)
        waits = [bucket.wait_us(charge.cost, now_us) for bucket, charge in pairs]
        if any(waits):
            longest = max(waits)
            return Verdict(waits.index(longest), int(longest))
        for bucket, charge in pairs:
            bucket.add(charge.cost, now_us)
        return Verdict(None)


RATES = st.builds(Rate, st.integers(1, 10**7), st.integers(1, 20))


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[int, Groups]]:
    """Times, which never go back, and the groups that are asked for then. A key has one rate."""
    rates = [draw(RATES) for _ in range(3)]
    now_us, history = BEGIN_US, []
    for _ in range(draw(st.integers(1, 12))):
        now_us += draw(st.integers(0, 3) | st.integers(0, 10**8))
        groups = []
        for _ in range(draw(st.integers(1, 4))):
            keys = draw(st.lists(st.integers(0, 2), unique=True, max_size=3))
            cost = draw(st.integers(1, 21) | st.just(1))
            groups.append([Charge(f"k{key}", rates[key], cost) for key in keys])
        history.append((now_us, groups))
    return history
