"""What each record adds to whom. The twin, `reference/tally.py`, says it in the contract's messages; here the
fields are read one by one, and whatever they hold is refused rather than believed."""

from libc.math cimport cos, sin, sqrt
from libc.stdint cimport UINT32_MAX, int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport realloc
from libc.string cimport memcmp, memcpy, memset
from native.fields cimport FIXED32, LENGTH, VARINT, field_t, next_field
from native.journal cimport (
    RECORD_COMMAND, RECORD_JOIN, RECORD_LEAVE, RECORD_TICK, record_t,
)
from native.protobuf cimport take_float, unzigzag32
from native.state cimport ID_BYTES, MAX_SLOTS
from native.types cimport (
    COMMAND_MOVE, COMMAND_SHOT, OUTCOME_ACCEPTED, OUTCOME_CORRECTED, OUTCOME_REJECTED, REASON_DEAD, REASON_STUNNED,
    REGION_COUNT, REGION_HEAD, command_t,
)
from native.wire cimport WIRE_OK, read_command

cdef enum:
    BIN_US = 1000
    FIELDS = 12                 # above every number that is counted
    # Repeated fields.
    RECORD_EVENTS = 9
    TICK_HITS = 3
    COMMAND_UNLISTED = 6
    VERDICT_HITS = 9
    # Kinds of an Event.
    EVENT_SPAWN = 4
    EVENT_KILL = 5
    EVENT_END = 9

cdef double FARTHEST_MM = 2147483647.0
# A hit within this time after the last look, turned further than this from it, is a snap: 45 degrees, as the
# dot product of two looks.
cdef int64_t SNAP_US = 100000
# Nobody can have heard of a correction sooner: what a stalled link brings at once is one violation.
cdef int64_t CORRECTED_US = 100000
cdef int64_t SNAP_DOT = 707106781187

# A message's numbers and messages, by field number: absent ones are 0 and NULL, of repeated ones it is the last.
# All numbers that are counted have 32 bits.
cdef struct message_t:
    uint32_t number[12]         # FIELDS
    const uint8_t *data[12]
    uint64_t size[12]

# The hits of one command.
cdef struct strikes_t:
    uint32_t count
    uint32_t region[6]          # of each: REGION_COUNT


# ---- reading ----------------------------------------------------------------------------------

cdef int _refuse(const tally_t *tally, str why) except -1:
    raise ValueError(f"record {tally.sequence}: {why}")


cdef int _read(const tally_t *tally, const uint8_t *at, uint64_t size, uint32_t repeated,
               message_t *out) except -1:
    cdef const uint8_t *end = at + size
    cdef field_t field
    cdef uint32_t number
    field.tag = 0
    memset(out, 0, sizeof(message_t))
    while at < end:
        if not next_field(&at, end, &field, repeated):
            return _refuse(tally, "cannot be read")
        number = field.tag >> 3
        if number >= FIELDS:
            continue
        if field.tag & 7 == VARINT:
            out.number[number] = <uint32_t>field.value
        elif field.tag & 7 == LENGTH:
            out.data[number] = field.data
            out.size[number] = field.size
    return 0


cdef chair_t *_chair(tally_t *tally, uint32_t slot) except NULL:
    if slot >= tally.chairs or not tally.chair[slot].taken:
        _refuse(tally, f"nobody has seat {slot}")
    return &tally.chair[slot]


cdef player_t *_player(tally_t *tally, uint32_t slot) except NULL:
    return &tally.player[_chair(tally, slot).player]


cdef use_count_t *_weapon(tally_t *tally, player_t *player, uint32_t index) except NULL:
    if index >= tally.weapons:
        _refuse(tally, f"there is no weapon {index}")
    return &player.weapon[index]


# ---- seats --------------------------------------------------------------------------------------

cdef int make_room(tally_t *tally, uint32_t chairs, uint32_t players) except -1:
    cdef void *grown
    if chairs > tally.room_chairs:
        grown = realloc(tally.chair, chairs * sizeof(chair_t))
        if grown == NULL:
            raise MemoryError
        tally.chair = <chair_t *>grown
        tally.room_chairs = chairs
    if players > tally.room_players:
        grown = realloc(tally.player, players * sizeof(player_t))
        if grown == NULL:
            raise MemoryError
        tally.player = <player_t *>grown
        tally.room_players = players
    return 0


cdef uint32_t _known(const tally_t *tally, const uint8_t *id, uint32_t size) noexcept nogil:
    cdef uint32_t i
    for i in range(tally.players):
        if tally.player[i].id_size == size and memcmp(tally.player[i].id, id, size) == 0:
            return i
    return UINT32_MAX


cdef uint32_t _add_player(tally_t *tally, const uint8_t *id, uint32_t size) except? 0xFFFFFFFF:
    cdef player_t *player
    if not 1 <= size <= ID_BYTES:
        _refuse(tally, "player_id has not 1..64 bytes")
    try:
        id[:size].decode()
    except UnicodeDecodeError:
        _refuse(tally, "player_id is no text")
    if tally.players == tally.room_players:
        make_room(tally, 0, 2 * tally.players + 8)
    player = &tally.player[tally.players]
    memset(player, 0, sizeof(player_t))
    memcpy(player.id, id, size)
    player.id_size = size
    tally.players += 1
    return tally.players - 1


cdef int _fold_join(tally_t *tally, const record_t *record) except -1:
    cdef uint32_t slot = record.slot, index = _known(tally, record.id, record.id_size)
    cdef chair_t *chair
    cdef player_t *player
    if slot >= <uint32_t>MAX_SLOTS or (slot < tally.chairs and tally.chair[slot].taken):
        _refuse(tally, f"seat {slot} cannot be taken")
    if index == UINT32_MAX:
        index = _add_player(tally, record.id, record.id_size)
    elif tally.player[index].seated:
        _refuse(tally, "the player has a seat")
    if slot >= tally.chairs:
        make_room(tally, slot + 1, 0)
        memset(tally.chair + tally.chairs, 0, (slot + 1 - tally.chairs) * sizeof(chair_t))
        tally.chairs = slot + 1
    player = &tally.player[index]
    player.seated = 1
    player.slot = slot
    player.team = record.given_team - 1 if record.given_team else 0
    chair = &tally.chair[slot]
    memset(chair, 0, sizeof(chair_t))
    chair.taken = 1
    chair.player = index
    chair.team = record.given_team
    return 0


cdef void _end_life(tally_t *tally, chair_t *chair) noexcept nogil:
    if chair.alive:
        tally.player[chair.player].alive_us += tally.time_us - chair.since_us
    chair.alive = 0


cdef int _fold_leave(tally_t *tally, const record_t *record) except -1:
    cdef chair_t *chair = _chair(tally, record.slot)
    _end_life(tally, chair)
    tally.player[chair.player].streak = 0
    tally.player[chair.player].seated = 0
    chair.taken = 0
    return 0


# ---- hits ---------------------------------------------------------------------------------------

cdef int _fold_hit(tally_t *tally, uint32_t source, const uint8_t *data, uint64_t size) except -2:
    """Credits what it did; the region where it struck somebody else, or -1."""
    cdef message_t hit
    cdef player_t *attacker
    cdef player_t *target
    _read(tally, data, size, 0, &hit)
    attacker = _player(tally, source)
    target = _player(tally, hit.number[1])
    if hit.number[2] >= REGION_COUNT:
        _refuse(tally, f"there is no region {hit.number[2]}")
    target.taken_milli += hit.number[4]
    attacker.healed_milli += hit.number[11]
    if source == hit.number[1]:
        return -1
    attacker.dealt_milli += hit.number[4]
    return <int>hit.number[2] if hit.number[4] or hit.number[5] or hit.number[6] else -1


cdef struck_t *_struck(chair_t *chair, uint32_t sequence, bint *known) noexcept nogil:
    """The shot's place among the latest that hit; for a new one the oldest is forgotten."""
    cdef struck_t *shot
    cdef uint32_t i
    known[0] = True
    for i in range(chair.struck_count):
        shot = &chair.struck[(chair.struck_first + i) % STRUCK]
        if shot.sequence == sequence:
            return shot
    known[0] = False
    if chair.struck_count == <uint32_t>STRUCK:
        chair.struck_first = (chair.struck_first + 1) % STRUCK
        chair.struck_count -= 1
    shot = &chair.struck[(chair.struck_first + chair.struck_count) % STRUCK]
    chair.struck_count += 1
    shot.sequence = sequence
    shot.head = 0
    return shot


cdef int _fold_tick_hit(tally_t *tally, const uint8_t *data, uint64_t size) except -1:
    cdef message_t each
    cdef chair_t *chair
    cdef player_t *player
    cdef use_count_t *weapon
    cdef struck_t *shot
    cdef bint known
    cdef int region
    _read(tally, data, size, 0, &each)
    region = _fold_hit(tally, each.number[1], each.data[5], each.size[5])
    if region < 0 or each.number[2] == 0:
        return 0
    chair = _chair(tally, each.number[1])
    player = &tally.player[chair.player]
    weapon = _weapon(tally, player, each.number[2] - 1)
    player.region[region] += 1
    shot = _struck(chair, each.number[4], &known)
    player.hits += not known
    weapon.hits += not known
    if region == REGION_HEAD and not shot.head:
        shot.head = 1
        player.headshots += 1
    return 0


cdef int _fold_tick_hits(tally_t *tally, const record_t *record, uint32_t repeated) except -1:
    """All of the repeated field of that number in the record's input."""
    cdef const uint8_t *at = record.input
    cdef field_t field
    field.tag = 0
    while at < record.input_end:
        if not next_field(&at, record.input_end, &field, repeated):
            return _refuse(tally, "cannot be read")
        if field.tag == (repeated << 3 | LENGTH):
            _fold_tick_hit(tally, field.data, field.size)
    return 0


# ---- commands -----------------------------------------------------------------------------------

cdef int _millimetres(const tally_t *tally, double metres, int32_t *out) except -1:
    cdef double scaled = metres * 1000.0 + (0.5 if metres >= 0.0 else -0.5)
    if not -FARTHEST_MM <= scaled <= FARTHEST_MM:
        return _refuse(tally, f"{metres} m is no place")
    out[0] = <int32_t>scaled
    return 0


cdef int _corrected(const tally_t *tally, const message_t *verdict, double *place) except -1:
    cdef const uint8_t *at = verdict.data[10]
    cdef const uint8_t *end = at + verdict.size[10]
    cdef field_t field
    field.tag = 0
    place[0] = place[1] = place[2] = 0.0
    while at < end:
        if not next_field(&at, end, &field, 0):
            return _refuse(tally, "cannot be read")
        if field.tag & 7 == FIXED32 and 1 <= field.tag >> 3 <= 3:
            place[(field.tag >> 3) - 1] = take_float(field.data)
    return 0


cdef bint _unit(double x, double y, double z, int32_t *out) noexcept nogil:
    """The direction, in millionths; False of one that says nothing."""
    cdef double length = sqrt(x * x + y * y + z * z)
    cdef double part[3]
    cdef int i
    if not 1e-6 < length < 1e6:
        return False
    part[0] = x / length * 1e6
    part[1] = y / length * 1e6
    part[2] = z / length * 1e6
    for i in range(3):
        out[i] = <int32_t>(part[i] + (0.5 if part[i] >= 0.0 else -0.5))
    return True


cdef void _look(const tally_t *tally, chair_t *chair, const int32_t *look) noexcept nogil:
    chair.looked = 1
    chair.look_us = tally.time_us
    memcpy(chair.look, look, 3 * sizeof(int32_t))


cdef bint _snapped(const tally_t *tally, const chair_t *chair, const int32_t *look) noexcept nogil:
    cdef int64_t dot = 0
    cdef int i
    for i in range(3):
        dot += <int64_t>look[i] * chair.look[i]
    return chair.looked and tally.time_us - chair.look_us <= SNAP_US and dot < SNAP_DOT


cdef void _violated(tally_t *tally, chair_t *chair) noexcept nogil:
    if chair.corrected and tally.time_us - chair.corrected_us < CORRECTED_US:
        return
    chair.corrected = 1
    chair.corrected_us = tally.time_us
    tally.player[chair.player].violations += 1


cdef int _fold_move(tally_t *tally, chair_t *chair, const command_t *command, const message_t *verdict) except -1:
    cdef player_t *player = &tally.player[chair.player]
    cdef double place[3]
    cdef double apart, sum = 0.0
    cdef int32_t at_mm[3]
    cdef int32_t look[3]
    cdef double level
    cdef int i
    if verdict.number[3] == OUTCOME_REJECTED:
        # Who is dead or stunned did nothing wrong.
        if verdict.number[4] != REASON_DEAD and verdict.number[4] != REASON_STUNNED:
            _violated(tally, chair)
        return 0
    level = cos(command.move.pitch)
    if _unit(cos(command.move.yaw) * level, sin(command.move.yaw) * level, sin(command.move.pitch), look):
        _look(tally, chair, look)
    if verdict.number[3] == OUTCOME_CORRECTED:
        _violated(tally, chair)
        _corrected(tally, verdict, place)
    else:
        place[0] = command.move.x
        place[1] = command.move.y
        place[2] = command.move.z
    for i in range(3):
        _millimetres(tally, place[i], &at_mm[i])
        apart = <double>at_mm[i] - <double>chair.at_mm[i]
        sum += apart * apart
        chair.at_mm[i] = at_mm[i]
    if verdict.number[3] != OUTCOME_CORRECTED:
        player.moved_mm += <uint64_t>(sqrt(sum) + 0.5)
    return 0


cdef int _fold_shot(tally_t *tally, chair_t *chair, const command_t *command, const message_t *verdict,
                    const strikes_t *strikes) except -1:
    cdef player_t *player = &tally.player[chair.player]
    cdef use_count_t *weapon = _weapon(tally, player, command.shot.weapon)
    cdef int32_t look[3]
    cdef uint32_t i, bin = verdict.number[7] // BIN_US
    player.shots += 1
    weapon.shots += 1
    player.rewind[bin if bin < <uint32_t>REWIND_BINS else REWIND_BINS - 1] += 1
    player.clamped += verdict.number[8] != 0
    player.hits += strikes.count > 0
    weapon.hits += strikes.count > 0
    player.headshots += strikes.region[<int>REGION_HEAD] > 0
    for i in range(<uint32_t>REGION_COUNT):
        player.region[i] += strikes.region[i]
    if _unit(command.shot.direction.x, command.shot.direction.y, command.shot.direction.z, look):
        player.snap_hits += strikes.count > 0 and _snapped(tally, chair, look)
        _look(tally, chair, look)
    return 0


cdef int _fold_hits(tally_t *tally, uint32_t source, const record_t *record, strikes_t *out) except -1:
    """All that the verdict lists."""
    cdef const uint8_t *at = record.verdict
    cdef const uint8_t *end = record.verdict + record.verdict_size
    cdef field_t field
    cdef int region
    field.tag = 0
    memset(out, 0, sizeof(strikes_t))
    while at < end and next_field(&at, end, &field, VERDICT_HITS):
        if field.tag == (VERDICT_HITS << 3 | LENGTH):
            region = _fold_hit(tally, source, field.data, field.size)
            if region >= 0:
                out.count += 1
                out.region[region] += 1
    return 0


cdef int _fold_command(tally_t *tally, const record_t *record) except -1:
    cdef chair_t *chair = _chair(tally, record.slot)
    cdef command_t command
    cdef message_t verdict
    cdef strikes_t strikes
    if read_command(record.id, record.id_size, &command) != WIRE_OK:
        _refuse(tally, "its command cannot be read")
    _read(tally, record.verdict, record.verdict_size, VERDICT_HITS, &verdict)
    if command.kind == COMMAND_MOVE:
        _fold_move(tally, chair, &command, &verdict)
    if verdict.data[VERDICT_HITS] != NULL:
        _fold_hits(tally, record.slot, record, &strikes)
    else:
        memset(&strikes, 0, sizeof(strikes_t))
    if command.kind == COMMAND_SHOT and verdict.number[3] == OUTCOME_ACCEPTED:
        _fold_shot(tally, chair, &command, &verdict, &strikes)
    return _fold_tick_hits(tally, record, COMMAND_UNLISTED)


# ---- events -------------------------------------------------------------------------------------

cdef int _fold_spawn(tally_t *tally, const message_t *spawn) except -1:
    cdef chair_t *chair = _chair(tally, spawn.number[1])
    cdef int i
    chair.alive = 1
    chair.since_us = tally.time_us
    chair.looked = 0
    for i in range(3):
        chair.at_mm[i] = unzigzag32(spawn.number[2 + i])
    return 0


cdef int _fold_kill(tally_t *tally, const message_t *kill) except -1:
    """Numbers: victim, killer, assist plus one, weapon plus one, region, distance."""
    cdef chair_t *victim = _chair(tally, kill.number[1])
    cdef chair_t *killer = _chair(tally, kill.number[2])
    cdef player_t *player = &tally.player[victim.player]
    player.deaths += 1
    player.streak = 0
    _end_life(tally, victim)
    if victim != killer and not (killer.team and killer.team == victim.team):
        player = &tally.player[killer.player]
        player.kills += 1
        player.streak += 1
        player.best_streak = max(player.best_streak, player.streak)
        player.longest_mm = max(player.longest_mm, kill.number[6])
        if kill.number[4]:
            _weapon(tally, player, kill.number[4] - 1).kills += 1
    if kill.number[3]:
        _player(tally, kill.number[3] - 1).assists += 1
    return 0


cdef int _fold_event(tally_t *tally, const uint8_t *data, uint64_t size) except -1:
    cdef message_t event, inner
    cdef uint32_t i, kind = 0
    _read(tally, data, size, 0, &event)
    tally.tick = event.number[1]
    for i in range(2, EVENT_END + 1):
        if event.data[i] != NULL:
            kind = i            # of a oneof the last
    if kind == 0:
        return 0
    _read(tally, event.data[kind], event.size[kind], 0, &inner)
    if kind == EVENT_SPAWN:
        _fold_spawn(tally, &inner)
    elif kind == EVENT_KILL:
        _fold_kill(tally, &inner)
    elif kind == EVENT_END:
        for i in range(tally.chairs):
            _end_life(tally, &tally.chair[i])
    return 0


cdef int _fold_events(tally_t *tally, const record_t *record) except -1:
    cdef const uint8_t *at = record.events
    cdef field_t field
    field.tag = 0
    while at < record.end and next_field(&at, record.end, &field, RECORD_EVENTS):
        if field.tag == (RECORD_EVENTS << 3 | LENGTH):
            _fold_event(tally, field.data, field.size)
    return 0


cdef int fold_record(tally_t *tally, const record_t *record) except -1:
    if record.sequence != tally.sequence + 1:
        raise ValueError(f"record {record.sequence} follows record {tally.sequence}")
    tally.sequence = record.sequence
    if record.time_us < tally.time_us:
        _refuse(tally, "time runs backwards")
    tally.time_us = record.time_us
    if record.kind == RECORD_JOIN:
        _fold_join(tally, record)
    elif record.kind == RECORD_LEAVE:
        _fold_leave(tally, record)
    elif record.kind == RECORD_COMMAND:
        _fold_command(tally, record)
    elif record.kind == RECORD_TICK:
        tally.tick = record.tick
        _fold_tick_hits(tally, record, TICK_HITS)
    return _fold_events(tally, record) if record.eventful else 0
