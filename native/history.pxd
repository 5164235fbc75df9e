"""Where everybody was: a ring of poses by tick, f32, structure of arrays."""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from native.types cimport pose_t

ctypedef struct history_t:
    uint32_t ticks          # rows, a power of two
    uint32_t slots          # columns, rounded up to a multiple of 16
    uint32_t tick_rate
    uint32_t newest         # tick of the newest row
    uint32_t rows           # rows written, at most `ticks`
    uint64_t written        # how often anything was: what was worked out from the rows holds until it moves
    float *x                # [ticks][slots]
    float *y
    float *z
    float *yaw
    float *pitch
    uint8_t *stance
    uint8_t *epoch
    uint8_t *alive

# The two rows about an instant: row indices and the way between them, 0..1.
ctypedef struct instant_t:
    uint32_t tick
    uint32_t older          # row index
    uint32_t newer
    double fraction
    uint8_t found           # 0: the ring does not reach back so far (the oldest row is given)

cdef int history_open(history_t *history, uint32_t ticks, uint32_t slots, uint32_t tick_rate) except -1
cdef void history_close(history_t *history) noexcept
# Starts the row of `tick` as a copy of nothing: every seat not put is not alive.
cdef void history_begin(history_t *history, uint32_t tick) noexcept nogil
cdef void history_put(history_t *history, uint32_t slot, const pose_t *pose) noexcept nogil
cdef int64_t tick_time(uint32_t tick, uint32_t tick_rate) noexcept nogil
cdef instant_t history_at(const history_t *history, int64_t time_us) noexcept nogil
# The newest row itself.
cdef instant_t history_present(const history_t *history) noexcept nogil
# The pose of one seat; 0 when it cannot be hit then (absent, dead, or a break and BREAK_REJECT).
cdef int history_sample(const history_t *history, uint32_t slot, const instant_t *instant, uint8_t on_break, pose_t *out) noexcept nogil

cdef class History:         # the Python door
    cdef history_t c
