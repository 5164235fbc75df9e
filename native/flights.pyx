"""Projectiles fly from where they were thrown, in the present: they are seen coming, so nothing is
rewound. Each tick moves them along a parabola in a straight piece, with bounces within it."""

from libc.string cimport memset
from libc.stdint cimport int32_t, int64_t, uint32_t, uint8_t
from native.actions cimport effects_q16
from native.damage cimport blast_share, crit_drawn, scale_q16, strike_t
from native.events cimport event_blast, millimetres
from native.hitreg cimport blast, contact_t, sweep
from native.records cimport note_hit
from native.philox cimport DRAW_CRIT, philox, philox_t
from native.seats cimport shooter_of
from native.snapshot cimport missile_t
from native.state cimport MAX_MISSILES, arena_t, flight_t
from native.types cimport EFFECT_DAMAGE_DEALT, FALLOFF_NONE, MAX_HITS, hit_t, vec3, weapon_t
from native.wounds cimport blame_t, harm, plain_strike, why_unharmed

cdef enum:
    MOST_PIECES = 4             # bounces within one tick
    LIFE_US = 10000000          # of a projectile without a fuse

cdef double BOUNCE_KEPT = 0.5   # of the speed towards what it bounces off
cdef double SLIDE_KEPT = 0.8    # of the speed along it
cdef double SKIN_M = 0.001      # put off the surface after a bounce


cdef uint32_t free_flights(const arena_t *arena) noexcept nogil:
    return MAX_MISSILES - arena.flying


cdef void launch(arena_t *arena, uint32_t slot, uint32_t weapon, uint32_t sequence, uint32_t pellet,
                 const vec3 *origin, const vec3 *direction, int64_t now_us) noexcept nogil:
    cdef flight_t *flight = &arena.flight[0]
    cdef const weapon_t *rules = &arena.rules.weapon[weapon]
    cdef uint32_t i
    for i in range(<uint32_t>MAX_MISSILES):
        flight = &arena.flight[i]
        if not flight.flying:
            break
    else:
        return
    arena.flying += 1
    arena.next_missile += 1
    flight.flying = 1
    flight.id = arena.next_missile
    flight.bounces = rules.bounces
    flight.owner = slot
    flight.weapon = weapon
    flight.sequence = sequence
    flight.pellet = pellet
    flight.at_us = now_us
    flight.end_us = now_us + (rules.fuse_us if rules.fuse_us > 0 else LIFE_US)
    flight.position = origin[0]
    flight.velocity.x = direction.x * rules.speed_mps
    flight.velocity.y = direction.y * rules.speed_mps
    flight.velocity.z = direction.z * rules.speed_mps


cdef void _land(arena_t *arena, flight_t *flight) noexcept nogil:
    flight.flying = 0
    arena.flying -= 1


cdef void _hurt(arena_t *arena, flight_t *flight, const contact_t *contact, int32_t share_q16,
                bint direct) noexcept nogil:
    cdef const weapon_t *weapon = &arena.rules.weapon[flight.weapon]
    cdef strike_t strike
    cdef blame_t blame
    cdef hit_t hit
    cdef philox_t draw
    cdef int64_t at_us = flight.at_us
    memset(&hit, 0, sizeof(hit))
    hit.slot = contact.slot
    hit.region = contact.region
    hit.distance_m = contact.distance
    hit.health_milli = arena.seat[contact.slot].body.health_milli
    hit.reason = why_unharmed(arena, flight.owner, contact.slot, at_us, at_us)
    if hit.reason:
        note_hit(arena, flight.owner, flight.weapon + 1, 0, flight.sequence, &hit)
        return
    strike = plain_strike(weapon.damage_milli)
    strike.share_q16 = share_q16
    strike.bypass = weapon.bypass
    strike.dealt_q16 = effects_q16(&arena.seat[flight.owner].loadout, EFFECT_DAMAGE_DEALT, at_us)
    if direct:
        strike.region_q16 = weapon.region_q16[contact.region]
        if weapon.crit_chance_q32 > 0:
            draw = philox(arena.key, shooter_of(arena, flight.owner), flight.sequence, flight.pellet,
                          DRAW_CRIT)
            strike.critical = crit_drawn(weapon.crit_chance_q32, draw.v[0])
            strike.crit_q16 = weapon.crit_q16
    blame.source = flight.owner
    blame.weapon = flight.weapon + 1
    blame.region = contact.region
    blame.distance_m = contact.distance
    hit.critical = strike.critical
    arena.counters.hits += harm(arena, contact.slot, &strike, &blame, at_us, &hit) > 0
    note_hit(arena, flight.owner, flight.weapon + 1, 0, flight.sequence, &hit)


cdef void _explode(arena_t *arena, flight_t *flight, int direct) noexcept nogil:
    """Full damage at the centre, `blast_edge_q16` of it at the rim, and to the thrower its own share."""
    cdef const weapon_t *weapon = &arena.rules.weapon[flight.weapon]
    cdef int i, met
    cdef int32_t share_q16
    event_blast(arena, flight.owner, flight.weapon, &flight.position, weapon.blast_m)
    met = blast(&arena.history, &arena.rules.rig, arena.world, arena.mask, direct, &flight.position,
                weapon.blast_m, MAX_HITS, &arena.scratch, arena.contact)
    for i in range(met):
        share_q16 = blast_share(weapon.blast_edge_q16, arena.contact[i].share)
        if arena.contact[i].slot == flight.owner:
            share_q16 = <int32_t>scale_q16(share_q16, weapon.blast_self_q16)
        if share_q16 > 0:
            _hurt(arena, flight, &arena.contact[i], share_q16, <int>arena.contact[i].slot == direct)
    _land(arena, flight)


cdef bint _bounce(flight_t *flight, const vec3 *normal, double rest_mps) noexcept nogil:
    """Turns the velocity off a surface; whether that was a bounce. What only falls back by the weight of a
    tick or two lies on the surface, slides, and waits for its fuse."""
    cdef vec3 *v = &flight.velocity
    cdef double into = v.x * normal.x + v.y * normal.y + v.z * normal.z
    cdef bint lies = -into <= rest_mps
    cdef double kept = 0.0 if lies else BOUNCE_KEPT
    v.x = (v.x - into * normal.x) * SLIDE_KEPT - into * normal.x * kept
    v.y = (v.y - into * normal.y) * SLIDE_KEPT - into * normal.y * kept
    v.z = (v.z - into * normal.z) * SLIDE_KEPT - into * normal.z * kept
    flight.position.x += normal.x * SKIN_M
    flight.position.y += normal.y * SKIN_M
    flight.position.z += normal.z * SKIN_M
    return not lies


cdef bint _touch(arena_t *arena, flight_t *flight, int met, const contact_t *contact,
                 const vec3 *normal) noexcept nogil:
    """What a projectile does where it met something; whether it flies on."""
    cdef const weapon_t *weapon = &arena.rules.weapon[flight.weapon]
    cdef contact_t struck = contact[0]
    if met == 2 and flight.bounces > 0:
        flight.bounces -= _bounce(flight, normal, 2.0 * weapon.gravity_mps2 / arena.tick_rate)
        return True
    if weapon.blast_m > 0.0:
        _explode(arena, flight, <int>struck.slot if met == 1 else -1)
        return False
    if met == 1:
        _hurt(arena, flight, &struck, 65536, True)
    _land(arena, flight)
    return False


cdef bint _outside(const arena_t *arena, const vec3 *at) noexcept nogil:
    return (at.x < arena.world.low.x or at.y < arena.world.low.y or at.z < arena.world.low.z
            or at.x > arena.world.high.x or at.y > arena.world.high.y or at.z > arena.world.high.z)


cdef void _advance(arena_t *arena, flight_t *flight, int64_t until_us) noexcept nogil:
    cdef const weapon_t *weapon = &arena.rules.weapon[flight.weapon]
    cdef double left = <double>(until_us - flight.at_us) / 1000000.0
    cdef double share
    cdef vec3 delta, normal
    cdef int piece, met
    for piece in range(MOST_PIECES):
        if left <= 0.0:
            break
        delta.x = flight.velocity.x * left
        delta.y = flight.velocity.y * left
        delta.z = flight.velocity.z * left - 0.5 * weapon.gravity_mps2 * left * left
        share = 1.0
        met = sweep(&arena.history, &arena.rules.rig, arena.world, arena.mask, flight.owner,
                    &flight.position, &delta, weapon.radius_m, &arena.scratch, arena.contact, &share, &normal)
        if met == 0:
            share = 1.0
        flight.position.x += delta.x * share
        flight.position.y += delta.y * share
        flight.position.z += delta.z * share
        flight.velocity.z -= weapon.gravity_mps2 * left * share
        if met and not _touch(arena, flight, met, arena.contact, &normal):
            return
        left -= left * share
    flight.at_us = until_us
    if _outside(arena, &flight.position):
        _land(arena, flight)


cdef void fly(arena_t *arena, int64_t at_us) noexcept nogil:
    cdef uint32_t i
    cdef flight_t *flight
    cdef const weapon_t *weapon
    if arena.flying == 0:
        return
    for i in range(<uint32_t>MAX_MISSILES):
        flight = &arena.flight[i]
        if not flight.flying or flight.at_us >= at_us:
            continue
        _advance(arena, flight, at_us if at_us < flight.end_us else flight.end_us)
        if flight.flying and flight.at_us >= flight.end_us:
            weapon = &arena.rules.weapon[flight.weapon]
            if weapon.fuse_us > 0 and weapon.blast_m > 0.0:
                _explode(arena, flight, -1)
            else:
                _land(arena, flight)


cdef uint32_t flights_shown(const arena_t *arena, missile_t *out) noexcept nogil:
    cdef uint32_t i, count = 0
    for i in range(<uint32_t>MAX_MISSILES):
        if arena.flight[i].flying:
            out[count].id = arena.flight[i].id
            out[count].owner = arena.flight[i].owner
            out[count].weapon = arena.flight[i].weapon
            out[count].x_mm = <int32_t>millimetres(arena.flight[i].position.x)
            out[count].y_mm = <int32_t>millimetres(arena.flight[i].position.y)
            out[count].z_mm = <int32_t>millimetres(arena.flight[i].position.z)
            count += 1
    return count
