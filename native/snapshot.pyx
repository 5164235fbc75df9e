"""What a viewer is shown of a tick, and the state hash.

No state is kept for a viewer: what he saw at his baseline is worked out again from the baseline's row.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memset
from native.protobuf cimport put_field, put_tag, put_varint, zigzag
from native.writer cimport begin_message, end_message, has_room, write_raw, write_varint, writer_t

cdef enum:
    MOST_ENTITY = 96            # bytes of an Entity with its tag: 15 fields of at most 6 bytes
    MOST_PROJECTILE = 40        # 6 fields
    MOST_SLOT = 5               # a seat in a packed field

# Beyond it a difference of two positions, squared and summed, would not fit in 64 bits.
cdef int64_t MOST_INTEREST_MM = 2147483647


cdef int album_open(album_t *album, uint32_t ticks, uint32_t slots) except -1:
    memset(album, 0, sizeof(album_t))
    if ticks == 0 or slots == 0:
        raise ValueError("an album needs at least one tick and one seat")
    album.entity = <entity_t *>calloc(<size_t>ticks * slots, sizeof(entity_t))
    if album.entity == NULL:
        raise MemoryError
    album.ticks = ticks
    album.slots = slots
    return 0


cdef void album_close(album_t *album) noexcept:
    free(album.entity)
    memset(album, 0, sizeof(album_t))


cdef inline entity_t *_row(const album_t *album, uint32_t tick) noexcept nogil:
    return album.entity + <size_t>(tick % album.ticks) * album.slots


cdef entity_t *album_begin(album_t *album, uint32_t tick) noexcept nogil:
    cdef entity_t *row = _row(album, tick)
    # After a jump the rows of before stand for other ticks.
    if album.rows == 0 or tick != album.newest:
        if album.rows and tick == album.newest + 1:
            album.rows = min(album.rows + 1, album.ticks)
        else:
            album.rows = 1
    album.newest = tick
    memset(row, 0, album.slots * sizeof(entity_t))
    return row


# ---- interest ----------------------------------------------------------------------------------------

ctypedef struct eye_t:          # one viewer at one tick
    const entity_t *row
    const entity_t *own         # NULL: no seat, sees nothing
    uint8_t all                 # sees everything
    uint32_t slot
    uint64_t interest_mm


cdef eye_t _look(const album_t *album, uint32_t tick, int viewer, int64_t interest_mm) noexcept nogil:
    cdef eye_t eye
    eye.row = _row(album, tick)
    eye.all = viewer < 0
    eye.slot = <uint32_t>viewer
    eye.interest_mm = <uint64_t>max(0, min(interest_mm, MOST_INTEREST_MM))
    eye.own = NULL
    if not eye.all and eye.slot < album.slots and eye.row[eye.slot].present:
        eye.own = eye.row + eye.slot
    return eye


cdef inline uint64_t _apart(int32_t a, int32_t b) noexcept nogil:
    return <uint64_t>(<int64_t>a - b) if a > b else <uint64_t>(<int64_t>b - a)


cdef inline int _is_near(const eye_t *eye, int32_t x_mm, int32_t y_mm, int32_t z_mm) noexcept nogil:
    cdef uint64_t x = _apart(eye.own.x_mm, x_mm)
    cdef uint64_t y = _apart(eye.own.y_mm, y_mm)
    cdef uint64_t z = _apart(eye.own.z_mm, z_mm)
    cdef uint64_t reach = eye.interest_mm
    return x <= reach and y <= reach and z <= reach and x * x + y * y + z * z <= reach * reach


# Is the seat the viewer's own, or of his team?
cdef inline int _is_ally(const eye_t *eye, uint32_t slot) noexcept nogil:
    cdef const entity_t *other = eye.row + slot
    return slot == eye.slot or (other.present and other.team != 0 and other.team == eye.own.team)


cdef inline int _sees(const eye_t *eye, uint32_t slot) noexcept nogil:
    cdef const entity_t *other = eye.row + slot
    if not other.present:
        return 0
    if eye.own == NULL:
        return eye.all
    return _is_ally(eye, slot) or _is_near(eye, other.x_mm, other.y_mm, other.z_mm)


cdef int _sees_missile(const eye_t *eye, const missile_t *missile, uint32_t slots) noexcept nogil:
    if eye.own == NULL:
        return eye.all
    if missile.owner < slots and _is_ally(eye, missile.owner):
        return 1
    return _is_near(eye, missile.x_mm, missile.y_mm, missile.z_mm)


# ---- writing -----------------------------------------------------------------------------------------

# A field with presence: written when there is nothing to compare with, or when it differs.
cdef inline uint8_t *_put_changed(uint8_t *at, uint32_t number, uint64_t value, uint64_t before, int whole) noexcept nogil:
    return put_varint(put_tag(at, number, 0), value) if whole or value != before else at


# Entity as field 3 of Snapshot; `before` NULL: whole.
cdef uint8_t *_put_entity(uint8_t *at, uint32_t slot, const entity_t *now, const entity_t *before) noexcept nogil:
    cdef uint8_t *start = at + 2
    cdef int whole = before == NULL
    if whole:
        before = now
    at = put_field(start, 1, slot)
    at = _put_changed(at, 2, zigzag(now.x_mm), zigzag(before.x_mm), whole)
    at = _put_changed(at, 3, zigzag(now.y_mm), zigzag(before.y_mm), whole)
    at = _put_changed(at, 4, zigzag(now.z_mm), zigzag(before.z_mm), whole)
    at = _put_changed(at, 5, now.yaw, before.yaw, whole)
    at = _put_changed(at, 6, zigzag(now.pitch), zigzag(before.pitch), whole)
    at = _put_changed(at, 7, now.mode, before.mode, whole)
    at = _put_changed(at, 8, now.flags, before.flags, whole)
    at = _put_changed(at, 9, now.health_milli, before.health_milli, whole)
    at = _put_changed(at, 10, now.armour_milli, before.armour_milli, whole)
    at = _put_changed(at, 11, now.shield_milli, before.shield_milli, whole)
    at = _put_changed(at, 12, now.team, before.team, whole)
    at = _put_changed(at, 13, now.weapon, before.weapon, whole)
    at = _put_changed(at, 14, now.kills, before.kills, whole)
    at = _put_changed(at, 15, now.deaths, before.deaths, whole)
    put_tag(start - 2, 3, 2)[0] = <uint8_t>(at - start)
    return at


cdef uint8_t *_put_missile(uint8_t *at, const missile_t *missile) noexcept nogil:
    cdef uint8_t *start = at + 2
    at = put_field(start, 1, missile.id)
    at = put_field(at, 2, missile.owner)
    at = put_field(at, 3, missile.weapon)
    at = put_field(at, 4, zigzag(missile.x_mm))
    at = put_field(at, 5, zigzag(missile.y_mm))
    at = put_field(at, 6, zigzag(missile.z_mm))
    put_tag(start - 2, 5, 2)[0] = <uint8_t>(at - start)
    return at


# Returns how many seats were seen at the baseline and no longer are.
cdef uint32_t _write_entities(writer_t *writer, const eye_t *now, const eye_t *then, uint32_t slots) noexcept nogil:
    cdef uint8_t scratch[MOST_ENTITY]
    cdef const entity_t *before
    cdef uint32_t removed = 0
    cdef uint32_t slot
    for slot in range(slots):
        before = then.row + slot if then.row != NULL and _sees(then, slot) else NULL
        if not _sees(now, slot):
            removed += before != NULL
        elif before == NULL or memcmp(before, now.row + slot, sizeof(entity_t)) != 0:
            if has_room(writer, MOST_ENTITY):
                writer.at = _put_entity(writer.at, slot, now.row + slot, before)
            else:
                write_raw(writer, scratch, _put_entity(scratch, slot, now.row + slot, before) - scratch)
    return removed


cdef void _write_removed(writer_t *writer, const eye_t *now, const eye_t *then, uint32_t slots) noexcept nogil:
    cdef uint8_t scratch[MOST_SLOT]
    cdef uint8_t *mark = begin_message(writer, 4)
    cdef uint32_t slot
    for slot in range(slots):
        if _sees(then, slot) and not _sees(now, slot):
            write_raw(writer, scratch, put_varint(scratch, slot) - scratch)
    end_message(writer, mark)


cdef int snapshot_write(const album_t *album, writer_t *writer, uint32_t number, int viewer, uint32_t baseline,
                        int64_t interest_mm, const missile_t *missiles, uint32_t count) noexcept nogil:
    cdef uint8_t scratch[MOST_PROJECTILE]
    cdef uint8_t *mark = begin_message(writer, number)
    cdef eye_t now = _look(album, album.newest, viewer, interest_mm)
    cdef eye_t then = now
    cdef uint32_t i
    write_varint(writer, 1, album.newest)
    if baseline and baseline <= album.newest and album.newest - baseline < album.rows:
        then = _look(album, baseline, viewer, interest_mm)
        write_varint(writer, 2, baseline)
    else:
        then.row = NULL
    if _write_entities(writer, &now, &then, album.slots):
        _write_removed(writer, &now, &then, album.slots)
    for i in range(count):
        if _sees_missile(&now, missiles + i, album.slots):
            write_raw(writer, scratch, _put_missile(scratch, missiles + i) - scratch)
    end_message(writer, mark)
    return not writer.full


# ---- state hash --------------------------------------------------------------------------------------

# The finaliser of a 64-bit multiply-and-shift mix: every bit of the input reaches every bit of the result.
cdef uint64_t hash_u64(uint64_t seed, uint64_t value) noexcept nogil:
    cdef uint64_t mixed = (seed ^ value) + <uint64_t>0x9E3779B97F4A7C15ULL
    mixed = (mixed ^ (mixed >> 30)) * <uint64_t>0xBF58476D1CE4E5B9ULL
    mixed = (mixed ^ (mixed >> 27)) * <uint64_t>0x94D049BB133111EBULL
    return mixed ^ (mixed >> 31)


# The size first, so that the zeros which fill up the last word cannot be taken for data.
cdef uint64_t hash_bytes(uint64_t seed, const uint8_t *data, uint64_t size) noexcept nogil:
    cdef uint64_t mixed = hash_u64(seed, size)
    cdef uint64_t at = 0
    cdef uint64_t word
    cdef uint32_t i
    while at + 8 <= size:
        word = 0
        for i in range(8):
            word |= <uint64_t>data[at + i] << (8 * i)
        mixed = hash_u64(mixed, word)
        at += 8
    if at < size:
        word = 0
        for i in range(<uint32_t>(size - at)):
            word |= <uint64_t>data[at + i] << (8 * i)
        mixed = hash_u64(mixed, word)
    return mixed
