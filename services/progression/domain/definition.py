"""The rules of progression as data: which curves, how many points, what a reset gives, what events give.

A definition is a file `<name>-<version>.json`. What a published one says never changes: characters pin the
one they began with, and come to another by an event (`remap.py`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from services.chassis.errors import FailedPrecondition, InvalidArgument
from services.progression.domain.character import Character
from services.progression.domain.curve import Curve
from services.progression.domain.definition_document import (
    MOST_POINTS,
    ROLES,
    AttributePart,
    DefinitionDocument,
    GainPart,
    MasteryPart,
)
from services.progression.domain.events import ATTRIBUTES
from services.progression.domain.level_difference import level_difference_micro

LevelDifference = Callable[[int, int], int]
"""Millionths of an award by base level and content level."""
LEVEL_DIFFERENCES: dict[str, LevelDifference | None] = {
    "none": None,
    "path_of_exile": level_difference_micro,
}


class DefinitionError(ValueError):
    """A document that is no definition; says file, field and rule."""


@dataclass(frozen=True, slots=True)
class Cost:
    """The totals of a curve level by level, its last one again and again; nothing for the first `free`."""

    curve: Curve
    free: int = 0

    def of(self, done: int) -> int:
        """Of the next one, when `done` were done."""
        if done < self.free:
            return 0
        level = self.curve.first_level + done
        last = self.curve.last_level
        return self.curve.total(level if last is None else min(level, last))


@dataclass(frozen=True, slots=True)
class Base:
    curve: Curve
    cap: int

    @property
    def full(self) -> int:
        """Experience that reaches the cap; what comes on top is paragon experience."""
        return self.curve.total(self.cap)


@dataclass(frozen=True, slots=True)
class Returns:
    """Points above `above` are worth `milli` each, in 1/1000."""

    above: int
    milli: int


@dataclass(frozen=True, slots=True)
class Attribute:
    """`cap`: the most points it takes; None: any number (that fits the contract)."""

    cap: int | None
    returns: tuple[Returns, ...]

    @property
    def most(self) -> int:
        return MOST_POINTS if self.cap is None else self.cap

    def effect_milli(self, points: int) -> int:
        """What that many points are worth, in 1/1000."""
        effect, end = 0, points
        for part in reversed(self.returns):
            if end > part.above:
                effect += (end - part.above) * part.milli
                end = part.above
        return effect


@dataclass(frozen=True, slots=True)
class Paragon:
    """`attributes`: each of ATTRIBUTES."""

    curve: Curve
    points_per_level: int
    attributes: Mapping[str, Attribute]
    respec: Cost

    def points_earned(self, level: int) -> int:
        return (level - self.curve.first_level) * self.points_per_level


@dataclass(frozen=True, slots=True)
class Prestige:
    """`mode`: `additive` or `multiplicative`. Factors in millionths."""

    mode: str
    step_micro: int
    cap_micro: int
    required_level: int
    cost: Cost
    keeps_paragon: bool
    keeps_points: bool


@dataclass(frozen=True, slots=True)
class Reward:
    reward_id: str
    level: int
    title: str


@dataclass(frozen=True, slots=True)
class MasteryType:
    """`curve` has a last level. `rewards`: rising by level."""

    type: str
    title: str
    curve: Curve
    rewards: tuple[Reward, ...]


@dataclass(frozen=True, slots=True)
class Gain:
    """Experience before multipliers, and mastery experience by type."""

    experience: int = 0
    mastery: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Definition:
    """`name`: with its version, such as `default-1`. `level_difference` None: it does not matter. `changes`:
    by older definition, then track, `keep_experience` or `keep_level`."""

    name: str
    base: Base
    paragon: Paragon
    prestige: Prestige
    mastery: Mapping[str, MasteryType]
    level_difference: LevelDifference | None
    awards: Mapping[str, Mapping[str, Gain]]
    changes: Mapping[str, Mapping[str, str]]

    def gain(self, event_type: str, *roles: str) -> Gain:
        """What an event gives in all to whoever had these roles in it; a role not named gives nothing."""
        given = self.awards.get(event_type, {})
        gains = [given[role] for role in roles if role in given]
        mastery: dict[str, int] = {}
        for gain in gains:
            for type_, experience in gain.mastery:
                mastery[type_] = mastery.get(type_, 0) + experience
        return Gain(sum(gain.experience for gain in gains), tuple(mastery.items()))

    def mastery_type(self, type_: str) -> MasteryType:
        """Raises InvalidArgument MASTERY_TYPE_UNKNOWN."""
        if type_ not in self.mastery:
            known = ", ".join(sorted(self.mastery))
            raise InvalidArgument.of(
                "type", f"{type_!r} is not one of {known}", reason="MASTERY_TYPE_UNKNOWN"
            )
        return self.mastery[type_]


@dataclass(frozen=True, slots=True)
class Definitions:
    """All that are installed. `active`: the one that new characters begin with."""

    active: Definition
    by_name: Mapping[str, Definition]

    def of(self, character: Character | None) -> Definition:
        """The one that a character pins; the active one for a character that is yet to begin.

        Raises FailedPrecondition DEFINITION_NOT_INSTALLED.
        """
        if character is None:
            return self.active
        found = self.by_name.get(character.definition)
        if found is None:
            raise FailedPrecondition(
                f"character {character.character_id} follows {character.definition}, which is not installed",
                reason="DEFINITION_NOT_INSTALLED",
                metadata={"definition": character.definition},
            )
        return found


def load_definitions(folder: Path, curves: Mapping[str, Curve]) -> dict[str, Definition]:
    """Of all files `<name>-<version>.json` of a folder, by name with version. Raises DefinitionError."""
    found = {path.stem: _load(path, curves) for path in sorted(folder.glob("*.json"))}
    for name, definition in found.items():
        for older in definition.changes:
            if older not in found or older == name:
                raise _wrong(name, f"changes.{older}", "no other definition has this name")
    return found


def parse_definition(document: object, name: str, curves: Mapping[str, Curve]) -> Definition:
    """`name`: of the file, without its end. Raises DefinitionError."""
    try:
        parsed = DefinitionDocument.model_validate(document)
    except ValidationError as error:
        raise DefinitionError(f"{name}.json: {'; '.join(map(_told, error.errors()))}") from error
    if f"{parsed.name}-{parsed.version}" != name:
        raise _wrong(name, "name", f"the file of {parsed.name} {parsed.version} must be called after both")
    return _Builder(name, parsed, curves).definition()


def _load(path: Path, curves: Mapping[str, Curve]) -> Definition:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DefinitionError(f"{path.name}: not JSON: {error}") from error
    return parse_definition(document, path.stem, curves)


def _told(problem: Any) -> str:
    """`paragon.curve: Field required` of one pydantic error."""
    field = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in problem["loc"])
    message = problem["msg"].removeprefix("Value error, ")
    return f"{field.removeprefix('.')}: {message}" if field else message


def _wrong(name: str, field: str, rule: str) -> DefinitionError:
    return DefinitionError(f"{name}.json: {field}: {rule}")


class _Builder:
    """From a checked document to a definition; checks what needs the curves that it names."""

    def __init__(self, name: str, document: DefinitionDocument, curves: Mapping[str, Curve]) -> None:
        self._name, self._document, self._curves = name, document, curves

    def definition(self) -> Definition:
        document = self._document
        return Definition(
            name=self._name,
            base=self._base(),
            paragon=self._paragon(),
            prestige=self._prestige(),
            mastery={type_: self._mastery(type_, part) for type_, part in document.mastery.items()},
            level_difference=LEVEL_DIFFERENCES[document.level_difference],
            awards={type_: self._award(type_, roles) for type_, roles in document.awards.items()},
            changes=self._changes(),
        )

    def _curve(self, field: str, name: str) -> Curve:
        if name not in self._curves:
            raise _wrong(
                self._name, field, f"{name!r} is not one of {', '.join(sorted(self._curves)) or 'none'}"
            )
        return self._curves[name]

    def _base(self) -> Base:
        part = self._document.base
        curve = self._curve("base.curve", part.curve)
        if not _reached(curve, part.cap):
            raise _wrong(self._name, "base.cap", f"must be a level of {curve.name} above its first")
        return Base(curve, part.cap)

    def _paragon(self) -> Paragon:
        part = self._document.paragon
        return Paragon(
            curve=self._curve("paragon.curve", part.curve),
            points_per_level=part.points_per_level,
            attributes={name: _attribute(getattr(part.attributes, name)) for name in ATTRIBUTES},
            respec=Cost(self._curve("paragon.respec.cost", part.respec.cost), part.respec.free),
        )

    def _prestige(self) -> Prestige:
        part = self._document.prestige
        return Prestige(
            mode=part.mode,
            step_micro=part.step_micro,
            cap_micro=part.cap_micro,
            required_level=part.required_level,
            cost=Cost(self._curve("prestige.cost", part.cost)),
            keeps_paragon=part.keeps.paragon,
            keeps_points=part.keeps.points,
        )

    def _mastery(self, type_: str, part: MasteryPart) -> MasteryType:
        field = f"mastery.{type_}"
        curve = self._curve(f"{field}.curve", part.curve)
        if curve.last_level is None or curve.last_level > 2**31 - 1:
            raise _wrong(self._name, f"{field}.curve", f"{curve.name} must have a last level")
        for number, reward in enumerate(part.rewards):
            if not _reached(curve, reward.level):
                rule = f"must be a level of {curve.name} above its first"
                raise _wrong(self._name, f"{field}.rewards[{number}].level", rule)
        rewards = (Reward(each.reward_id, each.level, each.title) for each in part.rewards)
        return MasteryType(type_, part.title, curve, tuple(sorted(rewards, key=lambda each: each.level)))

    def _award(self, event_type: str, roles: Mapping[str, GainPart]) -> dict[str, Gain]:
        if event_type not in ROLES:
            raise _wrong(self._name, f"awards.{event_type}", f"must be one of {', '.join(ROLES)}")
        for role, part in roles.items():
            field = f"awards.{event_type}.{role}"
            if not re.fullmatch(ROLES[event_type], role):
                raise _wrong(self._name, field, f"must match {ROLES[event_type]}")
            for type_ in part.mastery:
                if type_ not in self._document.mastery:
                    raise _wrong(self._name, f"{field}.mastery.{type_}", "no such type under mastery")
        return {role: Gain(part.experience, tuple(part.mastery.items())) for role, part in roles.items()}

    def _changes(self) -> Mapping[str, Mapping[str, str]]:
        for older, tracks in self._document.changes.items():
            for track in tracks:
                if track not in {"base", "paragon"} | {
                    f"mastery.{type_}" for type_ in self._document.mastery
                }:
                    raise _wrong(self._name, f"changes.{older}.{track}", "no such type under mastery")
        return {older: dict(tracks) for older, tracks in self._document.changes.items()}


def _reached(curve: Curve, level: int) -> bool:
    """It is a level of the curve that takes experience."""
    return curve.first_level < level and (curve.last_level is None or level <= curve.last_level)


def _attribute(part: AttributePart) -> Attribute:
    return Attribute(part.cap, tuple(Returns(each.above, each.milli) for each in part.returns))
