"""Numbers of the protobuf wire format. Header only, and without any check: the caller has made sure that
the bytes are there, or that there is room for them."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

cdef extern from *:
    """
    #define MOST_FIELD 16
    """
    const int MOST_FIELD        # bytes of a tag and a number, at most 15


cdef inline uint8_t *put_varint(uint8_t *at, uint64_t value) noexcept nogil:
    while value >= 0x80:
        at[0] = <uint8_t>(value | 0x80)
        value >>= 7
        at += 1
    at[0] = <uint8_t>value
    return at + 1


cdef inline uint8_t *put_tag(uint8_t *at, uint32_t number, uint32_t wire_type) noexcept nogil:
    return put_varint(at, <uint64_t>number << 3 | wire_type)


cdef inline uint8_t *put_fixed(uint8_t *at, uint64_t value, int size) noexcept nogil:
    cdef int i
    for i in range(size):
        at[i] = <uint8_t>(value >> (8 * i))
    return at + size


# A number as a field, nothing when it is 0.
cdef inline uint8_t *put_field(uint8_t *at, uint32_t number, uint64_t value) noexcept nogil:
    return put_varint(put_tag(at, number, 0), value) if value else at


cdef inline uint64_t zigzag(int64_t value) noexcept nogil:
    return (<uint64_t>value << 1) ^ (0 - <uint64_t>(value < 0))


cdef inline int32_t unzigzag32(uint32_t value) noexcept nogil:
    return <int32_t>(value >> 1 ^ (0 - (value & 1)))


cdef inline uint32_t float_bits(float value) noexcept nogil:
    cdef uint32_t bits
    memcpy(&bits, &value, 4)
    return bits


cdef inline uint64_t double_bits(double value) noexcept nogil:
    cdef uint64_t bits
    memcpy(&bits, &value, 8)
    return bits


cdef inline const uint8_t *take_varint(const uint8_t *at, uint64_t *value) noexcept nogil:
    cdef uint64_t number = at[0]
    cdef int shift = 7
    at += 1
    if number < 0x80:
        value[0] = number
        return at
    number &= 0x7F
    while at[0] >= 0x80:
        number |= <uint64_t>(at[0] & 0x7F) << shift
        shift += 7
        at += 1
    value[0] = number | <uint64_t>at[0] << shift
    return at + 1


cdef inline double take_float(const uint8_t *at) noexcept nogil:
    cdef uint32_t bits = at[0] | <uint32_t>at[1] << 8 | <uint32_t>at[2] << 16 | <uint32_t>at[3] << 24
    cdef float value
    memcpy(&value, &bits, 4)
    return value
