"""The generator against its published answers, an independent implementation and its twin."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from native import philox
from native.reference import philox as twin
from tests.support.draw import Draw, cases, draws

Generator = Callable[[int, int, int, int, int], tuple[int, int, int, int]]


@pytest.mark.parametrize("draw", [philox.draw, twin.draw])
@pytest.mark.parametrize(
    ("key", "counter", "answer"),
    [  # Random123, known answers for philox4x32-10
        (0, (0, 0, 0, 0), "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        (2**64 - 1, (2**32 - 1,) * 4, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        (
            0x299F31D0A4093822,
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            "d16cfe09 94fdcceb 5001e420 24126ea1",
        ),
    ],
)
def test_known_answers(draw: Generator, key: int, counter: tuple[int, int, int, int], answer: str) -> None:
    assert " ".join(f"{word:08x}" for word in draw(key, *counter)) == answer


@cases(draws)
def test_equals_the_twin(draw: Draw) -> None:
    key = draw.whole(0, 2**64 - 1)
    a, b, c, d = (draw.whole(0, 2**32 - 1) for _ in range(4))
    assert philox.draw(key, a, b, c, d) == twin.draw(key, a, b, c, d)


def test_draws_are_even() -> None:
    """Chi squared over 256 cells of the top byte, for consecutive counters of one player."""
    draws = np.array([philox.draw(7, 3, sequence, 0, 1) for sequence in range(20_000)])
    for column in draws.T:
        counts = np.bincount(column >> 24, minlength=256)
        expected = len(draws) / 256
        assert 160 < float(((counts - expected) ** 2 / expected).sum()) < 370


def test_numbers_that_do_not_fit_are_refused() -> None:
    with pytest.raises(OverflowError):
        philox.draw(2**64, 0, 0, 0, 0)
    with pytest.raises(OverflowError):
        philox.draw(0, -1, 0, 0, 0)
