"""The memory of an arena: taken when it is made, given back when it goes."""

from libc.stdint cimport uint64_t
from native.state cimport arena_t

# The fixed fields of `arena` are set; `spawns` as in World. Raises MemoryError, ValueError.
cdef int arena_open(arena_t *arena, list spawns) except -1
cdef void arena_close(arena_t *arena) noexcept
# Room in the journal for what one call may write.
cdef int journal_reserve(arena_t *arena, uint64_t size) except -1
