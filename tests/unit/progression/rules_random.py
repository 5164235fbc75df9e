"""Definitions, characters and what happens to them, at random; small, so that everything is soon reached.

By a seed, because drawing them piece by piece costs far more than trying them.
"""

from __future__ import annotations

from random import Random
from typing import Any

from services.progression.domain.award import Award
from services.progression.domain.definition import (
    Attribute,
    Base,
    Cost,
    Definition,
    MasteryType,
    Paragon,
    Prestige,
    Returns,
    Reward,
)
from services.progression.domain.events import ATTRIBUTES
from tests.support.progression_rules import Walked
from tests.unit.progression.rules_reference import Book

TYPES = ("pvp", "raid")
KINDS = ("award", "award", "spend", "spend", "spend", "respec", "reset", "remap")


def some_curve(random: Random, ends: bool, first_level: int | None = None) -> Walked:
    first_level = random.randint(0, 2) if first_level is None else first_level
    costs = [random.randint(1, 30) for _ in range(random.randint(1, 5))]
    return Walked(f"curve-{random.randint(1, 99)}", costs, first_level, ends)


def some_attribute(random: Random) -> Attribute:
    above = [0, *sorted(random.sample(range(1, 9), random.randint(0, 2)))]
    milli = sorted(random.sample(range(1001), len(above)), reverse=True)
    returns = [Returns(at, each) for at, each in zip(above, milli, strict=True)]
    return Attribute(random.choice([None, random.randint(1, 9)]), tuple(returns))


def some_mastery(random: Random, type_: str) -> MasteryType:
    curve = some_curve(random, ends=True)
    assert curve.last_level is not None
    levels = sorted(
        random.randint(curve.first_level + 1, curve.last_level) for _ in range(random.randint(0, 4))
    )
    rewards = (Reward(f"{type_}.{number}", level, "") for number, level in enumerate(levels))
    return MasteryType(type_, type_, curve, tuple(rewards))


def some_prestige(random: Random, base: Base) -> Prestige:
    keeps = random.random() < 0.7
    return Prestige(
        mode=random.choice(["additive", "multiplicative"]),
        step_micro=random.choice([10_000, 100_000, 123_457, random.randint(10_000, 700_000)]),
        cap_micro=random.randint(1_000_000, 3_000_000),
        required_level=random.randint(base.curve.first_level + 1, base.cap),
        cost=Cost(some_curve(random, ends=random.random() < 0.5, first_level=0)),
        keeps_paragon=keeps,
        keeps_points=keeps and random.random() < 0.7,
    )


def some_definition(random: Random, name: str, older: str = "") -> Definition:
    """With `older`: a later one, which may know other mastery types and says how to come from it."""
    curve = some_curve(random, ends=random.random() < 0.5)
    base = Base(curve, random.randint(curve.first_level + 1, curve.first_level + len(curve.costs)))
    types = random.choice([TYPES, TYPES, TYPES[:1], TYPES[1:]])
    tracks = ["base", "paragon", *(f"mastery.{type_}" for type_ in types)]
    modes = {
        track: random.choice(["keep_experience", "keep_level"]) for track in tracks if random.random() < 0.8
    }
    return Definition(
        name=name,
        base=base,
        paragon=Paragon(
            some_curve(random, ends=False),
            random.choice([0, 1, 2, 2, 3, 4]),
            {each: some_attribute(random) for each in ATTRIBUTES},
            Cost(some_curve(random, ends=random.random() < 0.5, first_level=0), random.randint(0, 2)),
        ),
        prestige=some_prestige(random, base),
        mastery={type_: some_mastery(random, type_) for type_ in types},
        level_difference=random.choice([None, lambda level, content: 10**6 // (1 + abs(level - content))]),
        awards={},
        changes={older: modes} if older else {},
    )


def some_state(random: Random, definition: Definition) -> Book:
    """Any that a character can be in."""
    full = definition.base.full
    book = Book(definition, random.choice([full, random.randint(0, full)]), random.randint(0, 150))
    book.given, left = book.base + book.paragon, book.earned()
    for name in random.sample(ATTRIBUTES, len(ATTRIBUTES)):
        cap = definition.paragon.attributes[name].cap
        book.points[name] = random.randint(0, left if cap is None else min(cap, left))
        left -= book.points[name]
    book.respecs, book.resets = random.randint(0, 5), random.choice([0, 0, random.randint(1, 6)])
    for type_ in definition.mastery:
        book.mastery[type_] = random.randint(0, 60)
        book.unlock(type_)
    return book


def some_award(random: Random, definition: Definition) -> Award:
    types = random.sample(list(definition.mastery), random.randint(0, len(definition.mastery)))
    return Award(
        character_id="ann",
        player_id=random.choice(["", "ann"]),
        source="test",
        experience=random.choice([0, 1, random.randint(1, 50), random.randint(1, 300)]),
        mastery=tuple((type_, random.randint(1, 40)) for type_ in types),
        multipliers=tuple(("event", random.randint(0, 2_500_000)) for _ in range(random.randint(0, 2))),
        content_level=random.choice([None, random.randint(1, 8)]),
    )


def some_step(random: Random, book: Book) -> Any:
    """An award, points to distribute (now and then too many), or a word."""
    kind = random.choice(KINDS)
    if kind == "award":
        return some_award(random, book.definition)
    if kind == "spend":
        most = max(book.earned() - sum(book.points.values()), 0) // 2 + 1
        names = random.sample(ATTRIBUTES, random.randint(1, 2))
        return dict.fromkeys(ATTRIBUTES, 0) | {name: random.randint(0, most) for name in names}
    return kind
