"""Journal records: writing what was fed to the arena and what it answered, reading it back."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from native.state cimport arena_t
from native.types cimport command_t, hit_t

# The input of one record.
ctypedef enum RecordKind:       # field numbers of JournalRecord.input
    RECORD_NONE = 0
    RECORD_JOIN = 3
    RECORD_LEAVE = 4
    RECORD_START = 5
    RECORD_TICK = 6
    RECORD_COMMAND = 7
    RECORD_END = 8

ctypedef struct record_t:
    const uint8_t *start        # with tag and length, as in the segment
    const uint8_t *body         # without them
    const uint8_t *end
    uint64_t sequence
    int64_t time_us
    uint32_t kind
    uint32_t slot               # JOIN, LEAVE
    uint32_t team
    uint32_t reason             # LEAVE, END
    const uint8_t *id           # JOIN: player; COMMAND: the Command message
    uint32_t id_size
    uint32_t acked_tick
    uint8_t trusted

# A hit that no verdict lists, for the record of what is being judged; `weapon` and `action` plus one.
cdef void note_hit(arena_t *arena, uint32_t source, uint32_t weapon, uint32_t action, uint32_t sequence,
                   const hit_t *hit) noexcept nogil
# Each counts one record and, when the arena keeps a journal, writes it, with the hits and events since the
# last one. There is room: see `storage`.
cdef void record_join(arena_t *arena, uint32_t slot, uint32_t team) noexcept nogil
cdef void record_leave(arena_t *arena, uint32_t slot, uint32_t reason) noexcept nogil
cdef void record_start(arena_t *arena) noexcept nogil
cdef void record_tick(arena_t *arena, uint64_t state_hash) noexcept nogil
cdef void record_end(arena_t *arena, uint32_t reason) noexcept nogil
# `verdict` are the bytes of the Verdict, whose journal sequence is the arena's, already counted.
cdef void record_command(arena_t *arena, const command_t *command, uint32_t view_tick, uint32_t view_fraction,
                         uint32_t acked_tick, bint trusted, const uint8_t *verdict,
                         uint32_t size) noexcept nogil
# The next record of a segment: 1, 0 at the end, -1 when it cannot be read.
cdef int next_record(const uint8_t **at, const uint8_t *end, record_t *out) noexcept nogil
