"""Folding journal records into statistics: what each of them adds to whom."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from native.journal cimport record_t

cdef extern from *:
    """
    #define REWIND_BINS 512
    #define STRUCK 16
    """
    const int REWIND_BINS       # of 1 ms; the last one holds everything from there on
    const int STRUCK            # shots of projectiles that have hit, remembered by seat

ctypedef struct use_count_t:    # of one weapon
    uint64_t shots
    uint64_t hits
    uint64_t kills

# Somebody who ever sat.
ctypedef struct player_t:
    uint8_t id[64]
    uint32_t id_size
    uint8_t seated
    uint32_t slot               # the last one
    uint32_t team
    uint64_t kills
    uint64_t deaths
    uint64_t assists
    uint64_t dealt_milli
    uint64_t taken_milli
    uint64_t healed_milli
    uint64_t shots
    uint64_t hits
    uint64_t headshots
    uint64_t snap_hits
    uint64_t violations
    uint64_t moved_mm
    uint64_t clamped
    uint64_t streak
    uint64_t best_streak
    uint64_t alive_us           # without the life that goes on
    uint32_t longest_mm
    uint64_t region[6]          # REGION_COUNT
    uint32_t rewind[512]        # REWIND_BINS
    use_count_t weapon[32]      # MAX_WEAPONS

ctypedef struct struck_t:       # a shot of projectiles that hit somebody
    uint32_t sequence           # its command
    uint8_t head

ctypedef struct chair_t:        # a seat, as far as it is counted
    uint8_t taken
    uint8_t alive
    uint32_t player
    uint32_t team               # plus one, 0 in a mode without teams
    int64_t since_us            # alive since
    int32_t at_mm[3]            # where the last judged move put it
    uint8_t looked              # it is known where it looked last
    int64_t look_us             # and when
    int32_t look[3]             # unit vector, millionths
    uint8_t corrected           # a move of its player's was, and counted
    int64_t corrected_us        # when
    uint32_t struck_count
    uint32_t struck_first       # ring, oldest first
    struck_t struck[16]         # STRUCK

ctypedef struct tally_t:
    uint32_t weapons
    uint32_t tick
    uint64_t sequence
    int64_t time_us
    uint32_t chairs             # that were ever taken, or lie below one
    uint32_t players
    uint32_t room_chairs
    uint32_t room_players
    chair_t *chair
    player_t *player

# Counts one record. Raises ValueError when it cannot follow what was counted before, or cannot be read; the
# tally is of no use then.
cdef int fold_record(tally_t *tally, const record_t *record) except -1
# Room for so many; what is there stays.
cdef int make_room(tally_t *tally, uint32_t chairs, uint32_t players) except -1
