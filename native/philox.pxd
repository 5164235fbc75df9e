"""Counter-based randomness: Philox4x32-10 (Salmon et al., SC11). Header only."""

from libc.stdint cimport uint32_t, uint64_t

ctypedef enum Purpose:      # keeps the draws of one command apart
    DRAW_SPREAD = 1
    DRAW_CRIT = 2
    DRAW_SPAWN = 3

ctypedef struct philox_t:
    uint32_t v[4]

cdef inline philox_t philox(uint64_t key, uint32_t a, uint32_t b, uint32_t c, uint32_t d) noexcept nogil:
    """Counter (a, b, c, d) = (shooter, command sequence, pellet, purpose); key low word first."""
    cdef uint32_t k0 = <uint32_t>key
    cdef uint32_t k1 = <uint32_t>(key >> 32)
    cdef uint64_t p0, p1
    cdef uint32_t x0 = a, x1 = b, x2 = c, x3 = d
    cdef philox_t out
    cdef int i
    for i in range(10):
        p0 = <uint64_t>0xD2511F53u * x0
        p1 = <uint64_t>0xCD9E8D57u * x2
        x0 = <uint32_t>(p1 >> 32) ^ x1 ^ k0
        x1 = <uint32_t>p1
        x2 = <uint32_t>(p0 >> 32) ^ x3 ^ k1
        x3 = <uint32_t>p0
        k0 += 0x9E3779B9u
        k1 += 0xBB67AE85u
    out.v[0] = x0
    out.v[1] = x1
    out.v[2] = x2
    out.v[3] = x3
    return out
