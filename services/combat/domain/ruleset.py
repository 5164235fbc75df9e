"""What a ruleset may say: every field with its unit and range, and the rules between fields.

`load_ruleset` reads a document of `services/combat/data/rulesets`, fills in what it leaves out, puts the rig
it names in place, and returns what `native.ruleset.Ruleset` compiles.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

RIGS = Path(__file__).parent.parent / "data" / "rigs"

Name = Annotated[str, Field(pattern="^[a-z0-9_-]+$", max_length=64)]
Points = Annotated[float, Field(ge=0, le=1e6)]
"""Health, armour, shield or resource points; kept in 1/1000."""
Seconds = Annotated[float, Field(ge=0, le=86_400)]
"""Kept in microseconds."""
SomeSeconds = Annotated[float, Field(ge=0.001, le=86_400)]
Metres = Annotated[float, Field(ge=0, le=10_000)]
SomeMetres = Annotated[float, Field(gt=0, le=10_000)]
Speed = Annotated[float, Field(ge=0, le=1_000)]
"""Metres a second."""
Acceleration = Annotated[float, Field(ge=0, le=10_000)]
"""Metres a second, each second."""
Factor = Annotated[float, Field(ge=0, le=100)]
"""Multiplies; kept in 1/65536."""
Share = Annotated[float, Field(ge=0, le=1)]
Angle = Annotated[float, Field(ge=0, le=180)]
"""Half angle of a cone, degrees."""


class RulesetError(ValueError):
    """A document that is no ruleset; `problems` has one line for each field, path first."""

    def __init__(self, name: str, problems: list[str]) -> None:
        super().__init__(f"{name}: " + "; ".join(problems))
        self.problems = problems


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True)


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


class StanceHeights(Part):
    stand: SomeMetres
    crouch: SomeMetres
    air: SomeMetres


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
    burst_s: Seconds
    """Unused time saved up for the next move."""
    clock_ahead_s: Seconds
    clock_behind_s: Seconds
    clock_drift: Share
    """Discrepancy of clocks forgiven, seconds each second."""
    violation_decay_s: SomeSeconds
    """In which the violation score halves."""

    @model_validator(mode="after")
    def check(self) -> Movement:
        if self.height_m.crouch > self.height_m.stand:
            raise ValueError("height_m.crouch must not exceed height_m.stand")
        if self.step_m >= self.height_m.crouch:
            raise ValueError("step_m must be below height_m.crouch")
        return self


class NoFalloff(Part):
    kind: Literal["none"]


Point = Annotated[tuple[Metres, Factor], Field(strict=False)]
"""A JSON list of two."""


class CurveFalloff(Part):
    """Straight lines through (distance, factor); level before the first and after the last."""

    kind: Literal["curve"]
    curve: Annotated[list[Point], Field(min_length=1, max_length=8)]

    @model_validator(mode="after")
    def check(self) -> CurveFalloff:
        distances = [distance for distance, _ in self.curve]
        if any(near >= far for near, far in pairwise(distances)):
            raise ValueError("distances of the curve must rise")
        return self


class SmoothFalloff(Part):
    """From 1.5 at the muzzle through 1 at the reference distance to 0.528 at twice that and beyond."""

    kind: Literal["smooth"]
    reference_m: SomeMetres


class ExponentialFalloff(Part):
    """Halves every `half_m`."""

    kind: Literal["exponential"]
    half_m: SomeMetres


Falloff = Annotated[
    NoFalloff | CurveFalloff | SmoothFalloff | ExponentialFalloff, Field(discriminator="kind")
]


class Regions(Part):
    """Factors by what part of the body was hit."""

    head: Factor = 1
    torso: Factor = 1
    stomach: Factor = 1
    arm: Factor = 1
    leg: Factor = 1


class Weapon(Part):
    name: Name
    damage: Points
    """Health points of each pellet; restored when `heals`."""
    range_m: SomeMetres
    heals: bool = False
    """Restores allies instead of wounding enemies."""
    bypass: bool = False
    """Skips armour and shield."""
    pellets: Annotated[int, Field(ge=1, le=32)] = 1
    penetration: Annotated[int, Field(ge=0, le=15)] = 0
    """Further targets a ray goes on to."""
    penetration_factor: Share = 1
    """Damage kept at each of them."""
    spread_deg: Angle = 0
    fire_interval_s: SomeSeconds
    magazine: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    """Rounds; 0: unlimited."""
    reserve: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    """Rounds beside a full magazine; 0: unlimited."""
    reload_s: Seconds = 0
    crit_chance: Share = 0
    crit_factor: Factor = 1
    region: Regions = Regions()
    lifesteal: Factor = 0
    """Share of damage dealt that the shooter is healed."""
    falloff: Falloff = NoFalloff(kind="none")

    @model_validator(mode="after")
    def check_weapon(self) -> Weapon:
        if self.reserve and not self.magazine:
            raise ValueError("reserve needs a magazine: without one, rounds are unlimited")
        if self.magazine and not self.reload_s:
            raise ValueError("a magazine needs reload_s above 0")
        if self.heals and self.lifesteal:
            raise ValueError("a weapon that heals has no lifesteal")
        if self.crit_chance and self.crit_factor < 1:
            raise ValueError("crit_factor below 1 would make a critical hit a weak one")
        return self


class Hitscan(Weapon):
    kind: Literal["hitscan"]


class Melee(Weapon):
    kind: Literal["melee"]
    arc_deg: Annotated[float, Field(gt=0, le=180)]
    """Half angle of the swing."""


class Projectile(Weapon):
    kind: Literal["projectile"]
    speed_mps: Annotated[float, Field(gt=0, le=1_000)]
    gravity_mps2: Acceleration = 0
    radius_m: Annotated[float, Field(ge=0, le=5)] = 0.1
    fuse_s: Annotated[float, Field(ge=0.001, le=60)]
    """Explodes, or is gone, then at the latest."""
    bounces: Annotated[int, Field(ge=0, le=255)] = 0
    """0: explodes on touch."""
    blast_m: Annotated[float, Field(ge=0, le=100)] = 0
    """0: hurts only whom it touches."""
    blast_edge: Share = 0
    """Share of the damage at the edge of the blast; linear between."""
    blast_self: Factor = 1
    """Of the damage, to the shooter."""

    @model_validator(mode="after")
    def check_projectile(self) -> Projectile:
        if self.penetration:
            raise ValueError("a projectile stops at what it touches: penetration must be 0")
        if self.bounces and not self.blast_m:
            raise ValueError("a projectile that bounces needs blast_m above 0 to do anything")
        return self


AnyWeapon = Annotated[Hitscan | Melee | Projectile, Field(discriminator="kind")]


class Dose(Part):
    """Points at once, or by each period while it lasts (the first a period after the start)."""

    kind: Literal["damage", "heal"]
    amount: Annotated[float, Field(gt=0, le=1e6)]
    duration_s: Seconds = 0
    period_s: Seconds = 0

    @model_validator(mode="after")
    def check(self) -> Dose:
        if bool(self.duration_s) != bool(self.period_s):
            raise ValueError("duration_s and period_s go together")
        if self.duration_s and not 0.01 <= self.period_s <= self.duration_s:
            raise ValueError("period_s must be 0.01..duration_s")
        return self


class ShieldEffect(Part):
    kind: Literal["shield"]
    amount: Annotated[float, Field(gt=0, le=1e6)]
    duration_s: SomeSeconds


class FactorEffect(Part):
    """Multiplies speed, damage dealt or damage taken."""

    kind: Literal["speed", "damage_dealt", "damage_taken"]
    factor: Factor
    duration_s: SomeSeconds


class StateEffect(Part):
    """No commands, or takes nothing."""

    kind: Literal["stun", "immune"]
    duration_s: SomeSeconds


class DashEffect(Part):
    """Grants the dash movement mode."""

    kind: Literal["dash"]
    speed_mps: Annotated[float, Field(gt=0, le=1_000)]
    duration_s: SomeSeconds


class ReloadEffect(Part):
    """Starts the reload of the weapon in hand."""

    kind: Literal["reload"]


Effect = Annotated[
    Dose | ShieldEffect | FactorEffect | StateEffect | DashEffect | ReloadEffect, Field(discriminator="kind")
]


class Action(Part):
    name: Name
    target: Literal["self", "ally", "enemy", "point", "area"]
    area_side: Literal["enemies", "allies", "all"] | None = None
    """Whom an area reaches."""
    needs_sight: bool = False
    interruptible: bool = False
    """Damage stops the cast."""
    charges: Annotated[int, Field(ge=1, le=255)] = 1
    range_m: Metres = 0
    area_m: Metres = 0
    cooldown_s: Seconds = 0
    """To win back one charge; 0: it is never spent."""
    cast_s: Seconds = 0
    cost: Points = 0
    """Of the resource; given back when the cast is interrupted."""
    effects: Annotated[list[Effect], Field(min_length=1, max_length=4)]

    @model_validator(mode="after")
    def check(self) -> Action:
        area = self.target in ("point", "area")
        if area != bool(self.area_m) or area != bool(self.area_side):
            raise ValueError("area_m and area_side are needed for targets point and area, and only there")
        if (self.target in ("ally", "enemy", "point")) != bool(self.range_m):
            raise ValueError("range_m is needed for targets ally, enemy and point, and only there")
        if self.interruptible and not self.cast_s:
            raise ValueError("interruptible needs cast_s above 0")
        if self.charges > 1 and not self.cooldown_s:
            raise ValueError("charges need cooldown_s above 0")
        kinds = [effect.kind for effect in self.effects if getattr(effect, "duration_s", 0)]
        if again := repeated(kinds):
            raise ValueError(f"two lasting effects of kind {again[0]}: the second would renew the first")
        return self


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
    rig: dict[str, Any]
    """Hitboxes; checked by the compiler."""
    weapons: Annotated[list[AnyWeapon], Field(min_length=1, max_length=32)]
    actions: Annotated[list[Action], Field(max_length=32)] = []
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
    path = ""
    for step in problem["loc"]:
        if isinstance(step, int):
            path += f"[{step}]"
            document = document[step] if isinstance(document, list) and step < len(document) else None
        elif isinstance(document, dict) and step == document.get("kind"):
            continue  # the tag of a union, which pydantic puts in the path
        else:
            path += f".{step}"
            document = document.get(step) if isinstance(document, dict) else None
    message = problem["msg"].removeprefix("Value error, ")
    return f"{path.removeprefix('.')}: {message}" if path else message
