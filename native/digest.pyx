"""Field by field, because the padding of a C struct is not state. What is only shown (acknowledged
snapshots of silent frames, who is connected, counters) is left out: it may differ after a replay."""

from libc.string cimport memcpy
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from native.actions cimport active_t, armed_t, loadout_t
from native.movement cimport mover_t
from native.snapshot cimport hash_bytes, hash_u64
from native.state cimport (
    KEPT_BYTES, KEPT_VERDICTS, MAX_MISSILES, MAX_TEAMS, STEP_TIMES, arena_t, entry_t, flight_t, kept_t,
    seat_t,
)
from native.types cimport vec3


cdef uint64_t _real(uint64_t h, double value) noexcept nogil:
    cdef uint64_t bits
    memcpy(&bits, &value, 8)
    return hash_u64(h, bits)


cdef uint64_t _vector(uint64_t h, const vec3 *value) noexcept nogil:
    return _real(_real(_real(h, value.x), value.y), value.z)


cdef uint64_t _mover(uint64_t h, const mover_t *mover) noexcept nogil:
    h = _vector(h, &mover.position)
    h = _vector(h, &mover.velocity)
    h = _real(_real(h, mover.yaw), mover.pitch)
    h = hash_u64(h, mover.mode | <uint64_t>mover.stance << 32 | <uint64_t>mover.on_ground << 40
                 | <uint64_t>mover.paying_back << 48)
    h = _real(_real(_real(h, mover.budget_m), mover.rise_m), mover.lift_m)
    h = hash_u64(h, mover.last_us)
    h = hash_u64(h, mover.client_us)
    h = hash_u64(h, mover.discrepancy_us)
    h = hash_u64(h, mover.violation_milli)
    h = hash_u64(h, mover.violation_us)
    h = hash_u64(h, mover.granted_until_us)
    h = _real(h, mover.granted_mps)
    return hash_u64(h, <uint64_t>mover.speed_q16)


cdef uint64_t _effect(uint64_t h, const active_t *running) noexcept nogil:
    h = hash_u64(h, running.effect.kind | <uint64_t>running.source << 8 | <uint64_t>running.action << 40)
    h = hash_u64(h, running.effect.amount_milli)
    h = hash_u64(h, <uint64_t>running.effect.amount_q16)
    h = hash_u64(h, running.effect.period_us)
    h = hash_u64(h, running.end_us)
    h = hash_u64(h, running.next_us)
    return hash_u64(h, running.left_milli)


cdef uint64_t _loadout(uint64_t h, const arena_t *arena, const loadout_t *loadout) noexcept nogil:
    cdef const armed_t *armed
    cdef int i
    for i in range(arena.rules.weapons):
        armed = &loadout.weapon[i]
        h = hash_u64(h, <uint32_t>armed.ammo | <uint64_t><uint32_t>armed.reserve << 32)
        h = hash_u64(h, armed.next_fire_us)
        h = hash_u64(h, armed.reload_end_us)
    for i in range(arena.rules.actions):
        h = hash_u64(h, loadout.ability[i].charges)
        h = hash_u64(h, loadout.ability[i].next_charge_us)
    for i in range(loadout.effects):
        h = _effect(h, &loadout.effect[i])
    h = hash_u64(h, loadout.effects | <uint64_t>loadout.in_hand << 8 | <uint64_t>loadout.cast_action << 32)
    h = hash_u64(h, loadout.resource_milli)
    h = hash_u64(h, loadout.resource_us)
    if loadout.cast_action:
        h = hash_u64(h, loadout.cast_target)
        h = hash_u64(h, loadout.cast_end_us)
        h = _real(_real(_real(h, loadout.cast_x), loadout.cast_y), loadout.cast_z)
    return h


cdef uint64_t _kept(uint64_t h, const arena_t *arena, uint32_t slot) noexcept nogil:
    """The verdicts held for repeats."""
    cdef const seat_t *seat = &arena.seat[slot]
    cdef const kept_t *kept
    cdef uint32_t i
    for i in range(seat.kept_count):
        kept = &arena.kept[slot * KEPT_VERDICTS + (seat.kept_first + i) % KEPT_VERDICTS]
        h = hash_u64(h, kept.sequence)
        h = hash_bytes(h, arena.kept_bytes + slot * KEPT_BYTES + kept.offset, kept.size)
    return h


cdef uint64_t _seat(uint64_t h, const arena_t *arena, uint32_t slot) noexcept nogil:
    cdef const seat_t *seat = &arena.seat[slot]
    cdef uint32_t i
    h = hash_u64(h, seat.taken | <uint64_t>seat.alive << 8 | <uint64_t>seat.team << 16
                 | <uint64_t>seat.epoch << 24 | <uint64_t>seat.generation << 32)
    if not seat.taken:
        return h
    h = hash_u64(h, seat.entry | <uint64_t>seat.life << 32)
    h = hash_u64(h, seat.sequence | <uint64_t>seat.acked_tick << 32)
    h = hash_u64(h, seat.spawned_us)
    h = hash_u64(h, seat.protected_us)
    h = hash_u64(h, seat.respawn_us)
    h = _mover(h, &seat.mover)
    h = hash_u64(h, seat.body.health_milli)
    h = hash_u64(h, seat.body.armour_milli)
    h = hash_u64(h, seat.body.shield_milli)
    h = hash_u64(h, seat.body.health_max_milli)
    h = hash_u64(h, seat.link.rtt_min_us)
    h = hash_u64(h, seat.link.rtt_previous_us)
    h = hash_u64(h, seat.link.window_start_us)
    h = hash_u64(h, seat.link.jitter_us)
    h = hash_u64(h, seat.link.rtt_last_us)
    h = hash_u64(h, seat.link.last_view_us)
    for i in range(seat.attackers):
        h = hash_u64(h, seat.attacker[i].slot)
        h = hash_u64(h, seat.attacker[i].damage_milli)
        h = hash_u64(h, seat.attacker[i].last_us)
    return _kept(_loadout(h, arena, &seat.loadout), arena, slot)


cdef uint64_t _entry(uint64_t h, const entry_t *entry) noexcept nogil:
    h = hash_bytes(h, entry.id, entry.id_size)
    h = hash_u64(h, entry.team | <uint64_t>entry.slot << 8)
    h = hash_u64(h, entry.kills | <uint64_t>entry.deaths << 32)
    h = hash_u64(h, entry.assists)
    return hash_u64(h, entry.damage_milli)


cdef uint64_t _flight(uint64_t h, const flight_t *flight) noexcept nogil:
    h = hash_u64(h, flight.id | <uint64_t>flight.owner << 32)
    h = hash_u64(h, flight.sequence | <uint64_t>flight.weapon << 32 | <uint64_t>flight.bounces << 40
                 | <uint64_t>flight.pellet << 48)
    h = hash_u64(h, flight.at_us)
    h = hash_u64(h, flight.end_us)
    return _vector(_vector(h, &flight.position), &flight.velocity)


cdef uint64_t _past(uint64_t h, const arena_t *arena) noexcept nogil:
    """The rows of the history that can still be judged."""
    cdef uint32_t back, row, slot
    cdef uint64_t i
    cdef uint32_t bits[5]
    for back in range(arena.history.rows):
        row = (arena.history.newest - back) & (arena.history.ticks - 1)
        for slot in range(arena.slots):
            i = <uint64_t>row * arena.history.slots + slot
            if not arena.history.alive[i]:
                continue
            memcpy(&bits[0], &arena.history.x[i], 4)
            memcpy(&bits[1], &arena.history.y[i], 4)
            memcpy(&bits[2], &arena.history.z[i], 4)
            memcpy(&bits[3], &arena.history.yaw[i], 4)
            memcpy(&bits[4], &arena.history.pitch[i], 4)
            h = hash_u64(h, bits[0] | <uint64_t>bits[1] << 32)
            h = hash_u64(h, bits[2] | <uint64_t>bits[3] << 32)
            h = hash_u64(h, bits[4] | <uint64_t>slot << 32 | <uint64_t>arena.history.stance[i] << 48
                         | <uint64_t>arena.history.epoch[i] << 56)
    return h


cdef uint64_t state_digest(const arena_t *arena) noexcept nogil:
    cdef uint64_t h = hash_u64(arena.key, arena.sequence)
    cdef uint32_t i
    h = hash_u64(h, arena.active | <uint64_t>arena.ended << 8 | <uint64_t>arena.contested << 16
                 | <uint64_t>arena.winner << 32)
    h = hash_u64(h, arena.tick | <uint64_t>arena.taken << 32)
    h = hash_u64(h, arena.next_missile)
    h = hash_u64(h, arena.now_us)
    h = hash_u64(h, arena.started_us)
    for i in range(<uint32_t>STEP_TIMES):
        h = hash_u64(h, arena.stepped_us[i])
    for i in range(<uint32_t>MAX_TEAMS):
        h = hash_u64(h, arena.score[i])
    for i in range(arena.slots):
        h = _seat(h, arena, i)
    for i in range(arena.entries):
        h = _entry(h, &arena.entry[i])
    for i in range(<uint32_t>MAX_MISSILES):
        if arena.flight[i].flying:
            h = _flight(h, &arena.flight[i])
    return _past(h, arena)
