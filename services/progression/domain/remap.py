"""From one definition to another: what stays the same is said by the new one, for each track.

`keep_experience`: the total stays, the level follows from the new curve. `keep_level`: the level stays, and
within it the share that was done, rounded down; a level that the new curve does not have becomes its nearest.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from services.chassis.errors import FailedPrecondition
from services.progression.domain.character import Character
from services.progression.domain.curve import Curve
from services.progression.domain.definition import Definition
from services.progression.domain.events import ATTRIBUTES, DefinitionChanged, Event, Points, TrackChange
from services.progression.domain.levels import level_at
from services.progression.domain.mastery import unlocked
from services.progression.domain.paragon import paragon_level


@dataclass(frozen=True, slots=True)
class _Track:
    """`cap`: of base levels; None: as far as the curve goes."""

    curve: Curve
    cap: int | None = None


def remap(old: Definition, new: Definition, character: Character) -> list[Event]:
    """Nothing when the character follows the new one already.

    Raises FailedPrecondition DEFINITION_CHANGE_UNKNOWN when the new one does not say how to come from the
    old; OutOfRange LEVEL_OUT_OF_RANGE.
    """
    if old.name == new.name:
        return []
    if old.name not in new.changes:
        raise FailedPrecondition(
            f"definition {new.name} does not say how to come from {old.name}",
            reason="DEFINITION_CHANGE_UNKNOWN",
            metadata={"from": old.name, "to": new.name},
        )
    base, paragon = _experience(old, new, character)
    earned = new.paragon.points_earned(paragon.to_level)
    points = _points(new, character, earned)
    tracks = (base, paragon, *_mastery(old, new, character))
    returned = points != character.points
    return [DefinitionChanged(old.name, new.name, tracks, points, returned)]


def _experience(old: Definition, new: Definition, character: Character) -> tuple[TrackChange, TrackChange]:
    """Base and paragon. Base experience beyond a lower cap becomes paragon experience, as in an award."""
    base = _Track(old.base.curve, old.base.cap), _Track(new.base.curve, new.base.cap)
    paragon = _Track(old.paragon.curve), _Track(new.paragon.curve)
    base_mode, paragon_mode = _mode(old, new, "base"), _mode(old, new, "paragon")
    base_after = _mapped(*base, base_mode, character.base_experience)
    paragon_after = _mapped(*paragon, paragon_mode, character.paragon_experience)
    paragon_after += max(base_after - new.base.full, 0)
    base_after = min(base_after, new.base.full)
    paragon_level(new.paragon, paragon_after)  # refuses what the contract could not tell
    return (
        _change("base", *base, base_mode, (character.base_experience, base_after)),
        _change("paragon", *paragon, paragon_mode, (character.paragon_experience, paragon_after)),
    )


def _mastery(old: Definition, new: Definition, character: Character) -> Iterator[TrackChange]:
    """Of the types that the new definition has. The totals of others stay as they are, unseen."""
    for type_, before in character.mastery.items():
        if type_ not in new.mastery:
            continue
        known = old.mastery.get(type_)
        there = _Track(new.mastery[type_].curve)
        here = there if known is None else _Track(known.curve)
        mode = _mode(old, new, f"mastery.{type_}")
        after = _mapped(here, there, mode, before)
        change = _change(f"mastery.{type_}", here, there, mode, (before, after))
        rewards = unlocked(new.mastery[type_], change.to_level, character.rewards)
        yield replace(change, reward_ids=rewards)


def _mode(old: Definition, new: Definition, track: str) -> str:
    return new.changes[old.name].get(track, "keep_experience")


def _mapped(old: _Track, new: _Track, mode: str, experience: int) -> int:
    if mode == "keep_experience":
        return experience
    stood = level_at(old.curve, experience, old.cap)
    highest = new.curve.last_level if new.cap is None else new.cap
    level = max(stood.level, new.curve.first_level)
    if highest is not None:
        level = min(level, highest)
    reached = new.curve.total(level)
    if stood.of_level is None or level == highest or level != stood.level:
        return reached
    return reached + stood.in_level * (new.curve.total(level + 1) - reached) // stood.of_level


def _change(track: str, old: _Track, new: _Track, mode: str, experience: tuple[int, int]) -> TrackChange:
    """`experience`: before and after."""
    before, after = experience
    return TrackChange(
        track=track,
        from_curve=old.curve.name,
        to_curve=new.curve.name,
        mode=mode,
        experience_before=before,
        experience_after=after,
        from_level=old.curve.level(before),
        to_level=new.curve.level(after),
    )


def _points(new: Definition, character: Character, earned: int) -> Points:
    """All points, or none when the new definition gives fewer or an attribute takes fewer."""
    attributes = new.paragon.attributes
    fit = all(character.points[name] <= attributes[name].most for name in ATTRIBUTES)
    if fit and character.points_spent <= earned:
        return dict(character.points)
    return dict.fromkeys(ATTRIBUTES, 0)
