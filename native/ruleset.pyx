"""A ruleset compiled to C tables: names become indices, natural units become integers."""

import hashlib
import json

from libc.string cimport memset
from native.movement cimport move_rules_from
from native.rig cimport rig_from
from native.types cimport (
    ARMOUR_ABSORB, ARMOUR_NONE, ARMOUR_PERCENT, ARMOUR_RATING, BREAK_CLAMP, BREAK_PRESENT, BREAK_REJECT,
    EFFECT_DAMAGE, EFFECT_DAMAGE_DEALT, EFFECT_DAMAGE_TAKEN, EFFECT_DASH, EFFECT_HEAL, EFFECT_IMMUNE,
    EFFECT_RELOAD, EFFECT_SHIELD, EFFECT_SPEED, EFFECT_STUN, FALLOFF_CURVE, FALLOFF_EXPONENTIAL,
    FALLOFF_NONE, FALLOFF_SMOOTH, MAX_ACTIONS, MAX_ACTION_EFFECTS, MAX_CURVE, MAX_MODES, MAX_WEAPONS,
    REGION_ARM, REGION_COUNT, REGION_HEAD, REGION_LEG, REGION_STOMACH, REGION_TORSO, SIDE_ALL,
    SIDE_ALLIES, SIDE_ENEMIES, TARGET_ALLY, TARGET_AREA, TARGET_ENEMY, TARGET_POINT, TARGET_SELF,
    WEAPON_HITSCAN, WEAPON_MELEE, WEAPON_PROJECTILE, action_t, armour_rules_t, effect_t, falloff_t,
    mode_t, move_rules_t, rewind_rules_t, ruleset_t, weapon_t,
)

from native.document import Document

ARMOUR = {"none": ARMOUR_NONE, "rating": ARMOUR_RATING, "absorb": ARMOUR_ABSORB, "percent": ARMOUR_PERCENT}
BREAK = {"present": BREAK_PRESENT, "reject": BREAK_REJECT, "clamp": BREAK_CLAMP}
FALLOFF = {
    "none": FALLOFF_NONE, "curve": FALLOFF_CURVE, "smooth": FALLOFF_SMOOTH, "exponential": FALLOFF_EXPONENTIAL,
}
WEAPON = {"hitscan": WEAPON_HITSCAN, "melee": WEAPON_MELEE, "projectile": WEAPON_PROJECTILE}
REGION = {
    "head": REGION_HEAD, "torso": REGION_TORSO, "stomach": REGION_STOMACH, "arm": REGION_ARM, "leg": REGION_LEG,
}
TARGET = {
    "self": TARGET_SELF, "ally": TARGET_ALLY, "enemy": TARGET_ENEMY, "point": TARGET_POINT, "area": TARGET_AREA,
}
SIDE = {"enemies": SIDE_ENEMIES, "allies": SIDE_ALLIES, "all": SIDE_ALL}
EFFECT = {
    "damage": EFFECT_DAMAGE, "heal": EFFECT_HEAL, "shield": EFFECT_SHIELD, "speed": EFFECT_SPEED,
    "damage_dealt": EFFECT_DAMAGE_DEALT, "damage_taken": EFFECT_DAMAGE_TAKEN, "stun": EFFECT_STUN,
    "immune": EFFECT_IMMUNE, "dash": EFFECT_DASH, "reload": EFFECT_RELOAD,
}
ONE_Q16 = 65536
UINT8_MAX = 255
INT32_MAX = 2**31 - 1


cdef class Ruleset:
    def __cinit__(self, object document):
        root = Document(document)
        memset(&self.c, 0, sizeof(ruleset_t))
        self.name = root.text("name")
        self.version = root.whole("version", INT32_MAX)
        player_from(root.child("player"), &self.c)
        judge_from(root.child("judge"), &self.c)
        armour_from(root.child("armour"), &self.c.armour)
        rewind_from(root.child("rewind"), &self.c.rewind)
        move_from(root.child("movement"), &self.c.move)
        rig_from(dict(root.child("rig").value), &self.c.rig)
        self.weapon_names = names(root, "weapons", MAX_WEAPONS)
        self.action_names = names(root, "actions", MAX_ACTIONS)
        self.mode_names = names(root, "modes", MAX_MODES)
        for index, part in enumerate(root.children("weapons", MAX_WEAPONS)):
            weapon_from(part, &self.c.weapon[<int>index])
        for index, part in enumerate(root.children("actions", MAX_ACTIONS)):
            action_from(part, &self.c.action[<int>index])
        for index, part in enumerate(root.children("modes", MAX_MODES)):
            mode_from(part, &self.c.mode[<int>index])
        self.c.weapons = len(self.weapon_names)
        self.c.actions = len(self.action_names)
        self.c.modes = len(self.mode_names)
        self._hash = canonical_hash(document)

    def hash(self):
        return self._hash

    def tables(self):
        cdef dict weapon, action
        actions = []
        for index in range(self.c.actions):
            action = self.c.action[<int>index]
            actions.append(action | {"effect": action["effect"][:action["effects"]]})
        return {
            "player": {
                "health_milli": self.c.health_milli,
                "armour_milli": self.c.armour_milli,
                "shield_max_milli": self.c.shield_max_milli,
                "resource_milli": self.c.resource_milli,
                "resource_per_s_milli": self.c.resource_per_s_milli,
            },
            "judge": {
                "origin_tolerance_m": self.c.origin_tolerance_m,
                "interest_m": self.c.interest_m,
                "history_ticks": self.c.history_ticks,
            },
            "rewind": self.c.rewind,
            "armour": self.c.armour,
            "move": self.c.move,
            "rig": self.c.rig,
            "weapons": [self.c.weapon[<int>index] for index in range(self.c.weapons)],
            "actions": actions,
            "modes": [self.c.mode[<int>index] for index in range(self.c.modes)],
        }


def canonical_hash(document: object) -> str:
    """The same for the same rules: keys in order, every number as its shortest decimal."""
    text = json.dumps(plain_numbers(document), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def plain_numbers(value: object) -> object:
    """1 and 1.0 are the same rule."""
    if isinstance(value, dict):
        return {key: plain_numbers(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain_numbers(part) for part in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


cdef tuple names(object root, str key, int most):
    found = []
    for part in root.children(key, most):
        name = part.text("name")
        if name in found:
            raise part.refuse("name", f"{name!r} is used twice")
        found.append(name)
    return tuple(found)


cdef int player_from(object part, ruleset_t *out) except -1:
    out.health_milli = part.milli("health")
    out.armour_milli = part.milli("armour")
    out.shield_max_milli = part.milli("shield_max")
    out.resource_milli = part.milli("resource")
    out.resource_per_s_milli = part.milli("resource_per_s")
    return 0


cdef int judge_from(object part, ruleset_t *out) except -1:
    out.origin_tolerance_m = part.number("origin_tolerance_m")
    out.interest_m = part.number("interest_m")
    out.history_ticks = part.whole("history_ticks", INT32_MAX)
    return 0


cdef int armour_from(object part, armour_rules_t *out) except -1:
    memset(out, 0, sizeof(armour_rules_t))
    out.kind = part.choice("kind", ARMOUR)
    out.bonus_q16 = ONE_Q16
    if out.kind == ARMOUR_ABSORB:
        out.health_share_q16 = part.q16("health_share")
        out.bonus_q16 = part.q16("bonus")
    elif out.kind == ARMOUR_PERCENT:
        out.percent_q16 = part.q16("percent")
    return 0


cdef int rewind_from(object part, rewind_rules_t *out) except -1:
    out.max_rewind_us = part.micros("max_rewind_s")
    out.interpolation_us = part.micros("interpolation_s")
    out.interpolation_max_us = part.micros("interpolation_max_s")
    out.extrapolation_max_us = part.micros("extrapolation_max_s")
    out.jitter_min_us = part.micros("jitter_min_s")
    out.jitter_max_us = part.micros("jitter_max_s")
    out.jitter_factor_q16 = part.q16("jitter_factor")
    out.on_break = part.choice("on_break", BREAK)
    return 0


cdef int move_from(object part, move_rules_t *out) except -1:
    rules = dict(part.value)
    for name in ("burst", "clock_ahead", "clock_behind", "violation_decay"):
        rules[f"{name}_us"] = part.micros(f"{name}_s")
    rules["clock_drift_q16"] = part.q16("clock_drift")
    try:
        move_rules_from(rules, out)
    except ValueError as error:
        raise ValueError(f"{part.path}.{error}") from None
    return 0


cdef int falloff_from(object part, falloff_t *out) except -1:
    memset(out, 0, sizeof(falloff_t))
    out.kind = part.choice("kind", FALLOFF)
    if out.kind == FALLOFF_SMOOTH:
        out.reference_m = above_zero(part, "reference_m")
    elif out.kind == FALLOFF_EXPONENTIAL:
        out.half_m = above_zero(part, "half_m")
    elif out.kind == FALLOFF_CURVE:
        points = part.points("curve", MAX_CURVE)
        if not points:
            raise part.refuse("curve", "needs at least one point")
        for index, (distance, factor) in enumerate(points):
            if index and distance <= points[index - 1][0]:
                raise part.refuse(f"curve[{index}]", "distances must rise")
            out.distance_m[<int>index] = distance
            out.factor[<int>index] = factor
        out.points = len(points)
    return 0


cdef double above_zero(object part, str key) except -1:
    value = part.number(key)
    if value <= 0:
        raise part.refuse(key, f"must be above 0, not {value!r}")
    return value


cdef int weapon_from(object part, weapon_t *out) except -1:
    cdef int region
    out.kind = part.choice("kind", WEAPON)
    out.heals = part.flag("heals")
    out.bypass = part.flag("bypass")
    out.pellets = part.whole("pellets", UINT8_MAX)
    out.penetration = part.whole("penetration", UINT8_MAX)
    out.penetration_q16 = part.q16("penetration_factor")
    out.damage_milli = part.milli("damage")
    out.range_m = part.number("range_m")
    out.spread_rad = part.radians("spread_deg")
    out.fire_interval_us = part.micros("fire_interval_s")
    out.magazine = part.whole("magazine", INT32_MAX)
    out.reserve = part.whole("reserve", INT32_MAX)
    out.reload_us = part.micros("reload_s")
    out.crit_chance_q32 = part.q32("crit_chance")
    out.crit_q16 = part.q16("crit_factor")
    out.lifesteal_q16 = part.q16("lifesteal")
    for region in range(<int>REGION_COUNT):
        out.region_q16[region] = ONE_Q16
    regions = part.child("region")
    for name, index in REGION.items():
        out.region_q16[<int>index] = regions.q16(name)
    falloff_from(part.child("falloff"), &out.falloff)
    if out.kind == WEAPON_MELEE:
        out.arc_rad = part.radians("arc_deg")
    elif out.kind == WEAPON_PROJECTILE:
        projectile_from(part, out)
    return 0


cdef int projectile_from(object part, weapon_t *out) except -1:
    out.speed_mps = part.number("speed_mps")
    out.gravity_mps2 = part.number("gravity_mps2")
    out.radius_m = part.number("radius_m")
    out.fuse_us = part.micros("fuse_s")
    out.bounces = part.whole("bounces", UINT8_MAX)
    out.blast_m = part.number("blast_m")
    out.blast_edge_q16 = part.q16("blast_edge")
    out.blast_self_q16 = part.q16("blast_self")
    return 0


cdef int action_from(object part, action_t *out) except -1:
    out.target = part.choice("target", TARGET)
    if out.target == TARGET_POINT or out.target == TARGET_AREA:
        out.area_side = part.choice("area_side", SIDE)
    out.needs_sight = part.flag("needs_sight")
    out.interruptible = part.flag("interruptible")
    out.charges = part.whole("charges", UINT8_MAX)
    out.range_m = part.number("range_m")
    out.area_m = part.number("area_m")
    out.cooldown_us = part.micros("cooldown_s")
    out.cast_us = part.micros("cast_s")
    out.cost_milli = part.milli("cost")
    for index, effect in enumerate(part.children("effects", MAX_ACTION_EFFECTS)):
        effect_from(effect, &out.effect[<int>index])
        out.effects += 1
    return 0


cdef int effect_from(object part, effect_t *out) except -1:
    out.kind = part.choice("kind", EFFECT)
    out.amount_q16 = ONE_Q16
    if out.kind == EFFECT_DAMAGE or out.kind == EFFECT_HEAL:
        out.amount_milli = part.milli("amount")
        out.period_us = part.micros("period_s")
    elif out.kind == EFFECT_SHIELD:
        out.amount_milli = part.milli("amount")
    elif out.kind in (EFFECT_SPEED, EFFECT_DAMAGE_DEALT, EFFECT_DAMAGE_TAKEN):
        out.amount_q16 = part.q16("factor")
    elif out.kind == EFFECT_DASH:
        out.speed_mps = part.number("speed_mps")
    if out.kind != EFFECT_RELOAD:
        out.duration_us = part.micros("duration_s")
    return 0


cdef int mode_from(object part, mode_t *out) except -1:
    out.teams = part.whole("teams", UINT8_MAX)
    out.friendly_fire = part.flag("friendly_fire")
    out.respawns = part.flag("respawns")
    out.respawn_us = part.micros("respawn_s")
    out.protection_us = part.micros("protection_s")
    out.assist_us = part.micros("assist_s")
    out.score_limit = part.whole("score_limit", INT32_MAX)
    out.time_limit_us = part.micros("time_limit_s")
    return 0
