"""What `native/history.pyx` does, in plain Python: rows in a dictionary by tick."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

from native.reference.geometry import float32, wrap

PRESENT, REJECT, CLAMP = 0, 1, 2
STANCES = 3


class Pose(NamedTuple):
    x: float
    y: float
    z: float
    yaw: float = 0.0
    pitch: float = 0.0
    stance: int = 0
    epoch: int = 0


class Instant(NamedTuple):
    """`newer` is the tick after `tick`, or `tick` itself when the instant is exactly on it."""

    tick: int
    newer: int
    fraction: float
    found: bool


def tick_time(tick: int, tick_rate: int) -> int:
    return tick * 1_000_000 // tick_rate


@dataclass
class History:
    ticks: int
    tick_rate: int
    rows: dict[int, dict[int, Pose]] = field(default_factory=dict)
    """Tick to seat to pose; a seat that is absent or dead is not there."""

    def __post_init__(self) -> None:
        self.ticks = max(2, 1 << (self.ticks - 1).bit_length())

    @property
    def newest(self) -> int:
        return max(self.rows, default=0)

    @property
    def oldest(self) -> int:
        return min(self.rows, default=0)

    def begin(self, tick: int) -> None:
        if tick not in (self.newest, self.newest + 1):
            self.rows.clear()
        self.rows[tick] = {}
        self.rows.pop(tick - self.ticks, None)

    def put(self, slot: int, pose: Pose, alive: bool = True) -> None:
        self.rows[self.newest].pop(slot, None)
        if alive:
            self.rows[self.newest][slot] = Pose(
                float32(pose.x),
                float32(pose.y),
                float32(pose.z),
                float32(wrap(pose.yaw)),
                float32(pose.pitch),
                pose.stance if pose.stance < STANCES else 0,
                pose.epoch,
            )

    def at(self, time_us: int) -> Instant:
        if not self.rows:
            return Instant(0, 0, 0.0, False)
        if time_us < tick_time(self.oldest, self.tick_rate):
            return Instant(self.oldest, self.oldest, 0.0, False)
        tick = max(t for t in self.rows if tick_time(t, self.tick_rate) <= time_us)
        start = tick_time(tick, self.tick_rate)
        if tick == self.newest or time_us == start:
            return Instant(tick, tick, 0.0, True)
        fraction = (time_us - start) / (tick_time(tick + 1, self.tick_rate) - start)
        return Instant(tick, tick + 1, fraction, True)

    def present(self) -> Instant:
        return Instant(self.newest, self.newest, 0.0, bool(self.rows))

    def sample(self, slot: int, instant: Instant, on_break: int = PRESENT) -> Pose | None:
        if not self.rows or any(slot not in self.rows[t] for t in range(instant.newer, self.newest + 1)):
            return None
        older, newer = self.rows[instant.tick].get(slot), self.rows[instant.newer][slot]
        if older is not None and older.epoch == newer.epoch:
            return blend(older, newer, instant.fraction) if instant.newer != instant.tick else older
        if on_break == REJECT:
            return None
        return newer if on_break == CLAMP else self.rows[self.newest][slot]


def blend(a: Pose, b: Pose, share: float) -> Pose:
    arc = b.yaw - a.yaw
    if arc > math.pi:
        arc = arc - 2.0 * math.pi
    elif arc < -math.pi:
        arc = arc + 2.0 * math.pi
    return Pose(
        a.x + (b.x - a.x) * share,
        a.y + (b.y - a.y) * share,
        a.z + (b.z - a.z) * share,
        a.yaw + arc * share,
        a.pitch + (b.pitch - a.pitch) * share,
        a.stance,
        a.epoch,
    )
