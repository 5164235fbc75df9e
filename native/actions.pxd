"""Weapons and abilities of one player: rate of fire, ammunition, reload, cooldowns, charges, casts, effects."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t
from native.types cimport action_t, effect_t, ruleset_t, weapon_t

ctypedef struct armed_t:        # one weapon of one player
    int32_t ammo
    int32_t reserve
    int64_t next_fire_us
    int64_t reload_end_us       # 0: not reloading

ctypedef struct ability_t:      # one action of one player
    uint8_t charges
    int64_t next_charge_us      # 0: all there

ctypedef struct active_t:       # one running effect
    effect_t effect
    uint32_t source             # seat
    uint32_t action             # index plus one
    int64_t end_us
    int64_t next_us             # of the period
    int64_t left_milli          # of a shield

ctypedef struct loadout_t:
    armed_t weapon[32]
    ability_t ability[32]
    active_t effect[16]
    uint8_t effects
    uint8_t in_hand             # weapon last fired
    int64_t resource_milli
    int64_t resource_us         # when it was last refilled
    uint32_t cast_action        # index plus one; 0: none
    uint32_t cast_target        # seat plus one
    int64_t cast_end_us
    double cast_x
    double cast_y
    double cast_z

# Product of the running effects of a kind, 65536: none.
cdef int32_t effects_q16(const loadout_t *loadout, uint8_t kind, int64_t now_us) noexcept nogil
cdef bint effects_any(const loadout_t *loadout, uint8_t kind, int64_t now_us) noexcept nogil
# A fresh player: full magazines, all charges and the whole resource, no effects, no cast.
cdef void loadout_reset(loadout_t *loadout, const ruleset_t *rules, int64_t now_us) noexcept nogil
# May the weapon fire now? NONE and the round is spent (an empty magazine starts the reload), or the Reason
# and nothing changed. A shot may come early by the ruleset's largest jitter allowance (at most half the
# interval), but the next one then waits the longer: the rate over time is exact.
cdef uint32_t weapon_fire(loadout_t *loadout, const ruleset_t *rules, uint32_t weapon, int64_t now_us) noexcept nogil
# Finishes reloads that are due; called each tick (a shot sees what is due by itself).
cdef void weapon_settle(loadout_t *loadout, const ruleset_t *rules, int64_t now_us) noexcept nogil
# EFFECT_RELOAD: starts the reload of the weapon in hand. NONE, RELOADING (already) or NO_AMMO (no reserve); a
# full magazine stays as it is.
cdef uint32_t weapon_reload(loadout_t *loadout, const ruleset_t *rules, int64_t now_us) noexcept nogil
# What the player has at a time, not before the last use: charges of an action, resource. The fields of
# loadout_t are only as of the last use.
cdef uint8_t charges_at(const loadout_t *loadout, const ruleset_t *rules, uint32_t action, int64_t now_us) noexcept nogil
cdef int64_t resource_at(const loadout_t *loadout, const ruleset_t *rules, int64_t now_us) noexcept nogil
# May the action start now? NONE and its charge and resource are spent, or the Reason and nothing changed.
# Targets, stuns and casts are the arena's.
cdef uint32_t ability_use(loadout_t *loadout, const ruleset_t *rules, uint32_t action, int64_t now_us) noexcept nogil
# Gives back what an interrupted cast had cost.
cdef void ability_refund(loadout_t *loadout, const ruleset_t *rules, uint32_t action) noexcept nogil
# Adds a running effect (same action, source and kind: renewed, keeping its beat; list full: the one that ends
# first goes). An effect without duration is the caller's to apply at once: it is not added.
cdef void effect_add(loadout_t *loadout, const effect_t *effect, uint32_t source, uint32_t action, int64_t now_us) noexcept nogil
# How many periods of a running effect have come due, the one at its end included; counts each once. To be
# called for DAMAGE and HEAL before `effects_expire`; each is worth `effect.amount_milli`.
cdef uint32_t effect_periods(active_t *active, int64_t now_us) noexcept nogil
# Shield left of all running SHIELD effects, at most the ruleset's most: what damage_apply is given.
cdef int64_t shield_at(const loadout_t *loadout, const ruleset_t *rules, int64_t now_us) noexcept nogil
# Takes what the shield absorbed (wound_t.shield_milli), first from the one that ends first.
cdef void shield_spend(loadout_t *loadout, int64_t amount_milli, int64_t now_us) noexcept nogil
# Removes effects that are over.
cdef void effects_expire(loadout_t *loadout, int64_t now_us) noexcept nogil
