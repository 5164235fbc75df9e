"""A 64-bit hash of everything that is judged."""

from libc.stdint cimport uint64_t
from native.state cimport arena_t

cdef uint64_t state_digest(const arena_t *arena) noexcept nogil
