"""Builders of the commands of a match. Units: metres, radians (yaw counter-clockwise from +x), points.

A command of a player's own stream needs no seat. On a game server's stream pass `slot`. The match
fills in the sequence number when it sends the command.
"""

from __future__ import annotations

import math

from arenamesh.combat.v1 import play_pb2

Vector = tuple[float, float, float]
MoveMode = play_pb2.MoveMode
DamageSource = play_pb2.DamageSource


def move(
    position: Vector,
    *,
    yaw: float,
    pitch: float = 0.0,
    mode: play_pb2.MoveMode = play_pb2.MOVE_MODE_WALK,
    client_time_us: int,
    slot: int = 0,
) -> play_pb2.Command:
    """The player's feet are at `position` at `client_time_us` of the client's own clock."""
    x, y, z = position
    return play_pb2.Command(
        slot=slot,
        move=play_pb2.Move(x=x, y=y, z=z, yaw=yaw, pitch=pitch, mode=mode, client_time_us=client_time_us),
    )


def shot(weapon: int, origin: Vector, direction: Vector, *, slot: int = 0) -> play_pb2.Command:
    """Fires weapon number `weapon` of the ruleset from the muzzle `origin`; `direction` of any length."""
    return play_pb2.Command(
        slot=slot,
        shot=play_pb2.Shot(
            weapon=weapon,
            origin_x=origin[0],
            origin_y=origin[1],
            origin_z=origin[2],
            direction_x=direction[0],
            direction_y=direction[1],
            direction_z=direction[2],
        ),
    )


def action(
    number: int,
    *,
    target: int | None = None,
    point: Vector = (0.0, 0.0, 0.0),
    slot: int = 0,
) -> play_pb2.Command:
    """Uses ability `number` of the ruleset on the seat `target`, at `point`, or (dash) towards `point`."""
    return play_pb2.Command(
        slot=slot,
        action=play_pb2.Action(
            action=number,
            target=0 if target is None else target + 1,
            x=point[0],
            y=point[1],
            z=point[2],
        ),
    )


def damage(
    target: int,
    points: float,
    *,
    source: play_pb2.DamageSource = play_pb2.DAMAGE_SOURCE_ENVIRONMENT,
    bypass: bool = False,
    slot: int,
) -> play_pb2.Command:
    """Direct damage, only from a game server; `slot` is the player it is credited to.

    `bypass` skips armour and shield.
    """
    return play_pb2.Command(
        slot=slot,
        damage=play_pb2.Damage(
            target=target, amount_milli=round(points * 1000), source=source, bypass=bypass
        ),
    )


def towards(yaw: float, pitch: float = 0.0) -> Vector:
    """Unit direction of a look."""
    flat = math.cos(pitch)
    return (flat * math.cos(yaw), flat * math.sin(yaw), math.sin(pitch))
