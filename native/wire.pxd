"""The protobuf wire format of the Play frames: reading commands, writing verdicts and records."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from native.types cimport command_t, verdict_t

ctypedef enum WireStatus:
    WIRE_OK = 0
    WIRE_TRUNCATED = 1          # a length or a number goes past the end
    WIRE_BAD_TAG = 2            # field number 0, group, or unknown wire type
    WIRE_BAD_TYPE = 3           # a known field with another wire type
    WIRE_TOO_MANY = 4           # more commands than allowed
    WIRE_TOO_LONG = 5           # a varint of more than 10 bytes
    WIRE_OVERFLOW = 6           # the output buffer is full

ctypedef struct frame_t:        # PlayRequest without its commands
    uint8_t has_hello
    uint64_t frame
    uint32_t view_tick
    uint32_t view_fraction
    uint32_t acked_snapshot
    uint64_t ping_us
    uint32_t commands

# A place in a frame, from which commands are taken one by one.
ctypedef struct cursor_t:
    const uint8_t *at
    const uint8_t *end

ctypedef struct writer_t:
    uint8_t *start
    uint8_t *at
    uint8_t *end
    uint8_t full                # something did not fit; the writer stays at the last whole message

# Reads the scalars and checks the whole frame's structure, commands included: afterwards
# `next_command` cannot fail. Unknown fields are skipped, as protobuf does.
cdef uint32_t read_frame(const uint8_t *data, uint32_t size, uint32_t most_commands, frame_t *out) noexcept nogil
# Fills `out` and returns 1, or returns 0 at the end. Values out of range set `out.reason`.
cdef int next_command(cursor_t *cursor, command_t *out) noexcept nogil

# One Verdict as field `number` of the enclosing message; 0 when it did not fit.
cdef int write_verdict(writer_t *writer, uint32_t number, const verdict_t *verdict) noexcept nogil
cdef void write_varint(writer_t *writer, uint32_t number, uint64_t value) noexcept nogil      # skips 0
cdef void write_fixed64(writer_t *writer, uint32_t number, uint64_t value) noexcept nogil     # skips 0
cdef void write_fixed32(writer_t *writer, uint32_t number, uint32_t value) noexcept nogil     # skips 0
cdef void write_float(writer_t *writer, uint32_t number, float value) noexcept nogil          # skips +0
cdef void write_sint(writer_t *writer, uint32_t number, int64_t value) noexcept nogil         # zigzag, skips 0
cdef void write_varint_always(writer_t *writer, uint32_t number, uint64_t value) noexcept nogil
cdef void write_sint_always(writer_t *writer, uint32_t number, int64_t value) noexcept nogil
cdef void write_bytes(writer_t *writer, uint32_t number, const uint8_t *data, uint32_t size) noexcept nogil
# A message of unknown length: keep what `begin` returns and give it to `end`.
cdef uint8_t *begin_message(writer_t *writer, uint32_t number) noexcept nogil
cdef void end_message(writer_t *writer, uint8_t *mark) noexcept nogil
