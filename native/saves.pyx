"""A match as bytes, for whoever goes on with it: another process, or the same one later.

    magic, format, check sum | what it was made of, layout, state hash | its contents

What was damaged or cut is refused by the check sum, and what was made by another build, ruleset, map or
key by the numbers behind it. What was read must hash to the state that was saved.
"""

import hashlib
import struct

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from native.actions cimport active_t, loadout_t
from native.archive cimport archive_t, seal, unseal
from native.contents cimport CELL_WORDS, ENTITY_WORDS, pass_match
from native.damage cimport body_t
from native.digest cimport state_digest
from native.history cimport history_t
from native.movement cimport mover_t
from native.rewind cimport link_t
from native.ruleset cimport Ruleset
from native.snapshot cimport entity_t, hash_u64
from native.state cimport (
    ALBUM_TICKS, KEPT_BYTES, KEPT_VERDICTS, MAX_MISSILES, MAX_TEAMS, STEP_TIMES, arena_t, attacker_t, entry_t,
    flight_t, kept_t, seat_t,
)
from native.storage cimport arena_close, arena_open_like
from native.types cimport MAX_ACTIONS, MAX_WEAPONS
from native.world cimport World

MAGIC = b"arenamsh"

cdef enum:
    FORMAT = 1


# ---- what it is made of -----------------------------------------------------------------------

cdef uint64_t _layout() noexcept nogil:
    """Another build with other structs or bounds has another number."""
    cdef uint64_t h = hash_u64(FORMAT, sizeof(arena_t))
    h = hash_u64(h, sizeof(seat_t) | <uint64_t>sizeof(loadout_t) << 32)
    h = hash_u64(h, sizeof(mover_t) | <uint64_t>sizeof(link_t) << 32)
    h = hash_u64(h, sizeof(body_t) | <uint64_t>sizeof(active_t) << 32)
    h = hash_u64(h, sizeof(entry_t) | <uint64_t>sizeof(flight_t) << 32)
    h = hash_u64(h, sizeof(kept_t) | <uint64_t>sizeof(attacker_t) << 32)
    h = hash_u64(h, sizeof(entity_t) | <uint64_t>sizeof(history_t) << 32)
    h = hash_u64(h, MAX_WEAPONS | <uint64_t>MAX_ACTIONS << 32)
    h = hash_u64(h, KEPT_VERDICTS | <uint64_t>KEPT_BYTES << 32)
    h = hash_u64(h, ALBUM_TICKS | <uint64_t>STEP_TIMES << 32)
    return hash_u64(h, MAX_MISSILES | <uint64_t>MAX_TEAMS << 32)


cdef dict _making(const arena_t *arena, Ruleset ruleset, World world):
    """What must be the same where the match is restored, as numbers by name. The key stays a secret."""
    secret = hashlib.blake2b(int(arena.key).to_bytes(8, "little"), digest_size=8)
    return {
        "layout": _layout(),
        "ruleset": int(ruleset.hash(), 16),
        "map": world.hash(),
        "mode": arena.mode - &ruleset.c.mode[0],
        "max_players": arena.slots,
        "tick_rate": arena.tick_rate,
        "key": int.from_bytes(secret.digest(), "little"),
    }


# ---- saving -----------------------------------------------------------------------------------

cdef uint64_t _most_bytes(const arena_t *arena) noexcept nogil:
    """A varint is at most twice as long as its number in memory, or two bytes for one."""
    cdef uint64_t slots = arena.slots
    cdef uint64_t seat = sizeof(seat_t) + KEPT_VERDICTS * sizeof(kept_t) + KEPT_BYTES
    cdef uint64_t words = arena.history.rows * CELL_WORDS + arena.album.rows * ENTITY_WORDS
    return 2 * (sizeof(arena_t) + arena.max_entries * sizeof(entry_t)
                + slots * (seat + words * sizeof(uint32_t)))


cdef bytes save_match(arena_t *arena, Ruleset ruleset, World world):
    cdef archive_t archive
    cdef uint64_t room = _most_bytes(arena)
    cdef uint8_t *start = <uint8_t *>malloc(room)
    if start == NULL:
        raise MemoryError
    archive.at = start
    archive.end = start + room
    archive.reading = archive.broken = 0
    try:
        pass_match(&archive, arena)
        if archive.broken:
            raise RuntimeError("a match is longer than its bound, or holds what it cannot hold")
        state = PyBytes_FromStringAndSize(<char *>start, archive.at - start)
    finally:
        free(start)
    numbers = [*_making(arena, ruleset, world).values(), state_digest(arena)]
    return seal(MAGIC, FORMAT, struct.pack(f"<{len(numbers)}Q", *numbers) + state)


# ---- restoring --------------------------------------------------------------------------------

cdef tuple _opened(bytes data, tuple names):
    """The numbers by name, and the state's offset, of a saved match that is whole."""
    cdef uint64_t start = unseal(MAGIC, FORMAT, "match", data)
    if <uint64_t>len(data) < start + 8 * <uint64_t>len(names):
        raise ValueError("the saved match holds what cannot be")
    numbers = struct.unpack_from(f"<{len(names)}Q", data, start)
    return dict(zip(names, numbers)), start + 8 * len(names)


cdef list _roster(const arena_t *arena):
    cdef uint32_t i
    return [arena.entry[i].id[:arena.entry[i].id_size].decode() for i in range(arena.entries)]


cdef int _read(arena_t *arena, bytes data, uint64_t offset, uint64_t state_hash) except -1:
    cdef archive_t archive
    cdef uint32_t slot
    archive.at = <uint8_t *>PyBytes_AS_STRING(data) + offset
    archive.end = <uint8_t *>PyBytes_AS_STRING(data) + PyBytes_GET_SIZE(data)
    archive.reading = 1
    archive.broken = 0
    pass_match(&archive, arena)
    if archive.broken or archive.at != archive.end:
        raise ValueError("the saved match holds what cannot be")
    if state_digest(arena) != state_hash:
        raise ValueError("the saved match has not the state hash it was saved with")
    sitting = {arena.seat[slot].entry for slot in range(arena.slots) if arena.seat[slot].taken}
    if len(sitting) != arena.taken or len(set(_roster(arena))) != arena.entries:
        raise ValueError("the saved match holds a player twice")
    return 0


cdef list restore_match(arena_t *arena, Ruleset ruleset, World world, bytes data):
    cdef arena_t restored
    here = _making(arena, ruleset, world)
    saved, offset = _opened(data, (*here, "state hash"))
    differing = [name for name, number in here.items() if saved[name] != number]
    if differing:
        raise ValueError(f"the saved match is of another {' and another '.join(differing)}")
    try:
        arena_open_like(&restored, arena, world.spawns)
        _read(&restored, data, offset, saved["state hash"])
    except BaseException:
        arena_close(&restored)
        raise
    arena_close(arena)
    arena[0] = restored
    return _roster(arena)
