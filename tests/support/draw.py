"""Cases made from a seed."""

from __future__ import annotations

import ctypes
import math
import random
from collections.abc import Callable
from functools import wraps
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

EACH = 10
"""Cases made from one seed: Hypothesis takes longer to draw a seed than most cases take to judge."""


def f32(value: float) -> float:
    """As single precision keeps it."""
    return ctypes.c_float(value).value


class Draw(random.Random):
    """Hypothesis draws the seed only: every number drawn by it costs fifty times as much, and a seed, which a
    failure shows, reproduces a case as well. The numbers are as Hypothesis likes them: ends of a range, round
    and tiny ones are common."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self._seed = seed

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._seed})"

    def chance(self, share: float) -> bool:
        return self.random() < share

    def whole(self, low: int, high: int) -> int:
        """From `low` to `high`: one in eight an end, one in eight next to one."""
        roll = self.random()
        if roll < 0.125:
            return low if roll < 0.0625 else high
        if roll < 0.25:
            return min(low + 1, high) if roll < 0.1875 else max(high - 1, low)
        return self.randint(low, high)

    def real(self, low: float, high: float) -> float:
        """From `low` to `high`: one in eight an end or next to nothing, one in eight whole."""
        roll = self.random()
        if roll < 0.125:
            value = self.choice(
                (low, high, 0.0, -0.0, self.choice((-1.0, 1.0)) * 10.0 ** self.uniform(-40.0, -3.0))
            )
        elif roll < 0.25 and math.ceil(low) <= math.floor(high):
            value = float(self.randint(math.ceil(low), math.floor(high)))
        else:
            value = self.uniform(low, high)
        return min(max(value, low), high)

    def single(self, low: float, high: float) -> float:
        """As `real`, of the values that single precision keeps; so must the ends be."""
        return f32(self.real(low, high))


draws = st.integers(0, 2**64 - 1).map(Draw)


def cases(
    seeds: st.SearchStrategy[Draw], *, fewer: int = 1
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Runs a test with as many cases for its `draw` as the profile says, or one `fewer`-th of them."""

    def decorate(check: Callable[..., None]) -> Callable[..., None]:
        @settings(max_examples=max(settings().max_examples // (EACH * fewer), 1))
        @given(draw=seeds)
        @wraps(check)
        def test(*args: Any, draw: Draw, **fixtures: Any) -> None:
            for _ in range(EACH):
                case = type(draw)(draw.getrandbits(64))
                try:
                    check(*args, draw=case, **fixtures)
                except Exception as error:
                    error.add_note(f"with draw = {case!r}")
                    raise

        return test

    return decorate
