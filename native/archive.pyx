"""Each `pass_` function writes a value, or reads one in its place. Numbers are varints, most of them small or
zero. What does not fit, or may not be, breaks the archive; what is read after that is still within bounds."""

import hashlib
import struct

from libc.math cimport INFINITY
from libc.stdint cimport UINT32_MAX, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy
from native.protobuf cimport put_varint, zigzag
from native.types cimport vec3

cdef enum:
    MOST_NUMBER = 10            # bytes of a varint
    CHECK_BYTES = 16


cdef void pass_bytes(archive_t *archive, void *value, uint64_t size) noexcept nogil:
    if <uint64_t>(archive.end - archive.at) < size:
        archive.broken = 1
        archive.at = archive.end
    if archive.broken:
        return
    if archive.reading:
        memcpy(value, archive.at, size)
    else:
        memcpy(archive.at, value, size)
    archive.at += size


cdef uint64_t _take(archive_t *archive) noexcept nogil:
    cdef uint64_t value = 0
    cdef int shift = 0
    cdef uint8_t byte
    while archive.at < archive.end and shift < 64:
        byte = archive.at[0]
        archive.at += 1
        value |= <uint64_t>(byte & 0x7F) << shift
        if byte < 0x80:
            return value
        shift += 7
    archive.broken = 1
    return 0


cdef void _put(archive_t *archive, uint64_t value) noexcept nogil:
    cdef uint8_t number[MOST_NUMBER]
    pass_bytes(archive, number, put_varint(number, value) - number)


cdef void pass_u64(archive_t *archive, uint64_t *value) noexcept nogil:
    if archive.reading:
        value[0] = _take(archive)
    else:
        _put(archive, value[0])


cdef void pass_i64(archive_t *archive, int64_t *value) noexcept nogil:
    cdef uint64_t number = zigzag(value[0])
    pass_u64(archive, &number)
    value[0] = <int64_t>(number >> 1) ^ -<int64_t>(number & 1)


cdef void pass_u32(archive_t *archive, uint32_t *value, uint32_t most=UINT32_MAX) noexcept nogil:
    cdef uint64_t number = value[0]
    pass_u64(archive, &number)
    if number > most:
        archive.broken = 1
    else:
        value[0] = <uint32_t>number


cdef void pass_index(archive_t *archive, uint32_t *value, uint32_t count) noexcept nogil:
    if count == 0:
        archive.broken = 1
    else:
        pass_u32(archive, value, count - 1)


cdef void pass_i32(archive_t *archive, int32_t *value) noexcept nogil:
    cdef int64_t number = value[0]
    pass_i64(archive, &number)
    if <int32_t>number != number:
        archive.broken = 1
    else:
        value[0] = <int32_t>number


cdef void pass_u8(archive_t *archive, uint8_t *value, uint8_t most=255) noexcept nogil:
    cdef uint32_t number = value[0]
    pass_u32(archive, &number, most)
    value[0] = <uint8_t>number


cdef void pass_u16(archive_t *archive, uint16_t *value, uint16_t most) noexcept nogil:
    cdef uint32_t number = value[0]
    pass_u32(archive, &number, most)
    value[0] = <uint16_t>number


cdef void pass_real(archive_t *archive, double *value) noexcept nogil:
    cdef double number = value[0]
    pass_bytes(archive, &number, sizeof(double))
    if not -INFINITY < number < INFINITY:
        archive.broken = 1
    else:
        value[0] = number


cdef void pass_vector(archive_t *archive, vec3 *value) noexcept nogil:
    pass_real(archive, &value.x)
    pass_real(archive, &value.y)
    pass_real(archive, &value.z)


cdef void pass_words(archive_t *archive, uint32_t *words, const uint32_t *before, int count) noexcept nogil:
    """Which of them differ from those before, as bits, and by how much."""
    cdef uint32_t changed = 0
    cdef int64_t difference
    cdef int i
    for i in range(count):
        changed |= <uint32_t>(words[i] != before[i]) << i
    pass_u32(archive, &changed, (<uint32_t>1 << count) - 1)
    for i in range(count):
        difference = <int32_t>(words[i] - before[i])
        if changed >> i & 1:
            pass_i64(archive, &difference)
        elif archive.reading:
            difference = 0
        if archive.reading:
            words[i] = before[i] + <uint32_t>difference


# ---- sealed -------------------------------------------------------------------------------------

cdef bytes _check_sum(object content):
    return hashlib.blake2b(content, digest_size=CHECK_BYTES).digest()


cdef bytes seal(bytes magic, uint32_t form, bytes content):
    return magic + struct.pack("<I", form) + _check_sum(content) + content


cdef uint64_t unseal(bytes magic, uint32_t form, str what, bytes data) except 0:
    head = len(magic) + 4
    if data[:len(magic)] != magic or len(data) < head:
        raise ValueError(f"this is no saved {what}")
    (found,) = struct.unpack_from("<I", data, len(magic))
    if found != form:
        raise ValueError(f"the saved {what} has format {found}, not {form}")
    start = head + CHECK_BYTES
    if _check_sum(memoryview(data)[start:]) != data[head:start]:
        raise ValueError(f"the saved {what} is damaged: its check sum differs")
    return start
