"""Projectiles: a pool of fixed size, moved at ticks, and the blasts they end in."""

from libc.stdint cimport int64_t, uint32_t
from native.snapshot cimport missile_t
from native.state cimport arena_t
from native.types cimport vec3

cdef uint32_t free_flights(const arena_t *arena) noexcept nogil
cdef void launch(arena_t *arena, uint32_t slot, uint32_t weapon, uint32_t sequence, uint32_t pellet,
                 const vec3 *origin, const vec3 *direction, int64_t now_us) noexcept nogil
# Moves every projectile to `at_us`, against the newest poses.
cdef void fly(arena_t *arena, int64_t at_us) noexcept nogil
# Fills `out` (MAX_MISSILES) with what is in the air.
cdef uint32_t flights_shown(const arena_t *arena, missile_t *out) noexcept nogil
