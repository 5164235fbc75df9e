"""The rules of progression once more, told as simply as can be: unit by unit, level by level, in fractions.

Slow, and written apart from what it checks: it knows curves only as the cost of each next level.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from math import floor

from services.progression.domain.award import Award
from services.progression.domain.definition import Attribute, Definition
from services.progression.domain.events import ATTRIBUTES, Points
from tests.support.progression_rules import Walked


class Refused(Exception):
    """The reason."""


def climbed(curve: Walked, experience: int, cap: int | None = None) -> tuple[int, int]:
    """Level, and experience left within it."""
    level = curve.first_level
    while level not in (cap, curve.last_level) and experience >= curve.cost(level):
        experience -= curve.cost(level)
        level += 1
    return level, experience


def paid(curve: Walked, level: int) -> int:
    total = 0
    for each in range(curve.first_level, level):
        total += curve.cost(each)
    return total


def bonus(definition: Definition, resets: int) -> int:
    step, factor = Fraction(definition.prestige.step_micro, 10**6), Fraction(1)
    for _ in range(resets):
        factor = factor + step if definition.prestige.mode == "additive" else factor * (1 + step)
    return min(floor(factor * 10**6), definition.prestige.cap_micro)


def worth(attribute: Attribute, points: int) -> int:
    total = 0
    for point in range(points):
        total += [part.milli for part in attribute.returns if point >= part.above][-1]
    return total


def curve_of(curve: object) -> Walked:
    assert isinstance(curve, Walked)
    return curve


@dataclass
class Book:
    """All that is known of one character. `given`: experience awarded in all; `gone`: what was taken."""

    definition: Definition
    base: int = 0
    paragon: int = 0
    given: int = 0
    gone: int = 0
    points: Points = field(default_factory=lambda: dict.fromkeys(ATTRIBUTES, 0))
    respecs: int = 0
    resets: int = 0
    mastery: dict[str, int] = field(default_factory=dict)
    rewards: list[str] = field(default_factory=list)

    @property
    def base_curve(self) -> Walked:
        return curve_of(self.definition.base.curve)

    @property
    def paragon_curve(self) -> Walked:
        return curve_of(self.definition.paragon.curve)

    @property
    def base_level(self) -> int:
        return climbed(self.base_curve, self.base, self.definition.base.cap)[0]

    @property
    def paragon_level(self) -> int:
        return climbed(self.paragon_curve, self.paragon)[0]

    def earned(self) -> int:
        points = 0
        for _ in range(self.paragon_curve.first_level, self.paragon_level):
            points += self.definition.paragon.points_per_level
        return points

    def cost(self, curve: Walked, done: int) -> int:
        level = curve.first_level
        for _ in range(done):
            level = level if level == curve.last_level else level + 1
        return paid(curve, level)

    def respec_cost(self) -> int:
        rule = self.definition.paragon.respec
        return 0 if self.respecs < rule.free else self.cost(curve_of(rule.curve), self.respecs)

    def award(self, given: Award) -> None:
        factors = []
        if self.definition.level_difference and given.content_level is not None:
            factors.append(self.definition.level_difference(self.base_level, given.content_level))
        if self.resets > 0:
            factors.append(bonus(self.definition, self.resets))
        factors += [micro for _, micro in given.multipliers]
        experience = given.experience
        for micro in factors:
            experience = floor(Fraction(micro, 10**6) * experience)
        for _ in range(experience):
            if self.base_level < self.definition.base.cap:
                self.base += 1
            else:
                self.paragon += 1
        self.given += experience
        for type_, amount in given.mastery:
            self.mastery[type_] = self.mastery.get(type_, 0) + amount
            self.unlock(type_)

    def unlock(self, type_: str) -> None:
        mastery = self.definition.mastery[type_]
        level, _ = climbed(curve_of(mastery.curve), self.mastery[type_])
        for reward in mastery.rewards:
            if level >= reward.level and reward.reward_id not in self.rewards:
                self.rewards.append(reward.reward_id)

    def distribute(self, points: Points) -> None:
        if sum(points.values()) == 0:
            raise Refused("NO_POINTS_NAMED")
        if sum(self.points.values()) + sum(points.values()) > self.earned():
            raise Refused("POINTS_INSUFFICIENT")
        for name, more in points.items():
            cap = self.definition.paragon.attributes[name].cap
            if more and cap is not None and self.points[name] + more > cap:
                raise Refused("ATTRIBUTE_CAPPED")
        for name, more in points.items():
            self.points[name] += more

    def respec(self) -> None:
        if sum(self.points.values()) == 0:
            raise Refused("NO_POINTS_SPENT")
        cost = self.respec_cost()
        if climbed(self.paragon_curve, self.paragon)[1] < cost:
            raise Refused("RESPEC_COST_UNPAID")
        self.paragon -= cost
        self.gone += cost
        self.respecs += 1
        self.return_points()

    def reset(self) -> None:
        rule = self.definition.prestige
        if self.base_level < rule.required_level:
            raise Refused("PRESTIGE_LEVEL_TOO_LOW")
        cost = self.cost(curve_of(rule.cost.curve), self.resets)
        if self.paragon < cost:
            raise Refused("PRESTIGE_COST_UNPAID")
        had = self.base + self.paragon
        self.base = 0
        self.paragon = self.paragon - cost if rule.keeps_paragon else 0
        self.gone += had - self.paragon
        self.resets += 1
        if not rule.keeps_points or sum(self.points.values()) > self.earned():
            self.return_points()

    def return_points(self) -> None:
        self.points = dict.fromkeys(ATTRIBUTES, 0)

    def remap(self, new: Definition) -> None:
        old, modes = self.definition, new.changes[self.definition.name]
        had = self.base + self.paragon
        if modes.get("base") == "keep_level":
            curves = curve_of(old.base.curve), curve_of(new.base.curve)
            self.base = moved(*curves, self.base, old.base.cap, new.base.cap)
        if modes.get("paragon") == "keep_level":
            self.paragon = moved(curve_of(old.paragon.curve), curve_of(new.paragon.curve), self.paragon)
        self.definition = new
        while self.base > paid(self.base_curve, new.base.cap):
            self.base -= 1
            self.paragon += 1
        self.gone += had - self.base - self.paragon
        attributes = new.paragon.attributes
        caps = [attributes[name].cap for name in ATTRIBUTES]
        over = any(
            cap is not None and self.points[name] > cap for name, cap in zip(ATTRIBUTES, caps, strict=True)
        )
        if over or sum(self.points.values()) > self.earned():
            self.return_points()
        for type_, total in self.mastery.items():
            if type_ not in new.mastery:
                continue
            if modes.get(f"mastery.{type_}") == "keep_level" and type_ in old.mastery:
                curves = curve_of(old.mastery[type_].curve), curve_of(new.mastery[type_].curve)
                self.mastery[type_] = moved(*curves, total)
            self.unlock(type_)


def moved(
    old: Walked, new: Walked, experience: int, old_cap: int | None = None, new_cap: int | None = None
) -> int:
    """Experience of the same level and share of it on another curve."""
    level, left = climbed(old, experience, old_cap)
    last = new.last_level if new_cap is None else new_cap
    if level < new.first_level:
        return 0
    if last is not None and level >= last:
        return paid(new, last)
    if level in (old_cap, old.last_level):
        return paid(new, level)
    return paid(new, level) + floor(Fraction(left, old.cost(level)) * new.cost(level))
