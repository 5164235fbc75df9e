"""A row of bytes that values pass into, or out of: one description of a struct both writes and reads it."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from native.types cimport vec3

ctypedef struct archive_t:
    uint8_t *at
    uint8_t *end
    uint8_t reading             # else writing
    uint8_t broken              # nothing more comes of it

# As they are.
cdef void pass_bytes(archive_t *archive, void *value, uint64_t size) noexcept nogil
cdef void pass_u64(archive_t *archive, uint64_t *value) noexcept nogil
cdef void pass_i64(archive_t *archive, int64_t *value) noexcept nogil
# At most `most`; likewise below.
cdef void pass_u32(archive_t *archive, uint32_t *value, uint32_t most=*) noexcept nogil
# Below `count`.
cdef void pass_index(archive_t *archive, uint32_t *value, uint32_t count) noexcept nogil
cdef void pass_i32(archive_t *archive, int32_t *value) noexcept nogil
cdef void pass_u8(archive_t *archive, uint8_t *value, uint8_t most=*) noexcept nogil
cdef void pass_u16(archive_t *archive, uint16_t *value, uint16_t most) noexcept nogil
cdef void pass_real(archive_t *archive, double *value) noexcept nogil
cdef void pass_vector(archive_t *archive, vec3 *value) noexcept nogil
# 32-bit words, of which those that differ from `before` are written.
cdef void pass_words(archive_t *archive, uint32_t *words, const uint32_t *before, int count) noexcept nogil

# Content under a magic, the number of its format and a check sum; and where it begins in what was sealed.
# Raises ValueError for what was not sealed with these, or is damaged; `what` it should be is for the message.
cdef bytes seal(bytes magic, uint32_t form, bytes content)
cdef uint64_t unseal(bytes magic, uint32_t form, str what, bytes data) except 0
