"""What a match consists of, field by field: passed into an archive when it is saved, and out of it when it
is restored. Only what counts: taken seats, rows that exist, cells of the living, weapons the ruleset has;
and of a row of the history or the album, what changed since the row before.

Every number that is an index is bounded, so that no bytes can lead the core astray. A field that is added
to the state is added here; `tests/contract` notices.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset
from native.actions cimport active_t, loadout_t
from native.archive cimport (
    archive_t, pass_bytes, pass_i32, pass_i64, pass_index, pass_real, pass_u16, pass_u32, pass_u64, pass_u8,
    pass_vector, pass_words,
)
from native.damage cimport body_t
from native.history cimport history_begin, history_t
from native.movement cimport mover_t
from native.rewind cimport link_t
from native.snapshot cimport album_begin, album_t, entity_t
from native.state cimport (
    ID_BYTES, KEPT_BYTES, KEPT_VERDICTS, MAX_ATTACKERS, MAX_MISSILES, MAX_TEAMS, STEP_TIMES, arena_t, entry_t,
    flight_t, kept_t, seat_t,
)
from native.types cimport EFFECT_RELOAD, MAX_ACTIVE_EFFECTS, MAX_STANCES, MAX_WEAPONS, MODE_COUNT


# ---- seats ------------------------------------------------------------------------------------

cdef void _mover(archive_t *archive, mover_t *mover) noexcept nogil:
    pass_vector(archive, &mover.position)
    pass_vector(archive, &mover.velocity)
    pass_real(archive, &mover.yaw)
    pass_real(archive, &mover.pitch)
    pass_index(archive, &mover.mode, MODE_COUNT)
    pass_u8(archive, &mover.stance, MAX_STANCES - 1)
    pass_u8(archive, &mover.on_ground)
    pass_real(archive, &mover.budget_m)
    pass_real(archive, &mover.rise_m)
    pass_i64(archive, &mover.last_us)
    pass_i64(archive, &mover.client_us)
    pass_i64(archive, &mover.discrepancy_us)
    pass_u8(archive, &mover.paying_back)
    pass_i64(archive, &mover.violation_milli)
    pass_i64(archive, &mover.violation_us)
    pass_i64(archive, &mover.granted_until_us)
    pass_real(archive, &mover.granted_mps)
    pass_i32(archive, &mover.speed_q16)
    pass_real(archive, &mover.lift_m)


cdef void _link(archive_t *archive, link_t *link) noexcept nogil:
    pass_i64(archive, &link.rtt_min_us)
    pass_i64(archive, &link.rtt_previous_us)
    pass_i64(archive, &link.window_start_us)
    pass_i64(archive, &link.jitter_us)
    pass_i64(archive, &link.rtt_last_us)
    pass_i64(archive, &link.last_view_us)


cdef void _body(archive_t *archive, body_t *body) noexcept nogil:
    pass_i64(archive, &body.health_milli)
    pass_i64(archive, &body.armour_milli)
    pass_i64(archive, &body.shield_milli)
    pass_i64(archive, &body.health_max_milli)


cdef void _running(archive_t *archive, const arena_t *arena, active_t *running) noexcept nogil:
    pass_u8(archive, &running.effect.kind, EFFECT_RELOAD)
    pass_i64(archive, &running.effect.amount_milli)
    pass_i32(archive, &running.effect.amount_q16)
    pass_i64(archive, &running.effect.duration_us)
    pass_i64(archive, &running.effect.period_us)
    pass_real(archive, &running.effect.speed_mps)
    pass_index(archive, &running.source, arena.slots)
    pass_u32(archive, &running.action, arena.rules.actions)
    pass_i64(archive, &running.end_us)
    pass_i64(archive, &running.next_us)
    pass_i64(archive, &running.left_milli)


cdef void _loadout(archive_t *archive, const arena_t *arena, loadout_t *loadout) noexcept nogil:
    cdef int i
    for i in range(arena.rules.weapons):
        pass_i32(archive, &loadout.weapon[i].ammo)
        pass_i32(archive, &loadout.weapon[i].reserve)
        pass_i64(archive, &loadout.weapon[i].next_fire_us)
        pass_i64(archive, &loadout.weapon[i].reload_end_us)
    for i in range(arena.rules.actions):
        pass_u8(archive, &loadout.ability[i].charges)
        pass_i64(archive, &loadout.ability[i].next_charge_us)
    pass_u8(archive, &loadout.effects, MAX_ACTIVE_EFFECTS)
    for i in range(loadout.effects):
        _running(archive, arena, &loadout.effect[i])
    pass_u8(archive, &loadout.in_hand, MAX_WEAPONS - 1)
    pass_i64(archive, &loadout.resource_milli)
    pass_i64(archive, &loadout.resource_us)
    pass_u32(archive, &loadout.cast_action, arena.rules.actions)
    pass_u32(archive, &loadout.cast_target)
    pass_i64(archive, &loadout.cast_end_us)
    pass_real(archive, &loadout.cast_x)
    pass_real(archive, &loadout.cast_y)
    pass_real(archive, &loadout.cast_z)


cdef void _kept(archive_t *archive, arena_t *arena, uint32_t slot) noexcept nogil:
    """The verdicts held for repeats, each at its place: what pushes which out must stay the same."""
    cdef seat_t *seat = &arena.seat[slot]
    cdef kept_t *kept
    cdef uint32_t i
    pass_index(archive, &seat.kept_first, KEPT_VERDICTS)
    pass_u32(archive, &seat.kept_count, KEPT_VERDICTS)
    pass_u32(archive, &seat.kept_at, KEPT_BYTES)
    for i in range(seat.kept_count):
        kept = &arena.kept[slot * KEPT_VERDICTS + (seat.kept_first + i) % KEPT_VERDICTS]
        pass_u32(archive, &kept.sequence)
        pass_u16(archive, &kept.offset, KEPT_BYTES)
        pass_u16(archive, &kept.size, KEPT_BYTES - kept.offset)
        pass_bytes(archive, arena.kept_bytes + slot * KEPT_BYTES + kept.offset, kept.size)


cdef void _seat(archive_t *archive, arena_t *arena, uint32_t slot) noexcept nogil:
    cdef seat_t *seat = &arena.seat[slot]
    cdef uint32_t i
    pass_u8(archive, &seat.taken, 1)
    pass_u8(archive, &seat.team, MAX_TEAMS - 1)
    pass_u8(archive, &seat.epoch)
    pass_u32(archive, &seat.generation)
    if not seat.taken:
        return
    pass_u8(archive, &seat.alive, 1)
    pass_u8(archive, &seat.disconnected)
    pass_u32(archive, &seat.shown_tick)
    pass_index(archive, &seat.entry, arena.entries)
    pass_u32(archive, &seat.life)
    pass_u32(archive, &seat.sequence)
    pass_u32(archive, &seat.acked_tick)
    pass_i64(archive, &seat.spawned_us)
    pass_i64(archive, &seat.protected_us)
    pass_i64(archive, &seat.respawn_us)
    _mover(archive, &seat.mover)
    _body(archive, &seat.body)
    _link(archive, &seat.link)
    pass_u8(archive, &seat.attackers, MAX_ATTACKERS)
    for i in range(seat.attackers):
        pass_index(archive, &seat.attacker[i].slot, arena.slots)
        pass_i64(archive, &seat.attacker[i].damage_milli)
        pass_i64(archive, &seat.attacker[i].last_us)
    _loadout(archive, arena, &seat.loadout)
    _kept(archive, arena, slot)


cdef void _seats(archive_t *archive, arena_t *arena) noexcept nogil:
    cdef uint32_t slot
    arena.taken = 0
    for slot in range(arena.slots):
        _seat(archive, arena, slot)
        arena.taken += arena.seat[slot].taken
        arena.mask[slot] = arena.seat[slot].taken


# ---- the rest ---------------------------------------------------------------------------------

cdef void _entry(archive_t *archive, const arena_t *arena, entry_t *entry) noexcept nogil:
    pass_u8(archive, &entry.id_size, ID_BYTES)
    pass_bytes(archive, entry.id, entry.id_size)
    pass_u8(archive, &entry.team, MAX_TEAMS - 1)
    pass_index(archive, &entry.slot, arena.slots)
    pass_u32(archive, &entry.kills)
    pass_u32(archive, &entry.deaths)
    pass_u32(archive, &entry.assists)
    pass_i64(archive, &entry.damage_milli)


cdef void _flight(archive_t *archive, arena_t *arena, flight_t *flight) noexcept nogil:
    pass_u8(archive, &flight.flying, 1)
    if not flight.flying:
        return
    pass_u8(archive, &flight.bounces)
    pass_u32(archive, &flight.id)
    pass_index(archive, &flight.owner, arena.slots)
    pass_index(archive, &flight.weapon, arena.rules.weapons)
    pass_u32(archive, &flight.sequence)
    pass_u32(archive, &flight.pellet)
    pass_i64(archive, &flight.at_us)
    pass_i64(archive, &flight.end_us)
    pass_vector(archive, &flight.position)
    pass_vector(archive, &flight.velocity)
    if not arena.seat[flight.owner].taken:
        archive.broken = 1


cdef void _flights(archive_t *archive, arena_t *arena) noexcept nogil:
    cdef uint32_t i
    arena.flying = 0
    for i in range(<uint32_t>MAX_MISSILES):
        _flight(archive, arena, &arena.flight[i])
        arena.flying += arena.flight[i].flying


cdef uint64_t _place(const history_t *history, uint32_t tick, uint32_t slot) noexcept nogil:
    return <uint64_t>(tick & (history.ticks - 1)) * history.slots + slot


cdef void _cell(const history_t *history, uint32_t tick, uint32_t slot, uint32_t *words) noexcept nogil:
    """Zeros where nobody is alive: what is left there of before is never looked at."""
    cdef uint64_t i = _place(history, tick, slot)
    memset(words, 0, CELL_WORDS * sizeof(uint32_t))
    if history.alive[i]:
        memcpy(&words[0], &history.x[i], 4)
        memcpy(&words[1], &history.y[i], 4)
        memcpy(&words[2], &history.z[i], 4)
        memcpy(&words[3], &history.yaw[i], 4)
        memcpy(&words[4], &history.pitch[i], 4)
        words[5] = 1 | <uint32_t>history.stance[i] << 8 | <uint32_t>history.epoch[i] << 16


cdef bint _set_cell(history_t *history, uint32_t tick, uint32_t slot, const uint32_t *words) noexcept nogil:
    cdef uint64_t i = _place(history, tick, slot)
    cdef uint32_t k
    memcpy(&history.x[i], &words[0], 4)
    memcpy(&history.y[i], &words[1], 4)
    memcpy(&history.z[i], &words[2], 4)
    memcpy(&history.yaw[i], &words[3], 4)
    memcpy(&history.pitch[i], &words[4], 4)
    history.alive[i] = words[5] & 1
    history.stance[i] = words[5] >> 8 & 0xFF
    history.epoch[i] = words[5] >> 16 & 0xFF
    for k in range(5):
        if words[k] & 0x7F800000 == 0x7F800000:
            return False        # infinite or not a number
    return history.stance[i] < MAX_STANCES


cdef void _history(archive_t *archive, arena_t *arena) noexcept nogil:
    cdef history_t *history = &arena.history
    cdef uint32_t newest = history.newest, rows = history.rows
    cdef uint32_t row, slot, tick
    cdef uint32_t words[CELL_WORDS]
    cdef uint32_t before[CELL_WORDS]
    pass_u32(archive, &newest)
    pass_u32(archive, &rows, min(history.ticks, newest + 1))
    for row in range(rows):
        tick = newest - rows + 1 + row
        if archive.reading:
            history_begin(history, tick)
        for slot in range(arena.slots):
            memset(before, 0, sizeof(before))
            if row:
                _cell(history, tick - 1, slot, before)
            _cell(history, tick, slot, words)
            pass_words(archive, words, before, CELL_WORDS)
            if archive.reading and not _set_cell(history, tick, slot, words):
                archive.broken = 1
        if archive.broken:
            return


cdef entity_t *_entity(const album_t *album, uint32_t tick, uint32_t slot) noexcept nogil:
    return album.entity + <uint64_t>(tick % album.ticks) * album.slots + slot


cdef void _album(archive_t *archive, arena_t *arena) noexcept nogil:
    cdef album_t *album = &arena.album
    cdef uint32_t newest = album.newest, rows = album.rows
    cdef uint32_t row, slot, tick
    cdef uint32_t nothing[ENTITY_WORDS]
    cdef const uint32_t *before
    memset(nothing, 0, sizeof(nothing))
    pass_u32(archive, &newest)
    pass_u32(archive, &rows, min(album.ticks, newest + 1))
    for row in range(rows):
        tick = newest - rows + 1 + row
        if archive.reading:
            album_begin(album, tick)
        for slot in range(arena.slots):
            before = nothing
            if row:
                before = <uint32_t *>_entity(album, tick - 1, slot)
            pass_words(archive, <uint32_t *>_entity(album, tick, slot), before, ENTITY_WORDS)
        if archive.broken:
            return


cdef void _clock(archive_t *archive, arena_t *arena) noexcept nogil:
    cdef int64_t before = 0, difference
    cdef uint32_t i
    pass_u32(archive, &arena.tick)
    pass_i64(archive, &arena.now_us)
    pass_i64(archive, &arena.started_us)
    for i in range(<uint32_t>STEP_TIMES):
        difference = arena.stepped_us[i] - before
        pass_i64(archive, &difference)
        before = arena.stepped_us[i] = before + difference


cdef void pass_match(archive_t *archive, arena_t *arena) noexcept nogil:
    cdef uint32_t i
    pass_u8(archive, &arena.active, 1)
    pass_u8(archive, &arena.ended)
    pass_u8(archive, &arena.contested)
    pass_u32(archive, &arena.winner)
    pass_u64(archive, &arena.sequence)
    pass_u32(archive, &arena.next_missile)
    pass_u32(archive, &arena.trusted_tick)
    _clock(archive, arena)
    for i in range(<uint32_t>MAX_TEAMS):
        pass_u32(archive, &arena.score[i])
    pass_u32(archive, &arena.entries, arena.max_entries)
    for i in range(arena.entries):
        _entry(archive, arena, &arena.entry[i])
    _seats(archive, arena)
    _flights(archive, arena)
    _history(archive, arena)
    _album(archive, arena)
