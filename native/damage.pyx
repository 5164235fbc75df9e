"""What a hit costs, in a fixed order, in integers: 1/1000 points, factors in 1/65536.

Twin: native/reference/damage.py, equal in every result.
"""

from libc.stdint cimport int32_t, int64_t, uint32_t

from native.geometry cimport exp2
from native.ruleset cimport armour_from, falloff_from
from native.types cimport (
    ARMOUR_ABSORB, ARMOUR_PERCENT, ARMOUR_RATING, FALLOFF_CURVE, FALLOFF_EXPONENTIAL, FALLOFF_SMOOTH,
    armour_rules_t, falloff_t,
)

from native.document import Document

cdef extern from *:
    """
    /* value x times / over, rounded half away from zero, saturating; over > 0. The product has 128 bits. */
    static inline int64_t ratio(int64_t value, int64_t times, int64_t over) {
        __int128 product = (__int128)value * times;
        __int128 half = over / 2;
        __int128 result = (product < 0 ? product - half : product + half) / over;
        if (result > INT64_MAX) return INT64_MAX;
        if (result < INT64_MIN) return INT64_MIN;
        return (int64_t)result;
    }
    """
    int64_t ratio(int64_t value, int64_t times, int64_t over) noexcept nogil
    const int64_t INT64_MAX

cdef enum:
    ONE_Q16 = 65536
    RATING_BASE = 100000        # rating 100, in 1/1000: halves the damage


# ---- the steps ---------------------------------------------------------------------------------

cdef int64_t scale_q16(int64_t milli, int32_t factor_q16) noexcept nogil:
    return ratio(milli, factor_q16, ONE_Q16)


cdef double falloff_factor(const falloff_t *falloff, double distance_m) noexcept nogil:
    cdef double near, v
    if not distance_m > 0.0:        # NaN too
        distance_m = 0.0
    if falloff.kind == FALLOFF_CURVE:
        return curve_factor(falloff, distance_m)
    if falloff.kind == FALLOFF_SMOOTH and falloff.reference_m > 0.0:
        near = 1.0 - distance_m / falloff.reference_m / 2.0
        v = (near - 0.1 if near > 0.1 else 0.0) + 0.1
        return 1.0 + 0.5 * (2.0 * (3.0 * v * v - 2.0 * v * v * v) - 1.0)
    if falloff.kind == FALLOFF_EXPONENTIAL and falloff.half_m > 0.0:
        return exp2(-distance_m / falloff.half_m)
    return 1.0


cdef double curve_factor(const falloff_t *falloff, double distance_m) noexcept nogil:
    cdef int last = falloff.points - 1
    cdef int i
    cdef double way
    if last < 0:
        return 1.0
    if distance_m <= falloff.distance_m[0]:
        return falloff.factor[0]
    for i in range(last):
        if distance_m < falloff.distance_m[i + 1]:
            way = (distance_m - falloff.distance_m[i]) / (falloff.distance_m[i + 1] - falloff.distance_m[i])
            return falloff.factor[i] + (falloff.factor[i + 1] - falloff.factor[i]) * way
    return falloff.factor[last]


cdef int64_t attenuate(int64_t milli, double factor) noexcept nogil:
    """milli (not negative) x factor, rounded half up, saturating."""
    cdef double product = <double>milli * factor
    cdef int64_t whole
    if not product > 0.0:
        return 0
    if product >= 9223372036854775808.0:
        return INT64_MAX
    whole = <int64_t>product
    return whole + 1 if product - <double>whole >= 0.5 else whole


cdef int64_t raw_damage(const strike_t *strike) noexcept nogil:
    """base -> share -> falloff -> region -> critical -> dealt -> taken"""
    cdef int64_t milli = strike.base_milli
    if milli <= 0:
        return 0
    milli = scale_q16(milli, strike.share_q16)
    if strike.falloff != NULL and not strike.critical:
        milli = attenuate(milli, falloff_factor(strike.falloff, strike.distance_m))
    milli = scale_q16(milli, strike.region_q16)
    if strike.critical:
        milli = scale_q16(milli, strike.crit_q16)
    milli = scale_q16(milli, strike.dealt_q16)
    milli = scale_q16(milli, strike.taken_q16)
    return milli if milli > 0 else 0


cdef int64_t through_armour(const armour_rules_t *rules, int64_t raw, body_t *body) noexcept nogil:
    """What armour lets through; more than `raw` when a rating is below zero."""
    if rules.kind == ARMOUR_RATING:
        return through_rating(raw, body.armour_milli)
    if rules.kind == ARMOUR_ABSORB:
        return raw - absorb(rules, raw, body)
    if rules.kind == ARMOUR_PERCENT:
        return raw - within(scale_q16(raw, rules.percent_q16), 0, raw)
    return raw


cdef int64_t through_rating(int64_t raw, int64_t rating) noexcept nogil:
    cdef int64_t most = INT64_MAX - RATING_BASE
    cdef int64_t extra
    if rating >= 0:
        return ratio(raw, RATING_BASE, RATING_BASE + within(rating, 0, most))
    extra = raw - ratio(raw, RATING_BASE, RATING_BASE - within(rating, -most, 0))
    return raw + within(extra, 0, INT64_MAX - raw)


cdef int64_t absorb(const armour_rules_t *rules, int64_t raw, body_t *body) noexcept nogil:
    """Taken by armour, which is spent on it. At least 1/1000 of armour goes for anything taken."""
    cdef int64_t taken = raw - within(scale_q16(raw, rules.health_share_q16), 0, raw)
    cdef int64_t spent
    if taken == 0 or body.armour_milli <= 0:
        return 0
    spent = scale_q16(taken, rules.bonus_q16)
    if spent < 1:
        spent = 1
    if spent > body.armour_milli:       # it breaks
        taken = within(ratio(body.armour_milli, ONE_Q16, rules.bonus_q16), 0, taken)
        spent = body.armour_milli
    body.armour_milli -= spent
    return taken


cdef int64_t within(int64_t value, int64_t low, int64_t high) noexcept nogil:
    if value < low:
        return low
    return value if value < high else high


# ---- the whole ---------------------------------------------------------------------------------

cdef void damage_apply(const armour_rules_t *armour, const strike_t *strike, body_t *body, wound_t *out) noexcept nogil:
    cdef int64_t left
    cdef int64_t health = body.health_milli if body.health_milli > 0 else 0
    out.raw_milli = raw_damage(strike)
    left = out.raw_milli
    out.armour_milli = 0
    out.shield_milli = 0
    if not strike.bypass:
        left = through_armour(armour, out.raw_milli, body)
        if left > out.raw_milli:
            out.raw_milli = left
        out.armour_milli = out.raw_milli - left
        out.shield_milli = within(body.shield_milli, 0, left)
        body.shield_milli -= out.shield_milli
        left -= out.shield_milli
    out.dealt_milli = left if left < health else health
    out.overkill_milli = left - out.dealt_milli
    out.lethal = health > 0 and out.dealt_milli == health
    body.health_milli = health - out.dealt_milli


cdef int64_t heal_apply(body_t *body, int64_t amount_milli) noexcept nogil:
    cdef int64_t missing = body.health_max_milli - body.health_milli
    cdef int64_t restored
    if amount_milli <= 0 or missing <= 0:
        return 0
    restored = amount_milli if amount_milli < missing else missing
    body.health_milli += restored
    return restored


cdef int32_t blast_share(int32_t edge_q16, double share) noexcept nogil:
    if not share > 0.0:
        return ONE_Q16
    if share >= 1.0:
        return edge_q16
    # share is below 1: the product fits, and both terms are exact before the rounding
    return <int32_t>(ONE_Q16 - attenuate(ONE_Q16 - edge_q16, share))


cdef int32_t kept_share(int32_t kept_q16, uint32_t passed) noexcept nogil:
    cdef int64_t share = ONE_Q16
    cdef uint32_t i
    for i in range(passed):
        share = scale_q16(share, kept_q16)
    return <int32_t>within(share, 0, 2147483647)


cdef bint crit_drawn(int64_t chance_q32, uint32_t draw) noexcept nogil:
    return <int64_t>draw < chance_q32


# ---- doors -------------------------------------------------------------------------------------

cdef body_t read_body(object body) except *:
    cdef body_t out
    out.health_milli = body["health_milli"]
    out.armour_milli = body.get("armour_milli", 0)
    out.shield_milli = body.get("shield_milli", 0)
    out.health_max_milli = body.get("health_max_milli", out.health_milli)
    return out


def apply(armour, strike, body):
    cdef armour_rules_t rules
    cdef falloff_t falloff
    cdef strike_t hit
    cdef body_t target = read_body(body)
    cdef wound_t wound
    armour_from(Document(armour, "armour"), &rules)
    hit.base_milli = strike["base_milli"]
    hit.distance_m = strike.get("distance_m", 0.0)
    hit.share_q16 = strike.get("share_q16", ONE_Q16)
    hit.region_q16 = strike.get("region_q16", ONE_Q16)
    hit.critical = bool(strike.get("critical", False))
    hit.crit_q16 = strike.get("crit_q16", ONE_Q16)
    hit.dealt_q16 = strike.get("dealt_q16", ONE_Q16)
    hit.taken_q16 = strike.get("taken_q16", ONE_Q16)
    hit.bypass = bool(strike.get("bypass", False))
    hit.falloff = NULL
    if strike.get("falloff") is not None:
        falloff_from(Document(strike["falloff"], "falloff"), &falloff)
        hit.falloff = &falloff
    damage_apply(&rules, &hit, &target, &wound)
    cost = dict(wound)
    cost["lethal"] = bool(wound.lethal)
    return cost, target


def heal(body, int64_t amount_milli):
    cdef body_t target = read_body(body)
    cdef int64_t restored = heal_apply(&target, amount_milli)
    return restored, target


def falloff(document, double distance_m):
    cdef falloff_t rules
    falloff_from(Document(document, "falloff"), &rules)
    return falloff_factor(&rules, distance_m)


def scaled(int64_t milli, int32_t factor_q16):
    return scale_q16(milli, factor_q16)


def blast_share_q16(int32_t edge_q16, double share):
    return blast_share(edge_q16, share)


def kept_share_q16(int32_t kept_q16, uint32_t passed):
    return kept_share(kept_q16, passed)


def is_critical(int64_t chance_q32, uint32_t draw):
    return crit_drawn(chance_q32, draw)
