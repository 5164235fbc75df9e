"""The protobuf wire format of the Play frames.

Reading takes two passes: `read_frame` checks the structure of everything, so that `next_command` may
read without a check. Both follow the protobuf runtime to the letter: unknown fields, and known ones of
another wire type, are skipped; the last value of a scalar wins; repeated messages merge; the last kind
of a oneof wins; numbers are cut to the width of their field.
"""

from libc.math cimport isfinite
from libc.stdint cimport UINT32_MAX, int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memset
from native.protobuf cimport take_float, take_varint
from native.types cimport (
    COMMAND_ACTION, COMMAND_DAMAGE, COMMAND_MOVE, COMMAND_NONE, COMMAND_SHOT, MODE_COUNT,
    REASON_BAD_SEQUENCE, REASON_NO_KIND, REASON_NONE, REASON_OUT_OF_RANGE, command_t, direct_t, move_t,
    shot_t, use_t, vec3,
)

cdef enum:                      # tags: field number x 8 + wire type
    TAG_HELLO = 0x0A
    TAG_COMMAND = 0x32
    TAG_SESSION_ID = 0x0A       # in Hello
    TAG_MOVE = 0x2A             # in Command
    TAG_SHOT = 0x32
    TAG_ACTION = 0x3A
    TAG_DAMAGE = 0x42

cdef enum Inside:               # which message: it says what its fields are
    IN_HELLO
    IN_COMMAND
    IN_KIND

cdef enum:
    MOST_DEPTH = 100            # what the protobuf runtime allows
    MOST_TAG = 5                # bytes of a tag or a length
    MOST_NUMBER = 10

cdef double YAW_MOST = 6283.186         # 1000 turns, and what rounding to float adds
cdef double PITCH_MOST = 1.5707965      # pi / 2 likewise
cdef double DIRECTION_LEAST_2 = 1e-6    # squared lengths
cdef double DIRECTION_MOST_2 = 1e6
cdef uint32_t AMOUNT_MOST_MILLI = 1000000000
cdef int64_t CLIENT_TIME_MOST_US = 9007199254740991     # 2^53 - 1: times add up without overflow
cdef uint32_t FRACTION_MOST = 65535
cdef uint32_t SOURCES = 3               # values of DamageSource; the first is not a source

STATUS_NAMES = ("OK", "TRUNCATED", "BAD_TAG", "BAD_TEXT", "TOO_MANY", "TOO_LONG", "TOO_DEEP")


cdef str status_name(uint32_t status):
    return STATUS_NAMES[status]


# ---- with checks: every function returns where it got to, or NULL and a status --------------------

cdef const uint8_t *_read_number(const uint8_t *at, const uint8_t *end, int most, uint64_t *value,
                                 uint32_t *status) noexcept nogil:
    cdef uint64_t number = 0
    cdef int i
    for i in range(most):
        if at + i == end:
            status[0] = WIRE_TRUNCATED
            return NULL
        number |= <uint64_t>(at[i] & 0x7F) << (7 * i)
        if at[i] < 0x80:
            value[0] = number
            return at + i + 1
    status[0] = WIRE_TOO_LONG
    return NULL


cdef inline const uint8_t *_read_varint(const uint8_t *at, const uint8_t *end, uint64_t *value,
                                        uint32_t *status) noexcept nogil:
    if at < end and at[0] < 0x80:
        value[0] = at[0]
        return at + 1
    return _read_number(at, end, MOST_NUMBER, value, status)


cdef inline const uint8_t *_read_tag(const uint8_t *at, const uint8_t *end, uint32_t *tag,
                                     uint32_t *status) noexcept nogil:
    cdef uint64_t number = 0
    if at < end and at[0] < 0x80:
        tag[0] = at[0]
        return at + 1
    at = _read_number(at, end, MOST_TAG, &number, status)
    if at != NULL and number > UINT32_MAX:
        status[0] = WIRE_BAD_TAG
        return NULL
    tag[0] = <uint32_t>number
    return at


# `size` bytes follow, all of them there.
cdef inline const uint8_t *_read_size(const uint8_t *at, const uint8_t *end, uint64_t *size,
                                      uint32_t *status) noexcept nogil:
    if at < end and at[0] < 0x80:
        size[0] = at[0]
        at += 1
    else:
        at = _read_number(at, end, MOST_TAG, size, status)
        if at == NULL:
            return NULL
    if size[0] > <uint64_t>(end - at):
        status[0] = WIRE_TRUNCATED
        return NULL
    return at


cdef const uint8_t *_skip_group(const uint8_t *at, const uint8_t *end, uint32_t opened, int depth,
                                uint32_t *status) noexcept nogil:
    cdef uint32_t tag = 0
    if depth == 0:
        status[0] = WIRE_TOO_DEEP
        return NULL
    while True:
        at = _read_tag(at, end, &tag, status)
        if at == NULL or tag == opened + 1:     # the end tag of the same number
            return at
        at = _skip_value(at, end, tag, depth - 1, status)
        if at == NULL:
            return NULL


# `depth`: messages and groups that may still be opened.
cdef inline const uint8_t *_skip_value(const uint8_t *at, const uint8_t *end, uint32_t tag, int depth,
                                       uint32_t *status) noexcept nogil:
    cdef uint64_t number = 0
    cdef uint32_t wire_type = tag & 7
    if wire_type == 5 or wire_type == 1:
        number = 4 if wire_type == 5 else 8
        if <uint64_t>(end - at) < number:
            status[0] = WIRE_TRUNCATED
            return NULL
        return at + number
    if wire_type == 0:
        return _read_varint(at, end, &number, status)
    if wire_type == 2:
        at = _read_size(at, end, &number, status)
        return at if at == NULL else at + number
    if wire_type == 3:
        return _skip_group(at, end, tag, depth, status)
    status[0] = WIRE_BAD_TAG
    return NULL


cdef inline int _is_kind(uint64_t tag) noexcept nogil:
    return tag == TAG_MOVE or tag == TAG_SHOT or tag == TAG_ACTION or tag == TAG_DAMAGE


# A message inside the frame.
cdef uint32_t _check_message(const uint8_t *at, const uint8_t *end, Inside inside, int depth) noexcept nogil:
    cdef uint32_t tag = 0
    cdef uint32_t status = WIRE_OK
    cdef uint64_t size = 0
    while at < end and not status:
        at = _read_tag(at, end, &tag, &status)
        if at == NULL:
            break
        if tag < 8:
            return WIRE_BAD_TAG
        if inside == IN_COMMAND and _is_kind(tag):
            at = _read_size(at, end, &size, &status)
            if at != NULL:
                status = _check_message(at, at + size, IN_KIND, depth - 1)
                at += size
        elif inside == IN_HELLO and tag == TAG_SESSION_ID:
            at = _read_size(at, end, &size, &status)
            if at != NULL:
                status = WIRE_OK if _is_utf8(at, at + size) else WIRE_BAD_TEXT
                at += size
        else:
            at = _skip_value(at, end, tag, depth, &status)
    return status


# No overlong forms, no surrogates, nothing above U+10FFFF.
cdef int _is_utf8(const uint8_t *at, const uint8_t *end) noexcept nogil:
    cdef uint32_t code
    cdef int more, i
    while at < end:
        code = at[0]
        at += 1
        if code < 0x80:
            continue
        if code < 0xC2 or code > 0xF4:
            return 0
        more = 1 if code < 0xE0 else 2 if code < 0xF0 else 3
        if end - at < more:
            return 0
        code &= 0x3F >> more
        for i in range(more):
            if at[i] & 0xC0 != 0x80:
                return 0
            code = code << 6 | (at[i] & 0x3F)
        if more == 2 and (code < 0x800 or 0xD800 <= code <= 0xDFFF):
            return 0
        if more == 3 and (code < 0x10000 or code > 0x10FFFF):
            return 0
        at += more
    return 1


cdef uint32_t read_frame(const uint8_t *data, uint32_t size, uint32_t most_commands, frame_t *out) noexcept nogil:
    cdef const uint8_t *at = data
    cdef const uint8_t *end = data + size
    cdef uint32_t tag = 0
    cdef uint32_t status = WIRE_OK
    cdef uint64_t number = 0
    cdef Inside inside
    memset(out, 0, sizeof(frame_t))
    while at < end:
        at = _read_tag(at, end, &tag, &status)
        if at == NULL:
            return status
        if tag < 8:
            return WIRE_BAD_TAG
        if tag == TAG_COMMAND or tag == TAG_HELLO:
            at = _read_size(at, end, &number, &status)
            if at == NULL:
                return status
            if tag == TAG_HELLO:
                out.has_hello = 1
                inside = IN_HELLO
            else:
                out.commands += 1
                inside = IN_COMMAND
                if out.commands > most_commands:
                    return WIRE_TOO_MANY
            status = _check_message(at, at + number, inside, MOST_DEPTH - 1)
            if status:
                return status
            at += number
        elif tag & 7 == 0:
            at = _read_varint(at, end, &number, &status)
            if at == NULL:
                return status
            if tag == 0x10:
                out.frame = number
            elif tag == 0x18:
                out.view_tick = <uint32_t>number
            elif tag == 0x20:
                out.view_fraction = <uint32_t>number
            elif tag == 0x28:
                out.acked_snapshot = <uint32_t>number
            elif tag == 0x38:
                out.ping_us = number
        else:
            at = _skip_value(at, end, tag, MOST_DEPTH, &status)
            if at == NULL:
                return status
    return WIRE_OK


# ---- without checks: `read_frame` has made sure of the structure -------------------------

cdef const uint8_t *_pass_by(const uint8_t *at, const uint8_t *end, uint32_t tag) noexcept nogil:
    cdef uint32_t status = WIRE_OK
    return _skip_value(at, end, tag, MOST_DEPTH, &status)


cdef void _fill_move(const uint8_t *at, const uint8_t *end, move_t *out) noexcept nogil:
    cdef uint64_t tag = 0
    cdef uint64_t number = 0
    while at < end:
        at = take_varint(at, &tag)
        if tag == 0x0D:
            out.x = take_float(at)
        elif tag == 0x15:
            out.y = take_float(at)
        elif tag == 0x1D:
            out.z = take_float(at)
        elif tag == 0x25:
            out.yaw = take_float(at)
        elif tag == 0x2D:
            out.pitch = take_float(at)
        elif tag == 0x30:
            at = take_varint(at, &number)
            out.mode = <uint32_t>number
            continue
        elif tag == 0x38:
            at = take_varint(at, &number)
            out.client_time_us = <int64_t>number
            continue
        else:
            at = _pass_by(at, end, <uint32_t>tag)
            continue
        at += 4


cdef void _fill_shot(const uint8_t *at, const uint8_t *end, shot_t *out) noexcept nogil:
    cdef uint64_t tag = 0
    cdef uint64_t number = 0
    while at < end:
        at = take_varint(at, &tag)
        if tag == 0x15:
            out.origin.x = take_float(at)
        elif tag == 0x1D:
            out.origin.y = take_float(at)
        elif tag == 0x25:
            out.origin.z = take_float(at)
        elif tag == 0x2D:
            out.direction.x = take_float(at)
        elif tag == 0x35:
            out.direction.y = take_float(at)
        elif tag == 0x3D:
            out.direction.z = take_float(at)
        elif tag == 0x08:
            at = take_varint(at, &number)
            out.weapon = <uint32_t>number
            continue
        else:
            at = _pass_by(at, end, <uint32_t>tag)
            continue
        at += 4


cdef void _fill_use(const uint8_t *at, const uint8_t *end, use_t *out) noexcept nogil:
    cdef uint64_t tag = 0
    cdef uint64_t number = 0
    while at < end:
        at = take_varint(at, &tag)
        if tag == 0x08:
            at = take_varint(at, &number)
            out.action = <uint32_t>number
        elif tag == 0x10:
            at = take_varint(at, &number)
            out.target = <uint32_t>number
        elif tag == 0x1D:
            out.point.x = take_float(at)
            at += 4
        elif tag == 0x25:
            out.point.y = take_float(at)
            at += 4
        elif tag == 0x2D:
            out.point.z = take_float(at)
            at += 4
        else:
            at = _pass_by(at, end, <uint32_t>tag)


cdef void _fill_direct(const uint8_t *at, const uint8_t *end, direct_t *out) noexcept nogil:
    cdef uint64_t tag = 0
    cdef uint64_t number = 0
    while at < end:
        at = take_varint(at, &tag)
        if tag & 7 != 0:
            at = _pass_by(at, end, <uint32_t>tag)
            continue
        at = take_varint(at, &number)
        if tag == 0x08:
            out.target = <uint32_t>number
        elif tag == 0x10:
            out.amount_milli = <uint32_t>number
        elif tag == 0x18:
            out.source = <uint32_t>number
        elif tag == 0x20:
            out.bypass = number != 0


# Another kind than the one before takes its place; the same one is merged.
cdef const uint8_t *_fill_kind(const uint8_t *at, uint32_t kind, command_t *out) noexcept nogil:
    cdef uint64_t size = 0
    at = take_varint(at, &size)
    cdef const uint8_t *end = at + size
    cdef bint other = out.kind != kind
    out.kind = kind
    if kind == COMMAND_MOVE:
        if other:
            memset(&out.move, 0, sizeof(move_t))
        _fill_move(at, end, &out.move)
    elif kind == COMMAND_SHOT:
        if other:
            memset(&out.shot, 0, sizeof(shot_t))
        _fill_shot(at, end, &out.shot)
    elif kind == COMMAND_ACTION:
        if other:
            memset(&out.use, 0, sizeof(use_t))
        _fill_use(at, end, &out.use)
    else:
        if other:
            memset(&out.direct, 0, sizeof(direct_t))
        _fill_direct(at, end, &out.direct)
    return end


cdef void _fill_command(const uint8_t *at, const uint8_t *end, command_t *out) noexcept nogil:
    cdef uint64_t tag = 0
    cdef uint64_t number = 0
    out.slot = out.sequence = out.view_tick = out.view_fraction = 0
    out.kind = COMMAND_NONE
    out.raw = at
    out.raw_size = <uint32_t>(end - at)
    while at < end:
        at = take_varint(at, &tag)
        if tag == 0x08:
            at = take_varint(at, &number)
            out.slot = <uint32_t>number
        elif tag == 0x10:
            at = take_varint(at, &number)
            out.sequence = <uint32_t>number
        elif tag == 0x18:
            at = take_varint(at, &number)
            out.view_tick = <uint32_t>number
        elif tag == 0x20:
            at = take_varint(at, &number)
            out.view_fraction = <uint32_t>number
        elif _is_kind(tag):
            at = _fill_kind(at, <uint32_t>tag >> 3, out)
        else:
            at = _pass_by(at, end, <uint32_t>tag)
    out.reason = _judge_range(out)


cdef int next_command(cursor_t *cursor, command_t *out) noexcept nogil:
    cdef const uint8_t *at = cursor.at
    cdef uint64_t tag = 0
    cdef uint64_t size = 0
    while at < cursor.end:
        at = take_varint(at, &tag)
        if tag == TAG_COMMAND:
            at = take_varint(at, &size)
            _fill_command(at, at + size, out)
            cursor.at = at + size
            return 1
        at = _pass_by(at, cursor.end, <uint32_t>tag)
    cursor.at = at
    return 0


cdef uint32_t read_command(const uint8_t *data, uint32_t size, command_t *out) noexcept nogil:
    cdef uint32_t status = _check_message(data, data + size, IN_COMMAND, MOST_DEPTH - 1)
    if status == WIRE_OK:
        _fill_command(data, data + size, out)
    return status


# ---- what a value may be -------------------------------------------------------------------------

cdef inline int _is_point(const vec3 *point) noexcept nogil:
    return isfinite(point.x) and isfinite(point.y) and isfinite(point.z)


# Comparisons are false for NaN, so each asks for what is right.
cdef uint32_t _judge_range(const command_t *command) noexcept nogil:
    cdef const move_t *move = &command.move
    cdef const vec3 *aim = &command.shot.direction
    cdef double length_2
    cdef int good
    if command.sequence == 0:
        return REASON_BAD_SEQUENCE
    if command.kind == COMMAND_SHOT:
        length_2 = aim.x * aim.x + aim.y * aim.y + aim.z * aim.z
        good = _is_point(&command.shot.origin) and DIRECTION_LEAST_2 <= length_2 <= DIRECTION_MOST_2
    elif command.kind == COMMAND_MOVE:
        good = (
            isfinite(move.x) and isfinite(move.y) and isfinite(move.z)
            and -YAW_MOST <= move.yaw <= YAW_MOST and -PITCH_MOST <= move.pitch <= PITCH_MOST
            and move.mode < <uint32_t>MODE_COUNT and 0 <= move.client_time_us <= CLIENT_TIME_MOST_US
        )
    elif command.kind == COMMAND_ACTION:
        good = _is_point(&command.use.point)
    elif command.kind == COMMAND_DAMAGE:
        good = (
            0 < command.direct.amount_milli <= AMOUNT_MOST_MILLI and 0 < command.direct.source < SOURCES
        )
    else:
        return REASON_NO_KIND
    return REASON_NONE if good and command.view_fraction <= FRACTION_MOST else REASON_OUT_OF_RANGE
