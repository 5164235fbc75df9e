"""Events that every viewer may know, written as they happen into the arena's event buffer."""

from libc.stdint cimport int64_t, uint32_t
from native.state cimport arena_t
from native.types cimport ActionPhase, vec3

cdef int64_t millimetres(double metres) noexcept nogil
cdef void event_join(arena_t *arena, uint32_t slot) noexcept nogil
cdef void event_leave(arena_t *arena, uint32_t slot, uint32_t reason) noexcept nogil
cdef void event_spawn(arena_t *arena, uint32_t slot) noexcept nogil
cdef void event_kill(arena_t *arena, uint32_t victim, uint32_t killer, uint32_t assist, uint32_t weapon,
                     uint32_t region, double distance) noexcept nogil
# The first to be left out when the buffer fills.
cdef void event_shot(arena_t *arena, uint32_t slot, uint32_t weapon, const vec3 *start, const vec3 *end,
                     bint hit) noexcept nogil
cdef void event_blast(arena_t *arena, uint32_t slot, uint32_t weapon, const vec3 *at,
                      double radius) noexcept nogil
cdef void event_action(arena_t *arena, uint32_t slot, uint32_t action, uint32_t target,
                       ActionPhase phase) noexcept nogil
cdef void event_end(arena_t *arena, uint32_t reason, uint32_t winner) noexcept nogil
