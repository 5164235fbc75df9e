"""A shot is judged where the shooter saw its targets, hurts them as they are now, and costs a round."""

from libc.math cimport sqrt
from libc.string cimport memset
from libc.stdint cimport int64_t, int32_t, uint32_t, uint8_t
from native.actions cimport effects_q16, weapon_fire
from native.damage cimport crit_drawn, kept_share, scale_q16, strike_t
from native.events cimport event_shot
from native.flights cimport free_flights, launch
from native.history cimport history_at, history_sample, instant_t, tick_time
from native.hitreg cimport contact_t, hitscan, melee, scatter
from native.philox cimport DRAW_CRIT, DRAW_SPREAD, philox, philox_t
from native.records cimport note_hit
from native.rewind cimport rewind_view, view_t
from native.seats cimport allies, eye_of, seat_pose, shooter_of
from native.state cimport MAX_DRAWS, REWIND_BINS, REWIND_BIN_US, arena_t, evidence_t, seat_t
from native.types cimport (
    EFFECT_DAMAGE_DEALT, FALLOFF_NONE, MAX_HITS, OUTCOME_ACCEPTED, OUTCOME_REJECTED,
    REASON_BAD_ORIGIN, REASON_BAD_TARGET, REASON_CASTING, REASON_DEAD, REASON_NO_HISTORY, REASON_NONE,
    REASON_OUT_OF_RANGE, REASON_PROJECTILE_LIMIT, REASON_UNKNOWN_WEAPON, WEAPON_HITSCAN, WEAPON_MELEE,
    WEAPON_PROJECTILE, command_t, hit_t, pose_t, vec3, verdict_t, weapon_t,
)
from native.world cimport world_ray, world_sees
from native.wounds cimport blame_t, harm, heal, hit_of, plain_strike, why_unharmed

cdef double SIGHT_M = 0.01      # an origin this near the eye needs no line of sight


# One shot while it is judged.
cdef struct firing_t:
    uint32_t slot
    uint32_t sequence
    int64_t now_us
    int64_t seen_us
    const weapon_t *weapon
    uint32_t weapon_index
    int32_t dealt_q16
    instant_t instant
    vec3 origin
    vec3 direction
    hit_t drawn                 # life the weapon gave the shooter


cdef uint32_t _pellets(const weapon_t *weapon) noexcept nogil:
    return weapon.pellets if weapon.pellets else 1


cdef bint _near_eye(const arena_t *arena, const pose_t *pose, const vec3 *origin) noexcept nogil:
    cdef vec3 eye = eye_of(arena, pose)
    cdef double dx = origin.x - eye.x, dy = origin.y - eye.y, dz = origin.z - eye.z
    cdef double d = dx * dx + dy * dy + dz * dz
    if d > arena.rules.origin_tolerance_m * arena.rules.origin_tolerance_m:
        return False
    return d <= SIGHT_M * SIGHT_M or world_sees(arena.world, &eye, origin)


cdef bint _origin_stands(arena_t *arena, firing_t *firing) noexcept nogil:
    """A client moves itself ahead of the world it sees: its own eye is where its last judged move put
    it. One that has sent no move since may still be where it was at the instant it saw."""
    cdef pose_t pose
    seat_pose(arena, firing.slot, &pose)
    if _near_eye(arena, &pose, &firing.origin):
        return True
    if firing.seen_us < arena.seat[firing.slot].spawned_us:
        return False
    if not history_sample(&arena.history, firing.slot, &firing.instant, arena.rules.rewind.on_break, &pose):
        return False
    return _near_eye(arena, &pose, &firing.origin)


cdef void _count_view(arena_t *arena, const view_t *view, int64_t rewind_us) noexcept nogil:
    cdef int64_t bin = (rewind_us - 1) // REWIND_BIN_US if rewind_us > 0 else 0
    arena.counters.clamp[view.clamp] += 1
    arena.counters.rewind[bin if bin < REWIND_BINS else REWIND_BINS] += 1
    arena.counters.rewind_sum_us += rewind_us


cdef uint32_t _aim(arena_t *arena, const command_t *command, int64_t claimed_us, bint trusted,
                   firing_t *firing, verdict_t *verdict) noexcept nogil:
    """Everything that can refuse a shot before it costs a round."""
    cdef seat_t *seat = &arena.seat[firing.slot]
    cdef evidence_t *evidence = &arena.evidence
    cdef const vec3 *way = &command.shot.direction
    cdef double length = sqrt(way.x * way.x + way.y * way.y + way.z * way.z)
    cdef int64_t acked_us = tick_time(seat.acked_tick, arena.tick_rate) if seat.acked_tick else -1
    cdef view_t view
    if seat.loadout.cast_action:
        return REASON_CASTING
    if not length > 0.0:
        return REASON_OUT_OF_RANGE
    firing.direction.x = way.x / length
    firing.direction.y = way.y / length
    firing.direction.z = way.z / length
    firing.origin = command.shot.origin
    view = rewind_view(&arena.rules.rewind, &seat.link, firing.now_us, claimed_us, acked_us,
                       tick_time(arena.tick, arena.tick_rate), trusted)
    firing.seen_us = view.used_us
    firing.instant = history_at(&arena.history, view.used_us)
    verdict.clamp = view.clamp
    verdict.rewind_us = firing.now_us - view.used_us
    _count_view(arena, &view, verdict.rewind_us)
    evidence.given = 1
    evidence.claimed_us = claimed_us
    evidence.used_us = view.used_us
    if not firing.instant.found and arena.history.rows == arena.history.ticks:
        return REASON_NO_HISTORY
    if not _origin_stands(arena, firing):
        return REASON_BAD_ORIGIN
    if firing.weapon.kind == WEAPON_PROJECTILE and free_flights(arena) < _pellets(firing.weapon):
        return REASON_PROJECTILE_LIMIT
    return REASON_NONE


cdef void _note_draw(arena_t *arena, uint32_t draw) noexcept nogil:
    if arena.evidence.draws < MAX_DRAWS:
        arena.evidence.draw[arena.evidence.draws] = draw
        arena.evidence.draws += 1


cdef vec3 _pellet_way(arena_t *arena, firing_t *firing, uint32_t pellet) noexcept nogil:
    cdef philox_t draw
    if firing.weapon.spread_rad <= 0.0:
        return firing.direction
    draw = philox(arena.key, shooter_of(arena, firing.slot), firing.sequence, pellet, DRAW_SPREAD)
    _note_draw(arena, draw.v[0])
    _note_draw(arena, draw.v[1])
    return scatter(&firing.direction, firing.weapon.spread_rad, draw.v[0], draw.v[1])


cdef bint _critical(arena_t *arena, firing_t *firing, uint32_t pellet) noexcept nogil:
    cdef philox_t draw
    if firing.weapon.crit_chance_q32 <= 0:
        return False
    draw = philox(arena.key, shooter_of(arena, firing.slot), firing.sequence, pellet, DRAW_CRIT)
    _note_draw(arena, draw.v[0])
    return crit_drawn(firing.weapon.crit_chance_q32, draw.v[0])


cdef uint32_t _refusal(arena_t *arena, firing_t *firing, const contact_t *contact) noexcept nogil:
    if not firing.weapon.heals:
        return why_unharmed(arena, firing.slot, contact.slot, firing.seen_us, firing.now_us)
    if not arena.seat[contact.slot].alive or arena.seat[contact.slot].spawned_us > firing.seen_us:
        return REASON_DEAD
    return REASON_NONE if allies(arena, firing.slot, contact.slot) else REASON_BAD_TARGET


cdef void _wound(arena_t *arena, firing_t *firing, const contact_t *contact, int32_t share_q16, bint critical,
                 hit_t *hit) noexcept nogil:
    cdef const weapon_t *weapon = firing.weapon
    cdef strike_t strike = plain_strike(weapon.damage_milli)
    cdef blame_t blame
    cdef int64_t before = hit.dealt_milli
    strike.distance_m = contact.distance
    strike.share_q16 = share_q16
    strike.region_q16 = weapon.region_q16[contact.region]
    strike.critical = critical
    strike.crit_q16 = weapon.crit_q16
    strike.dealt_q16 = firing.dealt_q16
    strike.bypass = weapon.bypass
    strike.falloff = &weapon.falloff if weapon.falloff.kind != FALLOFF_NONE else NULL
    blame.source = firing.slot
    blame.weapon = firing.weapon_index + 1
    blame.region = contact.region
    blame.distance_m = contact.distance
    hit.critical |= critical
    harm(arena, contact.slot, &strike, &blame, firing.now_us, hit)
    if weapon.lifesteal_q16 and hit.dealt_milli > before and arena.seat[firing.slot].alive:
        heal(arena, firing.slot, scale_q16(hit.dealt_milli - before, weapon.lifesteal_q16), &firing.drawn)


cdef bint _meet(arena_t *arena, firing_t *firing, const contact_t *contact, int32_t share_q16, bint critical,
                verdict_t *verdict) noexcept nogil:
    """One contact of a ray with a body; whether it counts as a hit."""
    cdef uint32_t known = verdict.hits
    cdef hit_t *hit = hit_of(verdict, contact.slot, contact.distance)
    cdef uint32_t reason
    if hit == NULL:
        return False
    if verdict.hits > known:
        arena.evidence.target[known].x = contact.pose.x
        arena.evidence.target[known].y = contact.pose.y
        arena.evidence.target[known].z = contact.pose.z
        hit.region = contact.region
        hit.health_milli = arena.seat[contact.slot].body.health_milli
    elif firing.weapon.region_q16[contact.region] > firing.weapon.region_q16[hit.region]:
        hit.region = contact.region
    reason = _refusal(arena, firing, contact)
    if reason:
        if verdict.hits > known:
            hit.reason = reason
        return False
    if firing.weapon.heals:
        heal(arena, contact.slot, scale_q16(firing.weapon.damage_milli, share_q16), hit)
    else:
        _wound(arena, firing, contact, share_q16, critical, hit)
    return True


cdef double _end_of(arena_t *arena, firing_t *firing, const vec3 *way, int met, int most) noexcept nogil:
    """Where a ray ended: in the last body it could enter, at the map, or at its range."""
    cdef double end = firing.weapon.range_m
    if met == most:
        return arena.contact[met - 1].distance
    if firing.weapon.kind == WEAPON_HITSCAN:
        end = world_ray(arena.world, &firing.origin, way, firing.weapon.range_m)
        if end < firing.weapon.range_m:
            arena.evidence.occluded_m = end
    return end


cdef void _strike(arena_t *arena, firing_t *firing, verdict_t *verdict) noexcept nogil:
    """Every pellet of a ray or swing, each through as many bodies as it penetrates."""
    cdef const weapon_t *weapon = firing.weapon
    cdef uint32_t pellet
    cdef int i, met, most = 1 + weapon.penetration if weapon.penetration < MAX_HITS else MAX_HITS
    cdef double stopped, end
    cdef bint critical, any_hit = False
    cdef vec3 way, shown
    memset(&firing.drawn, 0, sizeof(firing.drawn))
    firing.drawn.slot = firing.slot
    for pellet in range(_pellets(weapon)):
        way = _pellet_way(arena, firing, pellet)
        critical = _critical(arena, firing, pellet)
        if weapon.kind == WEAPON_MELEE:
            met = melee(&arena.history, &firing.instant, arena.rules.rewind.on_break, &arena.rules.rig,
                        arena.world, arena.mask, firing.slot, &firing.origin, &way, weapon.arc_rad,
                        weapon.range_m, most, &arena.scratch, arena.contact)
        else:
            met = hitscan(&arena.history, &firing.instant, arena.rules.rewind.on_break, &arena.rules.rig,
                          arena.world, arena.mask, firing.slot, &firing.origin, &way, weapon.range_m, most,
                          &arena.scratch, arena.contact, &stopped)
        for i in range(met):
            any_hit |= _meet(arena, firing, &arena.contact[i], kept_share(weapon.penetration_q16, i),
                             critical, verdict)
        if pellet == 0:
            end = _end_of(arena, firing, &way, met, most)
            shown.x = firing.origin.x + way.x * end
            shown.y = firing.origin.y + way.y * end
            shown.z = firing.origin.z + way.z * end
    event_shot(arena, firing.slot, firing.weapon_index, &firing.origin, &shown, any_hit)
    arena.counters.hits += any_hit
    if firing.drawn.healed_milli:
        note_hit(arena, firing.slot, firing.weapon_index + 1, 0, 0, &firing.drawn)


cdef void _throw(arena_t *arena, firing_t *firing) noexcept nogil:
    cdef uint32_t pellet
    cdef vec3 way
    for pellet in range(_pellets(firing.weapon)):
        way = _pellet_way(arena, firing, pellet)
        launch(arena, firing.slot, firing.weapon_index, firing.sequence, pellet, &firing.origin, &way,
               firing.now_us)
    event_shot(arena, firing.slot, firing.weapon_index, &firing.origin, &firing.origin, False)


cdef void judge_shot(arena_t *arena, const command_t *command, int64_t claimed_us, bint trusted,
                     int64_t now_us, verdict_t *verdict) noexcept nogil:
    cdef seat_t *seat = &arena.seat[command.slot]
    cdef firing_t firing
    arena.counters.shots += 1
    verdict.outcome = OUTCOME_REJECTED
    if command.shot.weapon >= <uint32_t>arena.rules.weapons:
        verdict.reason = REASON_UNKNOWN_WEAPON
        return
    firing.slot = command.slot
    firing.sequence = command.sequence
    firing.now_us = now_us
    firing.weapon_index = command.shot.weapon
    firing.weapon = &arena.rules.weapon[command.shot.weapon]
    verdict.reason = _aim(arena, command, claimed_us, trusted, &firing, verdict)
    if verdict.reason == REASON_NONE:
        verdict.reason = weapon_fire(&seat.loadout, arena.rules, command.shot.weapon, now_us)
    verdict.ammo = seat.loadout.weapon[command.shot.weapon].ammo
    if verdict.reason:
        return
    verdict.outcome = OUTCOME_ACCEPTED
    seat.protected_us = 0       # who shoots gives up the protection of the spawn
    firing.dealt_q16 = effects_q16(&seat.loadout, EFFECT_DAMAGE_DEALT, now_us)
    if firing.weapon.kind == WEAPON_PROJECTILE:
        _throw(arena, &firing)
    else:
        _strike(arena, &firing, verdict)
