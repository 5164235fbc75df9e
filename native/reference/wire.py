"""Twin of `native/wire` and `native/writer`: the readable specification of what the codec does.

Reading behaves as the protobuf runtime: unknown fields, and known ones of another wire type, are
skipped; the last value of a scalar wins; repeated messages merge; the last kind of a oneof wins; numbers
are cut to the width of their field.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterator
from typing import Any, Literal, NamedTuple

MOST_DEPTH = 100
YAW_MOST = 6283.186
PITCH_MOST = 1.5707965
AMOUNT_MOST_MILLI = 1_000_000_000
CLIENT_TIME_MOST_US = (1 << 53) - 1

VARINT, FIXED64, SIZED, GROUP, END_GROUP, FIXED32 = range(6)
MOVE, SHOT, ACTION, DAMAGE = 5, 6, 7, 8
NONE, BAD_SEQUENCE, OUT_OF_RANGE, NO_KIND = 0, 5, 7, 9

Scalar = Literal["uint32", "uint64", "bool", "float", "string"]
WIRE_TYPES: dict[Scalar, int] = {
    "uint32": VARINT,
    "uint64": VARINT,
    "bool": VARINT,
    "float": FIXED32,
    "string": SIZED,
}
# Of an enumeration the 32 bits are kept, so it reads as uint32.
SCHEMAS: dict[str, dict[int, tuple[str, Scalar]]] = {
    "hello": {
        1: ("session_id", "string"),
        2: ("protocol", "uint32"),
        3: ("resume_sequence", "uint64"),
        4: ("snapshot_rate_hz", "uint32"),
    },
    "frame": {
        2: ("frame", "uint64"),
        3: ("view_tick", "uint32"),
        4: ("view_fraction", "uint32"),
        5: ("acked_snapshot", "uint32"),
        7: ("ping_us", "uint64"),
    },
    "command": {
        1: ("slot", "uint32"),
        2: ("sequence", "uint32"),
        3: ("view_tick", "uint32"),
        4: ("view_fraction", "uint32"),
    },
    "move": {
        1: ("x", "float"),
        2: ("y", "float"),
        3: ("z", "float"),
        4: ("yaw", "float"),
        5: ("pitch", "float"),
        6: ("mode", "uint32"),
        7: ("client_time_us", "uint64"),
    },
    "shot": {
        1: ("weapon", "uint32"),
        2: ("origin_x", "float"),
        3: ("origin_y", "float"),
        4: ("origin_z", "float"),
        5: ("direction_x", "float"),
        6: ("direction_y", "float"),
        7: ("direction_z", "float"),
    },
    "action": {
        1: ("action", "uint32"),
        2: ("target", "uint32"),
        3: ("x", "float"),
        4: ("y", "float"),
        5: ("z", "float"),
    },
    "damage": {
        1: ("target", "uint32"),
        2: ("amount_milli", "uint32"),
        3: ("source", "uint32"),
        4: ("bypass", "bool"),
    },
}
KINDS = {MOVE: "move", SHOT: "shot", ACTION: "action", DAMAGE: "damage"}


class WireError(ValueError):
    """A frame that cannot be read; the message is the name of the WireStatus."""


class Command(NamedTuple):
    slot: int
    sequence: int
    view_tick: int
    view_fraction: int
    kind: int
    reason: int
    body: tuple[Any, ...]  # the kind's fields in the order of their numbers
    raw: bytes


class Frame(NamedTuple):
    has_hello: bool
    frame: int
    view_tick: int
    view_fraction: int
    acked_snapshot: int
    ping_us: int
    command_count: int
    commands: list[Command]


# ---- reading ----------------------------------------------------------------------------------------


class Reader:
    """Takes a message apart; `depth` is how many messages and groups may still be opened inside."""

    def __init__(self, data: bytes, depth: int) -> None:
        self.data = data
        self.at = 0
        self.depth = depth

    def fields(self) -> Iterator[tuple[int, int, Any]]:
        """(number, wire type, int or bytes) of each field. Groups are passed over."""
        while self.at < len(self.data):
            tag = self._tag()
            if tag >> 3 == 0:
                raise WireError("BAD_TAG")
            value = self._value(tag, self.depth)
            yield tag >> 3, tag & 7, value

    def _number(self, most: int) -> int:
        number = 0
        for i in range(most):
            if self.at == len(self.data):
                raise WireError("TRUNCATED")
            byte = self.data[self.at]
            self.at += 1
            number |= (byte & 0x7F) << (7 * i)
            if byte < 0x80:
                return number
        raise WireError("TOO_LONG")

    def _tag(self) -> int:
        tag = self._number(5)
        if tag >= 1 << 32:
            raise WireError("BAD_TAG")
        return tag

    def _bytes(self, size: int) -> bytes:
        if size > len(self.data) - self.at:
            raise WireError("TRUNCATED")
        self.at += size
        return self.data[self.at - size : self.at]

    def _value(self, tag: int, depth: int) -> int | bytes | None:
        match tag & 7:
            case 0:
                return self._number(10) & 0xFFFF_FFFF_FFFF_FFFF
            case 1:
                return self._bytes(8)
            case 2:
                return self._bytes(self._number(5))
            case 3:
                self._group(tag, depth)
                return None
            case 5:
                return self._bytes(4)
        raise WireError("BAD_TAG")

    def _group(self, opened: int, depth: int) -> None:
        if depth == 0:
            raise WireError("TOO_DEEP")
        while (tag := self._tag()) != opened + 1:
            self._value(tag, depth - 1)


def convert(scalar: Scalar, value: Any) -> Any:
    """A field's value from what is on the wire. Raises WireError for text that is not UTF-8."""
    match scalar:
        case "uint32":
            return value & 0xFFFF_FFFF
        case "bool":
            return value != 0
        case "float":
            return struct.unpack("<f", value)[0]
        case "string":
            try:
                return value.decode()
            except UnicodeDecodeError:
                raise WireError("BAD_TEXT") from None
    return value


Nested = Callable[[int, Any], None]


def merge(into: dict[str, Any], schema: str, data: bytes, depth: int, nested: dict[int, Nested]) -> None:
    """Reads a message into `into`; `nested` takes the fields that are messages themselves."""
    for number, wire_type, value in Reader(data, depth).fields():
        if number in nested and wire_type == SIZED:
            nested[number](number, value)
        elif number in SCHEMAS[schema]:
            name, scalar = SCHEMAS[schema][number]
            if WIRE_TYPES[scalar] == wire_type:
                into[name] = convert(scalar, value)


def read_command(raw: bytes) -> Command:
    """Raises WireError."""
    scalars: dict[str, Any] = {}
    body: dict[str, Any] = {}
    kind = 0

    def nested(number: int, value: bytes) -> None:
        nonlocal kind
        if number != kind:
            body.clear()
            kind = number
        merge(body, KINDS[number], value, MOST_DEPTH - 2, {})

    merge(scalars, "command", raw, MOST_DEPTH - 1, dict.fromkeys(KINDS, nested))
    head = [scalars.get(name, 0) for name, _ in SCHEMAS["command"].values()]
    defaults: dict[Scalar, Any] = {"uint32": 0, "uint64": 0, "bool": False, "float": 0.0}
    fields = SCHEMAS[KINDS[kind]].values() if kind else ()
    whole = tuple(body.get(name, defaults[scalar]) for name, scalar in fields)
    slot, sequence, view_tick, view_fraction = head
    reason = judge_range(sequence, view_fraction, kind, whole)
    return Command(slot, sequence, view_tick, view_fraction, kind, reason, whole, raw)


def read_frame(data: bytes, most_commands: int = 1024) -> Frame:
    """A PlayRequest from its bytes. Raises WireError."""
    scalars: dict[str, Any] = {}
    commands: list[Command] = []
    hellos: list[dict[str, Any]] = []

    def hello(_number: int, value: bytes) -> None:
        hellos.append({})
        merge(hellos[-1], "hello", value, MOST_DEPTH - 1, {})

    def command(_number: int, value: bytes) -> None:
        if len(commands) == most_commands:
            raise WireError("TOO_MANY")
        commands.append(read_command(value))

    merge(scalars, "frame", data, MOST_DEPTH, {1: hello, 6: command})
    frame, view_tick, view_fraction, acked, ping = (
        scalars.get(name, 0) for name, _ in SCHEMAS["frame"].values()
    )
    return Frame(bool(hellos), frame, view_tick, view_fraction, acked, ping, len(commands), commands)


def judge_range(sequence: int, view_fraction: int, kind: int, body: tuple[Any, ...]) -> int:
    """Reason of the contract: whether every value is in its documented range."""
    if sequence == 0:
        return BAD_SEQUENCE
    if kind == 0:
        return NO_KIND
    good = view_fraction <= 0xFFFF
    if kind == MOVE:
        x, y, z, yaw, pitch, mode, client_time_us = body
        good &= all(map(math.isfinite, (x, y, z))) and abs(yaw) <= YAW_MOST and abs(pitch) <= PITCH_MOST
        good &= mode <= 6 and client_time_us <= CLIENT_TIME_MOST_US
    elif kind == SHOT:
        _, x, y, z, dx, dy, dz = body
        good &= all(map(math.isfinite, (x, y, z))) and 1e-6 <= dx * dx + dy * dy + dz * dz <= 1e6
    elif kind == ACTION:
        good &= all(map(math.isfinite, body[2:]))
    else:
        _, amount_milli, source, _ = body
        good &= 1 <= amount_milli <= AMOUNT_MOST_MILLI and source in (1, 2)
    return NONE if good else OUT_OF_RANGE


# ---- writing ----------------------------------------------------------------------------------------


class Hit(NamedTuple):
    slot: int = 0
    region: int = 0
    distance_m: float = 0.0
    dealt_milli: int = 0
    armour_milli: int = 0
    shield_milli: int = 0
    overkill_milli: int = 0
    health_milli: int = 0
    critical: bool = False
    lethal: bool = False
    healed_milli: int = 0
    reason: int = 0


class Verdict(NamedTuple):
    slot: int = 0
    sequence: int = 0
    outcome: int = 0
    reason: int = 0
    repeated: bool = False
    journal_sequence: int = 0
    rewind_us: int = 0
    clamp: int = 0
    hits: tuple[Hit, ...] = ()
    correction: tuple[float, float, float, float, float, float] | None = None
    ammo: int = 0


def varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def tag(number: int, wire_type: int) -> bytes:
    return varint(number << 3 | wire_type)


def zigzag(value: int) -> int:
    return (value << 1) ^ (value >> 63)


def number_field(number: int, value: int, *, always: bool = False) -> bytes:
    return tag(number, VARINT) + varint(value) if value or always else b""


def sized_field(number: int, value: bytes) -> bytes:
    return tag(number, SIZED) + varint(len(value)) + value


def float_field(number: int, value: float) -> bytes:
    bits = struct.pack("<f", value)
    return tag(number, FIXED32) + bits if any(bits) else b""


def clip(value: int) -> int:
    """To what a uint32 field holds."""
    return min(max(value, 0), 0xFFFF_FFFF)


def millimetres(metres: float) -> int:
    """Half up; what a uint32 cannot hold is clipped, NaN is 0."""
    scaled = metres * 1000.0 + 0.5
    if math.isnan(scaled):
        return 0
    return clip(int(scaled)) if math.isfinite(scaled) else (0xFFFF_FFFF if scaled > 0 else 0)


def encode_hit(hit: Hit) -> bytes:
    numbers = [
        hit.slot,
        hit.region,
        millimetres(hit.distance_m),
        *map(clip, hit[3:8]),
        int(hit.critical),
        int(hit.lethal),
        clip(hit.healed_milli),
        hit.reason,
    ]
    return b"".join(number_field(i, value) for i, value in enumerate(numbers, 1))


def encode_verdict(verdict: Verdict) -> bytes:
    """The Verdict message, without a tag."""
    numbers = [*verdict[:4], int(verdict.repeated), verdict.journal_sequence, clip(verdict.rewind_us)]
    out = [number_field(i, value) for i, value in enumerate([*numbers, verdict.clamp], 1)]
    out += [sized_field(9, encode_hit(hit)) for hit in verdict.hits]
    if verdict.correction is not None:
        floats = b"".join(float_field(i, value) for i, value in enumerate(verdict.correction, 1))
        out.append(sized_field(10, floats))
    return b"".join([*out, number_field(11, verdict.ammo)])
