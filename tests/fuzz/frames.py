"""Frames for the codec from a seed: valid ones, mutated ones, grown ones and noise."""

from __future__ import annotations

import math
import random
import struct

from arenamesh.combat.v1 import play_pb2

FLOATS = (0.0, -0.0, 1.0, -1.5, 1e-3, 1e3, 1e30, math.inf, -math.inf, math.nan)
NUMBERS = (0, 1, 2, 127, 128, 65535, 65536, 2**31, 2**32 - 1, 2**32, 2**53, 2**63, 2**64 - 1)


def numbered(seed: int, at: int) -> bytes:
    """The frame number `at` of a seed, whatever came before it."""
    return draw(random.Random(seed << 40 ^ at))


def draw(rng: random.Random) -> bytes:
    """One frame: about half of them can be read."""
    choice = rng.random()
    if choice < 0.1:
        return rng.randbytes(rng.randrange(80))
    if choice < 0.5:
        return message(rng, rng.randrange(8), depth=3)
    data = valid(rng).SerializeToString()
    for _ in range(0 if choice < 0.65 else rng.randint(1, 4)):
        data = mutate(rng, data)
    return data


def valid(rng: random.Random) -> play_pb2.PlayRequest:
    request = play_pb2.PlayRequest(
        frame=number(rng, 64),
        view_tick=number(rng, 32),
        view_fraction=number(rng, 32),
        acked_snapshot=number(rng, 32),
        ping_us=number(rng, 64),
        commands=[_command(rng) for _ in range(rng.randrange(5))],
    )
    if rng.random() < 0.2:
        request.hello.session_id = "".join(chr(rng.choice((65, 0xE9, 0x20AC, 0x10FFFF))) for _ in range(4))
        request.hello.resume_sequence = number(rng, 64)
    return request


def number(rng: random.Random, width: int) -> int:
    value = rng.choice(NUMBERS) if rng.random() < 0.5 else rng.getrandbits(rng.randint(1, 64))
    return value & ((1 << width) - 1)


def _float(rng: random.Random) -> float:
    return rng.choice(FLOATS) if rng.random() < 0.3 else rng.uniform(-100, 100)


def _command(rng: random.Random) -> play_pb2.Command:
    command = play_pb2.Command(slot=number(rng, 32), sequence=number(rng, 32), view_tick=rng.randrange(3))
    kind = rng.randrange(5)
    if kind == 0:
        for name in ("x", "y", "z", "yaw", "pitch"):
            setattr(command.move, name, _float(rng))
        command.move.mode = rng.randint(-1, 8)  # type: ignore[assignment]
        command.move.client_time_us = number(rng, 64)
    elif kind == 1:
        command.shot.weapon = rng.randrange(4)
        for name in ("origin_x", "origin_y", "origin_z", "direction_x", "direction_y", "direction_z"):
            setattr(command.shot, name, _float(rng))
    elif kind == 2:
        command.action.target = number(rng, 32)
        command.action.y = _float(rng)
    elif kind == 3:
        command.damage.amount_milli = number(rng, 32)
        command.damage.source = rng.randrange(4)  # type: ignore[assignment]
        command.damage.bypass = rng.random() < 0.5
    return command


def message(rng: random.Random, fields: int, depth: int) -> bytes:
    """Fields with numbers of the contract in any order and number, now and then in a strange form."""
    return b"".join(_field(rng, depth) for _ in range(fields))


def _field(rng: random.Random, depth: int) -> bytes:
    at = rng.randint(1, 9) if rng.random() < 0.97 else rng.choice((0, 16, 2**29 - 1))
    wire_type = rng.choice((0, 0, 2, 2, 5, 1, 3) if rng.random() < 0.99 else (4, 6, 7))
    if rng.random() < 0.3:
        # The fields that are messages: commands in a frame (depth 3), their kinds (2).
        at, wire_type = rng.choice(((6,), (5, 6, 7, 8), (1, 5))[min(3 - depth, 2)]), 2
    head = varint(rng, at << 3 | wire_type, most=5)
    if wire_type == 0:
        return head + varint(rng, number(rng, 64), most=10)
    if wire_type == 5:
        return head + struct.pack("<f", _float(rng))
    if wire_type == 1:
        return head + rng.randbytes(8)
    if wire_type == 2:
        inside = message(rng, rng.randrange(5), depth - 1) if depth else rng.randbytes(rng.randrange(4))
        return head + varint(rng, len(inside), most=5) + inside
    inside = message(rng, rng.randrange(3), depth - 1) if depth and wire_type == 3 else b""
    return head + inside + varint(rng, at << 3 | 4, most=5)


def varint(rng: random.Random, value: int, most: int) -> bytes:
    """Sometimes longer than needed, rarely longer than allowed."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    if rng.random() < 0.03:
        size = rng.randint(len(out), most + (rng.random() < 0.1))
        out[-1] |= 0x80 if size > len(out) else 0
        out += b"\x80" * (size - len(out) - 1) + b"\x00" if size > len(out) else b""
    return bytes(out)


def mutate(rng: random.Random, data: bytes) -> bytes:
    at = rng.randrange(len(data) + 1)
    match rng.randrange(6):
        case 0:
            return data[:at]
        case 1:
            return data[:at] + rng.randbytes(rng.randint(1, 3)) + data[at:]
        case 2:
            return data[:at] + data[at + rng.randint(1, 8) :]
        case 3:
            return data[:at] + bytes([rng.choice((0, 0x7F, 0x80, 0xFF, 0x13, 0x14))]) + data[at + 1 :]
        case 4:
            return data + data[at:]
    return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :] if at < len(data) else data
