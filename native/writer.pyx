"""Writing protobuf messages into a buffer of the caller: shortest lengths, fields in rising order, zeros
left out, so that the bytes are those the protobuf runtime would write."""

from libc.stdint cimport UINT32_MAX, int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memmove
from native.protobuf cimport MOST_FIELD, double_bits, float_bits, put_field, put_fixed, put_tag, put_varint, zigzag
from native.types cimport MAX_HITS, hit_t, verdict_t

cdef enum:
    MOST_HIT = 80               # bytes of one Hit with its tag: 12 fields, 9 of them of 6 bytes
    MOST_VERDICT = 128          # bytes of a Verdict with its tag, without the hits


cdef void write_raw(writer_t *writer, const uint8_t *data, uint64_t size) noexcept nogil:
    if not has_room(writer, size):
        writer.full = 1
    elif size:
        memcpy(writer.at, data, size)
        writer.at += size


cdef void write_bytes(writer_t *writer, uint32_t number, const uint8_t *data, uint32_t size) noexcept nogil:
    cdef uint8_t head[MOST_FIELD]
    cdef uint64_t used
    if has_room(writer, MOST_FIELD + <uint64_t>size):
        writer.at = put_varint(put_tag(writer.at, number, 2), size)
        memcpy(writer.at, data, size)
        writer.at += size
        return
    used = put_varint(put_tag(head, number, 2), size) - head
    if has_room(writer, used + size):
        write_raw(writer, head, used)
        write_raw(writer, data, size)
    else:
        writer.full = 1


cdef inline void write_number(writer_t *writer, uint64_t value) noexcept nogil:
    """Without a tag."""
    cdef uint8_t word[MOST_FIELD]
    if has_room(writer, MOST_FIELD):
        writer.at = put_varint(writer.at, value)
    else:
        write_raw(writer, word, put_varint(word, value) - word)


cdef uint8_t *begin_message(writer_t *writer, uint32_t number) noexcept nogil:
    cdef uint8_t *mark = writer.at
    cdef uint8_t head[MOST_FIELD]
    cdef uint8_t *end
    if has_room(writer, MOST_FIELD):
        end = put_tag(mark, number, 2)
        end[0] = 0              # room for a length below 128, the usual case
        writer.at = end + 1
    else:
        end = put_tag(head, number, 2)
        end[0] = 0
        write_raw(writer, head, end + 1 - head)
    return mark


cdef void end_message(writer_t *writer, uint8_t *mark) noexcept nogil:
    cdef uint8_t *length = mark
    cdef uint8_t head[MOST_FIELD]
    cdef uint64_t size, more
    if not writer.full:
        while length[0] >= 0x80:
            length += 1
        length += 1             # behind the tag
        size = writer.at - length - 1
        if size < 0x80:
            length[0] = <uint8_t>size
            return
        more = put_varint(head, size) - head - 1
        if has_room(writer, more):
            memmove(length + 1 + more, length + 1, size)
            memcpy(length, head, more + 1)
            writer.at += more
            return
        writer.full = 1
    writer.at = mark


cdef void write_packed_sints(writer_t *writer, uint32_t number, const int64_t *values, uint32_t count) noexcept nogil:
    cdef uint8_t *mark
    cdef uint32_t i
    if count:
        mark = begin_message(writer, number)
        for i in range(count):
            write_number(writer, zigzag(values[i]))
        end_message(writer, mark)


cdef void write_packed_fixed32s(writer_t *writer, uint32_t number, const uint32_t *values, uint32_t count) noexcept nogil:
    cdef uint8_t *mark
    cdef uint32_t i
    if count:
        mark = begin_message(writer, number)
        for i in range(count):
            if not has_room(writer, 4):
                writer.full = 1
                break
            writer.at = put_fixed(writer.at, values[i], 4)
        end_message(writer, mark)


# To what a uint32 field holds.
cdef inline uint32_t _clip(int64_t value) noexcept nogil:
    return 0 if value < 0 else UINT32_MAX if value > UINT32_MAX else <uint32_t>value


# To millimetres, half up.
cdef inline uint32_t _millimetres(double metres) noexcept nogil:
    cdef double scaled = metres * 1000.0 + 0.5
    return <uint32_t>scaled if 0.0 <= scaled < 4294967296.0 else UINT32_MAX if scaled > 0.0 else 0


# Its fields take less than 0x80 bytes, so its length is one byte; `number` is below 16.
cdef uint8_t *_put_hit(uint8_t *at, uint32_t number, const hit_t *hit) noexcept nogil:
    cdef uint8_t *start = at + 2
    at = put_field(start, 1, hit.slot)
    at = put_field(at, 2, hit.region)
    at = put_field(at, 3, _millimetres(hit.distance_m))
    at = put_field(at, 4, _clip(hit.dealt_milli))
    at = put_field(at, 5, _clip(hit.armour_milli))
    at = put_field(at, 6, _clip(hit.shield_milli))
    at = put_field(at, 7, _clip(hit.overkill_milli))
    at = put_field(at, 8, _clip(hit.health_milli))
    at = put_field(at, 9, hit.critical != 0)
    at = put_field(at, 10, hit.lethal != 0)
    at = put_field(at, 11, _clip(hit.healed_milli))
    at = put_field(at, 12, hit.reason)
    put_tag(start - 2, number, 2)[0] = <uint8_t>(at - start)
    return at


cdef void write_hit(writer_t *writer, uint32_t number, const hit_t *hit) noexcept nogil:
    cdef uint8_t scratch[MOST_HIT]
    write_raw(writer, scratch, _put_hit(scratch, number, hit) - scratch)


cdef inline uint8_t *_put_float(uint8_t *at, uint32_t number, double value) noexcept nogil:
    cdef uint32_t bits = float_bits(<float>value)
    return put_fixed(put_tag(at, number, 5), bits, 4) if bits else at


cdef uint8_t *_put_correction(uint8_t *at, const verdict_t *verdict) noexcept nogil:
    cdef uint8_t *start = at + 2
    at = _put_float(start, 1, verdict.position.x)
    at = _put_float(at, 2, verdict.position.y)
    at = _put_float(at, 3, verdict.position.z)
    at = _put_float(at, 4, verdict.velocity.x)
    at = _put_float(at, 5, verdict.velocity.y)
    at = _put_float(at, 6, verdict.velocity.z)
    put_tag(start - 2, 10, 2)[0] = <uint8_t>(at - start)
    return at


# The whole field, its tag included; MOST_VERDICT + hits x MOST_HIT bytes are enough.
cdef uint8_t *_put_verdict(uint8_t *at, uint32_t number, const verdict_t *verdict) noexcept nogil:
    cdef uint8_t *length = put_tag(at, number, 2)
    cdef uint8_t *start = length + 1
    cdef uint64_t size
    cdef int i
    at = put_field(start, 1, verdict.slot)
    at = put_field(at, 2, verdict.sequence)
    at = put_field(at, 3, verdict.outcome)
    at = put_field(at, 4, verdict.reason)
    at = put_field(at, 5, verdict.repeated != 0)
    at = put_field(at, 6, verdict.journal_sequence)
    at = put_field(at, 7, _clip(verdict.rewind_us))
    at = put_field(at, 8, verdict.clamp)
    for i in range(min(verdict.hits, MAX_HITS)):
        at = _put_hit(at, 9, &verdict.hit[i])
    if verdict.corrected:
        at = _put_correction(at, verdict)
    at = put_field(at, 11, verdict.ammo)
    size = at - start
    if size < 0x80:
        length[0] = <uint8_t>size
        return at
    memmove(start + 1, start, size)     # 16 hits stay below 2^14 bytes: a length of two bytes
    put_varint(length, size)
    return at + 1


cdef int write_verdict(writer_t *writer, uint32_t number, const verdict_t *verdict) noexcept nogil:
    cdef uint8_t scratch[MOST_VERDICT + 16 * MOST_HIT]
    if has_room(writer, MOST_VERDICT + min(verdict.hits, MAX_HITS) * MOST_HIT):
        writer.at = _put_verdict(writer.at, number, verdict)
    else:
        write_raw(writer, scratch, _put_verdict(scratch, number, verdict) - scratch)
    return not writer.full
