"""What a viewer is shown: quantised states by tick, differences, area of interest; and the state hash."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from native.wire cimport writer_t

ctypedef struct entity_t:       # Entity of the contract, quantised
    uint8_t present
    uint8_t mode
    uint8_t team
    uint8_t weapon
    uint32_t flags
    int32_t x_mm
    int32_t y_mm
    int32_t z_mm
    uint32_t yaw                # 1/65536 turn
    int32_t pitch
    uint32_t health_milli
    uint32_t armour_milli
    uint32_t shield_milli
    uint32_t kills
    uint32_t deaths

ctypedef struct missile_t:      # Projectile of the contract
    uint32_t id
    uint32_t owner
    uint32_t weapon
    int32_t x_mm
    int32_t y_mm
    int32_t z_mm

ctypedef struct album_t:        # ring of the last `ticks` states
    uint32_t ticks
    uint32_t slots
    uint32_t newest
    uint32_t rows
    entity_t *entity            # [ticks][slots]

cdef int album_open(album_t *album, uint32_t ticks, uint32_t slots) except -1
cdef void album_close(album_t *album) noexcept
# The row of `tick`, cleared, for the caller to fill.
cdef entity_t *album_begin(album_t *album, uint32_t tick) noexcept nogil
# Writes a Snapshot as field `number`: what `viewer` (-1: everything) may see at the newest tick, as a
# difference to `baseline` (0 or no longer held: full). Interest is a pure function of the rows, so no
# state is kept for a viewer: own seat, and seats within `interest_mm` (own team at any distance).
cdef int snapshot_write(const album_t *album, writer_t *writer, uint32_t number, int viewer, uint32_t baseline,
                        int64_t interest_mm, const missile_t *missiles, uint32_t count) noexcept nogil
# Hash of bytes, chained: FNV-like 64-bit multiply-mix over 8-byte words, same on every machine.
cdef uint64_t hash_bytes(uint64_t seed, const uint8_t *data, uint64_t size) noexcept nogil
cdef uint64_t hash_u64(uint64_t seed, uint64_t value) noexcept nogil
