"""Levels without an end, the points they give, and taking the points back.

The invariant of this module: points spent never exceed points earned.
"""

from services.chassis.errors import FailedPrecondition, InvalidArgument
from services.progression.domain.character import Character
from services.progression.domain.definition import Definition, Paragon
from services.progression.domain.events import (
    ATTRIBUTES,
    Event,
    Points,
    PointsDistributed,
    PointsRespecced,
)
from services.progression.domain.levels import level_at, within_range


def paragon_level(paragon: Paragon, experience: int) -> int:
    """Raises OutOfRange LEVEL_OUT_OF_RANGE when the contract could not tell it or its points."""
    level = within_range(paragon.curve.level(experience), "the paragon level")
    within_range(paragon.points_earned(level), "the points of the paragon level")
    return level


def points_earned(paragon: Paragon, experience: int) -> int:
    return paragon.points_earned(paragon.curve.level(experience))


def distribute(definition: Definition, character: Character, points: Points) -> list[Event]:
    """`points`: to add; an attribute may be left out. All or none.

    Raises InvalidArgument, also NO_POINTS_NAMED; FailedPrecondition POINTS_INSUFFICIENT, ATTRIBUTE_CAPPED.
    """
    added = {name: points.get(name, 0) for name in ATTRIBUTES}
    _check_points(points, added)
    earned = points_earned(definition.paragon, character.paragon_experience)
    unspent = earned - character.points_spent
    if sum(added.values()) > unspent:
        raise FailedPrecondition(
            f"{sum(added.values())} points to distribute, {unspent} unspent",
            reason="POINTS_INSUFFICIENT",
            metadata={"points_unspent": str(unspent), "points": str(sum(added.values()))},
        )
    for name, more in added.items():
        most = definition.paragon.attributes[name].most
        if more and character.points[name] + more > most:
            raise FailedPrecondition(
                f"{name} takes {most} points at most and has {character.points[name]}",
                reason="ATTRIBUTE_CAPPED",
                metadata={"attribute": name, "cap": str(most), "points": str(character.points[name])},
            )
    return [PointsDistributed(added)]


def _check_points(points: Points, added: Points) -> None:
    for name in points:
        if name not in ATTRIBUTES:
            raise InvalidArgument.of(f"points.{name}", f"must be one of {', '.join(ATTRIBUTES)}")
    for name, more in added.items():
        if more < 0:
            raise InvalidArgument.of(f"points.{name}", "must not be negative")
    if not any(added.values()):
        raise InvalidArgument.of("points", "must name one point at least", reason="NO_POINTS_NAMED")


def respec(definition: Definition, character: Character) -> list[Event]:
    """All points back, for experience inside the present level: it never costs a level.

    Raises FailedPrecondition NO_POINTS_SPENT, RESPEC_COST_UNPAID.
    """
    if not character.points_spent:
        raise FailedPrecondition("no points are spent", reason="NO_POINTS_SPENT")
    cost = definition.paragon.respec.of(character.respecs)
    in_level = level_at(definition.paragon.curve, character.paragon_experience).in_level
    if cost > in_level:
        raise FailedPrecondition(
            f"a respec takes {cost} of the experience in the level, which is {in_level}",
            reason="RESPEC_COST_UNPAID",
            metadata={"cost": str(cost), "experience_in_level": str(in_level)},
        )
    return [PointsRespecced(dict(character.points), cost)]
