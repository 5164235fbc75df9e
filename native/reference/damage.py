"""What `native/damage.pyx` computes, in plain Python: the specification and the twin in tests.

Amounts are in 1/1000 points, factors in 1/65536; every step rounds half away from zero and stays within 64
bits. The order is base -> share of a blast or of penetration -> falloff -> region -> critical (which skips
falloff) -> dealt and taken multipliers -> armour -> shield -> health.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Required, TypedDict

from native.document import Document, half_away
from native.reference.geometry import exp2

ONE_Q16 = 65536
RATING_BASE = 100_000
INT32_MAX = 2**31 - 1
INT64_MAX = 2**63 - 1
INT64_MIN = -(2**63)

Rules = Mapping[str, Any]
"""`armour` or `falloff` as a ruleset document has it."""


class Body(TypedDict, total=False):
    """Whom it meets. Left out: no armour, no shield, full health."""

    health_milli: Required[int]
    armour_milli: int
    shield_milli: int
    health_max_milli: int


class Strike(TypedDict, total=False):
    """What meets him. Left out: distance 0, factors 1, not critical, no falloff."""

    base_milli: Required[int]
    distance_m: float
    share_q16: int
    region_q16: int
    critical: bool
    crit_q16: int
    dealt_q16: int
    taken_q16: int
    bypass: bool
    falloff: Rules | None


class Wound(TypedDict):
    """What it cost. `raw_milli` is the sum of the four after it."""

    raw_milli: int
    dealt_milli: int
    armour_milli: int
    shield_milli: int
    overkill_milli: int
    lethal: bool


def within(value: int, low: int, high: int) -> int:
    return max(low, min(value, high))


def ratio(value: int, times: int, over: int) -> int:
    """value x times / over, rounded half away from zero, saturating."""
    product = value * times
    result = (abs(product) + over // 2) // over
    return within(-result if product < 0 else result, INT64_MIN, INT64_MAX)


def scale_q16(milli: int, factor_q16: int) -> int:
    return ratio(milli, factor_q16, ONE_Q16)


def falloff_factor(falloff: Rules, distance_m: float) -> float:
    if not distance_m > 0.0:
        distance_m = 0.0
    kind = falloff["kind"]
    if kind == "curve":
        return curve_factor([(float(d), float(f)) for d, f in falloff["curve"]], distance_m)
    if kind == "smooth":
        near = 1.0 - distance_m / float(falloff["reference_m"]) / 2.0
        v = (near - 0.1 if near > 0.1 else 0.0) + 0.1
        return 1.0 + 0.5 * (2.0 * (3.0 * v * v - 2.0 * v * v * v) - 1.0)
    if kind == "exponential":
        return exp2(-distance_m / float(falloff["half_m"]))
    return 1.0


def curve_factor(points: list[tuple[float, float]], distance_m: float) -> float:
    """Straight lines between the points, level outside them."""
    if distance_m <= points[0][0]:
        return points[0][1]
    for (d0, f0), (d1, f1) in zip(points, points[1:], strict=False):  # noqa: RUF007
        if distance_m < d1:
            way = (distance_m - d0) / (d1 - d0)
            return f0 + (f1 - f0) * way
    return points[-1][1]


def attenuate(milli: int, factor: float) -> int:
    product = float(milli) * factor
    if not product > 0.0:
        return 0
    return min(half_away(product), INT64_MAX) if product < 2.0**63 else INT64_MAX


def raw_damage(strike: Strike) -> int:
    milli = strike["base_milli"]
    if milli <= 0:
        return 0
    critical = strike.get("critical", False)
    falloff = strike.get("falloff")
    milli = scale_q16(milli, strike.get("share_q16", ONE_Q16))
    if falloff is not None and not critical:
        milli = attenuate(milli, falloff_factor(falloff, strike.get("distance_m", 0.0)))
    milli = scale_q16(milli, strike.get("region_q16", ONE_Q16))
    if critical:
        milli = scale_q16(milli, strike.get("crit_q16", ONE_Q16))
    milli = scale_q16(milli, strike.get("dealt_q16", ONE_Q16))
    milli = scale_q16(milli, strike.get("taken_q16", ONE_Q16))
    return max(milli, 0)


def through_armour(armour: Rules, raw: int, points: int) -> tuple[int, int]:
    """(what armour lets through, the armour that remains)."""
    rules = Document(armour, "armour")
    kind = armour["kind"]
    if kind == "rating":
        return through_rating(raw, points), points
    if kind == "absorb":
        taken, spent = absorb(raw, points, rules.q16("health_share"), rules.q16("bonus"))
        return raw - taken, points - spent
    if kind == "percent":
        return raw - within(scale_q16(raw, rules.q16("percent")), 0, raw), points
    return raw, points


def through_rating(raw: int, rating: int) -> int:
    """100 / (100 + rating) of it; below zero 2 - 100 / (100 - rating)."""
    most = INT64_MAX - RATING_BASE
    if rating >= 0:
        return ratio(raw, RATING_BASE, RATING_BASE + min(rating, most))
    return min(2 * raw - ratio(raw, RATING_BASE, RATING_BASE + min(-rating, most)), INT64_MAX)


def absorb(raw: int, points: int, health_share_q16: int, bonus_q16: int) -> tuple[int, int]:
    """(taken by armour, armour spent on it): a share of it while armour lasts, the rest to health."""
    taken = raw - within(scale_q16(raw, health_share_q16), 0, raw)
    if taken == 0 or points <= 0:
        return 0, 0
    spent = max(scale_q16(taken, bonus_q16), 1)
    if spent <= points:
        return taken, spent
    return within(ratio(points, ONE_Q16, bonus_q16), 0, taken), points


def apply(armour: Rules, strike: Strike, body: Body) -> tuple[Wound, Body]:
    """What the strike costs, and the body after it."""
    health = max(body["health_milli"], 0)
    points, shield = body.get("armour_milli", 0), body.get("shield_milli", 0)
    raw = left = raw_damage(strike)
    absorbed = blocked = 0
    if not strike.get("bypass", False):
        left, points = through_armour(armour, raw, points)
        raw = max(raw, left)
        absorbed = raw - left
        blocked = within(shield, 0, left)
        left -= blocked
    dealt = min(left, health)
    wound = Wound(
        raw_milli=raw,
        dealt_milli=dealt,
        armour_milli=absorbed,
        shield_milli=blocked,
        overkill_milli=left - dealt,
        lethal=0 < health == dealt,
    )
    after = Body(
        health_milli=health - dealt,
        armour_milli=points,
        shield_milli=shield - blocked,
        health_max_milli=body.get("health_max_milli", body["health_milli"]),
    )
    return wound, after


def heal(body: Body, amount_milli: int) -> tuple[int, Body]:
    """(what was really restored, the body after it)."""
    health, most = body["health_milli"], body.get("health_max_milli", body["health_milli"])
    restored = within(amount_milli, 0, max(most - health, 0))
    after = Body(
        health_milli=health + restored,
        armour_milli=body.get("armour_milli", 0),
        shield_milli=body.get("shield_milli", 0),
        health_max_milli=most,
    )
    return restored, after


def blast_share(edge_q16: int, share: float) -> int:
    """Linear from all at the centre to `edge_q16` at the edge."""
    if not share > 0.0:
        return ONE_Q16
    if share >= 1.0:
        return edge_q16
    return ONE_Q16 - attenuate(ONE_Q16 - edge_q16, share)


def kept_share(kept_q16: int, passed: int) -> int:
    """Of a ray that has gone through `passed` targets."""
    share = ONE_Q16
    for _ in range(passed):
        share = scale_q16(share, kept_q16)
    return within(share, 0, INT32_MAX)


def is_critical(chance_q32: int, draw: int) -> bool:
    """`draw`: 32 random bits. Never at a chance of 0, always at 2^32."""
    return draw < chance_q32
