"""What `native/actions.pyx` does, in plain Python: the specification and the twin in tests."""

from __future__ import annotations

from typing import Any, Required, TypedDict

from native.reference.damage import INT32_MAX, INT64_MAX, ONE_Q16, scale_q16
from native.ruleset import Ruleset

MAX_ACTIVE_EFFECTS = 16
UINT32_MAX = 2**32 - 1
EFFECT_SHIELD = 3

NONE = 0
UNKNOWN_WEAPON, FIRE_RATE, NO_AMMO, RELOADING = 20, 21, 22, 23
UNKNOWN_ACTION, COOLDOWN, NO_CHARGES, NO_RESOURCE = 40, 41, 42, 43


class Armed(TypedDict):
    """One weapon of the player; `reload_end_us` is 0 when it is not being reloaded."""

    ammo: int
    reserve: int
    next_fire_us: int
    reload_end_us: int


class Ability(TypedDict):
    """One action of the player as of its last use; `next_charge_us` is 0 when all charges are there."""

    charges: int
    next_charge_us: int


class Effect(TypedDict, total=False):
    """What an action does. Left out: amount 0, factor 1, no period."""

    kind: Required[int]
    duration_us: Required[int]
    amount_milli: int
    amount_q16: int
    period_us: int
    speed_mps: float


class Active(TypedDict):
    """A running effect; `next_us` is 0 without a period, `left_milli` is of a shield."""

    effect: Effect
    source: int
    action: int
    end_us: int
    next_us: int
    left_milli: int


Rules = dict[str, Any]
"""A weapon or action of `Ruleset.tables`."""


class Loadout:
    def __init__(self, ruleset: Ruleset, now_us: int = 0) -> None:
        tables = ruleset.tables()
        self.weapon_rules: list[Rules] = tables["weapons"]
        self.action_rules: list[Rules] = tables["actions"]
        self.player: dict[str, int] = tables["player"]
        self.jitter_max_us: int = tables["rewind"]["jitter_max_us"]
        self.reset(now_us)

    def reset(self, now_us: int) -> None:
        self.weapons = [
            Armed(ammo=rules["magazine"], reserve=rules["reserve"], next_fire_us=now_us, reload_end_us=0)
            for rules in self.weapon_rules
        ]
        self.abilities = [Ability(charges=rules["charges"], next_charge_us=0) for rules in self.action_rules]
        self.effects: list[Active] = []
        self.in_hand = 0
        self.resource_milli = self.player["resource_milli"]
        self.resource_us = now_us

    # -- weapons ----------------------------------------------------------------------------------

    def fire(self, weapon: int, now_us: int) -> int:
        if weapon >= len(self.weapons):
            return UNKNOWN_WEAPON
        rules = self.weapon_rules[weapon]
        armed = self.weapons[weapon].copy()
        finish_reload(armed, rules, now_us)
        # The network shifts honest shots by its jitter; the schedule keeps the rate over time exact.
        early = min(self.jitter_max_us, rules["fire_interval_us"] // 2)
        if armed["reload_end_us"]:
            return RELOADING
        if now_us + early < armed["next_fire_us"]:
            return FIRE_RATE
        if rules["magazine"] and not armed["ammo"]:
            return NO_AMMO
        armed["next_fire_us"] = max(now_us, armed["next_fire_us"]) + rules["fire_interval_us"]
        if rules["magazine"]:
            armed["ammo"] -= 1
            if not armed["ammo"] and has_rounds(armed, rules):
                start_reload(armed, rules, now_us)
        self.weapons[weapon] = armed
        self.in_hand = weapon
        return NONE

    def settle(self, now_us: int) -> None:
        for armed, rules in zip(self.weapons, self.weapon_rules, strict=True):
            finish_reload(armed, rules, now_us)

    def reload(self, now_us: int) -> int:
        armed, rules = self.weapons[self.in_hand], self.weapon_rules[self.in_hand]
        if armed["reload_end_us"] > now_us:
            return RELOADING
        finish_reload(armed, rules, now_us)
        if armed["ammo"] == rules["magazine"]:
            return NONE
        if not has_rounds(armed, rules):
            return NO_AMMO
        start_reload(armed, rules, now_us)
        return NONE

    # -- abilities --------------------------------------------------------------------------------

    def charges(self, action: int, now_us: int) -> int:
        if action >= len(self.abilities):
            return 0
        ability, rules = self.abilities[action], self.action_rules[action]
        due, cooldown_us, most = ability["next_charge_us"], rules["cooldown_us"], int(rules["charges"])
        if not due or now_us < due or not cooldown_us:
            return ability["charges"]
        return min(ability["charges"] + 1 + int(now_us - due) // int(cooldown_us), most)

    def resource(self, now_us: int) -> int:
        if now_us <= self.resource_us:
            return self.resource_milli
        rate = self.player["resource_per_s_milli"]
        grown = rate * now_us // 1_000_000 - rate * self.resource_us // 1_000_000
        return min(self.resource_milli + min(grown, INT64_MAX), self.player["resource_milli"])

    def use(self, action: int, now_us: int) -> int:
        if action >= len(self.abilities):
            return UNKNOWN_ACTION
        ability, rules = self.abilities[action], self.action_rules[action]
        charges, resource = self.charges(action, now_us), self.resource(now_us)
        if not charges:
            return NO_CHARGES if rules["charges"] > 1 else COOLDOWN
        if resource < rules["cost_milli"]:
            return NO_RESOURCE
        if rules["cooldown_us"]:
            if charges == rules["charges"]:
                ability["next_charge_us"] = now_us + rules["cooldown_us"]
            else:
                ability["next_charge_us"] += (charges - ability["charges"]) * rules["cooldown_us"]
            ability["charges"] = charges - 1
        self.resource_milli = resource - rules["cost_milli"]
        self.resource_us = max(now_us, self.resource_us)
        return NONE

    def refund(self, action: int) -> None:
        if action >= len(self.abilities):
            return
        ability, rules = self.abilities[action], self.action_rules[action]
        if ability["charges"] < rules["charges"]:
            ability["charges"] += 1
            if ability["charges"] == rules["charges"]:
                ability["next_charge_us"] = 0
        self.resource_milli = min(self.resource_milli + rules["cost_milli"], self.player["resource_milli"])

    # -- effects ----------------------------------------------------------------------------------

    def add_effect(self, effect: Effect, source: int, action: int, now_us: int) -> None:
        if effect["duration_us"] <= 0:
            return
        whole = plain() | effect
        identity = (whole["kind"], source, action)
        same = [index for index, active in enumerate(self.effects) if identity_of(active) == identity]
        period_us = whole["period_us"]
        beat = now_us + period_us if period_us > 0 else 0
        if same:
            old = self.effects[same[0]]
            if old["end_us"] > now_us and old["effect"]["period_us"] == period_us:
                beat = old["next_us"]
        active = Active(
            effect=whole,
            source=source,
            action=action,
            end_us=now_us + whole["duration_us"],
            next_us=beat,
            left_milli=whole["amount_milli"] if whole["kind"] == EFFECT_SHIELD else 0,
        )
        if same:
            self.effects[same[0]] = active
            return
        if len(self.effects) == MAX_ACTIVE_EFFECTS:
            self.effects.remove(min(self.effects, key=lambda running: running["end_us"]))
        self.effects.append(active)

    def periods(self, index: int, now_us: int) -> int:
        active = self.effects[index]
        period_us, until = active["effect"]["period_us"], min(now_us, active["end_us"])
        if period_us <= 0 or active["next_us"] > until:
            return 0
        count = 1 + (until - active["next_us"]) // period_us
        active["next_us"] += count * period_us
        return min(count, UINT32_MAX)

    def expire(self, now_us: int) -> None:
        self.effects = self.running(now_us)

    def running(self, now_us: int) -> list[Active]:
        return [active for active in self.effects if active["end_us"] > now_us]

    def factor(self, kind: int, now_us: int) -> int:
        product = ONE_Q16
        for active in self.running(now_us):
            if active["effect"]["kind"] == kind:
                product = min(scale_q16(product, active["effect"]["amount_q16"]), INT32_MAX)
        return product

    def has(self, kind: int, now_us: int) -> bool:
        return any(active["effect"]["kind"] == kind for active in self.running(now_us))

    def shield(self, now_us: int) -> int:
        return min(
            sum(active["left_milli"] for active in self.running(now_us)), self.player["shield_max_milli"]
        )

    def spend_shield(self, amount_milli: int, now_us: int) -> None:
        for active in sorted(self.running(now_us), key=lambda running: running["end_us"]):
            taken = max(min(amount_milli, active["left_milli"]), 0)
            active["left_milli"] -= taken
            amount_milli -= taken


def plain() -> Effect:
    return Effect(kind=0, duration_us=0, amount_milli=0, amount_q16=ONE_Q16, period_us=0, speed_mps=0.0)


def identity_of(active: Active) -> tuple[int, int, int]:
    return active["effect"]["kind"], active["source"], active["action"]


def has_rounds(armed: Armed, rules: Rules) -> bool:
    return rules["reserve"] == 0 or armed["reserve"] > 0


def start_reload(armed: Armed, rules: Rules, now_us: int) -> None:
    if rules["reload_us"]:
        armed["reload_end_us"] = now_us + rules["reload_us"]
    else:
        fill(armed, rules)


def finish_reload(armed: Armed, rules: Rules, now_us: int) -> None:
    if armed["reload_end_us"] and armed["reload_end_us"] <= now_us:
        fill(armed, rules)


def fill(armed: Armed, rules: Rules) -> None:
    """From the reserve, as far as it goes; a reserve of 0 in the rules has no end."""
    rounds = rules["magazine"] - armed["ammo"]
    armed["reload_end_us"] = 0
    if rules["reserve"]:
        rounds = min(rounds, armed["reserve"])
        armed["reserve"] -= rounds
    armed["ammo"] += rounds
