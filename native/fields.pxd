"""Reading protobuf messages that may be damaged, field by field and never beyond their end. Header only.

Known fields of another wire type have another tag and so are skipped, as the protobuf runtime does; unlike it
this refuses fields that do not rise, which no writer of ours leaves behind.
"""

from libc.stdint cimport UINT32_MAX, uint8_t, uint32_t, uint64_t

cdef enum WireType:
    VARINT = 0
    FIXED64 = 1
    LENGTH = 2
    FIXED32 = 5

ctypedef struct field_t:
    uint32_t tag                # number x 8 + wire type; 0 before the first field
    uint64_t value              # of a varint
    const uint8_t *data         # of anything else
    uint64_t size


cdef inline bint read_varint(const uint8_t **at, const uint8_t *end, uint64_t *out) noexcept nogil:
    cdef int shift = 0
    cdef uint8_t byte
    if at[0] < end and at[0][0] < 0x80:
        out[0] = at[0][0]
        at[0] += 1
        return True
    out[0] = 0
    while at[0] < end and shift < 64:
        byte = at[0][0]
        at[0] += 1
        out[0] |= <uint64_t>(byte & 0x7F) << shift
        if byte < 0x80:
            return True
        shift += 7
    return False


# The next field of a message: False when it cannot be read, or does not come after the last one; only
# `repeated`, a field number (0: none), may come again.
cdef inline bint next_field(const uint8_t **at, const uint8_t *end, field_t *field,
                            uint32_t repeated) noexcept nogil:
    cdef uint32_t before = field.tag >> 3
    cdef uint32_t number, wire
    cdef uint64_t tag
    if not read_varint(at, end, &tag) or tag > UINT32_MAX:
        return False
    field.tag = <uint32_t>tag
    field.value = field.size = 0
    field.data = at[0]
    number = field.tag >> 3
    wire = field.tag & 7
    if number < before or (number == before and (number != repeated or number == 0)):
        return False
    if wire == VARINT:
        return read_varint(at, end, &field.value)
    if wire == LENGTH:
        if not read_varint(at, end, &field.size):
            return False
    elif wire == FIXED64:
        field.size = 8
    elif wire == FIXED32:
        field.size = 4
    else:
        return False
    if field.size > <uint64_t>(end - at[0]):
        return False
    field.data = at[0]
    at[0] += field.size
    return True
