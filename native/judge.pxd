"""Judges the commands of a frame, in order."""

from libc.stdint cimport int64_t, uint8_t, uint32_t
from native.state cimport arena_t
from native.wire cimport frame_t

cdef enum:
    ALL_SEATS = -1              # binding of a trusted stream

# The frame has been read without error and there is room for every record and verdict.
cdef void judge_frame(arena_t *arena, int64_t now_us, const uint8_t *data, uint32_t size,
                      const frame_t *frame, int binding) noexcept nogil
