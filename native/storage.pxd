"""The memory of an arena: taken when it is made, given back when it goes."""

from libc.stdint cimport uint32_t
from native.state cimport arena_t

# The fixed fields of `arena` are set; `spawns` as in World. Raises MemoryError, ValueError.
cdef int arena_open(arena_t *arena, list spawns) except -1
# The same for a new arena of the same making as `model`.
cdef int arena_open_like(arena_t *arena, const arena_t *model, list spawns) except -1
cdef void arena_close(arena_t *arena) noexcept
# Room for all that one call may write to the journal: a frame, the next step, any other input.
cdef int reserve_frame(arena_t *arena, uint32_t commands) except -1
cdef int reserve_step(arena_t *arena) except -1
cdef int reserve_input(arena_t *arena) except -1
