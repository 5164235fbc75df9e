"""Writing protobuf messages: verdicts, records, single fields."""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from native.protobuf cimport MOST_FIELD, double_bits, float_bits, put_fixed, put_tag, put_varint, zigzag
from native.types cimport hit_t, verdict_t

ctypedef struct writer_t:
    uint8_t *start
    uint8_t *at
    uint8_t *end
    uint8_t full                # something did not fit; the writer stays at the last whole message

# One Verdict as field `number` of the enclosing message; 0 when it did not fit.
cdef int write_verdict(writer_t *writer, uint32_t number, const verdict_t *verdict) noexcept nogil
cdef void write_hit(writer_t *writer, uint32_t number, const hit_t *hit) noexcept nogil
cdef void write_bytes(writer_t *writer, uint32_t number, const uint8_t *data, uint32_t size) noexcept nogil
# Bytes as they are: whole fields that were written before, or the inside of a packed field.
cdef void write_raw(writer_t *writer, const uint8_t *data, uint64_t size) noexcept nogil
# Packed repeated fields; skipped when empty.
cdef void write_packed_sints(writer_t *writer, uint32_t number, const int64_t *values, uint32_t count) noexcept nogil
cdef void write_packed_fixed32s(writer_t *writer, uint32_t number, const uint32_t *values, uint32_t count) noexcept nogil
# A message of unknown length: keep what `begin` returns and give it to `end`. When something inside did
# not fit, `end` takes the writer back to where the message began.
cdef uint8_t *begin_message(writer_t *writer, uint32_t number) noexcept nogil
cdef void end_message(writer_t *writer, uint8_t *mark) noexcept nogil

# Single fields.

cdef inline int has_room(writer_t *writer, uint64_t size) noexcept nogil:
    return not writer.full and <uint64_t>(writer.end - writer.at) >= size

cdef inline void write_varint_always(writer_t *writer, uint32_t number, uint64_t value) noexcept nogil:
    cdef uint8_t field[MOST_FIELD]
    if has_room(writer, MOST_FIELD):
        writer.at = put_varint(put_tag(writer.at, number, 0), value)
    else:
        write_raw(writer, field, put_varint(put_tag(field, number, 0), value) - field)

cdef inline void write_varint(writer_t *writer, uint32_t number, uint64_t value) noexcept nogil:  # skips 0
    if value:
        write_varint_always(writer, number, value)

cdef inline void write_sint_always(writer_t *writer, uint32_t number, int64_t value) noexcept nogil:
    write_varint_always(writer, number, zigzag(value))

cdef inline void write_sint(writer_t *writer, uint32_t number, int64_t value) noexcept nogil:     # skips 0
    write_varint(writer, number, zigzag(value))

cdef inline void write_fixed64(writer_t *writer, uint32_t number, uint64_t value) noexcept nogil: # skips 0
    cdef uint8_t field[MOST_FIELD]
    if value:
        write_raw(writer, field, put_fixed(put_tag(field, number, 1), value, 8) - field)

cdef inline void write_fixed32(writer_t *writer, uint32_t number, uint32_t value) noexcept nogil: # skips 0
    cdef uint8_t field[MOST_FIELD]
    if value:
        write_raw(writer, field, put_fixed(put_tag(field, number, 5), value, 4) - field)

cdef inline void write_float(writer_t *writer, uint32_t number, float value) noexcept nogil:      # skips +0
    write_fixed32(writer, number, float_bits(value))

cdef inline void write_double(writer_t *writer, uint32_t number, double value) noexcept nogil:    # skips +0
    write_fixed64(writer, number, double_bits(value))
