"""Everything that follows from a character by its definition."""

from collections.abc import Mapping
from dataclasses import dataclass

from services.progression.domain.character import Character
from services.progression.domain.definition import Attribute, Definition, MasteryType, Reward
from services.progression.domain.levels import Level, level_at
from services.progression.domain.mastery import next_reward
from services.progression.domain.prestige import Bonuses, bonuses, refusal


@dataclass(frozen=True, slots=True)
class AttributeStanding:
    """`effect_milli`: what the points are worth after diminishing returns, 1/1000. `cap` None: any number."""

    name: str
    points: int
    effect_milli: int
    cap: int | None


@dataclass(frozen=True, slots=True)
class BaseStanding:
    level: Level
    cap: int


@dataclass(frozen=True, slots=True)
class ParagonStanding:
    """`attributes`: in the order of ATTRIBUTES. `respec_cost`: what the next one takes."""

    level: Level
    curve: str
    points_earned: int
    points_spent: int
    attributes: tuple[AttributeStanding, ...]
    respecs: int
    respec_cost: int

    @property
    def points_unspent(self) -> int:
        return self.points_earned - self.points_spent


@dataclass(frozen=True, slots=True)
class PrestigeStanding:
    """`cost`: paragon experience that the next reset takes. `unavailable_reason`: of the error that a reset
    would raise now; empty: it would be done."""

    resets: int
    mode: str
    bonuses: Bonuses
    next_bonuses: Bonuses
    required_level: int
    cost: int
    unavailable_reason: str

    @property
    def available(self) -> bool:
        return not self.unavailable_reason


@dataclass(frozen=True, slots=True)
class MasteryStanding:
    """`next_reward`: the lowest that is not unlocked; None: all are."""

    type: str
    title: str
    level: Level
    max_level: int
    curve: str
    next_reward: Reward | None


@dataclass(frozen=True, slots=True)
class Standing:
    """`mastery`: every type of the definition, also one without experience."""

    base: BaseStanding
    paragon: ParagonStanding
    prestige: PrestigeStanding
    mastery: Mapping[str, MasteryStanding]


def standing(definition: Definition, character: Character) -> Standing:
    """`definition`: the one that the character pins."""
    return Standing(
        base=base_standing(definition, character),
        paragon=paragon_standing(definition, character),
        prestige=prestige_standing(definition, character),
        mastery={
            type_: mastery_standing(mastery, character) for type_, mastery in definition.mastery.items()
        },
    )


def base_standing(definition: Definition, character: Character) -> BaseStanding:
    base = definition.base
    return BaseStanding(level_at(base.curve, character.base_experience, base.cap), base.cap)


def paragon_standing(definition: Definition, character: Character) -> ParagonStanding:
    paragon = definition.paragon
    level = level_at(paragon.curve, character.paragon_experience)
    attributes = (
        _attribute_standing(name, attribute, character.points[name])
        for name, attribute in paragon.attributes.items()
    )
    return ParagonStanding(
        level=level,
        curve=paragon.curve.name,
        points_earned=paragon.points_earned(level.level),
        points_spent=character.points_spent,
        attributes=tuple(attributes),
        respecs=character.respecs,
        respec_cost=paragon.respec.of(character.respecs),
    )


def _attribute_standing(name: str, attribute: Attribute, points: int) -> AttributeStanding:
    return AttributeStanding(name, points, attribute.effect_milli(points), attribute.cap)


def prestige_standing(definition: Definition, character: Character) -> PrestigeStanding:
    prestige = definition.prestige
    refused = refusal(definition, character)
    return PrestigeStanding(
        resets=character.resets,
        mode=prestige.mode,
        bonuses=bonuses(prestige, character.resets),
        next_bonuses=bonuses(prestige, character.resets + 1),
        required_level=prestige.required_level,
        cost=prestige.cost.of(character.resets),
        unavailable_reason="" if refused is None else refused.reason,
    )


def mastery_standing(mastery: MasteryType, character: Character) -> MasteryStanding:
    assert mastery.curve.last_level is not None
    return MasteryStanding(
        type=mastery.type,
        title=mastery.title,
        level=level_at(mastery.curve, character.mastery.get(mastery.type, 0)),
        max_level=mastery.curve.last_level,
        curve=mastery.curve.name,
        next_reward=next_reward(mastery, character.rewards),
    )
