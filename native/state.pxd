"""The state of one arena in one C struct. Everything is allocated when the arena is made and sized by
`slots`; nothing here holds a Python object. Modules that judge take a pointer to it."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from native.actions cimport loadout_t
from native.damage cimport body_t
from native.history cimport history_t
from native.hitreg cimport contact_t, scratch_t
from native.movement cimport mover_t
from native.rewind cimport link_t
from native.snapshot cimport album_t
from native.types cimport command_t, mode_t, ruleset_t, vec3, verdict_t
from native.wire cimport writer_t
from native.world cimport world_t

cdef enum:
    MAX_SLOTS = 1000
    MAX_TEAMS = 16
    MAX_MISSILES = 256          # projectiles in flight; over it: REASON_PROJECTILE_LIMIT
    MAX_ATTACKERS = 8           # remembered for assists; over it: the one longest ago is forgotten
    MAX_DRAWS = 96              # listed in the evidence of one shot
    REWIND_BIN_US = 25000       # the histogram of rewinds: bins of this width ...
    REWIND_BINS = 11            # ... so many, past the default limit of 250 ms
    ID_BYTES = 64
    KEPT_VERDICTS = 32          # held for repeats by each seat ...
    KEPT_BYTES = 4096           # ... as long as their bytes fit; over it: the oldest go
    COMMAND_BYTES = 512         # a longer command (unknown fields) is refused unread
    VERDICT_BYTES = 1024        # no encoded verdict is longer
    RECORD_BYTES = 3072         # no command's journal record is longer, ...
    INPUT_BYTES = 192           # ... and no other record, but for its hits ...
    HIT_BYTES = 96              # ... of at most so much each ...
    EVENT_BYTES = 64            # ... and its events
    CHECKPOINT_TICKS = 64       # state hash in the journal
    ALBUM_TICKS = 64            # snapshots that can be a baseline
    STEP_TIMES = 256            # ticks whose send time is known, for round trips

ctypedef struct attacker_t:
    uint32_t slot
    int64_t damage_milli
    int64_t last_us

ctypedef struct kept_t:         # an encoded verdict, in the seat's ring of bytes
    uint32_t sequence
    uint16_t offset
    uint16_t size

ctypedef struct seat_t:
    uint8_t taken
    uint8_t alive
    uint8_t team
    uint8_t epoch               # of the pose: changes at every break
    uint8_t attackers
    uint8_t disconnected        # shown only, not judged
    uint32_t shown_tick         # newest snapshot any frame acknowledged; not judged
    uint32_t entry              # in the roster
    uint32_t generation         # players who had the seat
    uint32_t life               # spawns in it
    uint32_t sequence           # last command judged
    uint32_t acked_tick         # newest snapshot a judged command acknowledged
    uint32_t kept_first         # ring of kept verdicts
    uint32_t kept_count
    uint32_t kept_at            # next byte
    int64_t spawned_us
    int64_t protected_us        # spawn protection until then
    int64_t respawn_us          # 0: not due
    mover_t mover
    body_t body
    link_t link
    attacker_t attacker[8]      # MAX_ATTACKERS
    loadout_t loadout

# Somebody who ever had a seat.
ctypedef struct entry_t:
    uint8_t id[64]
    uint8_t id_size
    uint8_t team
    uint32_t slot               # the last one
    uint32_t kills
    uint32_t deaths
    uint32_t assists
    int64_t damage_milli

ctypedef struct flight_t:       # a projectile
    uint8_t flying
    uint8_t bounces             # left
    uint32_t id
    uint32_t owner
    uint32_t weapon
    uint32_t sequence           # of the command, for draws
    uint32_t pellet
    int64_t at_us               # moved up to then
    int64_t end_us              # explodes or vanishes
    vec3 position
    vec3 velocity

ctypedef struct spawn_t:
    vec3 position
    double yaw
    uint32_t team               # plus one, 0: any

# What the judge saw, for the journal; filled by shots.
ctypedef struct evidence_t:
    uint8_t given
    int64_t claimed_us
    int64_t used_us
    double occluded_m           # 0: the ray was free
    uint32_t draws
    uint32_t draw[96]           # MAX_DRAWS
    vec3 target[16]             # feet, by hit

ctypedef struct counters_t:
    uint64_t commands
    uint64_t accepted
    uint64_t corrected
    uint64_t rejected
    uint64_t repeated
    uint64_t shots
    uint64_t hits
    uint64_t kills
    uint64_t frames
    uint64_t bad_frames
    uint64_t ticks
    uint64_t moves
    uint64_t actions
    uint64_t damage             # times somebody lost something
    uint64_t events_dropped
    uint64_t clamp[7]           # shots by Clamp
    uint64_t rewind[12]         # shots by how far back they looked: REWIND_BINS of REWIND_BIN_US, then all further
    uint64_t rewind_sum_us

ctypedef struct arena_t:
    # Fixed at creation.
    const ruleset_t *rules
    const world_t *world
    const mode_t *mode
    uint64_t key
    uint32_t slots
    uint32_t tick_rate
    uint32_t max_commands
    uint32_t volatile_kinds     # bit by CommandKind: their verdicts need not wait for the journal
    uint32_t spawns
    spawn_t *spawn
    # Judged state.
    uint8_t active
    uint8_t ended               # EndReason
    uint8_t contested           # two sides were alive at once
    uint32_t winner
    uint32_t tick
    uint32_t taken              # seats
    uint32_t entries
    uint32_t max_entries
    uint32_t next_missile
    uint32_t flying
    uint64_t sequence
    int64_t now_us              # time of the last record
    int64_t started_us
    int64_t stepped_us[256]     # by tick modulo STEP_TIMES
    uint32_t score[16]          # kills by team
    seat_t *seat
    entry_t *entry
    flight_t flight[256]        # MAX_MISSILES
    kept_t *kept                # [slots][KEPT_VERDICTS]
    uint8_t *kept_bytes         # [slots][KEPT_BYTES]
    history_t history
    # Shown, not judged.
    album_t album
    uint32_t trusted_tick       # acknowledged by the last trusted frame
    counters_t counters
    # Scratch.
    uint8_t *mask               # seats a ray may meet: all that are taken
    scratch_t scratch
    contact_t contact[16]
    command_t command
    verdict_t verdict
    evidence_t evidence
    # Output.
    uint64_t barrier            # newest record whose outcome may be told only when it is durable
    uint64_t awaits             # record that the answer to the last frame has to wait for
    uint8_t journalling
    writer_t journal
    writer_t hits               # of the record that is being judged: what no verdict lists ...
    writer_t caused             # ... and what happened by it
    writer_t events
    writer_t out
