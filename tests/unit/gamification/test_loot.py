"""Draws are unbiased, follow from their seed alone, and say what the table says."""

import hashlib
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator
from fractions import Fraction
from itertools import accumulate, count, pairwise
from math import comb, prod

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.gamification.domain.definitions import Amount, LootEntry, LootTable
from services.gamification.domain.loot import Stream, draw, drawn, merged

NOTHING = LootEntry(5, "")
Drawn = tuple[Amount, ...]


def seed(number: int) -> bytes:
    return hashlib.sha256(number.to_bytes(8, "big")).digest()[:16]


def entry(weight: int, name: str, low: int = 1, high: int = 1, step: int = 1) -> LootEntry:
    return LootEntry(weight, f"item:{name}", low, high, step)


def table(*weighted: LootEntry, rolls: int = 1, max_repeat: int = 0) -> LootTable:
    return LootTable((), weighted, rolls, max_repeat)


def branches(loot: LootTable) -> Iterator[tuple[Drawn, Fraction]]:
    """Every way in which the choices can fall, and its chance."""
    open_: list[tuple[int, ...]] = [()]
    while open_:
        given_choices = open_.pop()
        taken: list[int] = []
        limits: list[int] = []

        def below(
            limit: int,
            given_choices: tuple[int, ...] = given_choices,
            taken: list[int] = taken,
            limits: list[int] = limits,
        ) -> int:
            if len(taken) < len(given_choices):
                choice = given_choices[len(taken)]
            else:
                choice = 0
                open_.extend((*taken, other) for other in range(1, limit))
            taken.append(choice)
            limits.append(limit)
            return choice

        result = drawn(loot, below)
        yield result, Fraction(1, prod(limits))


def chances(loot: LootTable) -> dict[Drawn, Fraction]:
    """By what is drawn, whatever the order."""
    found: dict[Drawn, Fraction] = defaultdict(Fraction)
    for result, chance in branches(loot):
        found[tuple(sorted(result, key=lambda amount: amount.asset))] += chance
    assert sum(found.values()) == 1
    return dict(found)


def items(**quantities: int) -> Drawn:
    return tuple(Amount(f"item:{name}", quantity) for name, quantity in sorted(quantities.items()))


# -- exactly ------------------------------------------------------------------------------------------


def test_an_entry_is_drawn_by_its_share_of_all_weights() -> None:
    assert chances(table(entry(1, "a"), entry(2, "b"), entry(3, "c"))) == {
        items(a=1): Fraction(1, 6),
        items(b=1): Fraction(2, 6),
        items(c=1): Fraction(3, 6),
    }


def test_an_entry_without_weight_is_never_drawn() -> None:
    assert chances(table(entry(0, "a"), entry(2, "b"), entry(0, "c"))) == {items(b=1): Fraction(1)}


def test_nothing_has_its_share_too() -> None:
    assert chances(table(entry(1, "a"), NOTHING)) == {items(a=1): Fraction(1, 6), (): Fraction(5, 6)}


def test_rolls_are_independent() -> None:
    found = chances(table(entry(1, "a"), entry(2, "b"), rolls=4))
    for a in range(5):
        quantities = {name: count for name, count in {"a": a, "b": 4 - a}.items() if count}
        assert found[items(**quantities)] == comb(4, a) * Fraction(1, 3) ** a * Fraction(2, 3) ** (4 - a)


def test_an_entry_that_was_drawn_often_enough_leaves_its_share_to_the_others() -> None:
    found = chances(table(entry(1, "a"), entry(2, "b"), entry(3, "c"), rolls=2, max_repeat=1))
    assert found == {
        items(a=1, b=1): Fraction(1, 6) * Fraction(2, 5) + Fraction(2, 6) * Fraction(1, 4),
        items(a=1, c=1): Fraction(1, 6) * Fraction(3, 5) + Fraction(3, 6) * Fraction(1, 3),
        items(b=1, c=1): Fraction(2, 6) * Fraction(3, 4) + Fraction(3, 6) * Fraction(2, 3),
    }


def test_an_entry_may_be_drawn_just_so_often() -> None:
    found = chances(table(entry(1, "a"), entry(1, "b"), rolls=3, max_repeat=2))
    assert found == {items(a=2, b=1): Fraction(1, 2), items(a=1, b=2): Fraction(1, 2)}


def test_when_all_were_drawn_often_enough_the_other_rolls_bring_nothing() -> None:
    assert chances(table(entry(1, "a"), entry(9, "b"), rolls=9, max_repeat=2)) == {
        items(a=2, b=2): Fraction(1)
    }


def test_each_step_of_a_range_is_as_likely() -> None:
    found = chances(table(entry(1, "a", low=10, high=25, step=5)))
    assert found == {items(a=quantity): Fraction(1, 4) for quantity in (10, 15, 20, 25)}


def test_a_range_ends_at_the_last_step_that_fits() -> None:
    assert set(chances(table(entry(1, "a", low=1, high=6, step=2)))) == {items(a=1), items(a=3), items(a=5)}


def test_what_is_guaranteed_comes_always_and_first_whatever_its_weight() -> None:
    loot = LootTable((entry(0, "z", low=2, high=3), NOTHING), (entry(1, "a"), entry(1, "b")), 1)
    found: dict[Drawn, Fraction] = defaultdict(Fraction)
    for result, chance in branches(loot):
        found[result] += chance
    assert found == {
        (Amount("item:z", z), Amount(f"item:{name}", 1)): Fraction(1, 4) for z in (2, 3) for name in "ab"
    }


def test_without_anything_to_draw_there_is_nothing() -> None:
    assert draw(table(rolls=3), seed(0)) == ()
    assert draw(table(entry(0, "a"), rolls=3), seed(0)) == ()


def test_one_asset_is_one_amount() -> None:
    twice = LootTable((entry(0, "a", low=3, high=3),), (entry(1, "a", low=4, high=4),), 2)
    assert draw(twice, seed(0)) == items(a=11)
    assert merged([Amount("currency:a", 1), Amount("item:a", 2), Amount("currency:a", 3)]) == (
        Amount("currency:a", 4),
        Amount("item:a", 2),
    )


# -- from seeds ---------------------------------------------------------------------------------------


def chi_square(counts: Counter[int], expected: dict[int, float]) -> float:
    assert set(counts) <= set(expected)
    return sum((counts[value] - share) ** 2 / share for value, share in expected.items())


@pytest.mark.parametrize("limit", [2, 3, 5, 6, 7, 12, 100])
def test_numbers_below_a_limit_are_all_as_likely(limit: int) -> None:
    count = 200 * limit
    counts = Counter(Stream(seed(number)).below(limit) for number in range(count))
    freedom = limit - 1
    # Five standard deviations above the mean of the distribution.
    assert chi_square(counts, dict.fromkeys(range(limit), 200.0)) < freedom + 5 * (2 * freedom) ** 0.5 + 5


def test_numbers_of_one_stream_are_independent() -> None:
    stream = Stream(seed(1))
    numbers = [stream.below(6) for _ in range(9_001)]
    pairs = Counter(6 * first + second for first, second in pairwise(numbers))
    assert chi_square(pairs, dict.fromkeys(range(36), 250.0)) < 35 + 5 * 70**0.5


def test_draws_of_many_seeds_fall_as_the_weights_say() -> None:
    weights = [1, 10, 100, 250, 639]
    loot = table(*(entry(weight, str(number)) for number, weight in enumerate(weights)))
    count = 20_000
    counts = Counter(int(draw(loot, seed(each))[0].asset.removeprefix("item:")) for each in range(count))
    expected = {number: count * weight / 1000 for number, weight in enumerate(weights)}
    assert chi_square(counts, expected) < 4 + 5 * 8**0.5


def test_a_limit_of_one_takes_no_number() -> None:
    first, second = Stream(seed(7)), Stream(seed(7))
    assert first.below(1) == 0
    assert [first.below(1000) for _ in range(5)] == [second.below(1000) for _ in range(5)]


def test_the_numbers_are_those_that_are_documented() -> None:
    """By their definition alone: the first bits of SHA-256 over seed and counter, those that are too great
    left out."""
    own = seed(3)
    blocks = (hashlib.sha256(own + counter.to_bytes(8, "big")).digest() for counter in range(64))
    documented = [block[0] >> 5 for block in blocks if block[0] >> 5 < 5]  # below 5: three bits
    assert len(documented) < 50, "some must have been too great"
    stream = Stream(own)
    assert [stream.below(5) for _ in documented] == documented


CHEST = LootTable(
    guaranteed=(LootEntry(0, "currency:gold", 50, 150, 10),),
    weighted=(
        LootEntry(600, "item:potion", 1, 3, 1, "consumable"),
        LootEntry(300, "item:shield", 1, 1, 1, "armour"),
        LootEntry(99, ""),
        LootEntry(1, "item:crown", 1, 1, 1, "cosmetic"),
    ),
    rolls=3,
    max_repeat=2,
)


GOLDEN = [
    {"currency:gold": 50, "item:potion": 6},
    {"currency:gold": 80, "item:shield": 1, "item:potion": 6},
    {"currency:gold": 60, "item:potion": 3, "item:shield": 1},
    {"currency:gold": 60, "item:potion": 2},
]


@pytest.mark.parametrize("number", range(4))
def test_golden_draws_stay_what_they_are(number: int) -> None:
    """Draws of long ago are checked by their seeds: none of these may ever change."""
    paid = draw(CHEST, seed(number))
    assert [(amount.asset, amount.quantity) for amount in paid] == list(GOLDEN[number].items())


ENTRIES = st.builds(
    lambda weight, name, low, more, step: LootEntry(weight, name and f"item:{name}", low, low + more, step),
    st.integers(0, 10**9),
    st.sampled_from(["", "a", "b", "c"]),
    st.integers(1, 10**12),
    st.integers(0, 10**6),
    st.integers(1, 10**6),
)


TABLES = st.builds(
    LootTable,
    st.lists(ENTRIES, max_size=4).map(tuple),
    st.lists(ENTRIES, max_size=6).map(tuple),
    st.integers(0, 20),
    st.integers(0, 3),
)
SEEDS = st.binary(min_size=16, max_size=16)


def repeated(loot: LootTable, own: bytes) -> dict[str, int]:
    """A draw as the README tells anybody to repeat it."""
    blocks = count()

    def choice(limit: int) -> int:
        length = len(f"{limit - 1:b}") if limit > 1 else 0
        while length:
            digest = hashlib.sha256(own + next(blocks).to_bytes(8, "big")).hexdigest()
            number = int(f"{int(digest, 16):0256b}"[:length], 2)
            if number < limit:
                return number
        return 0

    paid: Counter[str] = Counter()

    def pay(each: LootEntry) -> None:
        if each.asset:
            amounts = range(each.low, each.high + 1, each.step)
            paid[each.asset] += amounts[choice(len(amounts))]

    for always in loot.guaranteed:
        pay(always)
    left = dict.fromkeys(range(len(loot.weighted)), loot.max_repeat or loot.rolls)
    for _ in range(loot.rolls):
        weights = [each.weight if left[number] else 0 for number, each in enumerate(loot.weighted)]
        if not sum(weights):
            break
        point = choice(sum(weights))
        chosen = bisect_right(list(accumulate(weights)), point)
        left[chosen] -= 1
        pay(loot.weighted[chosen])
    return dict(paid)


@settings(max_examples=200)
@given(TABLES, SEEDS)
def test_anybody_can_repeat_a_draw(loot: LootTable, own: bytes) -> None:
    paid = draw(loot, own)
    assert [(amount.asset, amount.quantity) for amount in paid] == list(repeated(loot, own).items())


@settings(max_examples=200)
@given(TABLES, SEEDS)
def test_any_table_pays_within_its_bounds(loot: LootTable, own: bytes) -> None:
    paid = draw(loot, own)
    sums = {amount.asset: amount.quantity for amount in paid}
    assert len(sums) == len(paid)
    always = {each.asset for each in loot.guaranteed if each.asset}
    possible = {each.asset for each in loot.weighted if each.asset and each.weight and loot.rolls}
    assert always <= set(sums) <= always | possible
    for asset, quantity in sums.items():
        least = sum(each.low for each in loot.guaranteed if each.asset == asset)
        drawable = [each.high for each in loot.weighted if each.asset == asset and each.weight]
        most = sum(each.high for each in loot.guaranteed if each.asset == asset)
        assert max(least, 1) <= quantity <= most + loot.rolls * max(drawable, default=0)
