"""Actions of a ruleset: whom they reach, what they cost, what they bring."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Literal

from pydantic import Field, model_validator

from services.combat.domain.ruleset_units import Factor, Metres, Name, Part, Points, Seconds, SomeSeconds


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
        if again := [kind for kind, count in Counter(kinds).items() if count > 1]:
            raise ValueError(f"two lasting effects of kind {again[0]}: the second would renew the first")
        return self
