"""What a match consists of."""

from native.archive cimport archive_t
from native.state cimport arena_t

cdef enum:
    ENTITY_WORDS = 12           # an entity_t as 32-bit words: it has no padding
    CELL_WORDS = 6              # a cell of the history: five numbers, and its bytes in one word

# Everything judged and shown, but for what the arena is made of and its counters. When reading, into an arena
# in which nothing has happened.
cdef void pass_match(archive_t *archive, arena_t *arena) noexcept nogil
