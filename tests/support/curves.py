"""What makes a curve right: the published tables, and totals and levels that are each other's inverse.

Each check takes what it judges, so that it can be given something broken, and raises AssertionError.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path

from services.progression.domain.curve import Curve

ROOT = Path(__file__).parents[2]
CURVES = ROOT / "services" / "progression" / "data" / "curves"

DIABLO3 = {
    1: 7_200_000,
    2: 15_840_000,
    60: 2_980_800_000,
    61: 3_075_840_000,
    71: 4_186_800_000,
    75: 4_734_420_000,
    100: 8_584_920_000,
    200: 31_714_440_000,
    500: 309_717_480_000,
    800: 3_196_623_480_000,
    1_000: 10_311_327_480_000,
    2_000: 119_324_847_480_000,
    2_252: 166_105_421_028_000,
    5_000: 1_939_817_200_980_000,
    10_000: 16_530_892_720_980_000,
}
DIABLO3_DIGEST = "ab23b0670c77f350e722b7e0d6897b829c558d3f316cc041facd2e3211128dc9"
"""SHA-256 of the totals of levels 0 to 10,000, joined by commas; likewise the others."""

RUNESCAPE = {
    1: 0,
    2: 83,
    3: 174,
    4: 276,
    5: 388,
    10: 1_154,
    20: 4_470,
    30: 13_363,
    40: 37_224,
    50: 101_333,
    60: 273_742,
    70: 737_627,
    80: 1_986_068,
    85: 3_258_594,
    90: 5_346_332,
    92: 6_517_253,
    98: 11_805_606,
    99: 13_034_431,
    100: 14_391_160,
    120: 104_273_167,
    126: 188_884_740,
}
RUNESCAPE_DIGEST = "3db68bd6b21111c6815b54a841ffcc846cb826177d2697fce40f4d27c0ecffd4"

PATH_OF_EXILE = {
    1: 0,
    2: 525,
    3: 1_760,
    5: 7_184,
    10: 61_693,
    20: 843_709,
    30: 4_742_836,
    40: 17_905_634,
    50: 54_607_467,
    60: 146_749_362,
    61: 161_191_120,
    70: 363_906_163,
    80: 855_129_128,
    90: 1_934_009_687,
    92: 2_268_549_086,
    95: 2_876_116_901,
    99: 3_932_818_530,
    100: 4_250_334_444,
}
PATH_OF_EXILE_DIGEST = "5df7dee15b5a93fbfbea1b9faf1caa4f31dffd0924ebc6ab25b762403d836f23"


def check_diablo3(curve: Curve) -> None:
    check_table(curve, DIABLO3, range(10_001), DIABLO3_DIGEST)
    beyond = (81_573, 81_574, 81_575, 100_000, 10**9)
    for level in (*range(2_252, 10_001), *beyond):
        assert curve.total(level) == diablo3_closed_form(level), level
    check_inverse(curve, (*range(1, 3_000), *range(8_190, 8_210), 10_000, *beyond))


def diablo3_closed_form(level: int) -> int:
    """As published, from level 2,252 on."""
    x = level - 2_252
    return (
        166_105_421_028_000
        + 201_211_626_000 * x
        + 229_704_000 * x * (x + 1) // 2
        + 102_000 * x * (x + 1) * (x + 2) // 6
    )


def check_runescape(curve: Curve) -> None:
    check_table(curve, RUNESCAPE, range(1, 100), RUNESCAPE_DIGEST)
    check_inverse(curve, range(2, 127))
    assert [curve.level(experience) for experience in (0, 82, 83, 13_034_430, 13_034_431, 200_000_000)] == [
        1,
        1,
        2,
        98,
        99,
        126,
    ]


def check_path_of_exile(curve: Curve) -> None:
    check_table(curve, PATH_OF_EXILE, range(1, 101), PATH_OF_EXILE_DIGEST)
    check_inverse(curve, range(2, 101))
    assert curve.level(10**12) == 100


def check_table(curve: Curve, values: dict[int, int], levels: Iterable[int], published: str) -> None:
    """`values`: what is known of single levels. `published`: the digest of all `levels`."""
    for level, total in values.items():
        assert curve.total(level) == total, level
    totals = [curve.total(level) for level in levels]
    assert all(type(total) is int for total in totals)
    assert hashlib.sha256(",".join(map(str, totals)).encode()).hexdigest() == published


def check_inverse(curve: Curve, levels: Iterable[int]) -> None:
    """A total is the first amount in its level. `levels` above the first."""
    for level in levels:
        total = curve.total(level)
        assert curve.level(total) == level
        assert curve.level(total - 1) == level - 1


def check_roots(floor_root: Callable[[int, int], int]) -> None:
    """Perfect powers and what is just below them, where floats fail."""
    for degree in (2, 3, 5, 7, 12, 100):
        for root in (*range(1, 60), *range(10**4 - 3, 10**4 + 3), 2**53 + 1, 10**30 + 57):
            value = root**degree
            assert floor_root(value, degree) == root, (root, degree)
            assert floor_root(value - 1, degree) == root - 1, (root, degree)
    for root in range(1, 2_000):
        assert floor_root(root**3, 3) == root
