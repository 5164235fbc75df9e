"""The ruleset as a player knows it: what each weapon and ability is good for, how fast one may move."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# Half the width of a body: what a cone of fire has to fall into.
BODY_M = 0.35


@dataclass(frozen=True, slots=True)
class Weapon:
    """One weapon. Seconds, metres, radians, points."""

    number: int
    name: str
    kind: str
    heals: bool
    damage: float
    pellets: int
    range_m: float
    spread_rad: float
    interval_s: float
    magazine: int
    reload_s: float
    speed_mps: float
    gravity_mps2: float
    blast_m: float
    falloff: Mapping[str, Any]

    def damage_at(self, distance: float) -> float:
        """Of one pellet, after falloff."""
        kind = self.falloff.get("kind", "none")
        if kind == "curve":
            return self.damage * _curve(self.falloff["curve"], distance)
        if kind == "exponential":
            return self.damage * math.pow(0.5, distance / float(self.falloff["half_m"]))
        if kind == "smooth":
            return self.damage * min(1.5, max(0.5, float(self.falloff["reference_m"]) / max(distance, 1.0)))
        return self.damage

    def worth_at(self, distance: float) -> float:
        """Damage a second to expect at a distance, steadily aimed."""
        if distance > self.range_m or (self.blast_m and distance < self.blast_m * 1.3):
            return 0.0
        cone = math.tan(self.spread_rad) * distance
        inside = min(1.0, (BODY_M / cone) ** 2) if cone > 0 else 1.0
        # A slow missile is dodged; a long interval makes each miss dear.
        flight = distance / self.speed_mps if self.speed_mps else 0.0
        return self.damage_at(distance) * self.pellets * inside / (self.interval_s * (1 + 2 * flight))


@dataclass(frozen=True, slots=True)
class Ability:
    number: int
    name: str
    target: str
    range_m: float
    cooldown_s: float
    cast_s: float
    cost: float
    effects: Mapping[str, Mapping[str, Any]]
    """By kind."""


@dataclass(frozen=True, slots=True)
class Movement:
    walk_mps: float
    sprint_mps: float
    acceleration_mps2: float
    gravity_mps2: float
    fall_mps: float
    step_m: float
    half_width_m: float
    tolerance_m: float
    height_m: float
    eye_m: float


@dataclass(frozen=True, slots=True)
class Arsenal:
    weapons: tuple[Weapon, ...]
    abilities: tuple[Ability, ...]
    movement: Movement
    health: float
    resource: float
    resource_per_s: float
    teams: Mapping[str, int]
    """Of each game mode; 0: everybody for himself."""

    @classmethod
    def load(cls, document: Mapping[str, Any]) -> Arsenal:
        """From the JSON of a ruleset, with or without its defaults filled in."""
        player = document["player"]
        return cls(
            weapons=tuple(_weapon(number, part) for number, part in enumerate(document["weapons"])),
            abilities=tuple(_ability(number, part) for number, part in enumerate(document["actions"])),
            movement=_movement(document),
            health=float(player["health"]),
            resource=float(player.get("resource", 0)),
            resource_per_s=float(player.get("resource_per_s", 0)),
            teams={mode["name"]: int(mode.get("teams", 0)) for mode in document["modes"]},
        )

    def ability(self, effect: str) -> Ability | None:
        """The first ability on oneself that brings an effect, such as `dash`."""
        for ability in self.abilities:
            if ability.target == "self" and effect in ability.effects:
                return ability
        return None


def _weapon(number: int, part: Mapping[str, Any]) -> Weapon:
    return Weapon(
        number=number,
        name=part["name"],
        kind=part["kind"],
        heals=bool(part.get("heals", False)),
        damage=float(part["damage"]),
        pellets=int(part.get("pellets") or 1),
        range_m=float(part.get("range_m") or 100),
        spread_rad=math.radians(part.get("spread_deg") or 0),
        interval_s=float(part["fire_interval_s"]),
        magazine=int(part.get("magazine") or 0),
        reload_s=float(part.get("reload_s") or 0),
        speed_mps=float(part.get("speed_mps") or 0),
        gravity_mps2=float(part.get("gravity_mps2") or 0),
        blast_m=float(part.get("blast_m") or 0),
        falloff=part.get("falloff") or {},
    )


def _ability(number: int, part: Mapping[str, Any]) -> Ability:
    return Ability(
        number=number,
        name=part["name"],
        target=part["target"],
        range_m=float(part.get("range_m") or 0),
        cooldown_s=float(part.get("cooldown_s") or 0),
        cast_s=float(part.get("cast_s") or 0),
        cost=float(part.get("cost") or 0),
        effects={effect["kind"]: effect for effect in part["effects"]},
    )


def _movement(document: Mapping[str, Any]) -> Movement:
    part = document["movement"]
    height = float(part["height_m"]["stand"])
    rig = document.get("rig")
    eye = rig.get("eye_m", {}).get("stand") if isinstance(rig, Mapping) else None
    return Movement(
        walk_mps=float(part["speed_mps"]["walk"]),
        sprint_mps=float(part["speed_mps"]["sprint"]),
        acceleration_mps2=float(part["acceleration_mps2"]),
        gravity_mps2=float(part["gravity_mps2"]),
        fall_mps=float(part["fall_mps"]),
        step_m=float(part["step_m"]),
        half_width_m=float(part["half_width_m"]),
        tolerance_m=float(part["tolerance_m"]),
        height_m=height,
        eye_m=float(eye or 0.9 * height),
    )


def _curve(points: list[list[float]], distance: float) -> float:
    before = points[0]
    if distance <= before[0]:
        return float(before[1])
    for point in points[1:]:
        if distance <= point[0]:
            share = (distance - before[0]) / (point[0] - before[0])
            return float(before[1] + share * (point[1] - before[1]))
        before = point
    return float(before[1])
