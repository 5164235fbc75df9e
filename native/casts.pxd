"""Use of abilities: targets, casts, and what their effects do, at once and over time."""

from libc.stdint cimport int64_t, uint32_t
from native.state cimport arena_t
from native.types cimport command_t, verdict_t

cdef void judge_action(arena_t *arena, const command_t *command, int64_t now_us,
                       verdict_t *verdict) noexcept nogil
# Runs what is due in a living seat: periods of effects, their end, the end of a cast.
cdef void effects_step(arena_t *arena, uint32_t slot, int64_t at_us) noexcept nogil
