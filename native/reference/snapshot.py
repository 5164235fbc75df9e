"""Twin of `native/snapshot`: what a viewer is shown of a tick, how a client puts it together, the state hash.

`apply_snapshot` is the specification for clients: keep the states of the ticks you may still name as a
baseline, and a snapshot with `baseline_tick` b turns the state of b into that of `tick`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from native.reference.wire import number_field, sized_field, varint, zigzag

MOST_INTEREST_MM = 2**31 - 1
ALL_BITS = 2**64 - 1


class Entity(NamedTuple):
    """A seat, the fields in the order of their numbers in the contract, from 2 on."""

    x_mm: int = 0
    y_mm: int = 0
    z_mm: int = 0
    yaw: int = 0
    pitch: int = 0
    mode: int = 0
    flags: int = 0
    health_milli: int = 0
    armour_milli: int = 0
    shield_milli: int = 0
    team: int = 0
    weapon: int = 0
    kills: int = 0
    deaths: int = 0


SIGNED = frozenset({"x_mm", "y_mm", "z_mm", "pitch"})


class Missile(NamedTuple):
    id: int
    owner: int
    weapon: int
    x_mm: int
    y_mm: int
    z_mm: int


Row = dict[int, Entity]


# ---- interest ---------------------------------------------------------------------------------------


def is_near(own: Entity, at: Entity | Missile, interest_mm: int) -> bool:
    reach = min(max(interest_mm, 0), MOST_INTEREST_MM)
    squared = (own.x_mm - at.x_mm) ** 2 + (own.y_mm - at.y_mm) ** 2 + (own.z_mm - at.z_mm) ** 2
    return squared <= reach * reach


def is_ally(row: Row, viewer: int, slot: int) -> bool:
    """The viewer himself, or a seat of his team."""
    return slot == viewer or (slot in row and row[slot].team == row[viewer].team != 0)


def seen(row: Row, viewer: int, interest_mm: int) -> Row:
    """What a viewer sees of a row: his own seat, his team, and who is within `interest_mm`. Viewer -1 sees
    everything, a viewer without a seat nothing."""
    if viewer < 0:
        return row
    if viewer not in row:
        return {}
    return {
        slot: entity
        for slot, entity in row.items()
        if is_ally(row, viewer, slot) or is_near(row[viewer], entity, interest_mm)
    }


def sees_missile(row: Row, viewer: int, missile: Missile, interest_mm: int) -> bool:
    """As a seat is seen: by its owner, by his team, and from within `interest_mm`."""
    if viewer < 0 or viewer not in row:
        return viewer < 0
    return is_ally(row, viewer, missile.owner) or is_near(row[viewer], missile, interest_mm)


# ---- writing ----------------------------------------------------------------------------------------


class Album:
    """The last `ticks` rows."""

    def __init__(self, ticks: int) -> None:
        self.ticks = ticks
        self.newest = 0
        self.rows: dict[int, Row] = {}

    def begin(self, tick: int) -> Row:
        """The empty row of `tick`. After a jump nothing of before is held."""
        if tick not in (self.newest, self.newest + 1):
            self.rows.clear()
        self.newest = tick
        self.rows[tick] = {}
        self.rows = {held: row for held, row in self.rows.items() if held > tick - self.ticks}
        return self.rows[tick]

    def write(self, viewer: int, baseline: int, interest_mm: int, missiles: Sequence[Missile]) -> bytes:
        """The Snapshot message of the newest tick, as a difference to `baseline` (0 or not held: full)."""
        row = self.rows.get(self.newest, {})
        now = seen(row, viewer, interest_mm)
        held = baseline != 0 and baseline in self.rows
        then = seen(self.rows[baseline], viewer, interest_mm) if held else {}
        out = number_field(1, self.newest) + number_field(2, baseline if held else 0)
        for slot, entity in sorted(now.items()):
            if entity != then.get(slot):
                out += sized_field(3, encode_entity(slot, entity, then.get(slot)))
        removed = sorted(then.keys() - now.keys())
        if removed:
            out += sized_field(4, b"".join(map(varint, removed)))
        for missile in missiles:
            if sees_missile(row, viewer, missile, interest_mm):
                out += sized_field(5, encode_missile(missile))
        return out


def encode_entity(slot: int, now: Entity, before: Entity | None) -> bytes:
    """Every field without `before`, else those that differ."""
    out = number_field(1, slot)
    for i, name in enumerate(Entity._fields):
        if before is None or now[i] != before[i]:
            out += number_field(i + 2, zigzag(now[i]) if name in SIGNED else now[i], always=True)
    return out


def encode_missile(missile: Missile) -> bytes:
    numbers = [*missile[:3], *map(zigzag, missile[3:])]
    return b"".join(number_field(i, value) for i, value in enumerate(numbers, 1))


# ---- reading ----------------------------------------------------------------------------------------


class SnapshotMessage(Protocol):
    """The contract's Snapshot, as the generated class has it."""

    @property
    def tick(self) -> int: ...
    @property
    def baseline_tick(self) -> int: ...
    @property
    def entities(self) -> Iterable[Any]: ...
    @property
    def removed(self) -> Iterable[int]: ...
    @property
    def projectiles(self) -> Iterable[Any]: ...


@dataclass
class State:
    """What a viewer knows of one tick."""

    tick: int = 0
    entities: Row = field(default_factory=dict)
    projectiles: list[Missile] = field(default_factory=list)


def apply_snapshot(baseline: State | None, snapshot: SnapshotMessage) -> State:
    """The state at `snapshot.tick`. `baseline` is the state of `snapshot.baseline_tick`, None for a full one.

    Raises:
        ValueError: the snapshot is a difference to another tick than the baseline's.
    """
    if snapshot.baseline_tick != (baseline.tick if baseline else 0):
        raise ValueError(f"snapshot of tick {snapshot.tick} needs the state of {snapshot.baseline_tick}")
    entities = dict(baseline.entities) if baseline else {}
    for slot in snapshot.removed:
        del entities[slot]
    for entity in snapshot.entities:
        present = {name: getattr(entity, name) for name in Entity._fields if entity.HasField(name)}
        entities[entity.slot] = entities.get(entity.slot, Entity())._replace(**present)
    projectiles = [
        Missile(one.projectile_id, one.owner, one.weapon, one.x_mm, one.y_mm, one.z_mm)
        for one in snapshot.projectiles
    ]
    return State(snapshot.tick, entities, projectiles)


# ---- state hash -------------------------------------------------------------------------------------


def hash_u64(seed: int, value: int) -> int:
    """64-bit hash of a word, chained to `seed`."""
    mixed = (seed ^ value) + 0x9E3779B97F4A7C15 & ALL_BITS
    mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9 & ALL_BITS
    mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB & ALL_BITS
    return mixed ^ mixed >> 31


def hash_bytes(seed: int, data: bytes) -> int:
    """The size, then little-endian words, the last one filled up with zeros."""
    mixed = hash_u64(seed, len(data))
    for at in range(0, len(data), 8):
        mixed = hash_u64(mixed, int.from_bytes(data[at : at + 8], "little"))
    return mixed
