"""Reading a segment: record by record, each field once, never beyond its end, whatever it holds."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport INT64_MAX, UINT32_MAX, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset
from native.fields cimport LENGTH, field_t, next_field
from native.judge cimport ALL_SEATS
from native.state cimport MAX_SLOTS
from native.writer cimport write_bytes, writer_t

cdef enum:                      # tags: field number x 8 + wire type
    TAG_RECORD = 0x0A           # in JournalSegment
    TAG_SEQUENCE = 0x08         # in JournalRecord
    TAG_TIME = 0x10
    TAG_EVENTS = 0x4A
    TAG_FIRST = 0x08            # slot of a join, leave or verdict, reason of an end, tick
    TAG_PLAYER = 0x12           # in JoinRecord
    TAG_TEAM = 0x18
    TAG_GIVEN_TEAM = 0x20
    TAG_REASON = 0x10           # in LeaveRecord
    TAG_COMMAND = 0x0A          # in CommandRecord
    TAG_ACKED = 0x10
    TAG_TRUSTED = 0x18
    TAG_VERDICT = 0x22

cdef enum:                      # numbers of the repeated fields
    TICK_HITS = 3
    COMMAND_UNLISTED = 6
    RECORD_EVENTS = 9
    VERDICT_HITS = 9
    RESPONSE_VERDICTS = 5


# ---- one record ---------------------------------------------------------------------------------

cdef bint _read_verdict(record_t *out) noexcept nogil:
    cdef const uint8_t *at = out.verdict
    cdef const uint8_t *end = out.verdict + out.verdict_size
    cdef field_t field
    field.tag = 0
    while at < end:
        if not next_field(&at, end, &field, VERDICT_HITS):
            return False
        if field.tag == TAG_FIRST:
            out.slot = <uint32_t>field.value
    return True


cdef bint _read_command(record_t *out) noexcept nogil:
    cdef const uint8_t *at = out.input
    cdef field_t field
    field.tag = 0
    while at < out.input_end:
        if not next_field(&at, out.input_end, &field, COMMAND_UNLISTED):
            return False
        if field.tag == TAG_COMMAND:
            out.id = field.data
            out.id_size = <uint32_t>field.size
        elif field.tag == TAG_ACKED:
            out.acked_tick = <uint32_t>field.value
        elif field.tag == TAG_TRUSTED:
            out.trusted = field.value != 0
        elif field.tag == TAG_VERDICT:
            out.verdict = field.data
            out.verdict_size = <uint32_t>field.size
    return _read_verdict(out)


cdef bint _read_join(record_t *out) noexcept nogil:
    cdef const uint8_t *at = out.input
    cdef field_t field
    field.tag = 0
    while at < out.input_end:
        if not next_field(&at, out.input_end, &field, 0):
            return False
        if field.tag == TAG_FIRST:
            out.slot = <uint32_t>field.value
        elif field.tag == TAG_PLAYER:
            out.id = field.data
            out.id_size = <uint32_t>field.size
        elif field.tag == TAG_TEAM:
            out.team = <uint32_t>field.value
        elif field.tag == TAG_GIVEN_TEAM:
            out.given_team = <uint32_t>field.value
    return True


cdef bint _read_other(record_t *out) noexcept nogil:
    """A leave, start, tick or end."""
    cdef const uint8_t *at = out.input
    cdef field_t field
    field.tag = 0
    while at < out.input_end:
        if not next_field(&at, out.input_end, &field, TICK_HITS):
            return False
        if out.kind == RECORD_LEAVE and field.tag == TAG_FIRST:
            out.slot = <uint32_t>field.value
        elif out.kind == RECORD_LEAVE and field.tag == TAG_REASON:
            out.reason = <uint32_t>field.value
        elif out.kind == RECORD_END and field.tag == TAG_FIRST:
            out.reason = <uint32_t>field.value
        elif out.kind == RECORD_TICK and field.tag == TAG_FIRST:
            out.tick = <uint32_t>field.value
    return True


cdef bint _read_input(record_t *out) noexcept nogil:
    if out.kind == RECORD_COMMAND:
        return _read_command(out)
    if out.kind == RECORD_JOIN:
        return _read_join(out)
    return _read_other(out)


cdef bint _read_record(record_t *out) noexcept nogil:
    cdef const uint8_t *at = out.body
    cdef field_t field
    cdef uint32_t number
    field.tag = 0
    out.events = out.end
    while at < out.end:
        if not next_field(&at, out.end, &field, RECORD_EVENTS):
            return False
        number = field.tag >> 3
        if field.tag == TAG_SEQUENCE:
            out.sequence = field.value
        elif field.tag == TAG_TIME:
            if field.value > <uint64_t>INT64_MAX:
                return False
            out.time_us = <int64_t>field.value
        elif RECORD_JOIN <= number <= RECORD_END:
            if out.kind != RECORD_NONE or field.tag & 7 != LENGTH:
                return False
            out.kind = number
            out.input = field.data
            out.input_end = out.events = at
        elif field.tag == TAG_EVENTS:
            out.eventful = 1
    return out.kind != RECORD_NONE and _read_input(out)


cdef int next_record(const uint8_t **at, const uint8_t *end, record_t *out) noexcept nogil:
    cdef field_t outer
    memset(out, 0, sizeof(record_t))
    out.start = at[0]
    if at[0] >= end:
        return 0
    outer.tag = 0
    if not next_field(at, end, &outer, 0) or outer.tag != TAG_RECORD or outer.size > UINT32_MAX:
        return -1
    out.body = outer.data
    out.end = at[0]
    return 1 if _read_record(out) else -1


# ---- the Python door ----------------------------------------------------------------------------

cdef const uint8_t *_bounds(bytes segment, const uint8_t **end) noexcept:
    cdef const uint8_t *start = <const uint8_t *>PyBytes_AS_STRING(segment)
    end[0] = start + PyBytes_GET_SIZE(segment)
    return start


cdef int _next(const uint8_t *start, const uint8_t **at, const uint8_t *end, record_t *record) except -1:
    cdef int status = next_record(at, end, record)
    if status < 0:
        raise ValueError(f"the segment cannot be read from byte {record.start - start} on")
    return status


def index(bytes segment not None):
    cdef const uint8_t *end
    cdef const uint8_t *start = _bounds(segment, &end)
    cdef const uint8_t *at = start
    cdef record_t record
    cdef int64_t slot
    cdef list found = []
    while _next(start, &at, end, &record):
        slot = record.slot if record.kind in (RECORD_JOIN, RECORD_LEAVE, RECORD_COMMAND) else -1
        found.append((record.sequence, record.time_us, record.kind, slot, record.eventful != 0,
                      record.body - start, record.end - record.body))
    return found


def ticks(bytes segment not None):
    cdef const uint8_t *end
    cdef const uint8_t *start = _bounds(segment, &end)
    cdef const uint8_t *at = start
    cdef record_t record
    cdef list found = []
    while _next(start, &at, end, &record):
        if record.kind == RECORD_TICK:
            found.append((record.tick, record.end - start))
    return found


def verdicts(bytes segment not None, uint64_t after, int slot):
    cdef const uint8_t *end
    cdef const uint8_t *start = _bounds(segment, &end)
    cdef const uint8_t *at = start
    cdef record_t record
    cdef writer_t out
    if slot != ALL_SEATS and not 0 <= slot < MAX_SLOTS:
        raise ValueError(f"slot is {slot}, neither a seat nor ALL_SLOTS")
    # A verdict takes no more room in an answer than in its record.
    out.start = out.at = <uint8_t *>malloc(end - start + 1)
    if out.start == NULL:
        raise MemoryError
    out.end = out.start + (end - start)
    out.full = 0
    try:
        while _next(start, &at, end, &record):
            if (record.kind == RECORD_COMMAND and record.sequence > after
                    and (slot == ALL_SEATS or record.slot == <uint32_t>slot)):
                write_bytes(&out, RESPONSE_VERDICTS, record.verdict, record.verdict_size)
        return out.start[:out.at - out.start]
    finally:
        free(out.start)
