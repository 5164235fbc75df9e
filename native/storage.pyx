"""Everything an arena will need is taken here, sized by its seats and by what one frame may hold. Pages
that are never written (the answer to 1,024 commands of 16 hits each, say) cost no memory.

Only what is written for the journal may grow later, between calls: see `_reserve`. No record ever loses
anything: before each call there is room for the most it could write.
"""

from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memset
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from native.history cimport history_close, history_open
from native.hitreg cimport scratch_close, scratch_open
from native.snapshot cimport album_close, album_open
from native.state cimport (
    ALBUM_TICKS, EVENT_BYTES, HIT_BYTES, INPUT_BYTES, KEPT_BYTES, KEPT_VERDICTS, MAX_MISSILES, RECORD_BYTES,
    VERDICT_BYTES, arena_t, entry_t, kept_t, seat_t, spawn_t,
)
from native.types cimport MAX_ACTIVE_EFFECTS, MAX_HITS
from native.wire cimport writer_t

cdef enum:
    HEAD_BYTES = 1024           # of an answer, besides verdicts
    ENTITY_BYTES = 128          # no entity or projectile of a snapshot is longer
    SHOWN_BYTES = 512           # of the event buffer, for each seat ...
    SHOWN_BYTES_LEAST = 32768   # ... and for all
    ROSTER_FACTOR = 4           # people who may ever sit, for each seat; more are refused


cdef int _open_writer(writer_t *writer, uint64_t size) except -1:
    writer.start = <uint8_t *>malloc(size)
    if writer.start == NULL:
        raise MemoryError
    writer.at = writer.start
    writer.end = writer.start + size
    writer.full = 0
    return 0


cdef int _place_spawns(arena_t *arena, list spawns) except -1:
    cdef uint32_t i = 0
    arena.spawns = len(spawns)
    arena.spawn = <spawn_t *>calloc(arena.spawns, sizeof(spawn_t))
    if arena.spawn == NULL:
        raise MemoryError
    for x, y, z, yaw, team in spawns:
        arena.spawn[i].position.x = x
        arena.spawn[i].position.y = y
        arena.spawn[i].position.z = z
        arena.spawn[i].yaw = yaw
        arena.spawn[i].team = team
        i += 1
    return 0


cdef uint64_t _most_hits(const arena_t *arena) noexcept nogil:
    """Of one step: every projectile ends in a full blast, every effect strikes everybody, and everybody's
    cast ends and reaches everybody. More than a command can do."""
    cdef uint64_t slots = arena.slots
    return MAX_MISSILES * <uint64_t>MAX_HITS + slots * MAX_ACTIVE_EFFECTS + slots * slots


cdef int arena_open(arena_t *arena, list spawns) except -1:
    cdef uint64_t slots = arena.slots
    cdef uint64_t answer = arena.max_commands * <uint64_t>VERDICT_BYTES
    cdef uint64_t shown = (slots + MAX_MISSILES) * ENTITY_BYTES
    history_open(&arena.history, arena.rules.history_ticks, arena.slots, arena.tick_rate)
    album_open(&arena.album, ALBUM_TICKS, arena.slots)
    _place_spawns(arena, spawns)
    arena.max_entries = arena.slots * ROSTER_FACTOR
    arena.seat = <seat_t *>calloc(slots, sizeof(seat_t))
    arena.entry = <entry_t *>calloc(arena.max_entries, sizeof(entry_t))
    arena.kept = <kept_t *>calloc(slots * KEPT_VERDICTS, sizeof(kept_t))
    arena.kept_bytes = <uint8_t *>malloc(slots * KEPT_BYTES)
    # As wide as a row of the history, which hit registration reads in blocks.
    arena.mask = <uint8_t *>calloc(arena.history.slots, 1)
    scratch_open(&arena.scratch, arena.history.slots)
    if (arena.seat == NULL or arena.entry == NULL or arena.kept == NULL or arena.kept_bytes == NULL
            or arena.mask == NULL):
        raise MemoryError
    _open_writer(&arena.out, HEAD_BYTES + max(answer, shown))
    _open_writer(&arena.events, SHOWN_BYTES_LEAST + slots * SHOWN_BYTES)
    _open_writer(&arena.hits, _most_hits(arena) * HIT_BYTES)
    # In one step a seat can come to life and die again, and the match can end.
    _open_writer(&arena.caused, (2 * slots + 1) * EVENT_BYTES)
    _open_writer(&arena.journal, 4 * RECORD_BYTES)
    reserve_step(arena)
    return 0


cdef int arena_open_like(arena_t *arena, const arena_t *model, list spawns) except -1:
    memset(arena, 0, sizeof(arena_t))
    arena.rules = model.rules
    arena.world = model.world
    arena.mode = model.mode
    arena.key = model.key
    arena.slots = model.slots
    arena.tick_rate = model.tick_rate
    arena.max_commands = model.max_commands
    arena.volatile_kinds = model.volatile_kinds
    arena.journalling = model.journalling
    arena.counters = model.counters
    return arena_open(arena, spawns)


cdef void arena_close(arena_t *arena) noexcept:
    history_close(&arena.history)
    album_close(&arena.album)
    free(arena.spawn)
    free(arena.seat)
    free(arena.entry)
    free(arena.kept)
    free(arena.kept_bytes)
    free(arena.mask)
    scratch_close(&arena.scratch)
    free(arena.out.start)
    free(arena.events.start)
    free(arena.hits.start)
    free(arena.caused.start)
    free(arena.journal.start)


cdef int _reserve(writer_t *writer, uint64_t size) except -1:
    """Grows when the caller has not taken the journal for long, frames become larger or ticks fuller. One
    that takes it regularly soon sees no more growth; pages that are never written cost nothing."""
    cdef uint64_t used = writer.at - writer.start
    cdef uint64_t room
    cdef uint8_t *start
    if <uint64_t>(writer.end - writer.at) >= size:
        return 0
    room = max(2 * <uint64_t>(writer.end - writer.start), used + size)
    start = <uint8_t *>realloc(writer.start, room)
    if start == NULL:
        raise MemoryError
    writer.start = start
    writer.at = start + used
    writer.end = start + room
    return 0


cdef int reserve_frame(arena_t *arena, uint32_t commands) except -1:
    """Nobody comes to life within a frame, so in all its commands nobody dies twice."""
    cdef uint64_t unlisted = arena.slots - MAX_HITS if arena.slots > <uint32_t>MAX_HITS else 0
    if not arena.journalling:
        return 0
    return _reserve(&arena.journal, commands * (RECORD_BYTES + unlisted * HIT_BYTES)
                    + arena.slots * EVENT_BYTES)


cdef int reserve_step(arena_t *arena) except -1:
    if not arena.journalling:
        return 0
    return _reserve(&arena.journal, INPUT_BYTES + _most_hits(arena) * HIT_BYTES
                    + (2 * arena.slots + 1) * EVENT_BYTES)


cdef int reserve_input(arena_t *arena) except -1:
    if not arena.journalling:
        return 0
    return _reserve(&arena.journal, INPUT_BYTES + (arena.slots + 1) * EVENT_BYTES)
