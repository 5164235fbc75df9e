"""Encodes events as field 7 of PlayResponse.

The buffer is taken once a tick. Shots are by far the most and matter least (a line on a screen), so they
may use only its first half; the rest is kept for joins, kills and the like. What does not fit is left
out and counted in `events_dropped`.
"""

from libc.stdint cimport int64_t, uint32_t, uint8_t
from native.state cimport arena_t, entry_t, seat_t
from native.types cimport ActionPhase, vec3
from native.wire cimport begin_message, end_message, write_bytes, write_sint, write_varint, writer_t

cdef enum:
    FIELD_EVENTS = 7
    MOST_BYTES = 160            # no event is longer


cdef int64_t millimetres(double metres) noexcept nogil:
    """Nearest, half away from zero."""
    return <int64_t>(metres * 1000.0 + (0.5 if metres >= 0.0 else -0.5))


cdef struct marks_t:
    uint8_t *event
    uint8_t *kind


cdef bint _begin(arena_t *arena, uint32_t field, bint minor, marks_t *marks) noexcept nogil:
    cdef writer_t *writer = &arena.events
    cdef long long room = writer.end - writer.at
    if room < MOST_BYTES or (minor and room * 2 < writer.end - writer.start):
        arena.counters.events_dropped += 1
        return False
    marks.event = begin_message(writer, FIELD_EVENTS)
    write_varint(writer, 1, arena.tick)
    marks.kind = begin_message(writer, field)
    return True


cdef void _end(arena_t *arena, marks_t *marks) noexcept nogil:
    end_message(&arena.events, marks.kind)
    end_message(&arena.events, marks.event)


cdef void _point(writer_t *writer, uint32_t field, const vec3 *at) noexcept nogil:
    write_sint(writer, field, millimetres(at.x))
    write_sint(writer, field + 1, millimetres(at.y))
    write_sint(writer, field + 2, millimetres(at.z))


cdef void event_join(arena_t *arena, uint32_t slot) noexcept nogil:
    cdef marks_t marks
    cdef const entry_t *entry = &arena.entry[arena.seat[slot].entry]
    if _begin(arena, 2, False, &marks):
        write_varint(&arena.events, 1, slot)
        write_bytes(&arena.events, 2, entry.id, entry.id_size)
        write_varint(&arena.events, 3, entry.team)
        _end(arena, &marks)


cdef void event_leave(arena_t *arena, uint32_t slot, uint32_t reason) noexcept nogil:
    cdef marks_t marks
    if _begin(arena, 3, False, &marks):
        write_varint(&arena.events, 1, slot)
        write_varint(&arena.events, 2, reason)
        _end(arena, &marks)


cdef void event_spawn(arena_t *arena, uint32_t slot) noexcept nogil:
    cdef marks_t marks
    if _begin(arena, 4, False, &marks):
        write_varint(&arena.events, 1, slot)
        _point(&arena.events, 2, &arena.seat[slot].mover.position)
        _end(arena, &marks)


cdef void event_kill(arena_t *arena, uint32_t victim, uint32_t killer, uint32_t assist, uint32_t weapon,
                     uint32_t region, double distance) noexcept nogil:
    cdef marks_t marks
    if _begin(arena, 5, False, &marks):
        write_varint(&arena.events, 1, victim)
        write_varint(&arena.events, 2, killer)
        write_varint(&arena.events, 3, assist)
        write_varint(&arena.events, 4, weapon)
        write_varint(&arena.events, 5, region)
        write_varint(&arena.events, 6, millimetres(distance))
        _end(arena, &marks)


cdef void event_shot(arena_t *arena, uint32_t slot, uint32_t weapon, const vec3 *start, const vec3 *end,
                     bint hit) noexcept nogil:
    cdef marks_t marks
    if _begin(arena, 6, True, &marks):
        write_varint(&arena.events, 1, slot)
        write_varint(&arena.events, 2, weapon)
        _point(&arena.events, 3, start)
        _point(&arena.events, 6, end)
        write_varint(&arena.events, 9, hit)
        _end(arena, &marks)


cdef void event_blast(arena_t *arena, uint32_t slot, uint32_t weapon, const vec3 *at,
                      double radius) noexcept nogil:
    cdef marks_t marks
    if _begin(arena, 7, False, &marks):
        write_varint(&arena.events, 1, slot)
        write_varint(&arena.events, 2, weapon)
        _point(&arena.events, 3, at)
        write_varint(&arena.events, 6, millimetres(radius))
        _end(arena, &marks)


cdef void event_action(arena_t *arena, uint32_t slot, uint32_t action, uint32_t target,
                       ActionPhase phase) noexcept nogil:
    cdef marks_t marks
    if _begin(arena, 8, False, &marks):
        write_varint(&arena.events, 1, slot)
        write_varint(&arena.events, 2, action)
        write_varint(&arena.events, 3, target)
        write_varint(&arena.events, 4, phase)
        _end(arena, &marks)


cdef void event_end(arena_t *arena, uint32_t reason, uint32_t winner) noexcept nogil:
    cdef marks_t marks
    if _begin(arena, 9, False, &marks):
        write_varint(&arena.events, 1, reason)
        write_varint(&arena.events, 2, winner)
        _end(arena, &marks)
