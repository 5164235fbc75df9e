"""Path of Exile's rule for content far from one's own level, against what was published and fractions."""

from __future__ import annotations

from fractions import Fraction

import pytest

from services.progression.domain.level_difference import effective_centi, level_difference_micro


@pytest.mark.parametrize(
    ("content_level", "published"),
    [(70, 70.0), (72, 71.82), (75, 74.1), (77, 75.32), (80, 76.7), (82, 77.32), (83, 77.54), (84, 77.7)],
)
def test_what_content_above_70_counts_as(content_level: int, published: float) -> None:
    assert effective_centi(content_level) == round(published * 100)


def test_content_never_counts_as_less_for_being_higher() -> None:
    counted = [effective_centi(content_level) for content_level in range(200)]
    assert counted == sorted(counted)
    assert counted[86] == counted[199] == 7_784


@pytest.mark.parametrize(
    ("level", "content_level", "published"),
    [
        (24, 20, "1.000000"),
        (24, 28, "1.000000"),
        (24, 19, "0.950419"),
        (24, 29, "0.950419"),
        (24, 15, "0.199628"),
        (50, 40, "0.502649"),
        (90, 70, "0.063987"),
        (90, 83, "0.577383"),
        (94, 83, "0.182969"),
    ],
)
def test_published_factors(level: int, content_level: int, published: str) -> None:
    """Published rounded to the nearest; ours is rounded down."""
    assert Fraction(published) * 1_000_000 - level_difference_micro(level, content_level) in (0, 1)


@pytest.mark.parametrize(("level", "safe"), [(1, 3), (15, 3), (16, 4), (31, 4), (32, 5), (64, 7)])
def test_the_safe_range_is_3_and_one_for_every_16_levels(level: int, safe: int) -> None:
    assert level_difference_micro(level, level + safe) == 1_000_000
    assert level_difference_micro(level, level + safe + 1) < 1_000_000


def test_never_less_than_a_hundredth() -> None:
    assert level_difference_micro(100, 1) == 10_000
    assert level_difference_micro(1, 10**9) == 10_000
    assert level_difference_micro(2**63, 1) == 10_000


def test_a_result_that_is_a_whole_number_of_millionths() -> None:
    """81 / (81 + 9^2.5) is a quarter."""
    assert level_difference_micro(76, 76 - 7 - 9) == 125_000


def test_every_factor_is_the_exact_one_rounded_down() -> None:
    for level in range(1, 101):
        for content_level in range(1, 91):
            micro = level_difference_micro(level, content_level)
            far = abs(level - Fraction(effective_centi(content_level), 100)) - 3 - level // 16
            beyond = far if far > 0 else Fraction(0)
            assert micro == 10_000 or at_most(Fraction(micro, 1_000_000), level, beyond)
            assert not at_most(Fraction(micro + 1, 1_000_000), level, beyond)


def at_most(factor: Fraction, level: int, beyond: Fraction) -> bool:
    """Whether `factor` <= (a / (a + s))^1.5 / extra, where a = level + 5 and s = beyond^2.5.

    Squared: factor^2 extra^2 (a + s)^3 <= a^3. With (a + s)^3 = (a^3 + 3 a s^2) + s (3 a^2 + s^2) and s^2
    rational, that is s <= rest / (3 a^2 + s^2); squared again, all of it is rational.
    """
    extra = 1 + Fraction(max(level - 94, 0), 10)
    a, s2 = level + 5, beyond**5
    rest = a**3 / (factor * extra) ** 2 - a**3 - 3 * a * s2
    return rest >= 0 and s2 * (3 * a**2 + s2) ** 2 <= rest**2
