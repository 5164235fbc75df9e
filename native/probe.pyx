"""A door for tests to the native modules that have no Python face: `wire` and `snapshot`."""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset
from native.snapshot cimport (
    album_begin, album_close, album_open, album_t, entity_t, hash_bytes as c_hash_bytes,
    hash_u64 as c_hash_u64, missile_t, snapshot_write,
)
from native.types cimport (
    COMMAND_ACTION, COMMAND_DAMAGE, COMMAND_MOVE, COMMAND_SHOT, MAX_HITS, command_t, direct_t, hit_t,
    move_t, shot_t, use_t, verdict_t,
)
from native.wire cimport (
    begin_message, cursor_t, end_message, frame_t, next_command, read_frame, status_name, write_bytes,
    write_double, write_fixed32, write_fixed64, write_float, write_packed_fixed32s,
    write_packed_sints, write_raw, write_sint, write_sint_always, write_varint, write_varint_always,
    write_verdict, writer_t,
)
from native.reference.wire import Command, Frame


# ---- wire: reading -------------------------------------------------------------------------------

cdef tuple _body(const command_t *command):
    cdef const move_t *move = &command.move
    cdef const shot_t *shot = &command.shot
    cdef const use_t *use = &command.use
    cdef const direct_t *direct = &command.direct
    if command.kind == COMMAND_MOVE:
        return (move.x, move.y, move.z, move.yaw, move.pitch, move.mode, <uint64_t>move.client_time_us)
    if command.kind == COMMAND_SHOT:
        return (
            shot.weapon, shot.origin.x, shot.origin.y, shot.origin.z,
            shot.direction.x, shot.direction.y, shot.direction.z,
        )
    if command.kind == COMMAND_ACTION:
        return (use.action, use.target, use.point.x, use.point.y, use.point.z)
    if command.kind == COMMAND_DAMAGE:
        return (direct.target, direct.amount_milli, direct.source, bool(direct.bypass))
    return ()


def decode(bytes data not None, uint32_t most_commands=1024):
    cdef size_t size = len(data)
    # A heap block of exactly the frame's size: a memory checker sees one byte too far.
    cdef uint8_t *block = <uint8_t *>malloc(size)
    cdef frame_t frame
    cdef command_t command
    cdef cursor_t cursor
    cdef uint32_t status
    if block == NULL and size:
        raise MemoryError
    try:
        memcpy(block, <const char *>data, size)
        status = read_frame(block, <uint32_t>size, most_commands, &frame)
        if status:
            raise ValueError(status_name(status))
        cursor.at = block
        cursor.end = block + size
        commands = []
        while next_command(&cursor, &command):
            commands.append(Command(
                command.slot, command.sequence, command.view_tick, command.view_fraction, command.kind,
                command.reason, _body(&command), (<const char *>command.raw)[:command.raw_size],
            ))
    finally:
        free(block)
    return Frame(
        bool(frame.has_hello), frame.frame, frame.view_tick, frame.view_fraction, frame.acked_snapshot,
        frame.ping_us, frame.commands, commands,
    )


# ---- wire: writing -------------------------------------------------------------------------------

cdef void _fill_verdict(object given, verdict_t *out):
    memset(out, 0, sizeof(verdict_t))
    out.slot, out.sequence, out.outcome, out.reason = given.slot, given.sequence, given.outcome, given.reason
    out.repeated, out.journal_sequence = given.repeated, given.journal_sequence
    out.rewind_us, out.clamp, out.ammo = given.rewind_us, given.clamp, given.ammo
    out.hits = len(given.hits)
    for i, hit in enumerate(given.hits[:MAX_HITS]):
        _fill_hit(hit, &out.hit[i])
    if given.correction is not None:
        out.corrected = 1
        out.position.x, out.position.y, out.position.z = given.correction[:3]
        out.velocity.x, out.velocity.y, out.velocity.z = given.correction[3:]


cdef void _fill_hit(object given, hit_t *out):
    out.slot, out.region, out.distance_m, out.reason = given.slot, given.region, given.distance_m, given.reason
    out.dealt_milli, out.armour_milli, out.shield_milli = given.dealt_milli, given.armour_milli, given.shield_milli
    out.overkill_milli, out.health_milli = given.overkill_milli, given.health_milli
    out.healed_milli, out.critical, out.lethal = given.healed_milli, given.critical, given.lethal


cdef class Writer:
    cdef writer_t c
    cdef list _marks

    def __cinit__(self, uint32_t size):
        self.c.start = <uint8_t *>malloc(size)
        if self.c.start == NULL and size:
            raise MemoryError
        self.c.at = self.c.start
        self.c.end = self.c.start + size
        self.c.full = 0
        self._marks = []

    def __dealloc__(self):
        free(self.c.start)

    @property
    def full(self):
        return bool(self.c.full)

    def value(self):
        return (<const char *>self.c.start)[:self.c.at - self.c.start]

    def varint(self, uint32_t number, uint64_t value):
        write_varint(&self.c, number, value)

    def varint_always(self, uint32_t number, uint64_t value):
        write_varint_always(&self.c, number, value)

    def sint(self, uint32_t number, int64_t value):
        write_sint(&self.c, number, value)

    def sint_always(self, uint32_t number, int64_t value):
        write_sint_always(&self.c, number, value)

    def fixed32(self, uint32_t number, uint32_t value):
        write_fixed32(&self.c, number, value)

    def fixed64(self, uint32_t number, uint64_t value):
        write_fixed64(&self.c, number, value)

    def float32(self, uint32_t number, float value):
        write_float(&self.c, number, value)

    def float64(self, uint32_t number, double value):
        write_double(&self.c, number, value)

    def octets(self, uint32_t number, bytes value not None):
        write_bytes(&self.c, number, <const uint8_t *><const char *>value, <uint32_t>len(value))

    def raw(self, bytes value not None):
        write_raw(&self.c, <const uint8_t *><const char *>value, len(value))

    def packed_sints(self, uint32_t number, const int64_t[::1] values):
        write_packed_sints(&self.c, number, &values[0] if len(values) else NULL, <uint32_t>len(values))

    def packed_fixed32s(self, uint32_t number, const uint32_t[::1] values):
        write_packed_fixed32s(&self.c, number, &values[0] if len(values) else NULL, <uint32_t>len(values))

    def verdict(self, uint32_t number, given):
        cdef verdict_t verdict
        _fill_verdict(given, &verdict)
        return bool(write_verdict(&self.c, number, &verdict))

    def begin(self, uint32_t number):
        self._marks.append(begin_message(&self.c, number) - self.c.start)

    def end(self):
        cdef Py_ssize_t offset = self._marks.pop()
        end_message(&self.c, self.c.start + offset)


# ---- snapshot ------------------------------------------------------------------------------------

cdef void _fill_entity(object given, entity_t *out):
    out.present = 1
    out.x_mm, out.y_mm, out.z_mm, out.yaw, out.pitch = given.x_mm, given.y_mm, given.z_mm, given.yaw, given.pitch
    out.mode, out.flags, out.team, out.weapon = given.mode, given.flags, given.team, given.weapon
    out.health_milli, out.armour_milli, out.shield_milli = given.health_milli, given.armour_milli, given.shield_milli
    out.kills, out.deaths = given.kills, given.deaths


cdef class Album:
    cdef album_t c

    def __cinit__(self, uint32_t ticks, uint32_t slots):
        album_open(&self.c, ticks, slots)

    def __dealloc__(self):
        album_close(&self.c)

    def put(self, uint32_t tick, dict row not None):
        cdef entity_t *out = album_begin(&self.c, tick)
        for slot, entity in row.items():
            if not 0 <= slot < self.c.slots:
                raise IndexError(slot)
            _fill_entity(entity, out + <uint32_t>slot)

    def write(self, Writer writer not None, uint32_t number, int viewer, uint32_t baseline, int64_t interest_mm,
              list missiles not None):
        cdef uint32_t count = <uint32_t>len(missiles)
        cdef missile_t *block = <missile_t *>malloc(count * sizeof(missile_t))
        cdef missile_t *one
        if block == NULL and count:
            raise MemoryError
        try:
            for i, given in enumerate(missiles):
                one = block + <uint32_t>i
                one.id, one.owner, one.weapon, one.x_mm, one.y_mm, one.z_mm = given
            return bool(snapshot_write(&self.c, &writer.c, number, viewer, baseline, interest_mm, block, count))
        finally:
            free(block)


def hash_bytes(uint64_t seed, bytes data not None):
    return c_hash_bytes(seed, <const uint8_t *><const char *>data, len(data))


def hash_u64(uint64_t seed, uint64_t value):
    return c_hash_u64(seed, value)


# ---- timing: the loop is native too, so that nothing but the kernel is measured -------------------

def spin_decode(bytes data not None, uint64_t rounds):
    cdef const uint8_t *block = <const uint8_t *><const char *>data
    cdef uint32_t size = <uint32_t>len(data)
    cdef frame_t frame
    cdef command_t command
    cdef cursor_t cursor
    cdef uint64_t good = 0
    with nogil:
        for _ in range(rounds):
            if read_frame(block, size, size, &frame):
                break
            cursor.at = block
            cursor.end = block + size
            while next_command(&cursor, &command):
                good += command.reason == 0
    return good


def spin_verdict(given, uint64_t rounds):
    cdef uint8_t block[2048]
    cdef verdict_t verdict
    cdef writer_t writer
    cdef uint64_t good = 0
    _fill_verdict(given, &verdict)
    with nogil:
        for _ in range(rounds):
            writer.start = writer.at = block
            writer.end = block + sizeof(block)
            writer.full = 0
            good += write_verdict(&writer, 5, &verdict)
    return good
