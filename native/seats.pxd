"""Seats: taking, leaving, spawning, dying, sides and scores."""

from libc.stdint cimport int64_t, uint32_t, uint8_t
from native.state cimport arena_t
from native.types cimport pose_t, vec3

cdef bint allies(const arena_t *arena, uint32_t a, uint32_t b) noexcept nogil
cdef void seat_pose(const arena_t *arena, uint32_t slot, pose_t *out) noexcept nogil
cdef vec3 eye_of(const arena_t *arena, const pose_t *pose) noexcept nogil
# First number of every Philox counter of a seat: differs for each player who has it.
cdef uint32_t shooter_of(const arena_t *arena, uint32_t slot) noexcept nogil
cdef uint32_t smallest_team(const arena_t *arena, uint32_t *size) noexcept nogil
cdef uint32_t team_size(const arena_t *arena, uint32_t team) noexcept nogil
cdef void seat_take(arena_t *arena, uint32_t slot, uint32_t entry, uint8_t team) noexcept nogil
cdef void seat_free(arena_t *arena, uint32_t slot) noexcept nogil
cdef void seat_spawn(arena_t *arena, uint32_t slot, int64_t now_us) noexcept nogil
# Remembers for assists that `source` hurt the seat.
cdef void seat_hurt_by(arena_t *arena, uint32_t slot, uint32_t source, int64_t damage_milli,
                       int64_t now_us) noexcept nogil
# The seat dies by the hand of `killer` (itself: nobody's): scores, assist, event, respawn.
cdef void seat_die(arena_t *arena, uint32_t slot, uint32_t killer, uint32_t weapon, uint32_t region,
                   double distance, int64_t now_us) noexcept nogil
# Best team or seat plus one; 0: a draw. `score` is theirs.
cdef uint32_t leader(const arena_t *arena, uint32_t *score) noexcept nogil
# Sides with somebody alive; `last` is one of them, plus one.
cdef uint32_t sides_alive(const arena_t *arena, uint32_t *last) noexcept nogil
