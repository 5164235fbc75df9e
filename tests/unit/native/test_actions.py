"""Weapons and abilities of one player: the rules by example, and every step equal to the twin."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from native.actions import Loadout
from native.reference.actions import Effect
from native.reference.actions import Loadout as Twin
from native.ruleset import Ruleset
from tests.support.draw import Draw, cases, draws
from tests.support.rulesets import action_document, default_document, named, ruleset_with, weapon_document

NONE = 0
UNKNOWN_WEAPON, FIRE_RATE, NO_AMMO, RELOADING = 20, 21, 22, 23
UNKNOWN_ACTION, COOLDOWN, NO_CHARGES, NO_RESOURCE = 40, 41, 42, 43
DAMAGE, HEAL, SHIELD, SPEED, DEALT, STUN = 1, 2, 3, 4, 5, 7
SECOND = 1_000_000
Q16 = 65536
REWIND = default_document()["rewind"]
BALL = [{"kind": "sphere", "region": "torso", "a": [0, 0, 1], "radius": 0.5}]
# What these tests have no need of is small, so that thousands of rulesets compile in a moment.
BARE: dict[str, Any] = {
    "modes": [named("modes", "duel")],
    "rig": default_document()["rig"] | {"shapes": dict.fromkeys(("stand", "crouch", "air"), BALL)},
}
EFFECTS_ONLY = ruleset_with(weapons=[weapon_document()], actions=[])


def armed(**fields: Any) -> Loadout:
    return Loadout(ruleset_with(weapons=[weapon_document(**fields)]))


def able(*actions: dict[str, Any], resource: float = 100, resource_per_s: float = 0) -> Loadout:
    player = {"health": 100, "armour": 0, "shield_max": 100, "resource": resource}
    player["resource_per_s"] = resource_per_s
    return Loadout(ruleset_with(player=player, actions=list(actions)))


# ---- weapons ---------------------------------------------------------------------------------------


def test_shots_keep_their_interval() -> None:
    gun = armed(fire_interval_s=0.1)
    assert gun.fire(0, 0) == NONE
    assert gun.fire(0, 49_999) == FIRE_RATE
    assert gun.fire(0, 100_000) == NONE
    assert gun.fire(0, 10 * SECOND) == NONE
    assert gun.fire(0, 10 * SECOND) == FIRE_RATE


def test_an_early_shot_makes_the_next_one_wait() -> None:
    """Jitter is forgiven by up to 50 ms, but the rate over time stays exact."""
    gun = armed(fire_interval_s=0.1)
    fired = [now for now in range(0, SECOND + 1, 1000) if gun.fire(0, now) == NONE]
    assert fired == [0, *range(50_000, 951_000, 100_000)]


def test_the_magazine_runs_out_and_reloads_by_itself() -> None:
    gun = armed(fire_interval_s=0.1, magazine=2, reserve=3, reload_s=1.5)
    assert [gun.fire(0, 0), gun.fire(0, 100_000), gun.fire(0, 200_000)] == [NONE, NONE, RELOADING]
    assert gun.fire(0, 1_599_999) == RELOADING
    assert gun.fire(0, 1_600_000) == NONE
    assert gun.weapons[0]["ammo"] == 1
    assert gun.weapons[0]["reserve"] == 1
    assert gun.fire(0, 1_700_000) == NONE
    assert gun.fire(0, 3_200_000) == NONE
    assert gun.weapons[0] == {"ammo": 0, "reserve": 0, "next_fire_us": 3_300_000, "reload_end_us": 0}
    assert gun.fire(0, 9 * SECOND) == NO_AMMO


def test_a_reserve_of_zero_has_no_end_and_so_has_a_magazine_of_zero() -> None:
    pistol = armed(fire_interval_s=0.1, magazine=1, reload_s=0.2)
    knife = armed(fire_interval_s=0.1)
    for shot in range(100):
        assert pistol.fire(0, shot * 300_000) == NONE
        assert knife.fire(0, shot * 100_000) == NONE


def test_settle_finishes_only_what_is_due() -> None:
    gun = armed(fire_interval_s=0.1, magazine=1, reserve=5, reload_s=1)
    gun.fire(0, 0)
    gun.settle(SECOND - 1)
    assert gun.weapons[0]["ammo"] == 0
    gun.settle(SECOND)
    assert gun.weapons[0] == {"ammo": 1, "reserve": 4, "next_fire_us": 100_000, "reload_end_us": 0}


def test_a_reload_by_hand() -> None:
    gun = armed(fire_interval_s=0.1, magazine=10, reserve=4, reload_s=1)
    assert gun.reload(0) == NONE
    assert gun.weapons[0]["reload_end_us"] == 0, "a full magazine stays as it is"
    for shot in range(6):
        gun.fire(0, shot * 100_000)
    assert gun.reload(600_000) == NONE
    assert gun.reload(700_000) == RELOADING
    assert gun.fire(0, 700_000) == RELOADING
    assert gun.fire(0, 1_600_000) == NONE
    assert gun.weapons[0]["ammo"] == 4 + 4 - 1
    assert gun.reload(2 * SECOND) == NO_AMMO


def test_each_weapon_counts_for_itself() -> None:
    ruleset = ruleset_with(
        weapons=[
            weapon_document(name="a", magazine=1, reload_s=5),
            weapon_document(name="b", magazine=3, reload_s=1),
        ]
    )
    both = Loadout(ruleset)
    assert both.fire(0, 0) == NONE
    assert both.fire(1, 0) == NONE
    assert both.in_hand == 1
    assert both.fire(0, SECOND) == RELOADING
    assert both.in_hand == 1
    assert both.fire(2, 0) == UNKNOWN_WEAPON
    assert [weapon["ammo"] for weapon in both.weapons] == [0, 2]


# ---- abilities -------------------------------------------------------------------------------------


def test_a_cooldown() -> None:
    player = able(action_document(cooldown_s=5))
    assert player.use(0, 0) == NONE
    assert player.use(0, 5 * SECOND - 1) == COOLDOWN
    assert player.use(0, 5 * SECOND) == NONE
    assert player.use(1, 0) == UNKNOWN_ACTION


def test_charges_come_back_one_by_one() -> None:
    player = able(action_document(cooldown_s=4, charges=3))
    assert [player.use(0, now) for now in (0, 1, 2, 3)] == [NONE, NONE, NONE, NO_CHARGES]
    assert [player.charges(0, now * SECOND) for now in (3, 4, 8, 11, 12, 99)] == [0, 1, 2, 2, 3, 3]
    assert player.use(0, 5 * SECOND) == NONE
    assert [player.charges(0, now * SECOND) for now in (7, 8, 12, 16)] == [0, 1, 2, 3]


def test_a_cost_is_paid_and_grows_back() -> None:
    player = able(action_document(cost=60), resource_per_s=10)
    assert player.use(0, 0) == NONE
    assert player.use(0, 2 * SECOND - 1) == NO_RESOURCE
    assert player.resource(2 * SECOND) == 60_000
    assert player.use(0, 2 * SECOND) == NONE
    assert player.resource(2 * SECOND) == 0
    assert player.resource(1000 * SECOND) == 100_000


@cases(draws)
def test_the_resource_does_not_drift_with_how_often_it_is_touched(draw: Draw) -> None:
    """A use that costs nothing writes the resource down; many of them are the same as none."""
    rate = draw.whole(0, 10 ** draw.randint(0, 9))
    rules = ruleset_with(
        player={"health": 1, "armour": 0, "shield_max": 0, "resource": 10**6, "resource_per_s": rate / 1000},
        weapons=[weapon_document()],
        **BARE,
        actions=[action_document(), action_document(name="spend", cost=10**6)],
    )
    touched, left = Loadout(rules), Loadout(rules)
    touched.use(1, 0)
    left.use(1, 0)
    now = 0
    for _ in range(draw.randint(0, 30)):
        now += draw.whole(0, 3 * SECOND)
        assert touched.use(0, now) == NONE
        assert touched.resource(now) == left.resource(now) == min(rate * now // SECOND, 10**9)


def test_a_refused_use_changes_nothing() -> None:
    player = able(action_document(cooldown_s=5, charges=2, cost=60), resource_per_s=1)
    player.use(0, 0)
    before = state(player)
    assert player.use(0, SECOND) == NO_RESOURCE
    assert player.charges(0, 7 * SECOND) == 2
    assert state(player) == before


def test_a_refund_undoes_a_use() -> None:
    player = able(action_document(cooldown_s=5, cost=60))
    assert player.use(0, 0) == NONE
    player.refund(0)
    assert player.abilities[0] == {"charges": 1, "next_charge_us": 0}
    assert player.resource(0) == 100_000
    player.refund(0)
    assert player.resource(0) == 100_000, "never above the most"
    assert player.use(0, 1) == NONE


# ---- effects ---------------------------------------------------------------------------------------


def test_factors_multiply_while_they_last() -> None:
    player = able()
    player.add_effect({"kind": SPEED, "amount_q16": Q16 * 3 // 2, "duration_us": 3 * SECOND}, 0, 1, 0)
    player.add_effect({"kind": SPEED, "amount_q16": Q16 // 2, "duration_us": SECOND}, 0, 2, 0)
    player.add_effect({"kind": DEALT, "amount_q16": Q16 * 2, "duration_us": SECOND}, 0, 3, 0)
    assert [player.factor(SPEED, now) for now in (0, SECOND - 1, SECOND, 3 * SECOND)] == [
        Q16 * 3 // 4,
        Q16 * 3 // 4,
        Q16 * 3 // 2,
        Q16,
    ]
    assert player.has(DEALT, 0)
    assert not player.has(DEALT, SECOND)
    assert not player.has(STUN, 0)


def test_the_same_effect_is_renewed_and_keeps_its_beat() -> None:
    player = able()
    burn = Effect(kind=DAMAGE, amount_milli=6_000, duration_us=2 * SECOND, period_us=SECOND // 2)
    player.add_effect(burn, 7, 1, 0)
    assert player.periods(0, 700_000) == 1
    player.add_effect(burn, 7, 1, 700_000)
    assert len(player.effects) == 1
    assert player.effects[0]["end_us"] == 2_700_000
    assert player.periods(0, 1_000_000) == 1
    assert player.periods(0, 9 * SECOND) == 3, "at 1.5, 2.0 and 2.5 s"
    player.add_effect(burn, 8, 1, 800_000)
    player.add_effect(burn | {"kind": HEAL}, 8, 1, 800_000)
    assert len(player.effects) == 3, "another source or another kind is another effect"


def test_a_period_at_the_very_end_counts() -> None:
    player = able()
    player.add_effect({"kind": HEAL, "duration_us": 4 * SECOND, "period_us": SECOND}, 0, 1, 0)
    assert sum(player.periods(0, now) for now in range(0, 6 * SECOND, 33_333)) == 4
    with pytest.raises(IndexError, match="effect 1 of 1"):
        player.periods(1, 0)


def test_a_full_list_drops_what_ends_first() -> None:
    player = able()
    for action in range(16):
        end = 5 * SECOND if action != 9 else SECOND
        player.add_effect({"kind": STUN, "duration_us": end}, 0, action, 0)
    player.add_effect({"kind": STUN, "duration_us": 2 * SECOND}, 0, 99, 0)
    actions = [active["action"] for active in player.effects]
    assert actions == [*(action for action in range(16) if action != 9), 99]


def test_what_is_over_goes_and_what_has_no_duration_never_comes() -> None:
    player = able()
    player.add_effect({"kind": HEAL, "amount_milli": 5, "duration_us": 0}, 0, 1, 0)
    assert player.effects == []
    for action, seconds in enumerate((3, 1, 2)):
        player.add_effect({"kind": STUN, "duration_us": seconds * SECOND}, 0, action, 0)
    player.expire(2 * SECOND)
    assert [active["action"] for active in player.effects] == [0]


def test_shields_add_up_to_the_most_and_the_first_to_end_is_spent_first() -> None:
    player = able()
    player.add_effect({"kind": SHIELD, "amount_milli": 30_000, "duration_us": 5 * SECOND}, 0, 1, 0)
    player.add_effect({"kind": SHIELD, "amount_milli": 40_000, "duration_us": 2 * SECOND}, 0, 2, 0)
    assert player.shield(0) == 70_000
    player.spend_shield(45_000, SECOND)
    assert [active["left_milli"] for active in player.effects] == [25_000, 0]
    player.add_effect({"kind": SHIELD, "amount_milli": 90_000, "duration_us": SECOND}, 0, 3, SECOND)
    assert player.shield(SECOND) == 100_000
    assert player.shield(2 * SECOND) == 25_000
    player.add_effect({"kind": SHIELD, "amount_milli": 30_000, "duration_us": 5 * SECOND}, 0, 1, 2 * SECOND)
    assert player.shield(2 * SECOND) == 30_000, "renewed, not added"


# ---- the twin --------------------------------------------------------------------------------------

State = tuple[Any, ...]


def state(player: Loadout | Twin) -> State:
    return (
        player.weapons,
        player.abilities,
        player.effects,
        player.in_hand,
        player.resource_milli,
        player.resource_us,
    )


Calls = list[tuple[int, tuple[Any, ...]]]


def microseconds(draw: Draw) -> int:
    if draw.chance(0.5):
        return draw.choice((0, 1, 1000, 33_333, 100_000, 500_000, SECOND, 3 * SECOND))
    return draw.whole(0, 10**8)


def seconds(draw: Draw, most: int) -> float:
    return draw.choice((0, 0.001, 0.1, 0.5, 1.0)) if draw.chance(0.5) else draw.real(0, most)


def gun_of(draw: Draw, name: str) -> dict[str, Any]:
    magazine = draw.randint(0, 4)
    return weapon_document(
        name=name,
        fire_interval_s=seconds(draw, 3),
        magazine=magazine,
        reserve=draw.randint(0, 6) if magazine else 0,
        reload_s=seconds(draw, 5),
    )


def ability_of(draw: Draw, name: str) -> dict[str, Any]:
    return action_document(
        name=name,
        cooldown_s=seconds(draw, 10),
        charges=draw.randint(1, 4),
        cost=draw.choice((0, 0.001, 30, 100)),
    )


def effect_of(draw: Draw) -> Effect:
    effect = Effect(kind=draw.choice((DAMAGE, SHIELD, SPEED)), duration_us=microseconds(draw))
    if draw.chance(0.75):
        effect["amount_milli"] = draw.whole(0, draw.choice((60_000, 2**62)))
    if draw.chance(0.75):
        effect["amount_q16"] = draw.whole(0, draw.choice((3 * Q16, 2**31 - 1)))
    if draw.chance(0.5):
        effect["period_us"] = microseconds(draw)
    if draw.chance(0.5):
        effect["speed_mps"] = draw.real(0, 50)
    return effect


def calls_of(draw: Draw, most: int, *kinds: Callable[[], tuple[Any, ...]]) -> Calls:
    return [(microseconds(draw), draw.choice(kinds)()) for _ in range(draw.randint(0, most))]


def run_both(ruleset: Ruleset, calls: Calls) -> None:
    """Each step waits and then calls a method, by name; a last argument `now` is added where it takes one."""
    native, twin = Loadout(ruleset), Twin(ruleset)
    now = 0
    for wait, (method, *arguments) in calls:
        now += wait
        if method == "periods" and arguments[0] >= len(native.effects):
            continue
        if method != "refund":
            arguments.append(now)
        assert getattr(native, method)(*arguments) == getattr(twin, method)(*arguments)
        assert state(native) == state(twin)
        check_views(native, twin, now)


def check_views(native: Loadout, twin: Twin, now: int) -> None:
    for time in (now, max(now - 1000, 0), now + SECOND):
        assert native.resource(time) == twin.resource(time)
        assert native.shield(time) == twin.shield(time)
        for action in range(3):
            assert native.charges(action, time) == twin.charges(action, time)
        for kind in (DAMAGE, SHIELD, SPEED):
            assert native.factor(kind, time) == twin.factor(kind, time)
            assert native.has(kind, time) == twin.has(kind, time)


@cases(draws)
def test_weapons_equal_their_twin(draw: Draw) -> None:
    ruleset = ruleset_with(
        weapons=[gun_of(draw, f"gun{index}") for index in range(draw.randint(1, 2))],
        actions=[],
        **BARE,
        rewind=REWIND | {"jitter_max_s": draw.choice((0, 0.05, 0.3))},
    )
    fire = (lambda: ("fire", draw.randint(0, 2)), lambda: ("fire", 0))
    run_both(ruleset, calls_of(draw, 16, *fire, lambda: ("settle",), lambda: ("reload",)))


@cases(draws)
def test_abilities_equal_their_twin(draw: Draw) -> None:
    rate = draw.choice((0, 0.001, 7, 1000))
    ruleset = ruleset_with(
        player={"health": 1, "armour": 0, "shield_max": 0, "resource": 100, "resource_per_s": rate},
        weapons=[weapon_document()],
        **BARE,
        actions=[ability_of(draw, f"act{index}") for index in range(draw.randint(1, 2))],
    )
    use = (lambda: ("use", draw.randint(0, 2)), lambda: ("use", 0))
    run_both(ruleset, calls_of(draw, 16, *use, lambda: ("refund", draw.randint(0, 2))))


@cases(draws)
def test_effects_equal_their_twin(draw: Draw) -> None:
    def add() -> tuple[Any, ...]:
        return "add_effect", effect_of(draw), draw.randint(0, 2), draw.randint(0, 9)

    def periods() -> tuple[Any, ...]:
        return "periods", draw.randint(0, 15)

    def spend() -> tuple[Any, ...]:
        return "spend_shield", draw.whole(0, draw.choice((90_000, 2**62)))

    if draw.chance(0.1):  # more than a player can hold at once
        calls = calls_of(draw, 40, add)
    else:
        calls = calls_of(draw, 20, add, add, periods, spend, lambda: ("expire",))
    run_both(EFFECTS_ONLY, calls)
