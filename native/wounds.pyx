"""The one way to lose or regain health. Shots, blasts, effects and direct damage all pass here."""

from libc.string cimport memset
from libc.stdint cimport int64_t, uint32_t, uint8_t
from native.actions cimport ability_refund, effects_any, effects_q16, shield_at, shield_spend
from native.damage cimport damage_apply, heal_apply, strike_t, wound_t
from native.events cimport event_action
from native.seats cimport allies, seat_die, seat_hurt_by
from native.state cimport arena_t, seat_t
from native.types cimport (
    PHASE_INTERRUPTED, EFFECT_DAMAGE_TAKEN, EFFECT_IMMUNE, MAX_HITS, REASON_DEAD, REASON_FRIENDLY_FIRE, REASON_IMMUNE,
    REASON_NONE, REASON_PROTECTED, hit_t, verdict_t,
)

cdef enum:
    ONE_Q16 = 65536


cdef hit_t *hit_of(verdict_t *verdict, uint32_t slot, double distance) noexcept nogil:
    cdef uint32_t i
    cdef hit_t *hit
    for i in range(verdict.hits):
        if verdict.hit[i].slot == slot:
            if distance < verdict.hit[i].distance_m:
                verdict.hit[i].distance_m = distance
            return &verdict.hit[i]
    if verdict.hits == MAX_HITS:
        return NULL
    hit = &verdict.hit[verdict.hits]
    verdict.hits += 1
    memset(hit, 0, sizeof(hit_t))
    hit.slot = slot
    hit.distance_m = distance
    return hit


cdef uint32_t why_unharmed(const arena_t *arena, uint32_t source, uint32_t slot, int64_t seen_us,
                           int64_t now_us) noexcept nogil:
    cdef const seat_t *seat = &arena.seat[slot]
    if not seat.alive or seat.spawned_us > seen_us:
        return REASON_DEAD      # now, or in the life the attacker saw
    if source != slot and not arena.mode.friendly_fire and allies(arena, source, slot):
        return REASON_FRIENDLY_FIRE
    if now_us < seat.protected_us:
        return REASON_PROTECTED
    if seat.loadout.effects and effects_any(&seat.loadout, EFFECT_IMMUNE, now_us):
        return REASON_IMMUNE
    return REASON_NONE


cdef strike_t plain_strike(int64_t base_milli) noexcept nogil:
    cdef strike_t strike
    memset(&strike, 0, sizeof(strike))
    strike.base_milli = base_milli
    strike.share_q16 = ONE_Q16
    strike.region_q16 = ONE_Q16
    strike.crit_q16 = ONE_Q16
    strike.dealt_q16 = ONE_Q16
    strike.taken_q16 = ONE_Q16
    return strike


cdef int64_t harm(arena_t *arena, uint32_t slot, strike_t *strike, const blame_t *blame, int64_t now_us,
                  hit_t *hit) noexcept nogil:
    cdef seat_t *seat = &arena.seat[slot]
    cdef wound_t wound
    cdef int64_t lost
    if seat.loadout.effects:
        strike.taken_q16 = effects_q16(&seat.loadout, EFFECT_DAMAGE_TAKEN, now_us)
        seat.body.shield_milli = shield_at(&seat.loadout, arena.rules, now_us)
    damage_apply(&arena.rules.armour, strike, &seat.body, &wound)
    if wound.shield_milli:
        shield_spend(&seat.loadout, wound.shield_milli, now_us)
    hit.dealt_milli += wound.dealt_milli
    hit.armour_milli += wound.armour_milli
    hit.shield_milli += wound.shield_milli
    hit.overkill_milli += wound.overkill_milli
    hit.health_milli = seat.body.health_milli
    hit.lethal |= wound.lethal
    lost = wound.dealt_milli + wound.shield_milli
    arena.counters.damage += lost > 0
    if blame.source != slot:
        arena.entry[arena.seat[blame.source].entry].damage_milli += wound.dealt_milli
        if lost:
            seat_hurt_by(arena, slot, blame.source, lost, now_us)
    if wound.lethal:
        seat_die(arena, slot, blame.source, blame.weapon, blame.region, blame.distance_m, now_us)
    elif lost and seat.loadout.cast_action and arena.rules.action[seat.loadout.cast_action - 1].interruptible:
        interrupt(arena, slot)
    return lost


cdef int64_t heal(arena_t *arena, uint32_t slot, int64_t amount_milli, hit_t *hit) noexcept nogil:
    cdef int64_t healed = heal_apply(&arena.seat[slot].body, amount_milli)
    hit.healed_milli += healed
    hit.health_milli = arena.seat[slot].body.health_milli
    return healed


cdef void interrupt(arena_t *arena, uint32_t slot) noexcept nogil:
    cdef seat_t *seat = &arena.seat[slot]
    if seat.loadout.cast_action == 0:
        return
    ability_refund(&seat.loadout, arena.rules, seat.loadout.cast_action - 1)
    event_action(arena, slot, seat.loadout.cast_action - 1, 0, PHASE_INTERRUPTED)
    seat.loadout.cast_action = 0
