"""How much experience is worth when what was overcome is far from one's own level, as in Path of Exile.

Content within a safe range of levels is worth everything. Beyond it, with L the character's level and D the
levels beyond: ((L + 5) / (L + 5 + D^2.5))^1.5, from level 95 on once more divided by 1 + (L - 94) / 10, and
never less than a hundredth. Content above level 70 counts as a little less than it is.
"""

from decimal import ROUND_DOWN, Context, Decimal

MICRO = 1_000_000
LEAST_MICRO = 10_000
# A result that is a whole number of millionths has short roots: 50 digits hold all that leads to it.
_EXACT = Context(prec=50, rounding=ROUND_DOWN)


def level_difference_micro(level: int, content_level: int) -> int:
    """The factor in millionths, rounded down: 10,000..1,000,000. Neither level is negative."""
    beyond = _beyond(level, content_level)
    reach = Decimal(level + 5)
    power = _EXACT.multiply(_EXACT.multiply(beyond, beyond), _EXACT.sqrt(beyond))
    share = _EXACT.divide(reach, _EXACT.add(reach, power))
    factor = _EXACT.multiply(share, _EXACT.sqrt(share))
    if level >= 95:
        factor = _EXACT.divide(_EXACT.multiply(factor, Decimal(10)), Decimal(level - 84))
    return max(int(_EXACT.multiply(factor, Decimal(MICRO))), LEAST_MICRO)


def effective_centi(content_level: int) -> int:
    """What content counts as, in hundredths of a level: -0.03 x M^2 + 5.17 x M - 144.9 above 70.

    That parabola has its top at 86, where the game's own areas end; what is above counts as 86.
    """
    if content_level <= 70:
        return 100 * content_level
    m = min(content_level, 86)
    return -3 * m * m + 517 * m - 14_490


def _beyond(level: int, content_level: int) -> Decimal:
    safe = 3 + level // 16
    return _EXACT.divide(
        Decimal(max(abs(100 * level - effective_centi(content_level)) - 100 * safe, 0)), Decimal(100)
    )
