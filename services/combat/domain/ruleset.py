"""What a ruleset may say: every field with its unit and range, and the rules between fields.

`load_ruleset` reads a document of `services/combat/data/rulesets`, fills in what it leaves out, puts the rig
it names in place, and returns what `native.ruleset.Ruleset` compiles.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from services.combat.domain.ruleset_actions import Action
from services.combat.domain.ruleset_units import (
    Acceleration,
    ClockSeconds,
    Factor,
    Metres,
    Name,
    Part,
    Points,
    Seconds,
    Share,
    SomeClockSeconds,
    SomeMetres,
    Speed,
)
from services.combat.domain.ruleset_weapons import AnyWeapon

RIGS = Path(__file__).parent.parent / "data" / "rigs"


class RulesetError(ValueError):
    """A document that is no ruleset; `problems` has one line for each field, path first."""

    def __init__(self, name: str, problems: list[str]) -> None:
        super().__init__(f"{name}: " + "; ".join(problems))
        self.problems = problems


class Player(Part):
    health: Annotated[float, Field(ge=1, le=1e6)]
    armour: Points = 0
    """Points (absorb) or rating (rating) at each spawn."""
    shield_max: Points = 0
    """Most shield all effects give together."""
    resource: Points = 0
    resource_per_s: Points = 0


class NoArmour(Part):
    kind: Literal["none"]


class RatingArmour(Part):
    """Damage x 100 / (100 + armour)."""

    kind: Literal["rating"]


class AbsorbArmour(Part):
    """Armour takes its share while it lasts."""

    kind: Literal["absorb"]
    health_share: Share = 0.2
    """Goes through to health all the same."""
    bonus: Annotated[float, Field(ge=0.001, le=100)] = 1
    """Armour spent for each point it takes."""


class PercentArmour(Part):
    """A fixed share of all damage."""

    kind: Literal["percent"]
    percent: Share


Armour = Annotated[NoArmour | RatingArmour | AbsorbArmour | PercentArmour, Field(discriminator="kind")]


class Judge(Part):
    origin_tolerance_m: Annotated[float, Field(ge=0, le=10)] = 0.5
    """Between a shot's origin and the shooter's eye."""
    interest_m: SomeMetres = 120
    """Radius in which a player is shown others."""
    history_ticks: Annotated[int, Field(ge=8, le=1024)] = 64
    """Poses kept of each player; a power of two."""

    @model_validator(mode="after")
    def check(self) -> Judge:
        if self.history_ticks & (self.history_ticks - 1):
            raise ValueError(f"history_ticks must be a power of two, not {self.history_ticks}")
        return self


class Rewind(Part):
    max_rewind_s: Annotated[float, Field(ge=0, le=1)] = 0.25
    interpolation_s: Annotated[float, Field(ge=0, le=1)] = 0.1
    """What a good client renders behind."""
    interpolation_max_s: Annotated[float, Field(ge=0, le=1)] = 0.2
    extrapolation_max_s: Annotated[float, Field(ge=0, le=1)] = 0.05
    jitter_min_s: Annotated[float, Field(ge=0, le=1)] = 0.01
    jitter_max_s: Annotated[float, Field(ge=0, le=1)] = 0.05
    jitter_factor: Factor = 2
    """Deviation allowed for each second of measured jitter."""
    on_break: Literal["present", "reject", "clamp"] = "present"
    """A rewind across a spawn, death or teleport: present pose, no hit, or the oldest pose since."""

    @model_validator(mode="after")
    def check(self) -> Rewind:
        if self.interpolation_s > self.interpolation_max_s:
            raise ValueError("interpolation_s must not exceed interpolation_max_s")
        if self.jitter_min_s > self.jitter_max_s:
            raise ValueError("jitter_min_s must not exceed jitter_max_s")
        return self


class ModeSpeeds(Part):
    walk: Speed
    sprint: Speed
    crouch: Speed
    air: Speed
    swim: Speed


BodyMetres = Annotated[float, Field(gt=0, le=10)]


class StanceHeights(Part):
    stand: BodyMetres
    crouch: BodyMetres
    air: BodyMetres


class Movement(Part):
    speed_mps: ModeSpeeds
    acceleration_mps2: Acceleration
    air_acceleration_mps2: Acceleration
    gravity_mps2: Acceleration
    jump_m: Metres
    """Apex."""
    fall_mps: Speed
    """Terminal."""
    step_m: Metres
    half_width_m: SomeMetres
    height_m: StanceHeights
    tolerance_m: Annotated[float, Field(ge=0, le=10)]
    teleport_m: SomeMetres
    """Further in one move is refused outright."""
    burst_s: ClockSeconds
    """Unused time saved up for the next move."""
    clock_ahead_s: ClockSeconds
    clock_behind_s: ClockSeconds
    clock_drift: Share
    """Discrepancy of clocks forgiven, seconds each second."""
    violation_decay_s: SomeClockSeconds
    """In which the violation score halves."""

    @model_validator(mode="after")
    def check(self) -> Movement:
        if self.height_m.crouch > self.height_m.stand:
            raise ValueError("height_m.crouch must not exceed height_m.stand")
        if self.step_m >= self.height_m.crouch:
            raise ValueError("step_m must be below height_m.crouch")
        if self.tolerance_m >= self.half_width_m:
            raise ValueError("tolerance_m must be below half_width_m: the judged hull is narrower by it")
        if self.step_m + self.tolerance_m >= self.height_m.crouch:
            raise ValueError("step_m and tolerance_m must leave some of height_m.crouch")
        return self


class Rig(Part):
    eye_m: StanceHeights
    shapes: dict[str, list[dict[str, Any]]]
    """Hitboxes by stance; what a shape may say is the compiler's to check."""


class Mode(Part):
    name: Name
    teams: Annotated[int, Field(ge=0, le=16)]
    """0: everyone for himself; 1: all together."""
    friendly_fire: bool = False
    respawns: bool = True
    respawn_s: Seconds = 0
    protection_s: Seconds = 0
    """Takes nothing that long after a spawn."""
    assist_s: Seconds = 10
    """Damage that long before a death counts as an assist."""
    score_limit: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    """Kills of a player or team; 0: none."""
    time_limit_s: Seconds = 0
    """0: none."""

    @model_validator(mode="after")
    def check(self) -> Mode:
        if self.respawn_s and not self.respawns:
            raise ValueError("respawn_s needs respawns")
        return self


class RulesetDocument(Part):
    name: Name
    version: Annotated[int, Field(ge=1, le=2**31 - 1)]
    player: Player
    armour: Armour = NoArmour(kind="none")
    judge: Judge = Judge()
    rewind: Rewind = Rewind()
    movement: Movement
    rig: Rig
    weapons: Annotated[list[AnyWeapon], Field(min_length=1, max_length=32)]
    actions: Annotated[list[Action], Field(max_length=32)] = Field(default_factory=list)
    modes: Annotated[list[Mode], Field(min_length=1, max_length=16)]

    @model_validator(mode="after")
    def check(self) -> RulesetDocument:
        for field in ("weapons", "actions", "modes"):
            if again := repeated(entry.name for entry in getattr(self, field)):
                raise ValueError(f"{field}: the name {again[0]!r} is used twice")
        for action in self.actions:
            if action.cost > self.player.resource:
                raise ValueError(f"action {action.name!r}: cost is above player.resource, never affordable")
            if not self.player.shield_max and any(effect.kind == "shield" for effect in action.effects):
                raise ValueError(f"action {action.name!r}: a shield needs player.shield_max above 0")
        for stance, height in self.movement.height_m.model_dump().items():
            if getattr(self.rig.eye_m, stance) > height:
                raise ValueError(f"rig.eye_m.{stance} must not be above movement.height_m.{stance}")
        if self.rewind.max_rewind_s > self.judge.history_ticks / 128:
            raise ValueError(
                "judge.history_ticks must hold rewind.max_rewind_s at 128 ticks a second: "
                f"{self.judge.history_ticks} ticks are {self.judge.history_ticks / 128} s"
            )
        return self


def repeated(values: Iterable[str]) -> list[str]:
    return [value for value, count in Counter(values).items() if count > 1]


def load_ruleset(path: Path, rigs: Path = RIGS) -> dict[str, Any]:
    """The complete document of a file: checked, defaults filled in, its rig (a name) read from `rigs`.

    Raises RulesetError, naming the file and every field that is wrong; OSError when it cannot be read.
    """
    return check_ruleset(read_json(path), name=path.name, rigs=rigs)


def check_ruleset(document: object, *, name: str = "ruleset", rigs: Path = RIGS) -> dict[str, Any]:
    """As `load_ruleset`, for a document already parsed; `name` is what errors call it."""
    if isinstance(document, dict) and isinstance(document.get("rig"), str):
        document = document | {"rig": read_rig(document["rig"], rigs)}
    try:
        return RulesetDocument.model_validate(document).model_dump(mode="json")
    except ValidationError as error:
        raise RulesetError(name, [describe(problem, document) for problem in error.errors()]) from error


def read_rig(rig: str, rigs: Path) -> dict[str, Any]:
    known = {path.stem: path for path in rigs.glob("*.json")}
    if rig not in known:
        raise RulesetError("rig", [f"rig: {rig!r} is not one of {', '.join(sorted(known)) or 'none'}"])
    document: dict[str, Any] = read_json(known[rig])
    return document


def read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise RulesetError(path.name, [f"not JSON: {error}"]) from error


def describe(problem: Any, document: Any) -> str:
    """`weapons[0].damage: Input should be ...` of one pydantic error."""
    path, tag = "", False
    for step in problem["loc"]:
        # A union puts its tag in the path, between the object and the field; the document does not.
        tag = not tag and isinstance(document, dict) and step == document.get("kind")
        if isinstance(step, int):
            path += f"[{step}]"
            document = document[step] if isinstance(document, list) and step < len(document) else None
        elif not tag:
            path += f".{step}"
            document = document.get(step) if isinstance(document, dict) else None
    message = problem["msg"].removeprefix("Value error, ")
    return f"{path.removeprefix('.')}: {message}" if path else message
