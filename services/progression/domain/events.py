"""What happens to a character: the truth of this service. Everything else is derived from these.

An event says what changed, with the numbers that were decided then; folding it never looks at a definition,
so an old event means the same for ever. As JSON its field names are those of the classes here; a change of
shape is a step more in STEPS, and so a new SCHEMA.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from services.chassis.errors import DataLoss

ATTRIBUTES = ("strength", "agility", "intelligence", "vitality", "luck")
Points = dict[str, int]
"""Of every one of ATTRIBUTES."""


@dataclass(frozen=True, slots=True)
class Multiplier:
    """`result`: experience after it, rounded down. `micro`: the factor in millionths."""

    name: str
    micro: int
    result: int


@dataclass(frozen=True, slots=True)
class MasteryGain:
    type: str
    experience: int
    from_level: int
    to_level: int
    reward_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TrackChange:
    """`track`: `base`, `paragon` or `mastery.<type>`."""

    track: str
    from_curve: str
    to_curve: str
    mode: str
    experience_before: int
    experience_after: int
    from_level: int
    to_level: int
    reward_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Enrolled:
    """The first event of a character. `definition`: such as `default-1`."""

    player_id: str
    definition: str


@dataclass(frozen=True, slots=True)
class ExperienceAwarded:
    """`experience`: `base` after the multipliers. `base_experience`, `paragon_experience`: its parts."""

    source: str
    base: int
    multipliers: tuple[Multiplier, ...]
    experience: int
    base_experience: int
    paragon_experience: int
    from_base_level: int
    to_base_level: int
    from_paragon_level: int
    to_paragon_level: int
    mastery: tuple[MasteryGain, ...] = ()


@dataclass(frozen=True, slots=True)
class PointsDistributed:
    points: Points


@dataclass(frozen=True, slots=True)
class PointsRespecced:
    """`points`: what every attribute had. `cost`: paragon experience that it took."""

    points: Points
    cost: int


@dataclass(frozen=True, slots=True)
class PrestigeReset:
    """The totals are those after it: what the definition lets a character keep. `number`: 1 for the first."""

    number: int
    cost: int
    base_level: int
    paragon_level: int
    base_experience: int
    paragon_experience: int
    points: Points
    xp_micro: int
    currency_micro: int
    drop_rate_micro: int


@dataclass(frozen=True, slots=True)
class DefinitionChanged:
    """`points`: of every attribute afterwards."""

    from_definition: str
    to_definition: str
    tracks: tuple[TrackChange, ...]
    points: Points
    points_returned: bool


Event = Enrolled | ExperienceAwarded | PointsDistributed | PointsRespecced | PrestigeReset | DefinitionChanged
TYPES: dict[str, type[Event]] = {
    "enrolled": Enrolled,
    "experience_awarded": ExperienceAwarded,
    "points_distributed": PointsDistributed,
    "points_respecced": PointsRespecced,
    "prestige_reset": PrestigeReset,
    "definition_changed": DefinitionChanged,
}
_NAMES = {cls: name for name, cls in TYPES.items()}
_NESTED: dict[str, Any] = {"multipliers": Multiplier, "mastery": MasteryGain, "tracks": TrackChange}
_FIELDS = {cls: tuple(field.name for field in fields(cls)) for cls in (*TYPES.values(), *_NESTED.values())}


Step = Callable[[str, Mapping[str, Any]], tuple[str, Mapping[str, Any]]]
STEPS: tuple[Step, ...] = ()
"""The first from schema 1 to 2, and so on: type and payload of one schema as those of the next. For ever."""
SCHEMA = 1 + len(STEPS)


def type_of(event: Event) -> str:
    return _NAMES[type(event)]


def to_json(event: Event) -> dict[str, Any]:
    """As it is stored, lists for tuples; parts may be the event's own. Integers of any size."""
    stored: dict[str, Any] = _plain(event)
    return stored


def _plain(value: Any) -> Any:
    """Done by hand, as every award is stored: `asdict` would copy each number of it."""
    names = _FIELDS.get(type(value))
    if names is not None:
        return {name: _plain(getattr(value, name)) for name in names}
    return [_plain(each) for each in value] if isinstance(value, tuple) else value


def from_json(type_: str, payload: Mapping[str, Any]) -> Event:
    """An event as it was stored with the present SCHEMA; older ones go through `upcast` first."""
    values: dict[str, Any] = dict(payload)
    for name, cls in _NESTED.items():
        if name in values:
            values[name] = tuple(_nested(cls, each) for each in values[name])
    return TYPES[type_](**values)


def upcast(schema: int, type_: str, payload: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """Type and payload as the present SCHEMA has them. Raises DataLoss for a schema it does not know."""
    if not 1 <= schema <= SCHEMA:
        raise DataLoss(
            f"an event of schema {schema}, and {SCHEMA} is the newest that is known here",
            reason="EVENT_SCHEMA_UNKNOWN",
            metadata={"schema": str(schema), "known": str(SCHEMA)},
        )
    for step in STEPS[schema - 1 :]:
        type_, payload = step(type_, payload)
    return type_, payload


def _nested(cls: Any, values: Mapping[str, Any]) -> Any:
    return cls(
        **{
            name: tuple(value) if isinstance(value, list) else value
            for name, value in values.items()
            if name in _FIELDS[cls]
        }
    )
