"""Back to the first base level, for permanent bonuses. All factors are in millionths."""

from dataclasses import dataclass
from functools import lru_cache

from services.chassis.errors import FailedPrecondition
from services.progression.domain.character import Character
from services.progression.domain.definition import Definition, Prestige
from services.progression.domain.definition_document import MICRO
from services.progression.domain.events import ATTRIBUTES, Event, Points, PrestigeReset
from services.progression.domain.paragon import paragon_level, points_earned


@dataclass(frozen=True, slots=True)
class Bonuses:
    xp_micro: int
    currency_micro: int
    drop_rate_micro: int


def bonuses(prestige: Prestige, resets: int) -> Bonuses:
    """On experience and currency the whole factor, on drops half of what it is above 1."""
    factor = _factor(prestige.mode, prestige.step_micro, prestige.cap_micro, resets)
    return Bonuses(factor, factor, MICRO + (factor - MICRO) // 2)


@lru_cache(maxsize=4096)
def _factor(mode: str, step: int, cap: int, resets: int) -> int:
    """Rounded down once, from the exact power."""
    if mode == "additive":
        return min(MICRO + step * resets, cap)
    # (1 + 1/k)^k is at least 2: after so many doublings nobody needs the digits of the power.
    doublings = resets // -(-MICRO // step)
    if doublings >= (cap // MICRO).bit_length():
        return cap
    power: int = (MICRO + step) ** resets * MICRO // MICRO**resets
    return min(power, cap)


def refusal(definition: Definition, character: Character) -> FailedPrecondition | None:
    """Why a reset would be refused now: PRESTIGE_LEVEL_TOO_LOW or PRESTIGE_COST_UNPAID."""
    prestige = definition.prestige
    level = definition.base.curve.level(character.base_experience)
    if level < prestige.required_level:
        return FailedPrecondition(
            f"a reset needs base level {prestige.required_level}, this is {level}",
            reason="PRESTIGE_LEVEL_TOO_LOW",
            metadata={"level": str(level), "required_level": str(prestige.required_level)},
        )
    cost = prestige.cost.of(character.resets)
    if cost > character.paragon_experience:
        return FailedPrecondition(
            f"a reset takes {cost} paragon experience, there is {character.paragon_experience}",
            reason="PRESTIGE_COST_UNPAID",
            metadata={"cost": str(cost), "experience": str(character.paragon_experience)},
        )
    return None


def reset(definition: Definition, character: Character) -> list[Event]:
    """Takes the cost, then what the definition does not let a character keep.

    Raises FailedPrecondition PRESTIGE_LEVEL_TOO_LOW, PRESTIGE_COST_UNPAID.
    """
    if (refused := refusal(definition, character)) is not None:
        raise refused
    prestige, base = definition.prestige, definition.base
    cost = prestige.cost.of(character.resets)
    left = character.paragon_experience - cost if prestige.keeps_paragon else 0
    gained = bonuses(prestige, character.resets + 1)
    return [
        PrestigeReset(
            number=character.resets + 1,
            cost=cost,
            base_level=base.curve.level(character.base_experience),
            paragon_level=paragon_level(definition.paragon, character.paragon_experience),
            base_experience=0,
            paragon_experience=left,
            points=_kept(definition, character, left),
            xp_micro=gained.xp_micro,
            currency_micro=gained.currency_micro,
            drop_rate_micro=gained.drop_rate_micro,
        )
    ]


def _kept(definition: Definition, character: Character, paragon_experience: int) -> Points:
    """All points, or none when the levels that are left do not give as many."""
    affordable = character.points_spent <= points_earned(definition.paragon, paragon_experience)
    if definition.prestige.keeps_points and affordable:
        return dict(character.points)
    return dict.fromkeys(ATTRIBUTES, 0)
