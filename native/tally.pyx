"""The Python face of what is counted from a journal. What each record adds is in `folding`."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport UINT32_MAX, int32_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset
from native.archive cimport (
    archive_t, pass_bytes, pass_i32, pass_i64, pass_index, pass_u8, pass_u32, pass_u64, pass_words, seal,
    unseal,
)
from native.folding cimport (
    REWIND_BINS, STRUCK, chair_t, fold_record, make_room, player_t, tally_t, use_count_t,
)
from native.journal cimport next_record, record_t
from native.state cimport ID_BYTES, MAX_SLOTS
from native.types cimport MAX_WEAPONS, REGION_COUNT

MAGIC = b"armtally"

cdef enum:
    FORMAT = 3
    BIN_US = 1000
    MOST_PLAYERS = 1 << 20      # of a saved tally


# ---- saved ------------------------------------------------------------------------------------

cdef void _pass_player(archive_t *archive, player_t *player, uint32_t weapons) noexcept nogil:
    cdef uint32_t i
    cdef uint32_t none[16]      # most bins are empty
    cdef use_count_t *weapon
    memset(none, 0, sizeof(none))
    pass_u32(archive, &player.id_size, ID_BYTES)
    pass_bytes(archive, player.id, player.id_size)
    pass_u8(archive, &player.seated, 1)
    pass_u32(archive, &player.slot, MAX_SLOTS - 1)
    pass_u32(archive, &player.team)
    pass_u64(archive, &player.kills)
    pass_u64(archive, &player.deaths)
    pass_u64(archive, &player.assists)
    pass_u64(archive, &player.dealt_milli)
    pass_u64(archive, &player.taken_milli)
    pass_u64(archive, &player.healed_milli)
    pass_u64(archive, &player.shots)
    pass_u64(archive, &player.hits)
    pass_u64(archive, &player.headshots)
    pass_u64(archive, &player.snap_hits)
    pass_u64(archive, &player.violations)
    pass_u64(archive, &player.moved_mm)
    pass_u64(archive, &player.clamped)
    pass_u64(archive, &player.streak)
    pass_u64(archive, &player.best_streak)
    pass_u64(archive, &player.alive_us)
    pass_u32(archive, &player.longest_mm)
    for i in range(<uint32_t>REGION_COUNT):
        pass_u64(archive, &player.region[i])
    for i in range(0, <uint32_t>REWIND_BINS, 16):
        pass_words(archive, &player.rewind[i], none, 16)
    for i in range(weapons):
        weapon = &player.weapon[i]
        pass_u64(archive, &weapon.shots)
        pass_u64(archive, &weapon.hits)
        pass_u64(archive, &weapon.kills)


cdef void _pass_chair(archive_t *archive, chair_t *chair, uint32_t players) noexcept nogil:
    cdef uint32_t i
    pass_u8(archive, &chair.taken, 1)
    if not chair.taken:
        return
    pass_u8(archive, &chair.alive, 1)
    pass_index(archive, &chair.player, players)
    pass_u32(archive, &chair.team)
    pass_i64(archive, &chair.since_us)
    for i in range(3):
        pass_i32(archive, &chair.at_mm[i])
    pass_u8(archive, &chair.looked, 1)
    pass_i64(archive, &chair.look_us)
    for i in range(3):
        pass_i32(archive, &chair.look[i])
    pass_u8(archive, &chair.corrected, 1)
    pass_i64(archive, &chair.corrected_us)
    pass_u32(archive, &chair.struck_count, STRUCK)
    pass_index(archive, &chair.struck_first, STRUCK)
    for i in range(<uint32_t>STRUCK):
        pass_u32(archive, &chair.struck[i].sequence)
        pass_u8(archive, &chair.struck[i].head, 1)


cdef int _pass_tally(archive_t *archive, tally_t *tally) except -1:
    cdef uint32_t i
    pass_u32(archive, &tally.weapons, MAX_WEAPONS)
    pass_u32(archive, &tally.tick)
    pass_u64(archive, &tally.sequence)
    pass_i64(archive, &tally.time_us)
    pass_u32(archive, &tally.players, MOST_PLAYERS)
    pass_u32(archive, &tally.chairs, MAX_SLOTS)
    if archive.reading:
        make_room(tally, tally.chairs, tally.players)
        memset(tally.player, 0, tally.players * sizeof(player_t))
        memset(tally.chair, 0, tally.chairs * sizeof(chair_t))
    for i in range(tally.players):
        _pass_player(archive, &tally.player[i], tally.weapons)
    for i in range(tally.chairs):
        _pass_chair(archive, &tally.chair[i], tally.players)
    return 0


# ---- told -------------------------------------------------------------------------------------

cdef uint64_t _percentile_us(const player_t *player, uint32_t percent) noexcept nogil:
    """The nearest rank's bin, from its lower end; 0 of nothing."""
    cdef uint64_t rank = (percent * <uint64_t>_rewinds(player) + 99) // 100
    cdef uint64_t below = 0
    cdef uint32_t i
    for i in range(<uint32_t>REWIND_BINS):
        below += player.rewind[i]
        if below >= rank:
            return i * BIN_US
    return 0


cdef uint64_t _rewinds(const player_t *player) noexcept nogil:
    cdef uint64_t total = 0
    cdef uint32_t i
    for i in range(<uint32_t>REWIND_BINS):
        total += player.rewind[i]
    return total


cdef list _bins(const player_t *player):
    cdef int used = REWIND_BINS
    cdef int i
    while used and player.rewind[used - 1] == 0:
        used -= 1
    return [player.rewind[i] for i in range(used)]


cdef list _weapons(const player_t *player, uint32_t count):
    cdef uint32_t i
    cdef const use_count_t *each
    found = []
    for i in range(count):
        each = &player.weapon[i]
        if each.shots or each.hits or each.kills:
            found.append({"weapon": i, "shots": each.shots, "hits": each.hits, "kills": each.kills})
    return found


cdef str _name(const player_t *player):
    return player.id[:player.id_size].decode()


cdef class Tally:
    cdef tally_t c

    def __init__(self, uint32_t weapons):
        if weapons > MAX_WEAPONS:
            raise ValueError(f"weapons is {weapons}, more than {MAX_WEAPONS}")
        if self.c.sequence:
            raise ValueError("a tally is made once")
        self.c.weapons = weapons

    def __dealloc__(self):
        free(self.c.chair)
        free(self.c.player)

    @property
    def weapons(self):
        return self.c.weapons

    @property
    def sequence(self):
        return self.c.sequence

    @property
    def tick(self):
        return self.c.tick

    @property
    def time_us(self):
        return self.c.time_us

    # ---- counting -----------------------------------------------------------------------------

    def feed(self, bytes segment not None):
        """On a copy, which takes this one's place when all of it is counted."""
        cdef const uint8_t *at = <const uint8_t *>PyBytes_AS_STRING(segment)
        cdef const uint8_t *end = at + PyBytes_GET_SIZE(segment)
        cdef record_t record
        cdef tally_t next
        cdef int status
        memset(&next, 0, sizeof(tally_t))
        try:
            _copy(&next, &self.c)
            status = next_record(&at, end, &record)
            while status > 0:
                fold_record(&next, &record)
                status = next_record(&at, end, &record)
            if status < 0:
                raise ValueError(f"the segment cannot be read after record {next.sequence}")
            self.c, next = next, self.c
        finally:
            free(next.chair)
            free(next.player)

    # ---- telling ------------------------------------------------------------------------------

    def results(self):
        cdef uint32_t i
        cdef player_t *player
        rows = []
        for i in range(self.c.players):
            player = &self.c.player[i]
            rows.append((player.slot, _name(player), player.team, player.kills, player.deaths,
                         player.assists, player.dealt_milli))
        return rows

    def players(self):
        cdef uint32_t i
        return [self._row(&self.c.player[i]) for i in range(self.c.players)]

    cdef dict _row(self, const player_t *player):
        cdef uint64_t alive_us = player.alive_us
        cdef uint32_t i
        if player.seated and self.c.chair[player.slot].alive:
            alive_us += self.c.time_us - self.c.chair[player.slot].since_us
        return {
            "player_id": _name(player),
            "slot": player.slot,
            "team": player.team,
            "seated": player.seated != 0,
            "kills": player.kills,
            "deaths": player.deaths,
            "assists": player.assists,
            "damage_dealt_milli": player.dealt_milli,
            "damage_taken_milli": player.taken_milli,
            "healed_milli": player.healed_milli,
            "shots": player.shots,
            "hits": player.hits,
            "headshots": player.headshots,
            "snap_hits": player.snap_hits,
            "longest_kill_mm": player.longest_mm,
            "streak": player.streak,
            "best_streak": player.best_streak,
            "time_alive_us": alive_us,
            "movement_violations": player.violations,
            "moved_mm": player.moved_mm,
            "clamped_rewinds": player.clamped,
            "rewind_bins": _bins(player),
            "rewind_p50_us": _percentile_us(player, 50),
            "rewind_p99_us": _percentile_us(player, 99),
            "weapons": _weapons(player, self.c.weapons),
            "regions": [
                {"region": i, "hits": player.region[i]}
                for i in range(<uint32_t>REGION_COUNT)
                if player.region[i]
            ],
        }

    # ---- remembering --------------------------------------------------------------------------

    def save(self):
        cdef archive_t archive
        # A varint is at most twice as long as its number in memory, or two bytes for one.
        cdef uint64_t room = 2 * (sizeof(tally_t) + self.c.players * sizeof(player_t)
                                  + self.c.chairs * sizeof(chair_t))
        cdef uint8_t *start = <uint8_t *>malloc(room)
        if start == NULL:
            raise MemoryError
        archive.at = start
        archive.end = start + room
        archive.reading = archive.broken = 0
        try:
            _pass_tally(&archive, &self.c)
            if archive.broken:
                raise RuntimeError("a tally is longer than its bound")
            return seal(MAGIC, FORMAT, PyBytes_FromStringAndSize(<char *>start, archive.at - start))
        finally:
            free(start)

    @staticmethod
    def restore(bytes data not None):
        cdef Tally tally = Tally(0)
        cdef archive_t archive
        archive.at = <uint8_t *>PyBytes_AS_STRING(data) + unseal(MAGIC, FORMAT, "tally", data)
        archive.end = <uint8_t *>PyBytes_AS_STRING(data) + PyBytes_GET_SIZE(data)
        archive.reading = 1
        archive.broken = 0
        _pass_tally(&archive, &tally.c)
        if archive.broken or archive.at != archive.end or not _seated_rightly(&tally.c):
            raise ValueError("the saved tally holds what cannot be")
        return tally


cdef bint _seated_rightly(const tally_t *tally) noexcept nogil:
    """Everybody who is seated has the seat it last had, and nobody else has one."""
    cdef uint32_t i, seated = 0, taken = 0
    cdef const player_t *player
    for i in range(tally.chairs):
        taken += tally.chair[i].taken
    for i in range(tally.players):
        player = &tally.player[i]
        if player.seated:
            seated += 1
            if player.slot >= tally.chairs or not tally.chair[player.slot].taken:
                return False
            if tally.chair[player.slot].player != i:
                return False
    return seated == taken


cdef int _copy(tally_t *to, const tally_t *source) except -1:
    make_room(to, source.room_chairs, source.room_players)
    if source.chairs:
        memcpy(to.chair, source.chair, source.chairs * sizeof(chair_t))
    if source.players:
        memcpy(to.player, source.player, source.players * sizeof(player_t))
    to.weapons = source.weapons
    to.tick = source.tick
    to.sequence = source.sequence
    to.time_us = source.time_us
    to.chairs = source.chairs
    to.players = source.players
    return 0
