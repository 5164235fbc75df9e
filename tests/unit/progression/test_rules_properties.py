"""Whatever happens to a character, in whatever order and under whatever definitions: the promises hold, and
every number is that of a reference which walks unit by unit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from math import floor
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from services.chassis.errors import DomainError
from services.progression.domain.award import Award, award
from services.progression.domain.character import Character
from services.progression.domain.definition import Definition
from services.progression.domain.events import (
    ATTRIBUTES,
    DefinitionChanged,
    Event,
    ExperienceAwarded,
    PrestigeReset,
)
from services.progression.domain.paragon import distribute, respec
from services.progression.domain.prestige import reset
from services.progression.domain.remap import remap
from services.progression.domain.standing import Standing, standing
from tests.support.progression_rules import NOW, told
from tests.unit.progression.rules_random import some_definition, some_state, some_step
from tests.unit.progression.rules_reference import Book, Refused, bonus, climbed, curve_of, worth

SEEDS = st.integers(0, 2**64 - 1)


def decided(
    old: Definition, new: Definition, character: Character, step: Any
) -> tuple[Callable[[Book], None], Callable[[], list[Event]]]:
    """A step as the reference and as the rules take it. `old`: what the character follows."""
    if isinstance(step, Award):
        return (lambda book: book.award(step)), (lambda: award(old, character, step))
    if isinstance(step, dict):
        return (lambda book: book.distribute(step)), (lambda: distribute(old, character, step))
    if step == "respec":
        return Book.respec, (lambda: respec(old, character))
    if step == "reset":
        return Book.reset, (lambda: reset(old, character))
    return (lambda book: book.remap(new)), (lambda: remap(old, new, character))


def agree(book: Book, character: Character) -> None:
    """The stored numbers and all that follows from them."""
    assert (character.base_experience, character.paragon_experience) == (book.base, book.paragon)
    assert (character.points, character.respecs, character.resets) == (book.points, book.respecs, book.resets)
    assert character.mastery == book.mastery
    assert sorted(character.rewards) == sorted(book.rewards)
    assert character.definition == book.definition.name
    now = standing(book.definition, character)
    level, in_level = climbed(book.base_curve, book.base, book.definition.base.cap)
    assert (now.base.level.level, now.base.level.in_level) == (level, in_level)
    at_cap = level == book.definition.base.cap
    assert now.base.level.of_level == (None if at_cap else book.base_curve.cost(level))
    level, in_level = climbed(book.paragon_curve, book.paragon)
    paragon = now.paragon
    assert (paragon.level.level, paragon.level.in_level) == (level, in_level)
    assert paragon.level.of_level == book.paragon_curve.cost(level)
    assert (paragon.points_earned, paragon.points_spent) == (book.earned(), sum(book.points.values()))
    assert [each.effect_milli for each in paragon.attributes] == [
        worth(book.definition.paragon.attributes[name], book.points[name]) for name in ATTRIBUTES
    ]
    for type_, mastery in now.mastery.items():
        curve = curve_of(book.definition.mastery[type_].curve)
        assert (mastery.level.level, mastery.level.in_level) == climbed(curve, book.mastery.get(type_, 0))
        assert (mastery.level.of_level is None) == (mastery.level.level == mastery.max_level)
        rewards = book.definition.mastery[type_].rewards
        missing = [each for each in rewards if each.reward_id not in book.rewards]
        assert mastery.next_reward == (missing[0] if missing else None)
    agree_on_prices(book, now)


def agree_on_prices(book: Book, now: Standing) -> None:
    """What the next respec and the next reset take, whether there may be one, and what it gives."""
    prestige = book.definition.prestige
    assert now.paragon.respec_cost == book.respec_cost()
    assert now.prestige.cost == book.cost(curve_of(prestige.cost.curve), book.resets)
    reason = ""
    try:
        replace(book).reset()
    except Refused as refused:
        reason = str(refused)
    assert now.prestige.unavailable_reason == reason
    for bonuses, resets in (
        (now.prestige.bonuses, book.resets),
        (now.prestige.next_bonuses, book.resets + 1),
    ):
        xp = bonus(book.definition, resets)
        half = floor((1 + (Fraction(xp, 10**6) - 1) / 2) * 10**6)
        assert (bonuses.xp_micro, bonuses.currency_micro, bonuses.drop_rate_micro) == (xp, xp, half)


def keeps_the_promises(book: Book, character: Character) -> None:
    now = standing(book.definition, character)
    assert 0 <= now.paragon.points_unspent <= now.paragon.points_earned
    for name, attribute in book.definition.paragon.attributes.items():
        assert attribute.cap is None or character.points[name] <= attribute.cap
    assert book.given == character.base_experience + character.paragon_experience + book.gone
    before, after = now.prestige.bonuses, now.prestige.next_bonuses
    assert 1_000_000 <= before.xp_micro <= after.xp_micro <= book.definition.prestige.cap_micro
    assert before.currency_micro <= after.currency_micro
    assert 1_000_000 <= before.drop_rate_micro <= after.drop_rate_micro


def told_exactly(book: Book, before: Character, after: Character, events: list[Event]) -> None:
    """Events say what they did, so that nothing has to be looked up or reckoned again."""
    unlocked: list[str] = []
    for event in events:
        if isinstance(event, ExperienceAwarded):
            assert event.experience == event.base_experience + event.paragon_experience
            assert event.to_base_level == book.base_level
            assert event.to_paragon_level == book.paragon_level
            results = [event.base, *(each.result for each in event.multipliers)]
            assert results[-1] == event.experience
            unlocked += [reward for gain in event.mastery for reward in gain.reward_ids]
        elif isinstance(event, PrestigeReset):
            assert event.number == after.resets
            assert (
                event.base_level
                == climbed(book.base_curve, before.base_experience, book.definition.base.cap)[0]
            )
            assert event.paragon_level == climbed(book.paragon_curve, before.paragon_experience)[0]
            assert event.base_experience == 0
            assert event.xp_micro == bonus(book.definition, after.resets)
        elif isinstance(event, DefinitionChanged):
            assert event.points_returned == (dict(before.points) != dict(after.points))
            unlocked += [reward for track in event.tracks for reward in track.reward_ids]
    assert before.rewards.items() <= after.rewards.items()
    assert len(unlocked) == len(set(unlocked))
    assert set(unlocked) == set(after.rewards) - set(before.rewards)


def character_of(book: Book) -> Character:
    return Character(
        "ann",
        "ann",
        book.definition.name,
        version=7,
        base_experience=book.base,
        paragon_experience=book.paragon,
        points=dict(book.points),
        respecs=book.respecs,
        resets=book.resets,
        mastery=dict(book.mastery),
        rewards=dict.fromkeys(book.rewards, NOW),
    )


def stepped(book: Book, new: Definition, character: Character, step: Any) -> Character:
    """One step by the rules and by the reference, which must agree also on why it is refused."""
    by_reference, by_rules = decided(book.definition, new, character, step)
    reason = ""
    try:
        by_reference(book)
    except Refused as refused:
        reason = str(refused)
    try:
        events = by_rules()
    except DomainError as error:
        assert error.reason == reason
        return character
    assert reason == ""
    after = told(character, events)
    assert after.version == character.version + len(events)
    agree(book, after)
    keeps_the_promises(book, after)
    told_exactly(book, character, after, events)
    return after


def one_step_from_any_state(seed: int) -> None:
    random = Random(seed)
    old, new = some_definition(random, "test-1"), some_definition(random, "test-2", "test-1")
    book = some_state(random, old)
    stepped(book, new, character_of(book), some_step(random, book))


@settings(max_examples=600)
@given(SEEDS)
def test_one_step_from_any_state_is_that_of_the_reference(seed: int) -> None:
    one_step_from_any_state(seed)


@settings(max_examples=60)
@given(SEEDS)
def test_any_life_of_a_character_is_that_of_the_reference(seed: int) -> None:
    random = Random(seed)
    old, new = some_definition(random, "test-1"), some_definition(random, "test-2", "test-1")
    book, character = Book(old), told(None, award(old, None, Award("ann", "", "test", 0)))
    for _ in range(30):
        step = some_step(random, book)
        if step == "remap" and book.definition is new:
            assert remap(new, new, character) == []
        else:
            character = stepped(book, new, character, step)
