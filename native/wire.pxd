"""The protobuf wire format of the Play frames: reading commands; the writers are in `writer`."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from native.types cimport command_t
# The other half of the codec, so that one `cimport` gives both.
from native.writer cimport (
    begin_message, end_message, write_bytes, write_double, write_fixed32, write_fixed64, write_float,
    write_hit, write_packed_fixed32s, write_packed_sints, write_raw, write_sint,
    write_sint_always, write_varint, write_varint_always, write_verdict, writer_t,
)

ctypedef enum WireStatus:
    WIRE_OK = 0
    WIRE_TRUNCATED = 1          # a length or a number goes past the end, or a group is left open
    WIRE_BAD_TAG = 2            # field number 0, an unknown wire type, the end of a group that is not open
    WIRE_BAD_TEXT = 3           # a string that is not UTF-8
    WIRE_TOO_MANY = 4           # more commands than allowed
    WIRE_TOO_LONG = 5           # a number of more than 10 bytes, a tag or a length of more than 5
    WIRE_TOO_DEEP = 6           # more than 100 messages and groups inside one another

ctypedef struct frame_t:        # PlayRequest without its commands
    uint8_t has_hello
    uint64_t frame
    uint32_t view_tick
    uint32_t view_fraction      # as sent; above 65535 the commands that use it are out of range
    uint32_t acked_snapshot
    uint64_t ping_us
    uint32_t commands

# A place in a frame, from which commands are taken one by one: at first the whole frame.
ctypedef struct cursor_t:
    const uint8_t *at
    const uint8_t *end

# UPPER_SNAKE_CASE name of a WireStatus, for people and programs.
cdef str status_name(uint32_t status)
# Reads the scalars and checks the whole frame's structure, commands included: afterwards
# `next_command` cannot fail. Accepts and refuses exactly the frames that protobuf does.
cdef uint32_t read_frame(const uint8_t *data, uint32_t size, uint32_t most_commands, frame_t *out) noexcept nogil
# Fills `out` and returns 1, or returns 0 at the end. Only for a frame that `read_frame` found to be
# WIRE_OK. Values out of range set `out.reason`; of the four kinds only the one that is set is filled.
cdef int next_command(cursor_t *cursor, command_t *out) noexcept nogil
# One Command by itself, checked first; WIRE_OK or what is wrong with it. An empty one has no kind.
cdef uint32_t read_command(const uint8_t *data, uint32_t size, command_t *out) noexcept nogil
