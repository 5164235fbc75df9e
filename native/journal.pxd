"""Journal records, read: where each begins, and what of its input the arena needs to judge it again."""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

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
    uint8_t eventful            # spawns, kills or the end came of it
    uint32_t slot               # JOIN, LEAVE, COMMAND
    uint32_t team               # JOIN, plus one: as asked ...
    uint32_t given_team         # ... and as given
    uint32_t reason             # LEAVE, END
    uint32_t tick               # TICK
    const uint8_t *id           # JOIN: player; COMMAND: the Command message
    uint32_t id_size
    uint32_t acked_tick
    uint8_t trusted
    const uint8_t *verdict      # COMMAND: the Verdict message
    uint32_t verdict_size
    const uint8_t *input        # the message of its kind
    const uint8_t *input_end
    const uint8_t *events       # the fields behind it

# The next record of a segment: 1, 0 at the end, -1 when it cannot be read. What lies in commands, evidence,
# hits and events is not looked at.
cdef int next_record(const uint8_t **at, const uint8_t *end, record_t *out) noexcept nogil
