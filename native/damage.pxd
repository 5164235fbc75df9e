"""What a hit costs, in a fixed order, in integers."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t
from native.types cimport armour_rules_t, falloff_t

ctypedef struct body_t:
    int64_t health_milli
    int64_t armour_milli        # points (ABSORB) or rating (RATING)
    int64_t shield_milli
    int64_t health_max_milli

# base -> falloff -> region -> critical -> dealt and taken multipliers -> armour -> shield -> health
ctypedef struct strike_t:
    int64_t base_milli
    double distance_m
    int32_t share_q16           # blast share, penetration; 65536: all
    int32_t region_q16
    uint8_t critical            # a critical hit skips falloff
    int32_t crit_q16
    int32_t dealt_q16           # attacker's effects
    int32_t taken_q16           # target's effects
    uint8_t bypass              # armour and shield
    const falloff_t *falloff    # NULL: none

ctypedef struct wound_t:
    int64_t raw_milli           # before armour (a rating below zero raises it); the sum of the four below
    int64_t dealt_milli         # taken from health
    int64_t armour_milli        # absorbed by armour
    int64_t shield_milli        # absorbed by the shield
    int64_t overkill_milli
    uint8_t lethal

# The falloff factor at a distance; deterministic.
cdef double falloff_factor(const falloff_t *falloff, double distance_m) noexcept nogil
# milli x factor / 65536, rounded half away from zero, saturating at int64.
cdef int64_t scale_q16(int64_t milli, int32_t factor_q16) noexcept nogil
cdef void damage_apply(const armour_rules_t *armour, const strike_t *strike, body_t *body, wound_t *out) noexcept nogil
# Returns what was really restored. The dead are the caller's to leave out.
cdef int64_t heal_apply(body_t *body, int64_t amount_milli) noexcept nogil
# Share of a blast at `share` of its radius (contact_t.share): linear from all at 0 to `edge_q16` at 1.
cdef int32_t blast_share(int32_t edge_q16, double share) noexcept nogil
# Share of a ray that has gone through `passed` targets, keeping `kept_q16` at each.
cdef int32_t kept_share(int32_t kept_q16, uint32_t passed) noexcept nogil
# Is a draw of 32 random bits a critical hit? Never at a chance of 0, always at 2^32.
cdef bint crit_drawn(int64_t chance_q32, uint32_t draw) noexcept nogil
