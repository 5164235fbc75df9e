"""The Python face of a match: memory, seats by name, bytes in and bytes out. What it judges is in the
modules it calls; see README.md."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.string cimport memcmp, memcpy
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from native.digest cimport state_digest
from native.events cimport event_join, event_leave
from native.flights cimport flights_shown
from native.history cimport tick_time
from native.journal cimport (
    RECORD_COMMAND, RECORD_END, RECORD_JOIN, RECORD_LEAVE, RECORD_START, next_record, record_t,
)
from native.judge cimport ALL_SEATS, judge_frame
from native.records cimport record_end, record_join, record_leave, record_start
from native.ruleset cimport Ruleset
from native.saves cimport restore_match, save_match
from native.seats cimport seat_free, seat_spawn, seat_take, smallest_team, team_size
from native.snapshot cimport snapshot_write
from native.state cimport (
    ID_BYTES, MAX_SLOTS, MAX_TEAMS, REWIND_BINS, REWIND_BIN_US, STEP_TIMES, entry_t,
)
from native.storage cimport arena_close, arena_open, reserve_frame, reserve_input, reserve_step
from native.ticks cimport capture, finish, show, step
from native.wire cimport (
    WIRE_OK, cursor_t, frame_t, next_command, read_frame, status_name, write_bytes, write_varint, writer_t,
)
from native.world cimport World

from native.differences import ReplayError, differing

cdef int64_t LATEST_START_US = 2**40    # twelve days: ticks stay countable

ALL_SLOTS = ALL_SEATS
# By field number in Command.
KINDS = {"move": 5, "shot": 6, "action": 7, "damage": 8}
# By Clamp, from 1.
CLAMPS = ("max_rewind", "acked_snapshot", "newest_snapshot", "round_trip", "monotone", "future")


class FrameError(ValueError):
    """A frame that cannot be read at all; nothing of it was judged. `reason` is UPPER_SNAKE_CASE."""

    def __init__(self, reason):
        super().__init__(f"the frame cannot be read: {reason}")
        self.reason = reason


class Refused(Exception):
    """A join or start that is not possible. `reason` is UPPER_SNAKE_CASE."""

    def __init__(self, reason):
        super().__init__(reason)
        self.reason = reason


cdef bytes _taken(writer_t *writer):
    """What was written, and the writer is empty again."""
    cdef bytes data = PyBytes_FromStringAndSize(<char *>writer.start, writer.at - writer.start)
    writer.at = writer.start
    return data


cdef bytes _body(const record_t *record):
    return record.body[:record.end - record.body]


cdef class Arena:
    def __init__(self, Ruleset ruleset not None, World world not None, *, key, str mode, int max_players,
                 int tick_rate, bint journal=True, int max_commands=1024, volatile_kinds=("move",)):
        if not 1 <= max_players <= MAX_SLOTS:
            raise ValueError(f"max_players is {max_players}, not in 1..{MAX_SLOTS}")
        if not 10 <= tick_rate <= 128:
            raise ValueError(f"tick_rate is {tick_rate}, not in 10..128")
        if not 1 <= max_commands <= 1024:
            raise ValueError(f"max_commands is {max_commands}, not in 1..1024")
        if not 0 <= key < 1 << 64:
            raise ValueError("key is not a 64-bit unsigned number")
        if mode not in ruleset.mode_names:
            raise ValueError(f"mode {mode!r} is not one of {', '.join(ruleset.mode_names)}")
        if not set(volatile_kinds) <= set(KINDS):
            raise ValueError(f"volatile_kinds is {volatile_kinds!r}, not some of {', '.join(KINDS)}")
        if not world.spawns:
            raise ValueError(f"map {world.map_id!r} has no spawn point")
        if self.c.seat != NULL:
            raise ValueError("an arena is made once")
        if ruleset.c.mode[ruleset.mode_names.index(mode)].teams > MAX_TEAMS:
            raise ValueError(f"mode {mode!r} has more than {MAX_TEAMS} teams")
        self.ruleset = ruleset
        self.world = world
        self.seats = {}
        self.roster = {}
        self.keeps_journal = journal
        self.c.rules = &ruleset.c
        self.c.world = &world.c
        self.c.mode = &ruleset.c.mode[ruleset.mode_names.index(mode)]
        self.c.key = key
        self.c.slots = max_players
        self.c.tick_rate = tick_rate
        self.c.max_commands = max_commands
        self.c.journalling = journal
        for name in volatile_kinds:
            self.c.volatile_kinds |= 1 << <int>KINDS[name]
        arena_open(&self.c, world.spawns)
        show(&self.c)

    def __dealloc__(self):
        arena_close(&self.c)

    cdef void _check_seat(self, int64_t slot) except *:
        if not 0 <= slot < self.c.slots or not self.c.seat[slot].taken:
            raise ValueError(f"nobody has seat {slot}")

    # ---- life ---------------------------------------------------------------------------------

    def start(self, int64_t now_us):
        cdef uint32_t slot
        if self.c.ended:
            raise Refused("ENDED")
        if self.c.active:
            raise Refused("ACTIVE")
        if not 0 <= now_us <= LATEST_START_US:
            raise ValueError(f"now_us is {now_us}, not in 0..{LATEST_START_US}")
        reserve_input(&self.c)
        self.c.now_us = max(self.c.now_us, now_us)
        self.c.started_us = self.c.now_us
        self.c.active = 1
        # The last tick whose time, rounded down to a microsecond, is not after now.
        self.c.tick = <uint32_t>(((self.c.now_us + 1) * self.c.tick_rate - 1) // 1000000)
        self.c.stepped_us[self.c.tick % STEP_TIMES] = self.c.now_us
        for slot in range(self.c.slots):
            if self.c.seat[slot].taken:
                seat_spawn(&self.c, slot, self.c.now_us)
        record_start(&self.c)
        capture(&self.c)
        show(&self.c)

    def end(self, int64_t now_us, int reason):
        if self.c.ended:
            return
        if not 1 <= reason <= 255:
            raise ValueError(f"reason is {reason}, not an EndReason")
        reserve_input(&self.c)
        self.c.now_us = max(self.c.now_us, now_us)
        finish(&self.c, reason)
        record_end(&self.c, reason)

    @property
    def active(self):
        return self.c.active != 0

    @property
    def ended(self):
        return self.c.ended

    @property
    def tick(self):
        return self.c.tick

    @property
    def sequence(self):
        return self.c.sequence

    @property
    def now_us(self):
        return self.c.now_us

    @property
    def barrier(self):
        return self.c.barrier

    @property
    def awaits(self):
        return self.c.awaits

    @property
    def winner(self):
        return self.c.winner

    cdef uint32_t _entry_of(self, str player_id) except? 0xFFFFFFFF:
        """The player's place in the roster, new when it never sat."""
        cdef bytes name = player_id.encode()
        cdef entry_t *entry
        known = self.roster.get(player_id)
        if known is not None:
            return known
        if not 1 <= len(name) <= ID_BYTES:
            raise ValueError(f"player_id has {len(name)} bytes, not 1..{ID_BYTES}")
        if self.c.entries == self.c.max_entries:
            raise Refused("ROSTER_FULL")
        entry = &self.c.entry[self.c.entries]
        memcpy(entry.id, PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name))
        entry.id_size = <uint8_t>PyBytes_GET_SIZE(name)
        self.roster[player_id] = self.c.entries
        self.c.entries += 1
        return self.c.entries - 1

    cdef uint32_t _team_for(self, uint32_t asked) except? 0xFFFFFFFF:
        cdef uint32_t teams = self.c.mode.teams
        cdef uint32_t most, size
        if self.c.taken == self.c.slots:
            raise Refused("FULL")
        if teams == 0:
            if asked > 1:
                raise Refused("BAD_TEAM")
            return 0
        if asked > teams:
            raise Refused("BAD_TEAM")
        most = (self.c.slots + teams - 1) // teams
        if asked == 0:
            return smallest_team(&self.c, &size)
        if team_size(&self.c, asked - 1) >= most:
            raise Refused("TEAM_FULL")
        return asked - 1

    def join(self, int64_t now_us, str player_id not None, uint32_t team=0):
        cdef uint32_t slot = 0, side, entry
        seat = self.seats.get(player_id)
        if seat is not None:
            return seat
        if self.c.ended:
            raise Refused("ENDED")
        side = self._team_for(team)
        entry = self._entry_of(player_id)
        reserve_input(&self.c)
        self.c.now_us = max(self.c.now_us, now_us)
        while self.c.seat[slot].taken:
            slot += 1
        seat_take(&self.c, slot, entry, <uint8_t>side)
        self.seats[player_id] = slot
        event_join(&self.c, slot)
        if not self.c.active:
            show(&self.c)
        elif self.c.mode.respawns:
            seat_spawn(&self.c, slot, self.c.now_us)
        record_join(&self.c, slot, team)
        return slot

    def leave(self, int64_t now_us, int64_t slot, uint32_t reason):
        self._check_seat(slot)
        reserve_input(&self.c)
        self.c.now_us = max(self.c.now_us, now_us)
        del self.seats[self.player(slot)]
        seat_free(&self.c, slot)
        event_leave(&self.c, slot, reason)
        record_leave(&self.c, slot, reason)
        if not self.c.active and not self.c.ended:
            show(&self.c)

    def connected(self, int64_t slot, bint connected):
        self._check_seat(slot)
        self.c.seat[slot].disconnected = not connected

    def seat(self, str player_id not None):
        return self.seats.get(player_id, -1)

    def player(self, int64_t slot):
        cdef entry_t *entry
        if not 0 <= slot < self.c.slots or not self.c.seat[slot].taken:
            return ""
        entry = &self.c.entry[self.c.seat[slot].entry]
        return entry.id[:entry.id_size].decode()

    def team(self, int64_t slot):
        self._check_seat(slot)
        return self.c.seat[slot].team

    @property
    def players(self):
        return self.c.taken

    def last_sequence(self, int64_t slot):
        self._check_seat(slot)
        return self.c.seat[slot].sequence

    # ---- the hot path -------------------------------------------------------------------------

    def judge(self, int64_t now_us, bytes frame not None, int binding):
        cdef const uint8_t *data = <const uint8_t *>PyBytes_AS_STRING(frame)
        cdef writer_t *out = &self.c.out
        cdef frame_t head
        cdef uint32_t status
        if binding != ALL_SEATS and not 0 <= binding < <int>self.c.slots:
            raise ValueError(f"binding is {binding}, neither a seat nor ALL_SLOTS")
        if PyBytes_GET_SIZE(frame) > 0xFFFFFFFF:
            raise FrameError("TOO_LONG")
        status = read_frame(data, <uint32_t>PyBytes_GET_SIZE(frame), self.c.max_commands, &head)
        if status != WIRE_OK:
            self.c.counters.bad_frames += 1
            raise FrameError(status_name(status))
        reserve_frame(&self.c, head.commands)
        self._note_shown(binding, head.acked_snapshot)
        out.at = out.start
        write_varint(out, 2, self.c.tick)
        write_varint(out, 3, max(now_us, self.c.now_us))
        write_varint(out, 4, head.frame)
        judge_frame(&self.c, now_us, data, <uint32_t>PyBytes_GET_SIZE(frame), &head, binding)
        write_varint(out, 9, head.ping_us)
        self._check_written()
        return PyBytes_FromStringAndSize(<char *>out.start, out.at - out.start)

    cdef void _check_written(self) except *:
        if self.c.out.full or self.c.journal.full:
            raise RuntimeError("a verdict or record is longer than its bound")

    cdef void _note_shown(self, int binding, uint32_t tick) noexcept:
        if tick > self.c.tick:
            return              # nothing of that tick was ever sent
        if binding == ALL_SEATS:
            self.c.trusted_tick = tick
        elif tick > self.c.seat[binding].shown_tick:
            self.c.seat[binding].shown_tick = tick

    def advance(self, int64_t now_us):
        cdef uint32_t first = self.c.tick
        while self.c.active and tick_time(self.c.tick + 1, self.c.tick_rate) <= now_us:
            reserve_step(&self.c)
            step(&self.c, now_us)
        self._check_written()
        return self.c.tick - first

    def take_events(self):
        return _taken(&self.c.events)

    def snapshot(self, int viewer, uint32_t baseline):
        cdef writer_t *out = &self.c.out
        cdef uint32_t count
        if viewer != ALL_SEATS and not 0 <= viewer < <int>self.c.slots:
            raise ValueError(f"viewer is {viewer}, neither a seat nor ALL_SLOTS")
        count = flights_shown(&self.c, self.missiles)
        out.at = out.start
        write_varint(out, 2, self.c.tick)
        write_varint(out, 3, tick_time(self.c.tick, self.c.tick_rate))
        snapshot_write(&self.c.album, out, 6, viewer, baseline, <int64_t>(self.c.rules.interest_m * 1000.0),
                       self.missiles, count)
        return PyBytes_FromStringAndSize(<char *>out.start, out.at - out.start)

    def acked(self, int64_t slot):
        if slot == ALL_SEATS:
            return self.c.trusted_tick
        self._check_seat(slot)
        return self.c.seat[slot].shown_tick

    def results(self):
        cdef uint32_t i
        cdef entry_t *entry
        rows = []
        for i in range(self.c.entries):
            entry = &self.c.entry[i]
            rows.append((entry.slot, entry.id[:entry.id_size].decode(), entry.team, entry.kills, entry.deaths,
                         entry.assists, entry.damage_milli))
        return rows

    # ---- remembering --------------------------------------------------------------------------

    def take_journal(self):
        return _taken(&self.c.journal)

    def save(self):
        return save_match(&self.c, self.ruleset, self.world)

    def restore(self, bytes data not None):
        if self.c.journal.at != self.c.journal.start:
            raise ValueError("records of before are not taken yet")
        names = restore_match(&self.c, self.ruleset, self.world, data)
        self.c.barrier = 0
        self.roster = {name: index for index, name in enumerate(names)}
        self.seats = {self.player(slot): slot for slot in range(self.c.slots) if self.c.seat[slot].taken}

    def replay(self, bytes segment not None, *, bint events=False):
        cdef const uint8_t *at = <const uint8_t *>PyBytes_AS_STRING(segment)
        cdef const uint8_t *end = at + PyBytes_GET_SIZE(segment)
        cdef writer_t *journal = &self.c.journal
        cdef record_t record
        if journal.at != journal.start:
            raise ValueError("records of before are not taken yet")
        self.c.journalling = 1
        try:
            while self._next(&at, end, &record):
                journal.at = journal.start
                if not events:
                    self.c.events.at = self.c.events.start
                self._feed(&record)
                if (journal.at - journal.start != record.end - record.start
                        or memcmp(journal.start, record.start, record.end - record.start) != 0):
                    raise differing(record.sequence, _body(&record), self._judged())
        finally:
            self.c.journalling = self.keeps_journal
            self.c.barrier = 0
            journal.at = journal.start
            if not events:
                self.c.events.at = self.c.events.start

    cdef int _next(self, const uint8_t **at, const uint8_t *end, record_t *record) except -1:
        """Whether there is another record; it is the one that follows."""
        cdef int status = next_record(at, end, record)
        cdef uint64_t due = self.c.sequence + 1
        if status < 0:
            raise ReplayError(f"the segment cannot be read after record {due - 1}", sequence=due,
                              what="unreadable")
        if status and record.sequence != due:
            raise ReplayError(f"record {record.sequence} follows record {due - 1}", sequence=due, what="order",
                              recorded=_body(record))
        return status

    cdef bytes _judged(self):
        """The record that was written last, without tag and length."""
        cdef const uint8_t *at = self.c.journal.start
        cdef record_t record
        return _body(&record) if next_record(&at, self.c.journal.at, &record) > 0 else b""

    cdef void _feed(self, const record_t *record) except *:
        try:
            if record.kind == RECORD_JOIN:
                self.join(record.time_us, record.id[:record.id_size].decode(), record.team)
            elif record.kind == RECORD_LEAVE:
                self.leave(record.time_us, record.slot, record.reason)
            elif record.kind == RECORD_START:
                self.start(record.time_us)
            elif record.kind == RECORD_END:
                self.end(record.time_us, record.reason)
            elif record.kind == RECORD_COMMAND:
                self._feed_command(record)
            elif self.c.active:
                reserve_step(&self.c)
                step(&self.c, record.time_us)
        except (Refused, ValueError) as error:
            raise ReplayError(f"record {record.sequence} cannot be fed: {error}", sequence=record.sequence,
                              what="input", recorded=_body(record)) from error

    cdef void _feed_command(self, const record_t *record) except *:
        """As a frame of one command, which is what `judge` reads."""
        cdef uint8_t frame[640]
        cdef frame_t head
        cdef writer_t writer
        cdef cursor_t cursor
        cdef uint32_t size
        writer.start = writer.at = frame
        writer.end = frame + sizeof(frame)
        writer.full = 0
        write_bytes(&writer, 6, record.id, record.id_size)
        size = <uint32_t>(writer.at - frame)
        if writer.full or read_frame(frame, size, 1, &head) != WIRE_OK:
            raise ValueError("its command cannot be read")
        reserve_frame(&self.c, 1)
        head.acked_snapshot = record.acked_tick
        cursor.at = frame
        cursor.end = writer.at
        next_command(&cursor, &self.c.command)
        self.c.out.at = self.c.out.start
        judge_frame(&self.c, record.time_us, frame, size, &head,
                    ALL_SEATS if record.trusted else <int>self.c.command.slot)

    def state_hash(self):
        return state_digest(&self.c)

    @property
    def counters(self):
        counts = <dict>self.c.counters
        clamps, rewinds = counts.pop("clamp"), counts.pop("rewind")
        counts.update((f"clamped_{name}", count) for name, count in zip(CLAMPS, clamps[1:], strict=True))
        for i, count in enumerate(rewinds[:REWIND_BINS]):
            counts[f"rewind_le_{(i + 1) * REWIND_BIN_US}"] = count
        counts["rewind_le_inf"] = rewinds[REWIND_BINS]
        return counts
