"""Encodes events: for viewers as field 7 of PlayResponse, and what a record of the journal caused (spawns,
kills, the end) as field 9 of JournalRecord.

The viewers' buffer is taken once a tick. Shots are by far the most and matter least (a line on a screen),
so they may use only its first half; the rest is kept for joins, kills and the like. What does not fit is
left out and counted in `events_dropped`. The records' buffer has room for all that one record can cause.
"""

from libc.stdint cimport int64_t, uint32_t, uint8_t
from native.state cimport arena_t, entry_t, seat_t
from native.types cimport ActionPhase, vec3
from native.wire cimport begin_message, end_message, write_bytes, write_sint, write_varint, writer_t

cdef enum:
    SHOWN = 7                   # PlayResponse.events
    CAUSED = 9                  # JournalRecord.events
    MOST_BYTES = 160            # no event is longer


cdef int64_t millimetres(double metres) noexcept nogil:
    """Nearest, half away from zero."""
    return <int64_t>(metres * 1000.0 + (0.5 if metres >= 0.0 else -0.5))


# An event while it is written.
cdef struct draft_t:
    writer_t writer
    uint8_t *kind
    uint8_t data[MOST_BYTES]


cdef void _begin(const arena_t *arena, uint32_t field, draft_t *draft) noexcept nogil:
    draft.writer.start = draft.writer.at = draft.data
    draft.writer.end = draft.data + MOST_BYTES
    draft.writer.full = 0
    write_varint(&draft.writer, 1, arena.tick)
    draft.kind = begin_message(&draft.writer, field)


cdef void _show(arena_t *arena, draft_t *draft, bint minor) noexcept nogil:
    cdef writer_t *shown = &arena.events
    cdef long long room = shown.end - shown.at
    end_message(&draft.writer, draft.kind)
    if room < MOST_BYTES or (minor and room * 2 < shown.end - shown.start):
        arena.counters.events_dropped += 1
        return
    write_bytes(shown, SHOWN, draft.data, <uint32_t>(draft.writer.at - draft.data))


cdef void _show_and_record(arena_t *arena, draft_t *draft) noexcept nogil:
    _show(arena, draft, False)
    if arena.journalling:
        write_bytes(&arena.caused, CAUSED, draft.data, <uint32_t>(draft.writer.at - draft.data))


cdef void _point(writer_t *writer, uint32_t field, const vec3 *at) noexcept nogil:
    write_sint(writer, field, millimetres(at.x))
    write_sint(writer, field + 1, millimetres(at.y))
    write_sint(writer, field + 2, millimetres(at.z))


cdef void event_join(arena_t *arena, uint32_t slot) noexcept nogil:
    cdef draft_t draft
    cdef const entry_t *entry = &arena.entry[arena.seat[slot].entry]
    _begin(arena, 2, &draft)
    write_varint(&draft.writer, 1, slot)
    write_bytes(&draft.writer, 2, entry.id, entry.id_size)
    write_varint(&draft.writer, 3, entry.team)
    _show(arena, &draft, False)


cdef void event_leave(arena_t *arena, uint32_t slot, uint32_t reason) noexcept nogil:
    cdef draft_t draft
    _begin(arena, 3, &draft)
    write_varint(&draft.writer, 1, slot)
    write_varint(&draft.writer, 2, reason)
    _show(arena, &draft, False)


cdef void event_spawn(arena_t *arena, uint32_t slot) noexcept nogil:
    cdef draft_t draft
    _begin(arena, 4, &draft)
    write_varint(&draft.writer, 1, slot)
    _point(&draft.writer, 2, &arena.seat[slot].mover.position)
    _show_and_record(arena, &draft)


cdef void event_kill(arena_t *arena, uint32_t victim, uint32_t killer, uint32_t assist, uint32_t weapon,
                     uint32_t region, double distance) noexcept nogil:
    cdef draft_t draft
    _begin(arena, 5, &draft)
    write_varint(&draft.writer, 1, victim)
    write_varint(&draft.writer, 2, killer)
    write_varint(&draft.writer, 3, assist)
    write_varint(&draft.writer, 4, weapon)
    write_varint(&draft.writer, 5, region)
    write_varint(&draft.writer, 6, millimetres(distance))
    _show_and_record(arena, &draft)


cdef void event_shot(arena_t *arena, uint32_t slot, uint32_t weapon, const vec3 *start, const vec3 *end,
                     bint hit) noexcept nogil:
    cdef draft_t draft
    _begin(arena, 6, &draft)
    write_varint(&draft.writer, 1, slot)
    write_varint(&draft.writer, 2, weapon)
    _point(&draft.writer, 3, start)
    _point(&draft.writer, 6, end)
    write_varint(&draft.writer, 9, hit)
    _show(arena, &draft, True)


cdef void event_blast(arena_t *arena, uint32_t slot, uint32_t weapon, const vec3 *at,
                      double radius) noexcept nogil:
    cdef draft_t draft
    _begin(arena, 7, &draft)
    write_varint(&draft.writer, 1, slot)
    write_varint(&draft.writer, 2, weapon)
    _point(&draft.writer, 3, at)
    write_varint(&draft.writer, 6, millimetres(radius))
    _show(arena, &draft, False)


cdef void event_action(arena_t *arena, uint32_t slot, uint32_t action, uint32_t target,
                       ActionPhase phase) noexcept nogil:
    cdef draft_t draft
    _begin(arena, 8, &draft)
    write_varint(&draft.writer, 1, slot)
    write_varint(&draft.writer, 2, action)
    write_varint(&draft.writer, 3, target)
    write_varint(&draft.writer, 4, phase)
    _show(arena, &draft, False)


cdef void event_end(arena_t *arena, uint32_t reason, uint32_t winner) noexcept nogil:
    cdef draft_t draft
    _begin(arena, 9, &draft)
    write_varint(&draft.writer, 1, reason)
    write_varint(&draft.writer, 2, winner)
    _show_and_record(arena, &draft)
