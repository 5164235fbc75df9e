"""What the server writes, from a seed: verdicts, and the rows and projectiles snapshots are made of."""

from __future__ import annotations

import math
import random
from typing import NamedTuple

from arenamesh.combat.v1 import verdict_pb2

from native.reference.snapshot import Entity, Missile, Row
from native.reference.wire import Hit, Verdict

REASONS = sorted(verdict_pb2.Reason.values())
METRES = (0.0, 0.0005, 4294967.295, 1e300, -1.0, math.inf, -math.inf, math.nan)


def _uint(rng: random.Random, width: int) -> int:
    """Of any length, often 0."""
    return rng.getrandbits(rng.randint(1, width)) if rng.random() < 0.8 else 0


def _milli(rng: random.Random) -> int:
    """Also what a uint32 field cannot hold."""
    value = _uint(rng, 32) if rng.random() < 0.8 else _uint(rng, 63)
    return -value if rng.random() < 0.1 else value


def hit(rng: random.Random) -> Hit:
    return Hit(
        slot=_uint(rng, 32),
        region=rng.randrange(6),
        distance_m=rng.choice(METRES) if rng.random() < 0.2 else rng.uniform(0, 5000),
        dealt_milli=_milli(rng),
        armour_milli=_milli(rng),
        shield_milli=_milli(rng),
        overkill_milli=_milli(rng),
        health_milli=_milli(rng),
        critical=rng.random() < 0.5,
        lethal=rng.random() < 0.5,
        healed_milli=_milli(rng),
        reason=rng.choice(REASONS),
    )


def verdict(rng: random.Random) -> Verdict:
    pose = (rng.uniform(-1e3, 1e3), 0.0, -0.0, rng.choice((0.0, 1e-30)), math.inf, rng.random())
    hits = rng.choice((0, 1, 2, rng.randrange(17)))
    return Verdict(
        slot=_uint(rng, 32),
        sequence=_uint(rng, 32),
        outcome=rng.randrange(4),
        reason=rng.choice(REASONS),
        repeated=rng.random() < 0.5,
        journal_sequence=_uint(rng, 64),
        rewind_us=_milli(rng),
        clamp=rng.randrange(7),
        hits=tuple(hit(rng) for _ in range(hits)),
        correction=pose if rng.random() < 0.3 else None,
        ammo=_uint(rng, 32),
    )


def coordinate(rng: random.Random) -> int:
    """Mostly near the others, on whole metres, so that distances meet the interest's edge; or far out."""
    return rng.randint(-4, 4) * 1000 if rng.random() < 0.9 else rng.choice((-(2**31), 2**31 - 1, 123_456))


def entity(rng: random.Random) -> Entity:
    x, y, z = (coordinate(rng) for _ in range(3))
    return Entity(
        x,
        y,
        z,
        yaw=_uint(rng, 32),
        pitch=rng.randint(-(2**31), 2**31 - 1),
        mode=_uint(rng, 8),
        flags=_uint(rng, 32),
        health_milli=_uint(rng, 32),
        armour_milli=rng.randrange(3),
        shield_milli=_uint(rng, 32),
        team=rng.randrange(3),
        weapon=_uint(rng, 8),
        kills=rng.randrange(4),
        deaths=_uint(rng, 32),
    )


def following(rng: random.Random, row: Row, slots: int) -> Row:
    """A next row: some seats as they are, some changed in a few fields, some gone, some new."""
    after: Row = {}
    for slot in range(slots):
        fate = rng.random()
        if fate < 0.2:
            after[slot] = entity(rng)
        elif fate < 0.9 and slot in row:
            fresh = entity(rng) if fate < 0.6 else row[slot]
            names = rng.sample(Entity._fields, rng.randrange(5))
            after[slot] = row[slot]._replace(**{name: getattr(fresh, name) for name in names})
    return after


def match(rng: random.Random, slots: int) -> list[Row]:
    """One to five rows, each made from the one before."""
    rows = [{slot: entity(rng) for slot in range(slots) if rng.random() < 0.7}]
    for _ in range(rng.randrange(5)):
        rows.append(following(rng, rows[-1], slots))
    return rows


def missiles(rng: random.Random, slots: int) -> list[Missile]:
    return [missile(rng, slots) for _ in range(rng.randrange(4))]


def missile(rng: random.Random, slots: int) -> Missile:
    owner = rng.randrange(slots + 1) if rng.random() < 0.8 else _uint(rng, 32)
    x, y, z = (coordinate(rng) for _ in range(3))
    return Missile(_uint(rng, 32), owner, _uint(rng, 32), x, y, z)


class View(NamedTuple):
    """How a snapshot is asked for."""

    viewer: int
    baseline: int
    interest_mm: int
    missiles: list[Missile]


def view(rng: random.Random, slots: int) -> View:
    interest_mm = (
        rng.randrange(9) * 1000 if rng.random() < 0.8 else rng.choice((-1, 2**33, 2**63 - 1, -(2**63)))
    )
    return View(rng.randint(-1, slots), rng.randrange(8), interest_mm, missiles(rng, slots))
