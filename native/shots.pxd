"""Shots: rays, swings, and projectiles from throw to blast."""

from libc.stdint cimport int64_t
from native.state cimport arena_t
from native.types cimport command_t, verdict_t

# Judges and, when nothing speaks against it, fires. `claimed_us`: the instant the shooter says it saw.
cdef void judge_shot(arena_t *arena, const command_t *command, int64_t claimed_us, bint trusted,
                     int64_t now_us, verdict_t *verdict) noexcept nogil
