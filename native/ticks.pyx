"""A tick judges nothing that a player sent. It runs what was scheduled, remembers where everybody is,
moves projectiles against that, looks at the limits and takes the picture that viewers are shown."""

from libc.math cimport floor
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from native.actions cimport effects_any, weapon_settle
from native.casts cimport effects_step
from native.digest cimport state_digest
from native.events cimport event_end, millimetres
from native.flights cimport fly
from native.history cimport history_begin, history_put, tick_time
from native.records cimport record_tick
from native.seats cimport leader, seat_pose, seat_spawn, sides_alive
from native.snapshot cimport album_begin, entity_t
from native.state cimport CHECKPOINT_TICKS, STEP_TIMES, arena_t, entry_t, seat_t
from native.types cimport EFFECT_STUN, END_ABORTED, END_LAST_STANDING, END_SCORE_LIMIT, END_TIME_LIMIT, pose_t

cdef enum:
    FLAG_ALIVE = 1
    FLAG_ON_GROUND = 2
    FLAG_PROTECTED = 4
    FLAG_RELOADING = 8
    FLAG_CASTING = 16
    FLAG_STUNNED = 32
    FLAG_SHIELDED = 64
    FLAG_DISCONNECTED = 128

cdef double TURN = 6.283185307179586


cdef int64_t _turn_q16(double radians) noexcept nogil:
    """1/65536 turn, nearest."""
    return <int64_t>floor(radians / TURN * 65536.0 + 0.5)


cdef uint32_t _flags(const seat_t *seat, int64_t at_us) noexcept nogil:
    cdef uint32_t flags = FLAG_DISCONNECTED if seat.disconnected else 0
    if not seat.alive:
        return flags
    flags |= FLAG_ALIVE
    if seat.mover.on_ground:
        flags |= FLAG_ON_GROUND
    if at_us < seat.protected_us:
        flags |= FLAG_PROTECTED
    if seat.loadout.weapon[seat.loadout.in_hand].reload_end_us > at_us:
        flags |= FLAG_RELOADING
    if seat.loadout.cast_action:
        flags |= FLAG_CASTING
    if seat.loadout.effects and effects_any(&seat.loadout, EFFECT_STUN, at_us):
        flags |= FLAG_STUNNED
    if seat.body.shield_milli > 0:
        flags |= FLAG_SHIELDED
    return flags


cdef void show(arena_t *arena) noexcept nogil:
    cdef entity_t *row = album_begin(&arena.album, arena.tick)
    cdef entity_t *entity
    cdef const seat_t *seat
    cdef const entry_t *entry
    cdef uint32_t slot
    cdef int64_t at_us = tick_time(arena.tick, arena.tick_rate)
    for slot in range(arena.slots):
        seat = &arena.seat[slot]
        if not seat.taken:
            continue
        entity = &row[slot]
        entry = &arena.entry[seat.entry]
        entity.present = 1
        entity.mode = seat.mover.mode
        entity.team = seat.team
        entity.weapon = seat.loadout.in_hand
        entity.flags = _flags(seat, at_us)
        entity.x_mm = <int32_t>millimetres(seat.mover.position.x)
        entity.y_mm = <int32_t>millimetres(seat.mover.position.y)
        entity.z_mm = <int32_t>millimetres(seat.mover.position.z)
        entity.yaw = <uint32_t>(_turn_q16(seat.mover.yaw) & 0xFFFF)
        entity.pitch = <int32_t>_turn_q16(seat.mover.pitch)
        entity.health_milli = <uint32_t>seat.body.health_milli
        entity.armour_milli = <uint32_t>seat.body.armour_milli
        entity.shield_milli = <uint32_t>seat.body.shield_milli
        entity.kills = entry.kills
        entity.deaths = entry.deaths


cdef void capture(arena_t *arena) noexcept nogil:
    cdef uint32_t slot
    cdef pose_t pose
    history_begin(&arena.history, arena.tick)
    for slot in range(arena.slots):
        if arena.seat[slot].taken and arena.seat[slot].alive:
            seat_pose(arena, slot, &pose)
            history_put(&arena.history, slot, &pose)


cdef void finish(arena_t *arena, uint32_t reason) noexcept nogil:
    cdef uint32_t score, last
    arena.ended = <uint8_t>reason
    arena.active = 0
    arena.winner = leader(arena, &score)
    if not arena.mode.respawns and sides_alive(arena, &last) == 1:
        arena.winner = last     # the last one standing, whatever the count
    if reason == END_ABORTED:
        arena.winner = 0
    event_end(arena, reason, arena.winner)


cdef void _limits(arena_t *arena, int64_t at_us) noexcept nogil:
    """Where nobody comes back, the last side standing has reached all it can: it ends,
    provided that there ever was another."""
    cdef uint32_t score, last
    cdef uint32_t sides = 0 if arena.mode.respawns else sides_alive(arena, &last)
    leader(arena, &score)
    if sides > 1:
        arena.contested = 1
    if arena.mode.score_limit > 0 and score >= <uint32_t>arena.mode.score_limit:
        finish(arena, END_SCORE_LIMIT)
    elif arena.contested and sides <= 1:
        finish(arena, END_LAST_STANDING)
    elif arena.mode.time_limit_us > 0 and at_us - arena.started_us >= arena.mode.time_limit_us:
        finish(arena, END_TIME_LIMIT)


cdef void step(arena_t *arena, int64_t now_us) noexcept nogil:
    cdef seat_t *seat
    cdef uint32_t slot
    cdef int64_t at_us
    if now_us > arena.now_us:
        arena.now_us = now_us
    arena.tick += 1
    arena.stepped_us[arena.tick % STEP_TIMES] = arena.now_us
    arena.counters.ticks += 1
    at_us = tick_time(arena.tick, arena.tick_rate)
    for slot in range(arena.slots):
        seat = &arena.seat[slot]
        if not seat.taken:
            continue
        if seat.alive:
            effects_step(arena, slot, at_us)
            weapon_settle(&seat.loadout, arena.rules, at_us)
        elif seat.respawn_us and seat.respawn_us <= at_us:
            seat_spawn(arena, slot, at_us)
    capture(arena)
    fly(arena, at_us)
    _limits(arena, at_us)
    show(arena)
    record_tick(arena, state_digest(arena) if arena.journalling and arena.tick % CHECKPOINT_TICKS == 0 else 0)
