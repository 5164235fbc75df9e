"""A character as the fold of its events. Levels are not here: they follow from totals by a definition."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from services.progression.domain.events import (
    ATTRIBUTES,
    DefinitionChanged,
    Enrolled,
    Event,
    ExperienceAwarded,
    MasteryGain,
    Points,
    PointsDistributed,
    PointsRespecced,
    PrestigeReset,
)


@dataclass(frozen=True, slots=True)
class Character:
    """`version` counts its events. `rewards`: mastery rewards by id, with when they were unlocked."""

    character_id: str
    player_id: str
    definition: str
    version: int
    base_experience: int = 0
    paragon_experience: int = 0
    points: Points = field(default_factory=lambda: dict.fromkeys(ATTRIBUTES, 0))
    respecs: int = 0
    resets: int = 0
    mastery: Mapping[str, int] = field(default_factory=dict)
    rewards: Mapping[str, datetime] = field(default_factory=dict)

    @property
    def points_spent(self) -> int:
        return sum(self.points.values())


def fold(character_id: str, events: Iterable[tuple[Event, datetime]]) -> Character | None:
    """The character that these events, all from the first, made. None: there are none."""
    character: Character | None = None
    for event, at in events:
        character = applied(character, character_id, event, at)
    return character


def applied(character: Character | None, character_id: str, event: Event, at: datetime) -> Character:
    """The character after one more event. `at`: when it happened."""
    if isinstance(event, Enrolled):
        assert character is None
        return Character(character_id, event.player_id, event.definition, version=1)
    assert character is not None
    version = character.version + 1
    match event:
        case ExperienceAwarded():
            return _awarded(character, version, event, at)
        case PointsDistributed():
            added = {name: character.points[name] + event.points[name] for name in ATTRIBUTES}
            return replace(character, version=version, points=added)
        case PointsRespecced():
            return replace(
                character,
                version=version,
                points=dict.fromkeys(ATTRIBUTES, 0),
                respecs=character.respecs + 1,
                paragon_experience=character.paragon_experience - event.cost,
            )
        case PrestigeReset():
            return replace(
                character,
                version=version,
                resets=event.number,
                base_experience=event.base_experience,
                paragon_experience=event.paragon_experience,
                points=dict(event.points),
            )
        case DefinitionChanged():
            return _redefined(character, version, event, at)


def _awarded(character: Character, version: int, event: ExperienceAwarded, at: datetime) -> Character:
    return replace(
        character,
        version=version,
        base_experience=character.base_experience + event.base_experience,
        paragon_experience=character.paragon_experience + event.paragon_experience,
        mastery=_gained(character.mastery, event.mastery),
        rewards=_unlocked(character.rewards, (gain.reward_ids for gain in event.mastery), at),
    )


def _gained(mastery: Mapping[str, int], gains: tuple[MasteryGain, ...]) -> Mapping[str, int]:
    if not gains:
        return mastery
    totals = dict(mastery)
    for gain in gains:
        totals[gain.type] = totals.get(gain.type, 0) + gain.experience
    return totals


def _unlocked(
    rewards: Mapping[str, datetime], groups: Iterable[tuple[str, ...]], at: datetime
) -> Mapping[str, datetime]:
    new = {reward_id: at for group in groups for reward_id in group}
    return {**new, **rewards} if new else rewards


def _redefined(character: Character, version: int, event: DefinitionChanged, at: datetime) -> Character:
    totals = {change.track: change.experience_after for change in event.tracks}
    return replace(
        character,
        version=version,
        definition=event.to_definition,
        base_experience=totals.get("base", character.base_experience),
        paragon_experience=totals.get("paragon", character.paragon_experience),
        points=dict(event.points),
        mastery={type_: totals.get(f"mastery.{type_}", total) for type_, total in character.mastery.items()},
        rewards=_unlocked(character.rewards, (change.reward_ids for change in event.tracks), at),
    )
