"""Journal records, written: what was fed to the arena, what it answered and what came of it."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from native.state cimport arena_t
from native.types cimport command_t, hit_t

# A hit that no verdict lists, for the record of what is being judged; `weapon` and `action` plus one.
cdef void note_hit(arena_t *arena, uint32_t source, uint32_t weapon, uint32_t action, uint32_t sequence,
                   const hit_t *hit) noexcept nogil
# Each counts one record and, when the arena keeps a journal, writes it, with the hits and events since the
# last one. There is room: see `storage`.
cdef void record_join(arena_t *arena, uint32_t slot, uint32_t team) noexcept nogil
cdef void record_leave(arena_t *arena, uint32_t slot, uint32_t reason) noexcept nogil
cdef void record_start(arena_t *arena) noexcept nogil
cdef void record_tick(arena_t *arena, uint64_t state_hash) noexcept nogil
cdef void record_end(arena_t *arena, uint32_t reason) noexcept nogil
# `view_*`: the frame's, where it counts and the command has none of its own; else 0. `acked_tick`: 0 where it told
# nothing new. `verdict` are the bytes of the Verdict, whose journal sequence is the arena's, already counted.
cdef void record_command(arena_t *arena, const command_t *command, uint32_t view_tick, uint32_t view_fraction,
                         uint32_t acked_tick, bint trusted, const uint8_t *verdict,
                         uint32_t size) noexcept nogil
