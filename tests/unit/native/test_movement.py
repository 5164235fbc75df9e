"""Judged moves: equal to the twin bit for bit, the known examples with their numbers, and two players: an
honest one who is left alone, and cheats who gain nothing."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from native.movement import Mover
from native.reference import movement as twin
from native.reference import world as twin_world
from native.reference.movement import (
    ACCEPTED,
    AIR,
    BLOCKED,
    CLOCK_AHEAD,
    CORRECTED,
    CROUCH,
    DASH,
    MODE_NOT_GRANTED,
    NONE,
    OUT_OF_BOUNDS,
    OUT_OF_RANGE,
    REJECTED,
    SPRINT,
    SWIM,
    TELEPORT,
    TOO_FAST,
    TOO_HIGH,
    WALK,
    Move,
)
from native.world import World
from tests.support.draw import cases, f32

from .walkers import Walker
from .worlds import Draw, Point, document, draws

MAPS = Path(__file__).parents[3] / "services/combat/data/maps"
MODES = {"walk": WALK, "sprint": SPRINT, "crouch": CROUCH, "air": AIR, "swim": SWIM}
STANCES = {"stand": 0, "crouch": 1, "air": 2}
RULES: dict[str, Any] = {
    "speed_mps": {"walk": 5.0, "sprint": 7.5, "crouch": 2.5, "air": 8.0, "swim": 0.0},
    "height_m": {"stand": 1.8, "crouch": 1.2, "air": 1.8},
    "acceleration_mps2": 60.0,
    "air_acceleration_mps2": 12.0,
    "gravity_mps2": 20.0,
    "jump_m": 1.1,
    "fall_mps": 50.0,
    "step_m": 0.45,
    "half_width_m": 0.4,
    "tolerance_m": 0.05,
    "teleport_m": 10.0,
    "burst_us": 300_000,
    "clock_ahead_us": 250_000,
    "clock_behind_us": 250_000,
    "clock_drift_q16": 0,
    "violation_decay_us": 10_000_000,
}
# Units of the Source engine: an inch or so, and its published limits.
SOURCE: dict[str, Any] = {
    **RULES,
    "speed_mps": {"walk": 320.0, "sprint": 320.0, "crouch": 106.0, "air": 320.0, "swim": 0.0},
    "height_m": {"stand": 72.0, "crouch": 36.0, "air": 72.0},
    "acceleration_mps2": 1_000_000.0,
    "air_acceleration_mps2": 1_000_000.0,
    "gravity_mps2": 800.0,
    "jump_m": 21.0,
    "fall_mps": 3500.0,
    "step_m": 18.0,
    "half_width_m": 16.0,
    "tolerance_m": 0.03125,
    "teleport_m": 1000.0,
    "burst_us": 360_000,  # 24 commands of 15 ms
}
TICK_US = 15_000
WIDE: dict[str, Any] = {
    "bounds": {"low": [-5000.0, -5000.0, -100.0], "high": [5000.0, 5000.0, 1000.0]},
    "boxes": [{"low": [-5000.0, -5000.0, -100.0], "high": [5000.0, 5000.0, 0.0]}],
}
FLAT = World(WIDE)


def room(*boxes: tuple[Point, Point], triangles: list[Any] | None = None) -> World:
    """A floor of 18 x 18 m, and what stands on it."""
    floor = {"low": [-9.0, -9.0, -1.0], "high": [9.0, 9.0, 0.0]}
    return World(
        document([floor, *({"low": list(low), "high": list(high)} for low, high in boxes)], triangles)
    )


class Player:
    """A mover and its two clocks, which run together unless told otherwise."""

    def __init__(
        self, world: World = FLAT, rules: dict[str, Any] | None = None, at: Point = (0.0, 0.0, 0.0)
    ) -> None:
        self.mover = Mover(rules or RULES, world, at)
        self.now_us = 0
        self.client_us = 1_000_000
        assert self.go(0.0, 0.0, 0.0, client_us=0, us=0) == (ACCEPTED, NONE)

    def go(
        self,
        x: float,
        y: float = 0.0,
        z: float = 0.0,
        *,
        mode: int = WALK,
        us: int = 100_000,
        client_us: int | None = None,
    ) -> tuple[int, int]:
        """By a distance, in a time."""
        self.now_us += us
        self.client_us += us if client_us is None else client_us
        at = self.at
        return self.mover.judge(
            (at[0] + x, at[1] + y, at[2] + z, 0.0, 0.0, mode, self.client_us), self.now_us
        )

    @property
    def at(self) -> Point:
        return self.mover.state()["position"]

    def run_up(self, speed: float, mode: int = WALK) -> None:
        """Comes to a steady speed along +x, and spends what was saved on the way."""
        for i in range(12):
            saved = self.mover.state()["budget_m"] if i >= 4 else 0.0
            way = min(speed, speed * (i + 1) / 3.0) * 0.1 + (saved if i == 11 else saved / 2.0)
            assert self.go(way if speed else 0.0, mode=mode) == (ACCEPTED, NONE)


# ---- equal to the twin ------------------------------------------------------------------------


def twin_rules(rules: dict[str, Any]) -> twin.Rules:
    return twin.Rules(
        **{
            **rules,
            "speed_mps": {mode: rules["speed_mps"][name] for name, mode in MODES.items()},
            "height_m": {stance: rules["height_m"][name] for name, stance in STANCES.items()},
        }
    )


def claim(draw: Draw, mover: twin.Mover, us: int, client_us: int) -> Move:
    """Now and then honest, often nearly, sometimes absurd."""
    x, y, z = mover.position
    reach = draw.choice((0.0, 0.05, 0.2, 0.5, 1.0, 6.0))
    rise = draw.choice((0.0, 0.0, mover.velocity[2] * us / 1e6, 6.6 * us / 1e6, draw.uniform(-1.0, 1.0), -z))
    yaw, pitch = 1.0, 0.0
    if draw.random() < 0.03:
        yaw, pitch = draw.choice(((math.nan, 0.0), (0.0, math.inf), (7000.0, 0.0), (0.0, 1.6)))
    mode = draw.choice((WALK, SPRINT, CROUCH, AIR, AIR, SWIM, DASH, draw.randint(0, 8)))
    return Move(
        f32(x + draw.uniform(-reach, reach)),
        f32(y + draw.uniform(-reach, reach)),
        f32(z + rise),
        yaw,
        pitch,
        mode,
        client_us,
    )


@cases(draws)
def test_a_sequence_is_judged_as_by_the_twin(draw: Draw) -> None:
    rules = {**RULES, "clock_drift_q16": draw.choice((0, 655)), "tolerance_m": draw.choice((0.0, 0.05, 0.2))}
    some = document(
        [{"low": [-9.0, -9.0, -1.0], "high": [9.0, 9.0, 0.0]}]
        + [draw.box() for _ in range(draw.randint(0, 4))],
        [draw.triangle() for _ in range(draw.randint(0, 3))],
    )
    at = (draw.number(), draw.number(), draw.choice((0.0, 0.0, 0.5, 2.0)))
    compiled = Mover(rules, World(some), at, 0.5, 1000)
    readable = twin.Mover(twin_rules(rules), twin_world.World(some), at, 0.5, 1000)
    now_us, client_us = 1000, draw.choice((0, 1, 10**15))
    for _ in range(8):
        us = draw.choice((0, 16_667, 50_000, 100_000, draw.randint(0, 500_000)))
        now_us += us
        if client_us:
            client_us += draw.choice((us, us, us + 3_000, us + 300_000, us // 2, 0, -5))
        if draw.random() < 0.1:
            compiled.grant(now_us + 60_000, 20.0)
            readable.granted_until_us, readable.granted_mps = now_us + 60_000, 20.0
        if draw.random() < 0.1:
            readable.speed_q16 = draw.choice((32_768, 65_536, 98_304))
            compiled.slow(readable.speed_q16)
        move = claim(draw, readable, us, client_us)
        assert compiled.judge(move, now_us) == readable.judge(move, now_us)
        state = compiled.state()
        assert state == {name: getattr(readable, name) for name in state}
        assert compiled.violation(now_us + us) == readable.violation(now_us + us)


# ---- claims no honest client makes --------------------------------------------------------------


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e7])
@pytest.mark.parametrize("field", range(5))
def test_numbers_out_of_range_are_rejected(field: int, value: float) -> None:
    player = Player()
    move: list[Any] = [0.0, 0.0, 0.0, 0.0, 0.0, WALK, 2_000_000]
    move[field] = value
    before = player.mover.state()
    assert player.mover.judge(tuple(move), 100_000) == (REJECTED, OUT_OF_RANGE)
    after = player.mover.state()
    assert after.pop("violation_milli") == 1000  # type: ignore[misc]
    assert after["violation_us"] == 100_000
    assert {**before, "violation_us": 100_000, "violation_milli": 1000} == {**after, "violation_milli": 1000}


@pytest.mark.parametrize(
    ("move", "reason"),
    [
        (
            (0.0, 0.0, 0.0, 6283.1, 1.5707963705062866, WALK, 2_000_000),
            NONE,
        ),  # half pi as a float of the wire
        ((0.0, 0.0, 0.0, 6284.0, 0.0, WALK, 2_000_000), OUT_OF_RANGE),
        ((0.0, 0.0, 0.0, 0.0, 1.571, WALK, 2_000_000), OUT_OF_RANGE),
        ((0.0, 0.0, 0.0, 0.0, 0.0, 0, 2_000_000), OUT_OF_RANGE),
        ((0.0, 0.0, 0.0, 0.0, 0.0, 7, 2_000_000), OUT_OF_RANGE),
        ((0.0, 0.0, 0.0, 0.0, 0.0, WALK, -1), OUT_OF_RANGE),
        ((0.0, 0.0, 0.0, 0.0, 0.0, WALK, 2**52 + 1), OUT_OF_RANGE),
        ((0.0, 5000.1, 0.0, 0.0, 0.0, WALK, 2_000_000), OUT_OF_BOUNDS),
        ((0.0, 0.0, -100.1, 0.0, 0.0, WALK, 2_000_000), OUT_OF_BOUNDS),
        ((0.0, 0.0, 0.0, 0.0, 0.0, DASH, 2_000_000), MODE_NOT_GRANTED),
        ((0.0, 0.0, 0.0, 0.0, 0.0, SWIM, 2_000_000), MODE_NOT_GRANTED),  # of speed 0 in these rules
        ((0.0, 0.0, 0.0, 0.0, 0.0, WALK, 1_000_000), CLOCK_AHEAD),  # does not rise
        ((0.0, 0.0, 0.0, 0.0, 0.0, WALK, 999_999), CLOCK_AHEAD),
        ((0.0, 0.0, 0.0, 0.0, 0.0, WALK, 0), CLOCK_AHEAD),
    ],
)
def test_claims(move: tuple[float, float, float, float, float, int, int], reason: int) -> None:
    outcome = ACCEPTED if reason == NONE else REJECTED
    assert Player().mover.judge(move, 100_000) == (outcome, reason)


def test_a_jump_of_ten_blocks_is_a_teleport() -> None:
    """Minecraft's servers refuse a move whose square is above 100 however fast the player may be."""
    rules = {**RULES, "speed_mps": {**RULES["speed_mps"], "walk": 1000.0}, "acceleration_mps2": 1e6}
    assert Player(rules=rules).go(10.0) == (ACCEPTED, NONE)
    assert Player(rules=rules).go(10.001) == (REJECTED, TELEPORT)
    assert Player(rules=rules).go(6.0, 6.0, 6.0) == (REJECTED, TELEPORT)


# ---- pace ---------------------------------------------------------------------------------------


def test_distance_is_paid_from_a_bucket_that_fills_with_server_time() -> None:
    player = Player()
    player.run_up(5.0)
    assert player.mover.state()["budget_m"] == pytest.approx(0.0, abs=1e-9)
    assert player.go(0.55) == (ACCEPTED, NONE)  # into the tolerance ...
    assert player.mover.state()["budget_m"] == pytest.approx(-0.05)
    assert player.go(0.51) == (CORRECTED, TOO_FAST)  # ... which is given once
    assert player.go(0.5) == (ACCEPTED, NONE)  # the correction kept the time's budget


def test_many_small_moves_win_no_more_than_one_large() -> None:
    player = Player()
    player.run_up(5.0)
    start = player.at[0]
    for _ in range(1000):  # a move a millisecond, each asking for the tolerance as well
        player.go(0.05, us=1000)
    assert player.at[0] - start <= 5.0 * 1.0 + 0.05 + 1e-9


def test_a_late_burst_is_paid_from_what_was_saved() -> None:
    player = Player()
    player.run_up(5.0)
    for i in range(3):  # 300 ms of moves arrive at once
        assert player.go(0.5, us=300_000 if i == 0 else 0, client_us=100_000) == (ACCEPTED, NONE)
    assert player.go(0.5, us=0, client_us=100_000) == (CORRECTED, TOO_FAST)


def test_source_saves_up_24_commands() -> None:
    """sv_maxusrcmdprocessticks 24 of 15 ms is 0.36 s; at 320 units a second 115.2 units."""
    player = Player(rules=SOURCE)
    assert player.go(0.0, us=60_000_000) == (ACCEPTED, NONE)
    assert player.mover.state()["budget_m"] == pytest.approx(115.2)
    assert player.go(115.2 + 0.03, us=0, client_us=TICK_US) == (ACCEPTED, NONE)
    assert player.go(0.1, us=0, client_us=TICK_US) == (CORRECTED, TOO_FAST)


def test_unreal_allows_an_error_of_root_three_centimetres() -> None:
    """MAXPOSITIONERRORSQUARED 3, in centimetres."""
    rules = {**SOURCE, "tolerance_m": math.sqrt(3.0), "burst_us": 125_000}
    for error, reason in ((1.73, NONE), (1.74, TOO_FAST)):
        player = Player(rules=rules)
        player.run_up(320.0)
        assert player.go(32.0 + error)[1] == reason


def test_unreal_counts_no_more_than_an_eighth_of_a_second() -> None:
    """MaxMoveDeltaTime 0.125 s."""
    player = Player(rules={**SOURCE, "burst_us": 125_000})
    assert player.go(0.0, us=500_000) == (ACCEPTED, NONE)
    assert player.go(40.1, us=500_000) == (CORRECTED, TOO_FAST)
    assert player.go(40.0, us=500_000) == (ACCEPTED, NONE)


def test_each_mode_has_its_pace_and_effects_change_it() -> None:
    for mode, pace in ((WALK, 5.0), (SPRINT, 7.5), (CROUCH, 2.5)):
        player = Player()
        player.run_up(pace, mode)
        assert player.go(pace * 0.1 + 0.051, mode=mode) == (CORRECTED, TOO_FAST)
    player = Player()
    player.mover.slow(32_768)
    player.run_up(2.5)
    assert player.go(0.5) == (CORRECTED, TOO_FAST)


def test_who_claims_the_air_on_the_ground_goes_at_a_sprint() -> None:
    player = Player()
    player.run_up(7.5, AIR)
    assert player.go(0.75, mode=AIR) == (ACCEPTED, NONE)
    assert player.go(0.801, mode=AIR) == (CORRECTED, TOO_FAST)


def test_a_dash_is_granted_for_a_time_and_at_a_speed() -> None:
    player = Player()
    player.run_up(5.0)
    player.mover.grant(player.now_us + 150_000, 20.0)
    assert player.go(2.0, mode=DASH) == (ACCEPTED, NONE)
    assert player.go(2.1, mode=DASH, us=50_000) == (CORRECTED, TOO_FAST)
    assert player.go(1.0, mode=DASH, us=1) == (REJECTED, MODE_NOT_GRANTED)
    assert player.go(0.5 + 0.05) == (ACCEPTED, NONE)  # and then the pace is the old one
    assert player.go(2.0) == (CORRECTED, TOO_FAST)


def test_acceleration_bounds_gain_and_turn_but_not_loss() -> None:
    rules = {**RULES, "acceleration_mps2": 10.0, "tolerance_m": 0.001, "burst_us": 1_000_000}

    def rolling() -> Player:
        player = Player(rules=rules)
        for _ in range(5):
            player.go(0.0)
        for i in range(1, 6):
            assert player.go(0.1 * i) == (ACCEPTED, NONE)  # gains 1 m/s in 0.1 s
        return player

    assert rolling().go(0.0) == (ACCEPTED, NONE)  # a wall may stop at once
    assert rolling().go(0.25, 0.25) == (
        ACCEPTED,
        NONE,
    )  # or turn: half of the speed, along a wall at 45 degrees
    assert rolling().go(0.0, 0.5) == (CORRECTED, TOO_FAST)
    assert rolling().go(-0.5) == (CORRECTED, TOO_FAST)
    still = Player(rules=rules)
    still.go(0.0)
    assert still.go(0.1) == (ACCEPTED, NONE)
    assert still.go(0.301) == (CORRECTED, TOO_FAST)


# ---- clocks -------------------------------------------------------------------------------------


def test_a_clock_ahead_by_more_than_a_quarter_second_is_paid_back() -> None:
    """Unreal's discrepancy: detected above 0.25 s, then server time pays at rate 1 until it is 0."""
    player = Player()
    player.run_up(5.0)
    assert player.go(0.5, us=100_000, client_us=350_000) == (ACCEPTED, NONE)
    assert (player.mover.state()["discrepancy_us"], player.mover.state()["paying_back"]) == (250_000, 0)
    assert player.go(0.5, us=100_000, client_us=150_000) == (CORRECTED, CLOCK_AHEAD)
    assert (player.mover.state()["discrepancy_us"], player.mover.state()["paying_back"]) == (200_000, 1)
    assert player.go(0.5) == (CORRECTED, CLOCK_AHEAD)
    assert player.go(0.5) == (ACCEPTED, NONE) or player.mover.state()["discrepancy_us"] == 0
    assert player.mover.state()["paying_back"] == 0


def test_a_fast_clock_buys_nothing() -> None:
    """Twice the speed of time for ten seconds."""
    player = Player()
    start = player.at[0]
    for _ in range(100):
        player.go(1.0, us=100_000, client_us=200_000)
    assert player.at[0] - start <= 5.0 * 10.0
    assert player.mover.state()["discrepancy_us"] <= 4 * 250_000


def test_a_clock_behind_keeps_a_quarter_second_of_credit() -> None:
    player = Player()
    assert player.go(0.0, us=2_000_000, client_us=100_000) == (ACCEPTED, NONE)
    assert player.mover.state()["discrepancy_us"] == -250_000
    for _ in range(5):  # 500 ms come at once: 250 of them are credit
        assert player.go(0.05, us=0, client_us=100_000) == (ACCEPTED, NONE)
    assert (player.mover.state()["discrepancy_us"], player.mover.state()["paying_back"]) == (250_000, 0)


def test_drift_is_forgiven() -> None:
    """655 / 65536: a clock one percent fast never owes anything."""
    for drift, owed in ((0, 1_000_000), (656, 0)):
        player = Player(rules={**RULES, "clock_drift_q16": drift, "clock_ahead_us": 2_000_000})
        for _ in range(1000):
            player.go(0.0, us=100_000, client_us=101_000)
        assert player.mover.state()["discrepancy_us"] == owed


def test_without_a_client_clock_the_server_s_counts() -> None:
    mover = Mover(RULES, FLAT, (0.0, 0.0, 0.0))
    for i in range(1, 20):
        assert mover.judge((0.5 * i, 0.0, 0.0, 0.0, 0.0, WALK, 0), 100_000 * i) == (ACCEPTED, NONE)
    assert mover.judge((10.2, 0.0, 0.0, 0.0, 0.0, WALK, 0), 2_000_000) == (CORRECTED, TOO_FAST)
    assert mover.state()["discrepancy_us"] == 0


# ---- height -------------------------------------------------------------------------------------


def test_take_off_speed_and_apex_of_source() -> None:
    """g 800, h 21: 183.303 units a second, apex after 0.2291 s."""
    mover = Player(rules=SOURCE).mover
    assert mover.take_off_mps == pytest.approx(183.303, abs=5e-4)
    assert mover.take_off_mps / 800.0 == pytest.approx(0.2291, abs=5e-5)


def test_a_jump_follows_its_arc_up_to_21_units() -> None:
    player = Player(rules=SOURCE)
    v0, top = player.mover.take_off_mps, 0.0
    for i in range(1, 31):
        t = i * TICK_US / 1e6
        height = max(v0 * t - 400.0 * t * t, 0.0)
        assert player.go(0.0, 0.0, height - player.at[2], mode=AIR, us=TICK_US) == (ACCEPTED, NONE)
        top = max(top, height)
    assert top == pytest.approx(21.0, abs=0.03)
    assert player.at[2] > 0.0
    assert player.go(0.0, 0.0, -player.at[2], us=TICK_US) == (ACCEPTED, NONE)
    assert player.mover.state()["on_ground"] == 1


def test_higher_or_sooner_is_too_high() -> None:
    for us, rise, reason in (
        (229_129, 21.0, NONE),  # the apex, in one move
        (500_000, 21.03, NONE),  # the tolerance is 1/32
        (500_000, 21.04, TOO_HIGH),
        (TICK_US, 2.74, NONE),  # 183.303 x 0.015
        (TICK_US, 2.79, TOO_HIGH),
    ):
        assert Player(rules=SOURCE).go(0.0, 0.0, rise, mode=AIR, us=us)[1] == reason


def airborne() -> Player:
    """0.9 m up, still rising by 2.9 m/s at most."""
    player = Player()
    assert player.go(0.0, 0.0, 0.5, mode=AIR) == (ACCEPTED, NONE)
    assert player.go(0.0, 0.0, 0.4, mode=AIR) == (ACCEPTED, NONE)
    assert player.mover.state()["velocity"][2] == pytest.approx(math.sqrt(44.0 - 20.0) - 2.0)
    return player


@pytest.mark.parametrize("us", [1_000, 5_000, 16_667, 50_000])
def test_nobody_hovers(us: int) -> None:
    """However finely the time is cut: 0.145 s to the apex, and then the fall is due within two tolerances,
    which gravity takes 0.1 s for."""
    player = airborne()
    hung_us = 0
    while player.go(0.0, 0.0, 0.0, mode=AIR, us=us)[0] == ACCEPTED:
        hung_us += us
    assert 100_000 <= hung_us <= 245_000 + us


@pytest.mark.parametrize("us", [1_000, 5_000, 16_667, 50_000])
def test_nobody_climbs_the_air(us: int) -> None:
    player = Player()
    for _ in range(2_000_000 // us):
        player.go(0.0, 0.0, 0.04, mode=AIR, us=us)
    assert player.at[2] <= 1.1 + 3 * 0.05


def test_a_slow_clock_does_not_hold_gravity_off() -> None:
    """The client says a microsecond passed where the server saw 50 ms: it has 0.25 s of credit."""
    player = airborne()
    hung_us = 0
    while player.go(0.0, 0.0, 0.0, mode=AIR, us=50_000, client_us=1)[0] == ACCEPTED:
        hung_us += 50_000
    assert hung_us <= 250_000 + 245_000 + 50_000


def test_a_fall_goes_down_as_fast_as_it_may() -> None:
    world = room(((-2.0, -2.0, 0.0), (0.0, 2.0, 6.0)))
    player = Player(world, at=(-0.5, 0.0, 6.0))
    player.run_up(0.0)
    for _ in range(2):
        assert player.go(0.45) == (ACCEPTED, NONE)
    assert player.mover.state()["on_ground"] == 0
    assert player.go(0.4, 0.0, 0.0, mode=AIR) == (ACCEPTED, NONE)
    assert player.go(0.0, 0.0, -5.1, mode=AIR) == (CORRECTED, TOO_FAST)  # 50 m/s, 0.1 s
    assert player.go(0.0, 0.0, -5.0, mode=AIR) == (ACCEPTED, NONE)
    assert player.go(0.0, 0.0, 0.0, mode=AIR) == (CORRECTED, TOO_HIGH)  # nor does one hang after it
    assert player.go(0.0, 0.0, -1.0, mode=WALK) == (ACCEPTED, NONE)
    assert player.mover.state()["on_ground"] == 1


def test_who_walks_off_an_edge_does_not_jump_in_the_air() -> None:
    player = Player(room(((-2.0, -2.0, 0.0), (0.0, 2.0, 3.0))), at=(-0.5, 0.0, 3.0))
    player.run_up(0.0)
    for _ in range(3):
        assert player.go(0.45) == (ACCEPTED, NONE)
    assert player.go(0.1, 0.0, 0.3, mode=AIR) == (CORRECTED, TOO_HIGH)


def test_a_dash_holds_its_height_and_does_not_rise() -> None:
    player = airborne()
    for _ in range(2):
        assert player.go(0.0, 0.0, 0.0, mode=AIR) == (ACCEPTED, NONE)
    player.mover.grant(player.now_us + 1_000_000, 20.0)
    for _ in range(5):
        assert player.go(1.0, 0.0, 0.0, mode=DASH) == (ACCEPTED, NONE)
    assert player.go(1.0, 0.0, 0.3, mode=DASH) == (CORRECTED, TOO_HIGH)


# ---- geometry -----------------------------------------------------------------------------------


def test_a_step_is_climbed_and_a_crate_is_not() -> None:
    for height, reason in ((0.45, NONE), (0.6, TOO_HIGH)):
        player = Player(room(((1.0, -2.0, 0.0), (4.0, 2.0, height))))
        assert player.go(0.0) == player.go(0.55) == (ACCEPTED, NONE)
        for rise in (height - 0.15, 0.15):  # not in two halves either
            verdict = player.go(0.12, 0.0, rise, us=20_000)
            if verdict != (ACCEPTED, NONE):
                break
        assert verdict[1] == reason


def test_a_wall_is_not_passed_however_fast() -> None:
    player = Player(room(((1.0, -2.0, 0.0), (1.1, 2.0, 3.0))), {**RULES, "burst_us": 2_000_000})
    player.go(0.0, us=2_000_000)
    assert player.go(3.0, us=1_000_000) == (CORRECTED, BLOCKED)
    assert player.go(0.6) == (ACCEPTED, NONE)  # up to it
    assert player.go(0.1) == (CORRECTED, BLOCKED)
    assert player.go(0.0, 0.4) == (ACCEPTED, NONE)  # and along it


def test_the_feet_do_not_go_below_the_ground() -> None:
    player = Player(room())
    assert player.go(0.0, 0.0, -0.05) == (ACCEPTED, NONE)
    assert player.go(0.0, 0.0, -0.06) == (CORRECTED, BLOCKED)


def test_one_stands_up_only_where_there_is_room() -> None:
    player = Player(room(((1.0, -2.0, 1.3), (4.0, 2.0, 3.0))))
    for _ in range(8):
        assert player.go(0.25, mode=CROUCH) == (ACCEPTED, NONE)
    assert player.mover.state()["stance"] == 1
    assert player.go(0.0) == (CORRECTED, BLOCKED)
    assert player.go(0.0, 0.0, -0.01) == (CORRECTED, BLOCKED)
    assert player.go(-0.25, mode=CROUCH) == (ACCEPTED, NONE)


def test_a_ceiling_stops_a_jump() -> None:
    player = Player(room(((-2.0, -2.0, 2.2), (2.0, 2.0, 3.0))))
    assert player.go(0.0, 0.0, 0.4, mode=AIR) == (ACCEPTED, NONE)
    assert player.go(0.0, 0.0, 0.2, mode=AIR) == (CORRECTED, BLOCKED)


def test_a_correction_leaves_the_player_where_it_was() -> None:
    player = Player()
    player.run_up(5.0)
    before = player.mover.state()
    assert player.go(3.0) == (CORRECTED, TOO_FAST)
    after = player.mover.state()
    for field in ("position", "velocity", "yaw", "mode", "stance", "on_ground", "rise_m"):
        assert after[field] == before[field]
    assert after["last_us"] == player.now_us
    assert after["client_us"] == player.client_us


# ---- the score ----------------------------------------------------------------------------------


def test_the_score_halves_and_is_linear_in_between() -> None:
    player = Player()
    player.run_up(5.0)
    for _ in range(4):
        player.go(3.0, us=0, client_us=1)
    now = player.now_us
    assert player.mover.violation(now) == 4000
    assert player.mover.violation(now + 5_000_000) == 3000
    assert player.mover.violation(now + 10_000_000) == 2000
    assert player.mover.violation(now + 15_000_000) == 1500
    assert player.mover.violation(now + 30_000_000) == 500
    assert player.mover.violation(now + 10**12) == 0
    player.go(9.0, us=10_000_000)
    assert player.mover.state()["violation_milli"] == 3000


def test_a_new_place_forgets_all_but_the_score() -> None:
    player = Player()
    player.run_up(5.0)
    player.go(3.0)
    player.mover.place((7.0, 8.0, 0.0), 1.0, player.now_us)
    state = player.mover.state()
    assert state["position"] == (7.0, 8.0, 0.0)
    assert (state["client_us"], state["discrepancy_us"], state["budget_m"]) == (0, 0, 0.0)
    assert state["violation_milli"] == 1000
    player.client_us = 5  # a fresh clock may begin anywhere
    assert player.go(0.5) == (ACCEPTED, NONE)


# ---- the honest player ----------------------------------------------------------------------------


@pytest.mark.parametrize("rate_hz", [20, 60, 128])
@pytest.mark.parametrize("name", ["yard", "foundry", "canyon"])
def test_an_honest_player_is_left_alone(name: str, rate_hz: int) -> None:
    """Ten seconds of wandering from eight spawns, over a line of 40 to 120 ms."""
    world = World(json.loads((MAPS / f"{name}.json").read_text(encoding="utf-8")))
    rules = {**RULES, "clock_drift_q16": 655}
    verdicts: list[tuple[int, int]] = []
    jumps, gone = 0, 0.0
    for seed in range(8):
        spawn = world.spawns[seed * 2]
        walker = Walker(twin_rules(rules), world, spawn[:3], seed)
        mover = Mover(rules, world, spawn[:3], spawn[3], 0)
        now_us, client_us = 0, 1_000_000
        for _ in range(10 * rate_hz):
            client_us += 1_000_000 // rate_hz
            before = walker.at
            move = walker.step(1.0 / rate_hz, client_us)
            gone += math.dist(before, walker.at)
            late_us = int(40_000 + 80_000 * walker.random.random() ** 3)
            now_us = max(now_us, client_us - 1_000_000 + late_us)
            verdicts.append(mover.judge(move, now_us))
            if verdicts[-1][0] != ACCEPTED:
                walker.correct(mover.state())
        jumps += walker.jumps
    assert jumps > 10
    assert gone > 100.0
    refused = [verdict for verdict in verdicts if verdict[0] != ACCEPTED]
    # Where a rock leans over a slope a body may rest on both, and slide as neither would let it.
    assert len(refused) <= (len(verdicts) // 500 if name == "canyon" else 0), refused


# ---- rules ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"jump_m": -1.0}, "jump_m: -1.0 is not a number"),
        ({"jump_m": math.nan}, "jump_m: nan is not a number"),
        ({"burst_us": "1"}, "burst_us: '1' is not a number"),
        ({"clock_drift_q16": 65_537}, "clock_drift_q16: 65537 is not a number"),
        ({"speed_mps": {"walk": 1.0}}, r"speed_mps\.sprint: is missing"),
        ({"height_m": 1.8}, r"height_m\.stand: is missing"),
    ],
)
def test_rules_that_make_no_sense_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        Mover({**RULES, **change}, FLAT, (0.0, 0.0, 0.0))


def test_every_rule_is_needed() -> None:
    for key in RULES:
        with pytest.raises(ValueError, match=key):
            Mover({name: value for name, value in RULES.items() if name != key}, FLAT, (0.0, 0.0, 0.0))
