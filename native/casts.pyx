"""Abilities. Targets are judged in the present, when the action is used and again when its cast ends:
who has died, left or gone out of reach by then is spared, and the cost is gone."""

from libc.string cimport memset
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t
from native.actions cimport (
    ability_use, active_t, effect_add, effect_periods, effects_any, effects_expire, effects_q16, shield_at,
    weapon_reload,
)
from native.damage cimport strike_t
from native.events cimport event_action
from native.records cimport note_hit
from native.seats cimport allies, eye_of, seat_pose
from native.state cimport arena_t, seat_t
from native.types cimport (
    EFFECT_DAMAGE, EFFECT_DAMAGE_DEALT, EFFECT_DASH, EFFECT_HEAL, EFFECT_RELOAD, EFFECT_SHIELD, EFFECT_STUN,
    MAX_HITS, OUTCOME_ACCEPTED, OUTCOME_REJECTED, PHASE_CAST, PHASE_EFFECT, REASON_BAD_TARGET, REASON_CASTING,
    REASON_NO_LINE_OF_SIGHT, REASON_NONE, REASON_TARGET_RANGE, REASON_UNKNOWN_ACTION, SIDE_ALL, SIDE_ALLIES,
    TARGET_ALLY, TARGET_AREA, TARGET_ENEMY, TARGET_POINT, TARGET_SELF, action_t, command_t, effect_t, hit_t,
    pose_t, vec3, verdict_t,
)
from native.world cimport world_sees
from native.wounds cimport blame_t, harm, heal, hit_of, interrupt, plain_strike, why_unharmed


# One use of an ability while it takes effect.
cdef struct deed_t:
    uint32_t slot
    uint32_t index              # of the action
    uint32_t target             # seat, when the action wants one
    const action_t *action
    vec3 point
    int64_t now_us


cdef double _squared(const vec3 *a, const vec3 *b) noexcept nogil:
    return (a.x - b.x) * (a.x - b.x) + (a.y - b.y) * (a.y - b.y) + (a.z - b.z) * (a.z - b.z)


cdef bint _sees(const arena_t *arena, uint32_t slot, const vec3 *at) noexcept nogil:
    cdef pose_t pose
    cdef vec3 eye
    seat_pose(arena, slot, &pose)
    eye = eye_of(arena, &pose)
    return world_sees(arena.world, &eye, at)


cdef vec3 _middle(const arena_t *arena, uint32_t slot) noexcept nogil:
    cdef vec3 at = arena.seat[slot].mover.position
    at.z += arena.rules.move.height_m[arena.seat[slot].mover.stance] * 0.5
    return at


# ---- targets ----------------------------------------------------------------------------------

cdef uint32_t _why_not_reached(const arena_t *arena, const deed_t *deed, const vec3 *at) noexcept nogil:
    if _squared(&arena.seat[deed.slot].mover.position, at) > deed.action.range_m * deed.action.range_m:
        return REASON_TARGET_RANGE
    if deed.action.needs_sight and not _sees(arena, deed.slot, at):
        return REASON_NO_LINE_OF_SIGHT
    return REASON_NONE


cdef uint32_t _why_no_target(const arena_t *arena, const deed_t *deed) noexcept nogil:
    """REASON_NONE when the action may go at its target now."""
    cdef vec3 at
    cdef bint friend
    if deed.action.target == TARGET_POINT:
        return _why_not_reached(arena, deed, &deed.point)
    if deed.action.target != TARGET_ALLY and deed.action.target != TARGET_ENEMY:
        return REASON_NONE
    if deed.target >= arena.slots or not arena.seat[deed.target].taken or not arena.seat[deed.target].alive:
        return REASON_BAD_TARGET
    friend = allies(arena, deed.slot, deed.target)
    if friend != (deed.action.target == TARGET_ALLY):
        return REASON_BAD_TARGET
    if deed.target == deed.slot:
        return REASON_NONE
    at = _middle(arena, deed.target)
    return _why_not_reached(arena, deed, &at)


cdef bint _in_area(const arena_t *arena, const deed_t *deed, uint32_t slot,
                   const vec3 *centre) noexcept nogil:
    cdef vec3 at
    cdef uint8_t side = deed.action.area_side
    if not arena.seat[slot].taken or not arena.seat[slot].alive:
        return False
    if side != SIDE_ALL and allies(arena, deed.slot, slot) != (side == SIDE_ALLIES):
        return False
    at = _middle(arena, slot)
    if _squared(centre, &at) > deed.action.area_m * deed.action.area_m:
        return False
    return slot == deed.slot or not deed.action.needs_sight or world_sees(arena.world, centre, &at)


# ---- effects ----------------------------------------------------------------------------------

cdef bint _hostile(const effect_t *effect) noexcept nogil:
    """Harms whom it meets: refused by protection and immunity, and by friends."""
    if effect.kind == EFFECT_DAMAGE or effect.kind == EFFECT_STUN:
        return True
    return False


cdef void _hurt(arena_t *arena, uint32_t source, uint32_t slot, int64_t amount_milli, int64_t now_us,
                hit_t *hit) noexcept nogil:
    cdef strike_t strike = plain_strike(amount_milli)
    cdef blame_t blame
    strike.dealt_q16 = effects_q16(&arena.seat[source].loadout, EFFECT_DAMAGE_DEALT, now_us)
    blame.source = source
    blame.weapon = 0
    blame.region = 0
    blame.distance_m = 0.0
    harm(arena, slot, &strike, &blame, now_us, hit)


cdef void _bring(arena_t *arena, const deed_t *deed, uint32_t slot, const effect_t *effect,
                 hit_t *hit) noexcept nogil:
    """One effect upon one seat."""
    cdef seat_t *seat = &arena.seat[slot]
    if not seat.alive:
        return                  # an effect before it killed
    if _hostile(effect):
        hit.reason = why_unharmed(arena, deed.slot, slot, deed.now_us, deed.now_us)
        if hit.reason:
            return
    if effect.kind == EFFECT_DAMAGE and effect.duration_us <= 0:
        _hurt(arena, deed.slot, slot, effect.amount_milli, deed.now_us, hit)
    elif effect.kind == EFFECT_HEAL and effect.duration_us <= 0:
        heal(arena, slot, effect.amount_milli, hit)
    elif effect.kind == EFFECT_DASH:
        seat.mover.granted_until_us = deed.now_us + effect.duration_us
        seat.mover.granted_mps = effect.speed_mps
    elif effect.kind == EFFECT_RELOAD:
        hit.reason = weapon_reload(&seat.loadout, arena.rules, deed.now_us)
    else:
        effect_add(&seat.loadout, effect, deed.slot, deed.index + 1, deed.now_us)
        if effect.kind == EFFECT_STUN:
            interrupt(arena, slot)
        elif effect.kind == EFFECT_SHIELD:
            seat.body.shield_milli = shield_at(&seat.loadout, arena.rules, deed.now_us)


cdef void _reach(arena_t *arena, const deed_t *deed, uint32_t slot, verdict_t *verdict) noexcept nogil:
    """All effects of the action upon one seat. Without a verdict (NULL: a cast that ends at a tick), or
    beyond MAX_HITS, only the record tells of it."""
    cdef hit_t unlisted
    cdef hit_t *hit
    cdef uint32_t i
    hit = hit_of(verdict, slot, 0.0) if verdict != NULL else NULL
    if hit == NULL:
        memset(&unlisted, 0, sizeof(unlisted))
        unlisted.slot = slot
        hit = &unlisted
    else:
        arena.evidence.target[verdict.hits - 1] = arena.seat[slot].mover.position
    for i in range(deed.action.effects):
        _bring(arena, deed, slot, &deed.action.effect[i], hit)
    hit.health_milli = arena.seat[slot].body.health_milli
    if hit == &unlisted:
        note_hit(arena, deed.slot, 0, deed.index + 1, 0, hit)


cdef void _take_effect(arena_t *arena, const deed_t *deed, verdict_t *verdict) noexcept nogil:
    cdef uint32_t slot
    cdef vec3 centre = deed.point
    event_action(arena, deed.slot, deed.index, deed.target + 1 if deed.target < arena.slots else 0,
                 PHASE_EFFECT)
    if deed.action.target == TARGET_SELF:
        _reach(arena, deed, deed.slot, verdict)
    elif deed.action.target == TARGET_ALLY or deed.action.target == TARGET_ENEMY:
        _reach(arena, deed, deed.target, verdict)
    else:
        if deed.action.target == TARGET_AREA:
            centre = _middle(arena, deed.slot)
        for slot in range(arena.slots):
            if _in_area(arena, deed, slot, &centre):
                _reach(arena, deed, slot, verdict)


# ---- use and cast -----------------------------------------------------------------------------

cdef uint32_t _target_of(const deed_t *deed, uint32_t asked) noexcept nogil:
    """`asked` is a seat plus one; an action for allies without a target is for oneself."""
    if deed.action.target == TARGET_SELF or (deed.action.target == TARGET_ALLY and asked == 0):
        return deed.slot
    if deed.action.target == TARGET_ALLY or deed.action.target == TARGET_ENEMY:
        return asked - 1        # 0 wraps to no seat at all
    return 0xFFFFFFFF


cdef void judge_action(arena_t *arena, const command_t *command, int64_t now_us,
                       verdict_t *verdict) noexcept nogil:
    cdef seat_t *seat = &arena.seat[command.slot]
    cdef deed_t deed
    arena.counters.actions += 1
    verdict.outcome = OUTCOME_REJECTED
    if command.use.action >= <uint32_t>arena.rules.actions:
        verdict.reason = REASON_UNKNOWN_ACTION
        return
    deed.slot = command.slot
    deed.index = command.use.action
    deed.action = &arena.rules.action[command.use.action]
    deed.target = _target_of(&deed, command.use.target)
    deed.point = command.use.point
    deed.now_us = now_us
    if seat.loadout.cast_action:
        verdict.reason = REASON_CASTING
        return
    verdict.reason = _why_no_target(arena, &deed)
    if verdict.reason == REASON_NONE:
        verdict.reason = ability_use(&seat.loadout, arena.rules, deed.index, now_us)
    if verdict.reason:
        return
    verdict.outcome = OUTCOME_ACCEPTED
    if deed.action.cast_us <= 0:
        _take_effect(arena, &deed, verdict)
        return
    seat.loadout.cast_action = deed.index + 1
    seat.loadout.cast_target = deed.target + 1
    seat.loadout.cast_end_us = now_us + deed.action.cast_us
    seat.loadout.cast_x = deed.point.x
    seat.loadout.cast_y = deed.point.y
    seat.loadout.cast_z = deed.point.z
    event_action(arena, deed.slot, deed.index, deed.target + 1 if deed.target < arena.slots else 0,
                 PHASE_CAST)


cdef void _finish_cast(arena_t *arena, uint32_t slot, int64_t at_us) noexcept nogil:
    cdef seat_t *seat = &arena.seat[slot]
    cdef deed_t deed
    deed.slot = slot
    deed.index = seat.loadout.cast_action - 1
    deed.action = &arena.rules.action[deed.index]
    deed.target = seat.loadout.cast_target - 1
    deed.point.x = seat.loadout.cast_x
    deed.point.y = seat.loadout.cast_y
    deed.point.z = seat.loadout.cast_z
    deed.now_us = at_us
    seat.loadout.cast_action = 0
    if _why_no_target(arena, &deed) != REASON_NONE:
        return
    _take_effect(arena, &deed, NULL)


cdef void _periods(arena_t *arena, uint32_t slot, int64_t at_us) noexcept nogil:
    """Damage and healing over time: every period that is due."""
    cdef seat_t *seat = &arena.seat[slot]
    cdef active_t running
    cdef hit_t hit
    cdef uint32_t i, periods, _
    for i in range(seat.loadout.effects):
        if seat.loadout.effect[i].effect.kind not in (EFFECT_DAMAGE, EFFECT_HEAL):
            continue
        periods = effect_periods(&seat.loadout.effect[i], at_us)
        if periods == 0:
            continue
        running = seat.loadout.effect[i]    # who dies loses it
        memset(&hit, 0, sizeof(hit))
        hit.slot = slot
        hit.health_milli = seat.body.health_milli
        for _ in range(periods):
            if running.effect.kind == EFFECT_HEAL:
                heal(arena, slot, running.effect.amount_milli, &hit)
            else:
                hit.reason = why_unharmed(arena, running.source, slot, at_us, at_us)
                if hit.reason:
                    break       # all of them are at one time
                _hurt(arena, running.source, slot, running.effect.amount_milli, at_us, &hit)
            if not seat.alive:
                break
        note_hit(arena, running.source, 0, running.action, 0, &hit)
        if not seat.alive:
            return


cdef void effects_step(arena_t *arena, uint32_t slot, int64_t at_us) noexcept nogil:
    cdef seat_t *seat = &arena.seat[slot]
    if seat.loadout.effects:
        _periods(arena, slot, at_us)
        effects_expire(&seat.loadout, at_us)
        seat.body.shield_milli = shield_at(&seat.loadout, arena.rules, at_us)
    if seat.alive and seat.loadout.cast_action and seat.loadout.cast_end_us <= at_us:
        if not effects_any(&seat.loadout, EFFECT_STUN, at_us):
            _finish_cast(arena, slot, at_us)
