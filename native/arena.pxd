"""One match."""

from libc.stdint cimport int64_t, uint8_t, uint32_t
from native.journal cimport record_t
from native.ruleset cimport Ruleset
from native.snapshot cimport missile_t
from native.state cimport arena_t
from native.world cimport World

cdef class Arena:
    cdef arena_t c
    cdef missile_t missiles[256]
    cdef Ruleset ruleset
    cdef World world
    cdef dict seats             # player id: seat, of who sits now
    cdef dict roster            # player id: entry, of whoever sat
    cdef uint8_t keeps_journal

    cdef uint32_t _entry_of(self, str player_id) except? 0xFFFFFFFF
    cdef uint32_t _team_for(self, uint32_t asked) except? 0xFFFFFFFF
    cdef void _check_seat(self, int64_t slot) except *
    cdef void _check_written(self) except *
    cdef void _note_shown(self, int binding, uint32_t tick) noexcept
    cdef int _next(self, const uint8_t **at, const uint8_t *end, record_t *record) except -1
    cdef bytes _judged(self)
    cdef void _feed(self, const record_t *record) except *
    cdef void _feed_command(self, const record_t *record) except *
