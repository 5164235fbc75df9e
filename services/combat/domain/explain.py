"""Why a command came to what it came to, in sentences for somebody who has never read a journal.

Pure: what happened comes in as plain values, the words go out. Enumerations are named as in the contract,
without their prefix and in lower case: `fire_rate`, `max_rewind`, `head`; '' where there is none.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from native import damage
from native.reference.damage import Strike

Point = tuple[float, float, float]
Weapon = Mapping[str, Any]
"""As in `Ruleset.tables()`."""

REASONS: Mapping[str, str] = {
    "not_active": "the match was not running",
    "unknown_slot": "there is nobody in that seat",
    "foreign_slot": "the seat belongs to another player",
    "dead": "the player, or whom it was meant for, was not alive",
    "bad_sequence": "its number is not above that of the player's command before it",
    "repeat_too_old": "it was judged so long ago that the first answer is no longer held",
    "out_of_range": "one of its numbers is outside what the contract allows",
    "not_trusted": "only a game server may send this",
    "no_kind": "it does not say what to do",
    "unknown_weapon": "the ruleset has no such weapon",
    "fire_rate": "the weapon had been fired too short a time before",
    "no_ammo": "the weapon was empty",
    "reloading": "the weapon was being reloaded",
    "bad_origin": "it did not come from where the shooter's eye was, or a wall was between",
    "no_history": "the moment that was seen is no longer remembered",
    "projectile_limit": "too many projectiles were in flight",
    "stunned": "the player was stunned",
    "casting": "the player was in the middle of an action",
    "unknown_action": "the ruleset has no such action",
    "cooldown": "the action was still cooling down",
    "no_charges": "no charge of the action was left",
    "no_resource": "the player could not pay for the action",
    "bad_target": "it cannot be used on that target",
    "target_range": "the target was out of reach",
    "no_line_of_sight": "a wall was in the way",
    "interrupted": "it was interrupted before it was done",
    "too_fast": "it was farther than the player can move in that time",
    "too_high": "it was higher than the player can jump or step",
    "blocked": "a wall or another obstacle was in the way",
    "out_of_bounds": "it left the map",
    "teleport": "it was a jump across the map",
    "clock_ahead": "the player's clock ran ahead of the server's, as it does with a speed hack",
    "mode_not_granted": "that way of moving needs an action which was not in effect",
    "protected": "whom it was meant for was protected after a spawn",
    "friendly_fire": "it would have met the player's own team",
    "immune": "whom it was meant for was immune",
}

# The same, said of a target that was reached.
_SPARED: Mapping[str, str] = {
    "dead": "who was not alive, or back to life only after that moment",
    "protected": "who was protected after a spawn",
    "friendly_fire": "who is on the same team",
    "immune": "who was immune",
    "bad_target": "whom it is not for",
}

CLAMPS: Mapping[str, str] = {
    "max_rewind": "a shot may not look further back than that",
    "acked_snapshot": "the client had already confirmed a newer picture of the match",
    "newest_snapshot": "the client had not been sent anything newer to see",
    "round_trip": "its measured delay to the server allows nothing else",
    "monotone": "an earlier shot of the player had already looked at a later moment",
    "future": "that moment had not come yet",
}

_REGIONS: Mapping[str, str] = {
    "head": " in the head",
    "torso": " in the torso",
    "stomach": " in the stomach",
    "arm": " in an arm",
    "leg": " in a leg",
}
_MODES: Mapping[str, str] = {
    "walk": "walking", "sprint": "sprinting", "crouch": "crouching", "air": "in the air", "swim": "swimming",
    "dash": "dashing",
}  # fmt: skip
_MELEE, _PROJECTILE = 2, 3
_ENDLESS_HEALTH = 2**62


@dataclass(frozen=True, slots=True)
class Struck:
    """One target that was reached. Amounts in 1/1000 health points."""

    who: str
    region: str
    distance_m: float
    dealt: int
    armour: int
    shield: int
    overkill: int
    health: int
    healed: int
    critical: bool
    lethal: bool
    reason: str
    stood: Point | None = None
    """Feet, at the moment that was judged."""


@dataclass(frozen=True, slots=True)
class Sight:
    """The moment a shot was judged at. Session clock, microseconds."""

    claimed_us: int
    used_us: int
    rewind_us: int
    clamp: str


@dataclass(frozen=True, slots=True)
class Killing:
    victim: str
    killer: str
    assist: str
    weapon: str
    region: str
    distance_m: float


def time(us: int) -> str:
    """`3:07.250`."""
    minutes, rest = divmod(us // 1000, 60_000)
    return f"{minutes}:{rest // 1000:02d}.{rest % 1000:03d}"


def points(milli: int) -> str:
    return f"{milli / 1000:.1f}"


def place(at: Point) -> str:
    return f"({at[0]:.2f}, {at[1]:.2f}, {at[2]:.2f})"


LEAVINGS: Mapping[str, str] = {
    "": "left",
    "left": "left",
    "timed_out": "was away for too long and lost the seat",
    "kicked": "was removed",
}


def refused(reason: str) -> str:
    return f"It was refused: {REASONS[reason]}."


def seen(time_us: int, sight: Sight) -> str:
    """Which moment was judged, and what moved it."""
    claimed = f"The client said that it showed {time(sight.claimed_us)}"
    if sight.clamp:
        judged = f"{claimed}; {time(sight.used_us)} was judged instead, because {CLAMPS[sight.clamp]}."
    elif sight.claimed_us == sight.used_us:
        judged = f"{claimed}, and that moment was judged."
    else:
        judged = f"The moment {time(sight.used_us)} was judged."
    back = (time_us - sight.used_us) / 1000
    return f"{judged} So the world was turned back by {back:.0f} ms."


def shot(weapon: Weapon, struck: Sequence[Struck], occluded_m: float, draws: Sequence[int]) -> str:
    """What an accepted shot reached."""
    if weapon["kind"] == _PROJECTILE:
        return "It left as a projectile; whom that reached is in the record of a later tick."
    parts = [_reached(weapon, rank, target) for rank, target in enumerate(struck)]
    if not struck:
        reach = f"within {weapon['range_m']:.0f} m"
        swing = weapon["kind"] == _MELEE
        parts.append(f"It met nobody {reach}{' of its swing' if swing else ' on its line'}.")
    if occluded_m:
        parts.append(f"The map stopped it after {occluded_m:.1f} m.")
    if struck:
        parts.append(_luck(weapon, draws))
    return " ".join(filter(None, parts))


def hit(target: Struck) -> str:
    """What became of one target, without the sum that led to it."""
    where = f"{target.who}{_REGIONS.get(target.region, '')}"
    if target.distance_m:
        where += f" at {target.distance_m:.1f} m"
    stood = f", who stood at {place(target.stood)} then" if target.stood else ""
    if target.reason:
        why = _SPARED.get(target.reason) or REASONS[target.reason]
        return f"It reached {where}{stood} and did nothing to {target.who}, {why}."
    if target.healed:
        return f"It healed {where} by {points(target.healed)}, to {points(target.health)}."
    if not (target.dealt or target.armour or target.shield or target.overkill):
        return f"It reached {where}{stood}, whose health stayed at {points(target.health)}."
    took = [f"{points(target.dealt)} from health"]
    if target.armour:
        took.append(f"{points(target.armour)} stopped by armour")
    if target.shield:
        took.append(f"{points(target.shield)} by the shield")
    if target.overkill:
        took.append(f"{points(target.overkill)} more than was left")
    end = "That was lethal." if target.lethal else f"{points(target.health)} health was left."
    return f"It hit {where}{stood}: {', '.join(took)}. {end}"


def _reached(weapon: Weapon, rank: int, target: Struck) -> str:
    wounded = not (target.reason or target.healed or weapon["heals"])
    return hit(target) + (f" {_sum(weapon, rank, target)}" if wounded else "")


def _sum(weapon: Weapon, rank: int, target: Struck) -> str:
    """How the damage came about, as far as the ruleset and the record tell."""
    total = target.dealt + target.armour + target.shield + target.overkill
    if weapon["pellets"] > 1:
        each = points(weapon["damage_milli"])
        return f"That is {points(total)} in all, from up to {weapon['pellets']} pellets of {each} each."
    region_q16 = weapon["region_q16"][list(_REGIONS).index(target.region) + 1 if target.region else 0]
    share_q16 = damage.kept_share_q16(weapon["penetration_q16"], rank)
    factors = [f"{points(weapon['damage_milli'])} base"]
    strike = Strike(
        base_milli=weapon["damage_milli"],
        distance_m=target.distance_m,
        share_q16=share_q16,
        region_q16=region_q16,
        critical=target.critical,
        crit_q16=weapon["crit_q16"],
        falloff=_falloff(weapon),
    )
    if share_q16 != 65536:
        factors.append(f"{share_q16 / 65536:.2f} after going through others")
    if strike["falloff"] is not None and not target.critical:
        factors.append(f"{damage.falloff(strike['falloff'], target.distance_m):.2f} for the distance")
    if region_q16 != 65536:
        factors.append(f"{region_q16 / 65536:.2f} for the {target.region}")
    if target.critical:
        factors.append(f"{weapon['crit_q16'] / 65536:.2f} for a critical hit")
    wound, _ = damage.apply({"kind": "none"}, strike, {"health_milli": _ENDLESS_HEALTH})
    text = f"The damage is {' x '.join(factors)} = {points(wound['raw_milli'])}"
    # Distances are recorded in millimetres, so the last digit may differ.
    if abs(total - wound["raw_milli"]) > max(2, wound["raw_milli"] // 1000):
        return f"{text}; effects on the two made it {points(total)}."
    return f"{text}."


def _falloff(weapon: Weapon) -> dict[str, Any] | None:
    """As a ruleset document has it."""
    rule = weapon["falloff"]
    kind = ("none", "curve", "smooth", "exponential")[rule["kind"]]
    if kind == "none":
        return None
    curve = list(zip(rule["distance_m"], rule["factor"], strict=True))[: rule["points"]]
    return {"kind": kind, "curve": curve, "reference_m": rule["reference_m"], "half_m": rule["half_m"]}


def _luck(weapon: Weapon, draws: Sequence[int]) -> str:
    """The draws for a critical hit: each pellet draws twice for its spread, when it has one, then once."""
    if not weapon["crit_chance_q32"]:
        return ""
    spread = 2 if weapon["spread_rad"] > 0 else 0
    drawn = [draw / 2**32 for draw in draws[spread :: spread + 1]]
    chance = weapon["crit_chance_q32"] / 2**32
    numbers = ", ".join(f"{draw:.4f}" for draw in drawn)
    met = sum(draw < chance for draw in drawn)
    what = "critical" if met else "not critical"
    if len(drawn) > 1:
        what = f"{met} of {len(drawn)} critical"
    return f"The draw for a critical hit, which needs less than {chance:.4f}, was {numbers}: {what}."


def moved(to: Point, mode: str, outcome: str, reason: str, correction: Point | None) -> str:
    how = f", {_MODES[mode]}" if mode else ""
    wish = f"to {place(to)}{how}"
    if outcome == "accepted":
        return f"moved {wish}. That was possible."
    if correction is not None:
        return f"wanted {wish}. {REASONS[reason].capitalize()}: the player was put to {place(correction)}."
    return f"wanted {wish}. {refused(reason)}"


def killed(kill: Killing) -> str:
    by = "died" if kill.killer == kill.victim else f"was killed by {kill.killer}"
    with_ = f" with {kill.weapon}" if kill.weapon else ""
    far = f" at {kill.distance_m:.1f} m" if kill.distance_m else ""
    help_ = f"; {kill.assist} assisted" if kill.assist else ""
    return f"{kill.victim} {by}{with_}{_REGIONS.get(kill.region, '')}{far}{help_}."
