"""Damage against published examples, against its own laws, and against its twin."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from typing import Any

import pytest

from native import damage, philox
from native.reference import damage as twin
from native.reference.damage import Body, Strike
from tests.support.draw import Draw, cases, draws

NO_ARMOUR = {"kind": "none"}
TEAM_FORTRESS = {"kind": "smooth", "reference_m": 512}
Q16 = 65536
DRAW_CRIT = 2
FACTORS = ("share_q16", "region_q16", "crit_q16", "dealt_q16", "taken_q16")


def q16(factor: float) -> int:
    return round(factor * Q16)


def dealt(strike: Strike, armour: dict[str, Any] = NO_ARMOUR, **body: int) -> float:
    """Health points lost by a body of 1000."""
    wound, _ = damage.apply(armour, strike, Body(health_milli=1_000_000, **body))  # type: ignore[typeddict-item]
    return wound["dealt_milli"] / 1000


# ---- published numbers ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("distance", "points"),
    [(0, 150.0), (256, 134.375), (512, 100.0), (768, 65.625), (1024, 52.8), (9000, 52.8)],
)
def test_smooth_falloff_is_that_of_team_fortress_2(distance: float, points: float) -> None:
    assert dealt({"base_milli": 100_000, "distance_m": distance, "falloff": TEAM_FORTRESS}) == points


@pytest.mark.parametrize("distance", [0, 256, 512, 768, 1024])
def test_a_critical_hit_of_three_times_skips_falloff(distance: float) -> None:
    strike = Strike(
        base_milli=100_000, distance_m=distance, falloff=TEAM_FORTRESS, critical=True, crit_q16=q16(3)
    )
    assert dealt(strike) == 300.0


def test_a_small_critical_hit() -> None:
    strike = Strike(base_milli=100_000, critical=True, crit_q16=q16(1.35))
    assert dealt(strike) == pytest.approx(135.0, abs=100 / Q16)


@pytest.mark.parametrize(("distance", "points"), [(0, 35.0), (128, 32.51), (512, 26.07)])
def test_exponential_falloff_is_that_of_counter_strike(distance: float, points: float) -> None:
    """35 x 0.75^(distance / 500)"""
    falloff = {"kind": "exponential", "half_m": 500 * math.log(0.5) / math.log(0.75)}
    strike = Strike(base_milli=35_000, distance_m=distance, falloff=falloff)
    assert dealt(strike) == round(35_000 * 0.75 ** (distance / 500)) / 1000
    assert dealt(strike) == pytest.approx(points, abs=0.01)  # as published, in part cut off


@pytest.mark.parametrize(("factor", "points"), [(4.0, 140.0), (1.0, 35.0), (1.25, 43.75), (0.75, 26.25)])
def test_regions_of_counter_strike(factor: float, points: float) -> None:
    assert dealt({"base_milli": 35_000, "region_q16": q16(factor)}) == points


@pytest.mark.parametrize(
    ("armour", "bonus", "points", "left"),
    [(100, 1, 10, 60), (20, 1, 30, 0), (20, 2, 40, 0), (0, 1, 50, 0), (40, 1, 10, 0)],
)
def test_absorbing_armour_is_that_of_half_life_2(armour: int, bonus: float, points: int, left: int) -> None:
    rules = {"kind": "absorb", "health_share": 0.2, "bonus": bonus}
    body = Body(health_milli=100_000, armour_milli=armour * 1000)
    wound, after = damage.apply(rules, {"base_milli": 50_000}, body)
    assert wound["dealt_milli"] == points * 1000
    assert wound["armour_milli"] == 50_000 - points * 1000
    assert after["armour_milli"] == left * 1000


@pytest.mark.parametrize(
    ("rating", "factor"), [(25, 0.8), (100, 0.5), (-25, 1.2), (0, 1.0), (-100, 1.5), (300, 0.25)]
)
def test_rating_armour_is_that_of_league_of_legends(rating: int, factor: float) -> None:
    assert dealt({"base_milli": 100_000}, {"kind": "rating"}, armour_milli=rating * 1000) == 100 * factor


def test_percentage_armour() -> None:
    assert dealt({"base_milli": 100_000}, {"kind": "percent", "percent": 0.25}) == 75.0


@pytest.mark.parametrize(
    ("share", "points"), [(0.0, 100.0), (0.25, 87.5), (0.5, 75.0), (1.0, 50.0), (2.0, 50.0)]
)
def test_a_blast_falls_in_a_line_to_its_edge(share: float, points: float) -> None:
    strike = Strike(base_milli=100_000, share_q16=damage.blast_share_q16(q16(0.5), share))
    assert dealt(strike) == points


def test_penetration_keeps_its_share_at_each_target() -> None:
    shares = [damage.kept_share_q16(q16(0.5), passed) for passed in range(4)]
    assert shares == [q16(1), q16(0.5), q16(0.25), q16(0.125)]


# ---- laws ------------------------------------------------------------------------------------------


def test_the_order_of_steps() -> None:
    """100 x 0.5 share x 0.5 falloff x 2 region x 1.5 dealt x 1.2 taken; armour halves, shield takes 20."""
    strike = Strike(
        base_milli=100_000,
        share_q16=q16(0.5),
        distance_m=20,
        falloff={"kind": "curve", "curve": [[10, 1.0], [30, 0.0]]},
        region_q16=q16(2),
        dealt_q16=q16(1.5),
        taken_q16=78_643,
    )
    body = Body(health_milli=100_000, armour_milli=100_000, shield_milli=20_000)
    wound, after = damage.apply({"kind": "rating"}, strike, body)
    assert wound["raw_milli"] == pytest.approx(90_000, abs=1)
    assert wound["armour_milli"] == pytest.approx(45_000, abs=1)
    assert wound["shield_milli"] == 20_000
    assert wound["dealt_milli"] == pytest.approx(25_000, abs=1)
    assert after["health_milli"] == 100_000 - wound["dealt_milli"]
    assert after["shield_milli"] == 0


def test_bypass_skips_armour_and_shield() -> None:
    body = Body(health_milli=100_000, armour_milli=100_000, shield_milli=100_000)
    wound, after = damage.apply({"kind": "rating"}, {"base_milli": 40_000, "bypass": True}, body)
    assert (wound["dealt_milli"], wound["armour_milli"], wound["shield_milli"]) == (40_000, 0, 0)
    assert (after["armour_milli"], after["shield_milli"]) == (100_000, 100_000)


def test_the_last_point_is_lethal_once() -> None:
    wound, after = damage.apply(NO_ARMOUR, {"base_milli": 30_000}, {"health_milli": 25_000})
    assert (wound["dealt_milli"], wound["overkill_milli"], wound["lethal"]) == (25_000, 5_000, True)
    again, _ = damage.apply(NO_ARMOUR, {"base_milli": 30_000}, after)
    assert (again["dealt_milli"], again["overkill_milli"], again["lethal"]) == (0, 30_000, False)


def test_nothing_hurts_nobody() -> None:
    wound, _ = damage.apply(NO_ARMOUR, {"base_milli": 0}, {"health_milli": 0})
    assert not wound["lethal"]
    assert dealt({"base_milli": -5_000}) == 0


@pytest.mark.parametrize(
    ("milli", "factor", "result"),
    [
        (1, 32_768, 1),
        (-1, 32_768, -1),
        (1, 32_767, 0),
        (3, 32_768, 2),
        (-3, 32_768, -2),
        (5, 0, 0),
        (7, 65_536, 7),
    ],
)
def test_a_half_rounds_away_from_zero(milli: int, factor: int, result: int) -> None:
    assert damage.scaled(milli, factor) == result


def test_scaling_saturates() -> None:
    assert damage.scaled(2**63 - 1, 2**31 - 1) == 2**63 - 1
    assert damage.scaled(-(2**63), 2**31 - 1) == -(2**63)


def test_curve_is_level_outside_its_points_and_straight_between() -> None:
    curve = {"kind": "curve", "curve": [[25, 1.0], [60, 0.75], [120, 0.55]]}
    at = {0: 1.0, 25: 1.0, 42.5: 0.875, 60: 0.75, 90: 0.65, 120: 0.55, 1e9: 0.55, math.inf: 0.55}
    assert {distance: damage.falloff(curve, distance) for distance in at} == pytest.approx(at)
    assert damage.falloff(curve, math.nan) == damage.falloff(curve, -1.0) == 1.0


def test_healing_stops_at_the_most() -> None:
    body = Body(health_milli=90_000, health_max_milli=100_000)
    assert damage.heal(body, 4_000)[0] == 4_000
    assert damage.heal(body, 40_000) == (
        10_000,
        {"health_milli": 100_000, "armour_milli": 0, "shield_milli": 0, "health_max_milli": 100_000},
    )
    assert damage.heal(body, -5)[0] == 0


@pytest.mark.parametrize(
    ("armour", "strike", "message"),
    [
        ({"kind": "plate"}, {"base_milli": 1}, r"armour\.kind: must be one of none, rating"),
        ({"kind": "percent"}, {"base_milli": 1}, r"armour\.percent: is missing"),
        (
            NO_ARMOUR,
            {"base_milli": 1, "falloff": {"kind": "smooth", "reference_m": 0}},
            r"falloff\.reference_m: must",
        ),
    ],
)
def test_rules_that_are_none(armour: Any, strike: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        damage.apply(armour, strike, {"health_milli": 1})


# ---- chance ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("draw", [0, 1, 2**31, 2**32 - 1])
def test_no_chance_and_certainty(draw: int) -> None:
    assert not damage.is_critical(0, draw)
    assert damage.is_critical(2**32, draw)


@pytest.mark.parametrize("chance", [0.02, 0.15, 0.5, 0.98])
def test_as_many_critical_hits_as_the_chance_says(chance: float) -> None:
    """Within four standard deviations over 50,000 shots; the draws are the arena's."""
    shots, threshold = 50_000, round(chance * 2**32)
    hits = sum(
        damage.is_critical(threshold, philox.draw(0xA5E4A, shot % 10, 1 + shot // 10, 0, DRAW_CRIT)[0])
        for shot in range(shots)
    )
    assert abs(hits - shots * chance) < 4 * math.sqrt(shots * chance * (1 - chance))


# ---- the twin ----------------------------------------------------------------------------------------


def amount(draw: Draw) -> int:
    return draw.whole(0, draw.choice((2**63 - 1, 1_000_000)))


def signed(draw: Draw) -> int:
    return draw.whole(*draw.choice(((-(2**63), 2**63 - 1), (-400_000, 400_000))))


def factor_of(draw: Draw) -> int:
    return draw.whole(*draw.choice(((0, 4 * Q16), (-(2**31), 2**31 - 1))))


def odd_float(draw: Draw) -> float:
    """Any of the bit patterns: huge ones, tiny ones, infinities, and every kind of not a number."""
    if draw.chance(0.25):
        return draw.choice((math.nan, math.inf, -math.inf, -0.0, 5e-324, 1.7976931348623157e308))
    value: float = struct.unpack("=d", draw.randbytes(8))[0]
    return value


def distance_of(draw: Draw) -> float:
    return draw.real(0, 500) if draw.chance(0.5) else odd_float(draw)


def falloff_of(draw: Draw) -> dict[str, Any]:
    kind = draw.choice(("none", "curve", "smooth", "exponential"))
    if kind == "curve":
        reaches = sorted({draw.real(0, draw.choice((600, 10_000))) for _ in range(draw.randint(1, 8))})
        return {"kind": kind, "curve": [(reach, draw.real(0, 4)) for reach in reaches]}
    # From a millimetre, each magnitude as likely as the others.
    metres = min(1e4, 10.0 ** draw.uniform(-3.0, 4.1))
    return {"kind": kind} | {"smooth": {"reference_m": metres}, "exponential": {"half_m": metres}}.get(
        kind, {}
    )


def armour_of(draw: Draw) -> dict[str, Any]:
    kind = draw.choice(("none", "rating", "percent", "absorb"))
    if kind == "percent":
        return {"kind": kind, "percent": draw.real(0, 2)}
    if kind == "absorb":
        return {"kind": kind, "health_share": draw.real(0, 2), "bonus": draw.real(0, 9)}
    return {"kind": kind}


def some(draw: Draw, fields: dict[str, Callable[[Draw], Any]]) -> dict[str, Any]:
    """Each of the fields, or not."""
    return {name: make(draw) for name, make in fields.items() if draw.chance(0.5)}


def strike_of(draw: Draw) -> Any:
    fields: dict[str, Callable[[Draw], Any]] = dict.fromkeys(FACTORS, factor_of)
    fields |= dict.fromkeys(("critical", "bypass"), lambda draw: draw.chance(0.5))
    fields |= {"distance_m": distance_of, "falloff": lambda draw: draw.choice((falloff_of(draw), None))}
    return {"base_milli": signed(draw)} | some(draw, fields)


def body_of(draw: Draw) -> Any:
    fields: dict[str, Callable[[Draw], Any]] = {
        "armour_milli": signed,
        "shield_milli": amount,
        "health_max_milli": amount,
    }
    return {"health_milli": amount(draw)} | some(draw, fields)


@cases(draws)
def test_apply_equals_its_twin_and_loses_nothing(draw: Draw) -> None:
    armour: Any = armour_of(draw)
    strike, body = strike_of(draw), body_of(draw)
    wound, after = damage.apply(armour, strike, body)
    assert (wound, after) == twin.apply(armour, strike, body)
    parts = wound["dealt_milli"], wound["armour_milli"], wound["shield_milli"], wound["overkill_milli"]
    assert wound["raw_milli"] == sum(parts)
    assert min(parts) >= 0
    assert after["health_milli"] == body["health_milli"] - wound["dealt_milli"] >= 0
    assert after["shield_milli"] == body.get("shield_milli", 0) - wound["shield_milli"] >= 0
    assert wound["lethal"] == (after["health_milli"] == 0 < body["health_milli"])


@cases(draws)
def test_heal_equals_its_twin(draw: Draw) -> None:
    body, healed = body_of(draw), signed(draw)
    assert damage.heal(body, healed) == twin.heal(body, healed)


@cases(draws)
def test_falloff_equals_its_twin(draw: Draw) -> None:
    falloff: Any = falloff_of(draw)
    distance = distance_of(draw)
    factor = damage.falloff(falloff, distance)
    assert factor == twin.falloff_factor(falloff, distance)
    assert 0 <= factor <= 4


@cases(draws)
def test_scaling_equals_its_twin(draw: Draw) -> None:
    milli, factor = signed(draw), factor_of(draw)
    assert damage.scaled(milli, factor) == twin.scale_q16(milli, factor)


@cases(draws)
def test_shares_equal_their_twins(draw: Draw) -> None:
    kept, passed = draw.whole(0, Q16), draw.randint(0, 32)
    part = draw.real(0, 1) if draw.chance(0.5) else odd_float(draw)
    assert damage.kept_share_q16(kept, passed) == twin.kept_share(kept, passed)
    assert damage.blast_share_q16(kept, part) == twin.blast_share(kept, part)
    assert kept <= damage.blast_share_q16(kept, part) <= Q16


@cases(draws)
def test_critical_equals_its_twin(draw: Draw) -> None:
    chance = draw.whole(0, 2**32)
    drawn = (
        min(max(chance + draw.randint(-1, 1), 0), 2**32 - 1) if draw.chance(0.25) else draw.getrandbits(32)
    )
    assert damage.is_critical(chance, drawn) == twin.is_critical(chance, drawn)
