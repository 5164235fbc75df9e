"""A record holds the input, the verdict it got and what came of it. Judging the input again writes the same
bytes, so a replay compares records as bytes and needs no other notion of equality.

The buffer is taken by the caller. Room for the worst case is made before a call judges (see
`native/storage`), never while it does.
"""

from libc.string cimport memcpy
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from native.events cimport millimetres
from native.journal cimport (
    RECORD_COMMAND, RECORD_END, RECORD_JOIN, RECORD_LEAVE, RECORD_START, RECORD_TICK,
)
from native.state cimport arena_t, entry_t, evidence_t
from native.types cimport command_t, hit_t
from native.wire cimport (
    begin_message, end_message, write_bytes, write_fixed64, write_hit, write_packed_fixed32s,
    write_packed_sints, write_raw, write_varint, writer_t,
)

cdef enum:
    TICK_HITS = 0x1A            # tag of TickRecord.hits
    UNLISTED = 0x32             # tag of CommandRecord.unlisted


# ---- what belongs to the record ---------------------------------------------------------------

cdef void note_hit(arena_t *arena, uint32_t source, uint32_t weapon, uint32_t action, uint32_t sequence,
                   const hit_t *hit) noexcept nogil:
    """As field 3 of TickRecord; a command's record changes the tag."""
    cdef writer_t *writer = &arena.hits
    cdef uint8_t *mark
    if not arena.journalling:
        return
    mark = begin_message(writer, TICK_HITS >> 3)
    write_varint(writer, 1, source)
    write_varint(writer, 2, weapon)
    write_varint(writer, 3, action)
    write_varint(writer, 4, sequence)
    write_hit(writer, 5, hit)
    end_message(writer, mark)


# ---- writing ----------------------------------------------------------------------------------

cdef struct marks_t:            # a record that is begun
    uint8_t *record
    uint8_t *input


cdef marks_t _begin(arena_t *arena, uint32_t kind) noexcept nogil:
    cdef marks_t marks
    marks.record = begin_message(&arena.journal, 1)
    write_varint(&arena.journal, 1, arena.sequence)
    write_varint(&arena.journal, 2, arena.now_us)
    marks.input = begin_message(&arena.journal, kind)
    return marks


cdef void _take(writer_t *writer, writer_t *out) noexcept nogil:
    write_raw(out, writer.start, writer.at - writer.start)
    out.full |= writer.full
    writer.at = writer.start


cdef void _end(arena_t *arena, marks_t *marks) noexcept nogil:
    end_message(&arena.journal, marks.input)
    _take(&arena.caused, &arena.journal)
    end_message(&arena.journal, marks.record)


cdef void record_join(arena_t *arena, uint32_t slot, uint32_t team) noexcept nogil:
    cdef marks_t marks
    cdef const entry_t *entry = &arena.entry[arena.seat[slot].entry]
    arena.sequence += 1
    arena.barrier = arena.sequence
    if not arena.journalling:
        return
    marks = _begin(arena, RECORD_JOIN)
    write_varint(&arena.journal, 1, slot)
    write_bytes(&arena.journal, 2, entry.id, entry.id_size)
    write_varint(&arena.journal, 3, team)
    write_varint(&arena.journal, 4, entry.team + 1 if arena.mode.teams else 0)
    _end(arena, &marks)


cdef void record_leave(arena_t *arena, uint32_t slot, uint32_t reason) noexcept nogil:
    cdef marks_t marks
    arena.sequence += 1
    arena.barrier = arena.sequence
    if not arena.journalling:
        return
    marks = _begin(arena, RECORD_LEAVE)
    write_varint(&arena.journal, 1, slot)
    write_varint(&arena.journal, 2, reason)
    _end(arena, &marks)


cdef void record_start(arena_t *arena) noexcept nogil:
    cdef marks_t marks
    arena.sequence += 1
    arena.barrier = arena.sequence
    if not arena.journalling:
        return
    marks = _begin(arena, RECORD_START)
    _end(arena, &marks)


cdef void record_tick(arena_t *arena, uint64_t state_hash) noexcept nogil:
    cdef marks_t marks
    arena.sequence += 1
    if arena.hits.at != arena.hits.start or arena.events.at != arena.events.start:
        arena.barrier = arena.sequence
    if not arena.journalling:
        return
    marks = _begin(arena, RECORD_TICK)
    write_varint(&arena.journal, 1, arena.tick)
    write_fixed64(&arena.journal, 2, state_hash)
    _take(&arena.hits, &arena.journal)
    _end(arena, &marks)


cdef void record_end(arena_t *arena, uint32_t reason) noexcept nogil:
    cdef marks_t marks
    arena.sequence += 1
    arena.barrier = arena.sequence
    if not arena.journalling:
        return
    marks = _begin(arena, RECORD_END)
    write_varint(&arena.journal, 1, reason)
    _end(arena, &marks)


cdef void record_command(arena_t *arena, const command_t *command, uint32_t view_tick, uint32_t view_fraction,
                         uint32_t acked_tick, bint trusted, const uint8_t *verdict,
                         uint32_t size) noexcept nogil:
    """A field that comes later wins."""
    cdef writer_t *writer = &arena.journal
    cdef marks_t marks = _begin(arena, RECORD_COMMAND)
    cdef uint8_t *inner
    cdef uint8_t claim[544]     # COMMAND_BYTES and a view
    cdef writer_t joined
    if view_tick or view_fraction:
        memcpy(claim, command.raw, command.raw_size)
        joined.start = claim
        joined.at = claim + command.raw_size
        joined.end = claim + sizeof(claim)
        joined.full = 0
        write_varint(&joined, 3, view_tick)
        write_varint(&joined, 4, view_fraction)
        write_bytes(writer, 1, claim, <uint32_t>(joined.at - claim))
    else:
        write_bytes(writer, 1, command.raw, command.raw_size)
    write_varint(writer, 2, acked_tick)
    write_varint(writer, 3, trusted)
    write_bytes(writer, 4, verdict, size)
    if arena.evidence.given:
        inner = begin_message(writer, 5)
        _write_evidence(arena, writer)
        end_message(writer, inner)
    if arena.hits.at != arena.hits.start:
        _write_unlisted(arena, writer)
    _end(arena, &marks)


cdef void _write_unlisted(arena_t *arena, writer_t *writer) noexcept nogil:
    """Each is a tag, a length of one byte, and as much as that says."""
    cdef uint8_t *at = arena.hits.start
    while at < arena.hits.at:
        at[0] = UNLISTED
        at += 2 + at[1]
    _take(&arena.hits, writer)


cdef void _write_evidence(arena_t *arena, writer_t *writer) noexcept nogil:
    cdef const evidence_t *evidence = &arena.evidence
    cdef int64_t targets[48]
    cdef uint32_t i
    write_varint(writer, 1, evidence.claimed_us)
    write_varint(writer, 2, evidence.used_us)
    for i in range(arena.verdict.hits):
        targets[3 * i] = millimetres(evidence.target[i].x)
        targets[3 * i + 1] = millimetres(evidence.target[i].y)
        targets[3 * i + 2] = millimetres(evidence.target[i].z)
    write_packed_sints(writer, 3, targets, 3 * arena.verdict.hits)
    write_varint(writer, 5, <uint32_t>millimetres(evidence.occluded_m))
    write_packed_fixed32s(writer, 6, evidence.draw, evidence.draws)
