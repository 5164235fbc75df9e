"""What every kind of harm goes through: eligibility, damage, shields, credit, interruption, death."""

from libc.stdint cimport int64_t, uint32_t, uint8_t
from native.damage cimport strike_t
from native.state cimport arena_t
from native.types cimport falloff_t, hit_t, vec3, verdict_t

# Where harm comes from.
ctypedef struct blame_t:
    uint32_t source             # seat
    uint32_t weapon             # index plus one; 0: none
    uint32_t region
    double distance_m

# Entry of the verdict for a seat, new or the one it already has; NULL when MAX_HITS have one.
cdef hit_t *hit_of(verdict_t *verdict, uint32_t slot, double distance) noexcept nogil
# May `source` hurt the seat now? REASON_NONE or why not. `seen_us`: the instant the attacker saw.
cdef uint32_t why_unharmed(const arena_t *arena, uint32_t source, uint32_t slot, int64_t seen_us,
                           int64_t now_us) noexcept nogil
# A strike without effects: `share` and factors of one.
cdef strike_t plain_strike(int64_t base_milli) noexcept nogil
# Damage to a seat that may be hurt; adds to `hit`. Returns what health and shield lost.
cdef int64_t harm(arena_t *arena, uint32_t slot, strike_t *strike, const blame_t *blame, int64_t now_us,
                  hit_t *hit) noexcept nogil
cdef int64_t heal(arena_t *arena, uint32_t slot, int64_t amount_milli, hit_t *hit) noexcept nogil
# Ends the cast of a seat, if any, and gives back its cost.
cdef void interrupt(arena_t *arena, uint32_t slot) noexcept nogil
