"""The Python door to the counter-based generator; for tests and for reading a journal's draws again."""

from libc.stdint cimport uint32_t, uint64_t
from native.philox cimport philox, philox_t


def draw(uint64_t key, uint32_t a, uint32_t b, uint32_t c, uint32_t d):
    cdef philox_t out = philox(key, a, b, c, d)
    return out.v[0], out.v[1], out.v[2], out.v[3]
