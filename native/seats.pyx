"""Who sits where, on which side, alive or not, and what it counts."""

from libc.string cimport memset
from libc.stdint cimport int64_t, uint32_t, uint8_t
from native.actions cimport ability_refund, loadout_reset
from native.events cimport event_action, event_kill, event_spawn
from native.movement cimport mover_place
from native.philox cimport DRAW_SPAWN, philox, philox_t
from native.rewind cimport link_reset
from native.state cimport MAX_ATTACKERS, arena_t, attacker_t, entry_t, flight_t, MAX_MISSILES, seat_t, spawn_t
from native.types cimport PHASE_INTERRUPTED, pose_t, vec3

cdef enum:
    SPAWN_DRAWS = 8             # spawn points tried before one that is not free is taken

cdef double FREE_M = 1.0        # a spawn point with nobody alive this near is free


cdef bint allies(const arena_t *arena, uint32_t a, uint32_t b) noexcept nogil:
    """On one side: the same seat, or the same team in a mode with teams."""
    return a == b or (arena.mode.teams > 0 and arena.seat[a].team == arena.seat[b].team)


cdef void seat_pose(const arena_t *arena, uint32_t slot, pose_t *out) noexcept nogil:
    cdef const seat_t *seat = &arena.seat[slot]
    out.x = seat.mover.position.x
    out.y = seat.mover.position.y
    out.z = seat.mover.position.z
    out.yaw = seat.mover.yaw
    out.pitch = seat.mover.pitch
    out.stance = seat.mover.stance
    out.epoch = seat.epoch
    out.alive = seat.alive


cdef vec3 eye_of(const arena_t *arena, const pose_t *pose) noexcept nogil:
    cdef vec3 eye
    eye.x = pose.x
    eye.y = pose.y
    eye.z = pose.z + arena.rules.rig.eye[pose.stance]
    return eye


cdef uint32_t shooter_of(const arena_t *arena, uint32_t slot) noexcept nogil:
    return slot | arena.seat[slot].generation << 10


# ---- sides ----------------------------------------------------------------------------------

cdef uint32_t team_size(const arena_t *arena, uint32_t team) noexcept nogil:
    cdef uint32_t slot, count = 0
    for slot in range(arena.slots):
        if arena.seat[slot].taken and arena.seat[slot].team == team:
            count += 1
    return count


cdef uint32_t smallest_team(const arena_t *arena, uint32_t *size) noexcept nogil:
    """The team with the fewest players, the lowest of equals."""
    cdef uint32_t team, best = 0, count
    size[0] = team_size(arena, 0)
    for team in range(1, arena.mode.teams):
        count = team_size(arena, team)
        if count < size[0]:
            size[0] = count
            best = team
    return best


cdef uint32_t leader(const arena_t *arena, uint32_t *score) noexcept nogil:
    cdef uint32_t i, mine, best = 0, sides = arena.mode.teams if arena.mode.teams else arena.slots
    score[0] = 0
    for i in range(sides):
        if arena.mode.teams:
            mine = arena.score[i]
        elif arena.seat[i].taken:
            mine = arena.entry[arena.seat[i].entry].kills
        else:
            continue
        if mine > score[0]:
            score[0] = mine
            best = i + 1
        elif mine == score[0]:
            best = 0
    return best


cdef uint32_t sides_alive(const arena_t *arena, uint32_t *last) noexcept nogil:
    cdef uint32_t slot, side, count = 0
    last[0] = 0
    for slot in range(arena.slots):
        if not (arena.seat[slot].taken and arena.seat[slot].alive):
            continue
        side = (arena.seat[slot].team if arena.mode.teams else slot) + 1
        if side != last[0]:
            count += 1          # sides that alternate are counted more than once: only 0, 1, more matter
            last[0] = side
    return count


# ---- taking and leaving -----------------------------------------------------------------------

cdef void seat_take(arena_t *arena, uint32_t slot, uint32_t entry, uint8_t team) noexcept nogil:
    cdef seat_t *seat = &arena.seat[slot]
    cdef uint32_t generation = seat.generation
    cdef uint8_t epoch = seat.epoch
    memset(seat, 0, sizeof(seat_t))
    seat.taken = 1
    seat.generation = generation + 1
    seat.epoch = epoch
    seat.entry = entry
    seat.team = team
    link_reset(&seat.link)
    arena.entry[entry].slot = slot
    arena.entry[entry].team = team
    arena.mask[slot] = 1
    arena.taken += 1


cdef void seat_free(arena_t *arena, uint32_t slot) noexcept nogil:
    """Whoever comes next must not be credited with what the leaver began."""
    cdef uint32_t other, i
    cdef seat_t *seat
    cdef flight_t *flight
    arena.seat[slot].taken = 0
    arena.seat[slot].alive = 0
    arena.seat[slot].epoch += 1
    arena.mask[slot] = 0
    arena.taken -= 1
    for other in range(arena.slots):
        seat = &arena.seat[other]
        for i in range(seat.loadout.effects):
            if seat.loadout.effect[i].source == slot:
                seat.loadout.effect[i].source = other
        i = 0
        while i < seat.attackers:
            if seat.attacker[i].slot == slot:
                seat.attackers -= 1
                seat.attacker[i] = seat.attacker[seat.attackers]
            else:
                i += 1
    for i in range(<uint32_t>MAX_MISSILES):
        flight = &arena.flight[i]
        if flight.flying and flight.owner == slot:
            flight.flying = 0
            arena.flying -= 1


# ---- living and dying -------------------------------------------------------------------------

cdef double _nearest_enemy(const arena_t *arena, uint32_t slot, const vec3 *at, bint anybody) noexcept nogil:
    """Squared metres to the nearest enemy (or player at all) alive; 1e30 when there is none."""
    cdef uint32_t other
    cdef double dx, dy, dz, d, best = 1e30
    cdef const seat_t *seat
    for other in range(arena.slots):
        seat = &arena.seat[other]
        if not seat.alive or other == slot or (not anybody and allies(arena, slot, other)):
            continue
        dx = seat.mover.position.x - at.x
        dy = seat.mover.position.y - at.y
        dz = seat.mover.position.z - at.z
        d = dx * dx + dy * dy + dz * dz
        if d < best:
            best = d
    return best


cdef const spawn_t *_spawn_point(const arena_t *arena, uint32_t slot) noexcept nogil:
    """Draws points of the seat's team (or of none), takes the first two that are free, and of those the
    one farther from every enemy. When none of the draws is free, the last one."""
    cdef uint32_t side = arena.seat[slot].team + 1 if arena.mode.teams else 0
    cdef uint32_t i, k, count = 0, free = 0
    cdef const spawn_t *best = NULL
    cdef const spawn_t *point = NULL
    cdef double distance, best_distance = -1.0
    cdef philox_t draw
    for i in range(arena.spawns):
        count += _suits(&arena.spawn[i], side)
    for i in range(<uint32_t>SPAWN_DRAWS):
        if i % 4 == 0:
            draw = philox(arena.key, shooter_of(arena, slot), arena.seat[slot].life, i // 4, DRAW_SPAWN)
        k = draw.v[i % 4] % (count if count else arena.spawns)
        point = _nth(arena, side if count else 0, k)
        if _nearest_enemy(arena, slot, &point.position, True) < FREE_M * FREE_M:
            continue
        distance = _nearest_enemy(arena, slot, &point.position, False)
        if distance > best_distance:
            best_distance = distance
            best = point
        free += 1
        if free == 2:
            break
    return best if best != NULL else point


cdef bint _suits(const spawn_t *point, uint32_t side) noexcept nogil:
    return side == 0 or point.team == 0 or point.team == side


cdef const spawn_t *_nth(const arena_t *arena, uint32_t side, uint32_t n) noexcept nogil:
    cdef uint32_t i
    for i in range(arena.spawns):
        if _suits(&arena.spawn[i], side):
            if n == 0:
                return &arena.spawn[i]
            n -= 1
    return &arena.spawn[0]


cdef void seat_spawn(arena_t *arena, uint32_t slot, int64_t now_us) noexcept nogil:
    cdef seat_t *seat = &arena.seat[slot]
    cdef const spawn_t *point = _spawn_point(arena, slot)
    seat.life += 1
    seat.epoch += 1
    seat.alive = 1
    seat.attackers = 0
    seat.spawned_us = now_us
    seat.respawn_us = 0
    seat.protected_us = now_us + arena.mode.protection_us
    seat.body.health_milli = arena.rules.health_milli
    seat.body.health_max_milli = arena.rules.health_milli
    seat.body.armour_milli = arena.rules.armour_milli
    seat.body.shield_milli = 0
    loadout_reset(&seat.loadout, arena.rules, now_us)
    mover_place(&seat.mover, &arena.rules.move, &point.position, point.yaw, now_us)
    event_spawn(arena, slot)


cdef void seat_hurt_by(arena_t *arena, uint32_t slot, uint32_t source, int64_t damage_milli,
                       int64_t now_us) noexcept nogil:
    cdef seat_t *seat = &arena.seat[slot]
    cdef attacker_t *entry = NULL
    cdef uint32_t i, oldest = 0
    for i in range(seat.attackers):
        if seat.attacker[i].slot == source:
            entry = &seat.attacker[i]
            if entry.last_us < now_us - arena.mode.assist_us:
                entry.damage_milli = 0
            break
        if seat.attacker[i].last_us < seat.attacker[oldest].last_us:
            oldest = i
    if entry == NULL:
        if seat.attackers < MAX_ATTACKERS:
            entry = &seat.attacker[seat.attackers]
            seat.attackers += 1
        else:
            entry = &seat.attacker[oldest]
        entry.slot = source
        entry.damage_milli = 0
    entry.damage_milli += damage_milli
    entry.last_us = now_us


cdef uint32_t _assistant(const arena_t *arena, uint32_t slot, uint32_t killer, int64_t now_us) noexcept nogil:
    """Seat plus one of the enemy, other than the killer, who did the most damage lately; 0: nobody."""
    cdef const seat_t *seat = &arena.seat[slot]
    cdef uint32_t i, best = 0
    cdef int64_t most = 0
    for i in range(seat.attackers):
        if seat.attacker[i].slot == killer or seat.attacker[i].last_us < now_us - arena.mode.assist_us:
            continue
        if seat.attacker[i].damage_milli > most and not allies(arena, slot, seat.attacker[i].slot):
            most = seat.attacker[i].damage_milli
            best = seat.attacker[i].slot + 1
    return best


cdef void seat_die(arena_t *arena, uint32_t slot, uint32_t killer, uint32_t weapon, uint32_t region,
                   double distance, int64_t now_us) noexcept nogil:
    cdef seat_t *seat = &arena.seat[slot]
    cdef uint32_t assist = _assistant(arena, slot, killer, now_us)
    seat.alive = 0
    seat.epoch += 1
    seat.body.shield_milli = 0
    seat.loadout.effects = 0
    seat.respawn_us = now_us + arena.mode.respawn_us + 1 if arena.mode.respawns else 0
    if seat.loadout.cast_action:
        ability_refund(&seat.loadout, arena.rules, seat.loadout.cast_action - 1)
        event_action(arena, slot, seat.loadout.cast_action - 1, 0, PHASE_INTERRUPTED)
        seat.loadout.cast_action = 0
    arena.entry[seat.entry].deaths += 1
    if not allies(arena, slot, killer):
        arena.counters.kills += 1
        arena.entry[arena.seat[killer].entry].kills += 1
        if arena.mode.teams:
            arena.score[arena.seat[killer].team] += 1
    if assist:
        arena.entry[arena.seat[assist - 1].entry].assists += 1
    event_kill(arena, slot, killer, assist, weapon, region, distance)
