"""Weapons of a ruleset: what each kind may say, and how damage falls with distance."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, model_validator

from services.combat.domain.ruleset_units import (
    Acceleration,
    Angle,
    Factor,
    Metres,
    Name,
    Part,
    Points,
    Seconds,
    Share,
    SomeMetres,
    SomeSeconds,
)


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
