"""What an award makes of a character: multipliers, the split at the cap, mastery and its rewards."""

from dataclasses import dataclass

from services.chassis.errors import FailedPrecondition, InvalidArgument
from services.progression.domain.character import Character
from services.progression.domain.definition import Definition
from services.progression.domain.definition_document import MICRO
from services.progression.domain.events import Enrolled, Event, ExperienceAwarded, Multiplier
from services.progression.domain.mastery import gains
from services.progression.domain.paragon import paragon_level
from services.progression.domain.prestige import bonuses


@dataclass(frozen=True, slots=True)
class Award:
    """`player_id`: empty when not told. `experience`: for base level and paragon, before the multipliers.
    `mastery`: types with experience, each once, which is not multiplied. `multipliers`: names with factors in
    millionths. `content_level`: of what was overcome; None: it does not matter."""

    character_id: str
    player_id: str
    source: str
    experience: int
    mastery: tuple[tuple[str, int], ...] = ()
    multipliers: tuple[tuple[str, int], ...] = ()
    content_level: int | None = None


def award(definition: Definition, character: Character | None, given: Award) -> list[Event]:
    """One ExperienceAwarded, for a character that is yet to begin after its Enrolled.

    Raises InvalidArgument, also MASTERY_TYPE_UNKNOWN; OutOfRange LEVEL_OUT_OF_RANGE; FailedPrecondition
    CHARACTER_OWNER_DIFFERS.
    """
    _check(given)
    if character is None:
        player_id = given.player_id or given.character_id
        begun = Character(given.character_id, player_id, definition.name, version=1)
        return [Enrolled(player_id, definition.name), _awarded(definition, begun, given)]
    if given.player_id and given.player_id != character.player_id:
        raise FailedPrecondition(
            f"character {character.character_id} belongs to another player than {given.player_id}",
            reason="CHARACTER_OWNER_DIFFERS",
            metadata={"character_id": character.character_id, "player_id": given.player_id},
        )
    return [_awarded(definition, character, given)]


def _check(given: Award) -> None:
    if given.experience < 0:
        raise InvalidArgument.of("experience", "must not be negative")
    if any(micro < 0 for _, micro in given.multipliers):
        raise InvalidArgument.of("multipliers", "micro must not be negative")
    if any(experience <= 0 for _, experience in given.mastery):
        raise InvalidArgument.of("mastery", "experience must be above 0")
    if len({type_ for type_, _ in given.mastery}) < len(given.mastery):
        raise InvalidArgument.of("mastery", "each type must be named once")


def _awarded(definition: Definition, character: Character, given: Award) -> ExperienceAwarded:
    base = definition.base
    from_base = base.curve.level(character.base_experience)
    multipliers = _multiplied(given.experience, _factors(definition, character, given, from_base))
    experience = multipliers[-1].result if multipliers else given.experience
    to_base = min(experience, base.full - character.base_experience)
    to_paragon = experience - to_base
    return ExperienceAwarded(
        source=given.source,
        base=given.experience,
        multipliers=multipliers,
        experience=experience,
        base_experience=to_base,
        paragon_experience=to_paragon,
        from_base_level=from_base,
        to_base_level=base.curve.level(character.base_experience + to_base),
        from_paragon_level=paragon_level(definition.paragon, character.paragon_experience),
        to_paragon_level=paragon_level(definition.paragon, character.paragon_experience + to_paragon),
        mastery=gains(definition, character, given.mastery),
    )


def _factors(
    definition: Definition, character: Character, given: Award, base_level: int
) -> list[tuple[str, int]]:
    """Names and millionths, in the order in which they apply."""
    factors = []
    if definition.level_difference is not None and given.content_level is not None:
        factors.append(("level_difference", definition.level_difference(base_level, given.content_level)))
    if character.resets:
        factors.append(("prestige", bonuses(definition.prestige, character.resets).xp_micro))
    return [*factors, *given.multipliers]


def _multiplied(experience: int, factors: list[tuple[str, int]]) -> tuple[Multiplier, ...]:
    """Rounded down after each one, so that the recorded results are what was reckoned with."""
    multipliers = []
    for name, micro in factors:
        experience = experience * micro // MICRO
        multipliers.append(Multiplier(name, micro, experience))
    return tuple(multipliers)
