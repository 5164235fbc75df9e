"""Do native, twin and protobuf make the same of a frame?"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from typing import Any

from arenamesh.combat.v1 import play_pb2
from google.protobuf.message import DecodeError

from native import probe
from native.reference import wire


def bits(value: object) -> object:
    """Floats as their bits, all NaNs as one, so that equality means the same value."""
    if isinstance(value, float):
        return "nan" if math.isnan(value) else struct.pack("<d", value)
    if isinstance(value, tuple | list):
        return tuple(map(bits, value))
    return value


def outcome(read: Callable[[bytes, int], object], data: bytes, most: int = 1024) -> object:
    try:
        return bits(read(data, most))
    except ValueError as error:
        return str(error)


def is_refused(data: bytes) -> bool:
    """By the protobuf runtime."""
    try:
        play_pb2.PlayRequest.FromString(data)
    except DecodeError:
        return True
    return False


def from_protobuf(data: bytes) -> object | None:
    """What the generated classes make of a frame, in the shape of the twin; None when they refuse it."""
    request = play_pb2.PlayRequest()
    try:
        request.ParseFromString(data)
    except DecodeError:
        return None
    commands = []
    for command in request.commands:
        kind = command.WhichOneof("kind")
        body: tuple[Any, ...] = ()
        if kind is not None:
            message = getattr(command, kind)
            body = tuple(getattr(message, field.name) for field in message.DESCRIPTOR.fields)
            if kind == "move":
                body = (*body[:5], body[5] & 0xFFFF_FFFF, body[6])
            elif kind == "damage":
                body = (*body[:2], body[2] & 0xFFFF_FFFF, body[3])
        number = command.DESCRIPTOR.fields_by_name[kind].number if kind else 0
        scalars = (command.slot, command.sequence, command.view_tick, command.view_fraction)
        commands.append((*scalars, number, body))
    return bits(
        (
            request.HasField("hello"),
            request.frame,
            request.view_tick,
            request.view_fraction,
            request.acked_snapshot,
            request.ping_us,
            commands,
        )
    )


def check(data: bytes) -> None:
    """Native, twin and protobuf agree on a frame."""
    native = outcome(probe.decode, data)
    assert native == outcome(wire.read_frame, data)
    if native == "TOO_MANY":  # a limit that protobuf does not know
        return
    expected = from_protobuf(data)
    if isinstance(native, str):
        assert expected is None, native
    else:
        assert isinstance(native, tuple)
        commands = tuple((*one[:5], one[6]) for one in native[7])
        assert (*native[:6], commands) == expected
