"""One step of simulated time, and what ends a match."""

from libc.stdint cimport int64_t, uint32_t
from native.state cimport arena_t

# Steps to the next tick; `now_us` is when it happens.
cdef void step(arena_t *arena, int64_t now_us) noexcept nogil
# Makes the newest rows of history and album anew from the present.
cdef void capture(arena_t *arena) noexcept nogil
cdef void show(arena_t *arena) noexcept nogil
cdef void finish(arena_t *arena, uint32_t reason) noexcept nogil
