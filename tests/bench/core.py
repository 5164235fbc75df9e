"""What one judged shot costs: rewind to an instant, find who a ray meets, ask the map.

Four contestants judge the same shots and must agree: the compiled core, the same algorithm written by hand in
C (`core.c`, compiled here with the core's own flags), a NumPy implementation that works on whole batches of
shots, and the plain-Python twin. They take turns, round after round; what counts is the median of the
processor time, so that a busy machine disturbs none of them. Loops run inside compiled code.

Players stand as thickly as in a match (one on 156 square metres, the map grows with them), every shot is
aimed at somebody with a hand's breadth of error, 50 to 250 ms back.
"""

from __future__ import annotations

import ctypes
import json
import math
import shutil
import statistics
import struct
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from native import hitreg
from native.history import History
from native.reference import history as twin_history
from native.reference import hitreg as twin
from native.reference.geometry import BOX, CAPSULE, Vec
from native.rig import Rig
from native.world import World
from tests.bench.report import Row

PLAYERS = (16, 64, 128, 1000)
ROUNDS = 9
TICKS, RATE = 64, 30
REACH = 1000.0
CRATES = 12
RIG: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "services/combat/data/rigs/humanoid.json").read_text()
)
# Shots in a turn, so that no turn is much longer than 0.2 s.
SHOTS, SHOTS_NUMPY, SHOTS_TWIN = 8192, 256, 8

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]


# ---- the match ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Match:
    """Poses as arrays of [tick][seat], and shots; seats are padded to 16 as in the core."""

    players: int
    x: F32
    y: F32
    z: F32
    yaw: F32
    stance: NDArray[np.uint8]
    crates: F64
    """[crate][low, high][x, y, z]"""
    time_us: I64
    shooter: I64
    origin: F64
    direction: F64

    @property
    def alive(self) -> NDArray[np.uint8]:
        return np.broadcast_to(np.arange(self.x.shape[1]) < self.players, self.x.shape).astype(np.uint8)

    def pose(self, tick: int, seat: int) -> tuple[float, float, float, float]:
        x, y, z, yaw = (float(plane[tick, seat]) for plane in (self.x, self.y, self.z, self.yaw))
        return x, y, z, yaw

    @cached_property
    def rays(self) -> bytes:
        shots = zip(self.time_us, self.shooter, self.origin, self.direction, strict=True)
        return b"".join(struct.pack("=qI4x3d3d", time, skip, *o, *d) for time, skip, o, d in shots)

    @cached_property
    def world(self) -> World:
        side = float(np.abs(self.crates).max()) + 10.0
        return World(
            {
                "map_id": "bench",
                "name": "Bench",
                "bounds": {"low": [-side] * 3, "high": [side] * 3},
                "boxes": [{"low": low.tolist(), "high": high.tolist()} for low, high in self.crates],
                "triangles": [],
                "spawns": [{"at": [0.0, 0.0, 0.0], "yaw": 0.0, "team": 0}],
                "waypoints": [],
            }
        )


def make_match(players: int) -> Match:
    rng = np.random.default_rng(players)
    side = 12.5 * math.sqrt(players)
    padded = (players + 15) // 16 * 16
    step = rng.normal(0.0, 4.0 / RATE, (2, TICKS, padded))
    xy = rng.uniform(0.0, side, (2, 1, padded)) + np.cumsum(step, axis=1)
    yaw = rng.uniform(-math.pi, math.pi, (1, padded)) + np.cumsum(rng.normal(0, 0.1, (TICKS, padded)), axis=0)
    corner = rng.uniform(0.0, side, (CRATES, 2))
    size = rng.uniform(1.0, 5.0, (CRATES, 3))
    low = np.column_stack([corner, np.zeros(CRATES)])
    shooter = rng.integers(0, players, SHOTS)
    target = (shooter + rng.integers(1, players, SHOTS)) % players
    time_us = (TICKS - 1) * 1_000_000 // RATE - rng.integers(50_000, 250_000, SHOTS)
    seen = time_us * RATE // 1_000_000
    origin = np.column_stack([xy[0, -1, shooter], xy[1, -1, shooter], np.full(SHOTS, 1.62)])
    aim = np.column_stack([xy[0, seen, target], xy[1, seen, target], np.full(SHOTS, 1.2)])
    way = aim + rng.normal(0.0, 0.1, (SHOTS, 3)) - origin
    return Match(
        players=players,
        x=xy[0].astype(np.float32),
        y=xy[1].astype(np.float32),
        z=np.zeros((TICKS, padded), np.float32),
        yaw=((yaw + math.pi) % (2 * math.pi) - math.pi).astype(np.float32),
        stance=np.broadcast_to(rng.uniform(size=padded) < 0.2, (TICKS, padded)).astype(np.uint8),
        crates=np.stack([low, low + size], axis=1),
        time_us=time_us,
        shooter=shooter,
        origin=origin,
        direction=way / np.linalg.norm(way, axis=1, keepdims=True),
    )


# ---- contestants: each judges the first `shots` of a match and says which seats it met -----------

Judge = Callable[[], NDArray[np.int32]]
ANSWER = np.dtype([("slot", "i4"), ("region", "u1"), ("shape", "u1"), ("padding", "u2"), ("distance", "f8")])


def native_judge(match: Match) -> Judge:
    history = History(TICKS, match.players, RATE)
    for tick in range(TICKS):
        history.begin(tick)
        for seat in range(match.players):
            x, y, z, yaw = match.pose(tick, seat)
            history.put(seat, x, y, z, yaw, stance=int(match.stance[tick, seat]))
    rig = Rig(RIG)
    rays, world = match.rays, match.world

    def judge() -> NDArray[np.int32]:
        return np.frombuffer(hitreg.hitscan_many(history, rig, world, rays, REACH), ANSWER)["slot"]

    return judge


class CShape(ctypes.Structure):
    _fields_ = (
        ("kind", ctypes.c_uint8),
        ("region", ctypes.c_uint8),
        ("turn", ctypes.c_double),
        ("radius", ctypes.c_double),
        ("a", ctypes.c_double * 3),
        ("b", ctypes.c_double * 3),
    )


class CRig(ctypes.Structure):
    _fields_ = (
        ("count", ctypes.c_int * 3),
        ("shapes", CShape * 24 * 3),
        ("reach", ctypes.c_double),
        ("centre", ctypes.c_double),
        ("ball", ctypes.c_float * 24 * 4 * 3),
    )


class CRing(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_uint32) for name in ("ticks", "slots", "tick_rate", "newest", "rows")),
        *((name, ctypes.c_void_p) for name in ("x", "y", "z", "yaw", "stance", "epoch", "alive")),
    )


def c_rig() -> CRig:
    rig = twin.Rig.from_document(RIG)
    reach, centre = rig.extent
    out = CRig(count=tuple(len(shapes) for shapes in rig.shapes), reach=reach, centre=centre)
    for stance, shapes in enumerate(rig.shapes):
        for index, s in enumerate(shapes):
            out.shapes[stance][index] = CShape(s.kind, s.region, s.turn, s.radius, tuple(s.a), tuple(s.b))
            half = np.subtract(s.b, s.a) / 2.0 if s.kind == CAPSULE else np.zeros(3)
            radius = float(np.linalg.norm(s.b if s.kind == BOX else half)) + s.radius + 1e-4
            for row, value in enumerate((*(s.a + half).tolist(), radius)):
                out.ball[stance][row][index] = value
    return out


def compile_c(folder: Path) -> ctypes.CDLL:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise SystemExit("bench core: a C compiler (cc) is needed")
    library = folder / "core.so"
    flags = ["-O3", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math", "-fPIC", "-shared"]
    source = str(Path(__file__).with_suffix(".c"))
    subprocess.run([compiler, *flags, source, "-o", str(library), "-lm"], check=True)
    return ctypes.CDLL(str(library))


def c_judge(match: Match, library: ctypes.CDLL) -> Judge:
    padded = match.x.shape[1]
    epoch, alive, stance = np.zeros((TICKS, padded), np.uint8), match.alive, match.stance
    planes = [np.ascontiguousarray(p) for p in (match.x, match.y, match.z, match.yaw, stance, epoch, alive)]
    ring = CRing(TICKS, padded, RATE, TICKS - 1, TICKS, *(plane.ctypes.data for plane in planes))
    rig, rays, crates = c_rig(), match.rays, np.ascontiguousarray(match.crates)
    candidate, distance = np.zeros(padded, np.uint32), np.zeros(padded, np.float32)
    answers = np.zeros(SHOTS, ANSWER)
    pointer = ctypes.c_void_p

    def judge(_alive: object = planes) -> NDArray[np.int32]:
        library.judge(
            ctypes.byref(ring),
            ctypes.byref(rig),
            pointer(crates.ctypes.data),
            CRATES,
            ctypes.c_char_p(rays),
            SHOTS,
            ctypes.c_double(REACH),
            pointer(candidate.ctypes.data),
            pointer(distance.ctypes.data),
            pointer(answers.ctypes.data),
        )
        return answers["slot"]

    return judge


def twin_judge(match: Match) -> Judge:
    history = twin_history.History(TICKS, RATE)
    for tick in range(TICKS):
        history.begin(tick)
        for seat in range(match.players):
            x, y, z, yaw = match.pose(tick, seat)
            stance = int(match.stance[tick, seat])
            history.put(seat, twin_history.Pose(x, y, z, yaw, stance=stance))
    rig = twin.Rig.from_document(RIG)

    def judge() -> NDArray[np.int32]:
        met = []
        for k in range(SHOTS_TWIN):
            seats = [seat for seat in range(match.players) if seat != match.shooter[k]]
            scene = twin.Scene(history, rig, match.world, seats)
            instant = history.at(int(match.time_us[k]))
            origin, direction = Vec(*match.origin[k].tolist()), Vec(*match.direction[k].tolist())
            contacts, _ = twin.hitscan(scene, instant, origin, direction, reach=REACH, most=1)
            met.append(contacts[0].slot if contacts else -1)
        return np.array(met, np.int32)

    return judge


# ---- NumPy: every shot of the batch against every seat, then the pairs that are left ----------------


def dots(a: F64, b: F64) -> F64:
    return np.asarray(np.einsum("...i,...i->...", a, b))


def rounds_met(o: F64, d: F64, a: F64, b: F64, radius: F64) -> F64:
    """Distances of rays [pair, 1, 3] to capsules [shape, 3]; infinite for a miss."""
    axis, from_a = b - a, o - a
    axis2, climb = dots(axis, axis), dots(axis, d)
    share = np.clip(dots(from_a, axis) / np.where(axis2 > 0.0, axis2, 1.0), 0.0, 1.0)
    away = from_a - share[..., None] * axis
    inside = dots(away, away) <= radius * radius
    qa = np.maximum(axis2 - climb * climb, 1e-300)
    along, reach_out = dots(axis, from_a), dots(from_a, d)
    qb = axis2 * reach_out - along * climb
    qc = axis2 * (dots(from_a, from_a) - radius * radius) - along * along
    h = qb * qb - qa * qc
    side = (-qb - np.sqrt(np.maximum(h, 0.0))) / qa
    y = along + side * climb
    on_side = (h >= 0.0) & (y > 0.0) & (y < axis2) & (side >= 0.0)
    end = np.where((y <= 0.0)[..., None] | (axis2 == 0.0)[..., None], a, b)
    to = end - o
    ahead = dots(to, d)
    across = to - ahead[..., None] * d
    h = radius * radius - dots(across, across)
    cap = np.where((h >= 0.0) & (ahead >= 0.0), ahead - np.sqrt(np.maximum(h, 0.0)), np.inf)
    return np.where(inside, 0.0, np.where(on_side, side, cap))


def boxes_met(o: F64, d: F64, low: F64, high: F64) -> F64:
    """Distances of rays [..., 1, 3] to boxes [box, 3]; infinite for a miss."""
    first, last = (low - o) / d, (high - o) / d
    enter = np.maximum(np.minimum(first, last).max(axis=-1), 0.0)
    return np.where(enter <= np.maximum(first, last).min(axis=-1), enter, np.inf)


@dataclass(frozen=True)
class Stance:
    a: F64
    b: F64
    radius: F64
    low: F64
    high: F64

    @classmethod
    def of(cls, shapes: tuple[Any, ...]) -> Stance:
        solid = [s for s in shapes if s.kind != BOX]
        boxes = [s for s in shapes if s.kind == BOX]
        return cls(
            np.array([s.a for s in solid]),
            np.array([s.b if s.kind == CAPSULE else s.a for s in solid]),
            np.array([s.radius for s in solid]),
            np.array([np.subtract(s.a, s.b) for s in boxes]),
            np.array([np.add(s.a, s.b) for s in boxes]),
        )

    def met(self, o: F64, d: F64) -> F64:
        o, d = o[:, None], d[:, None]
        rounds = rounds_met(o, d, self.a, self.b, self.radius).min(axis=1)
        boxes = boxes_met(o, d, self.low, self.high).min(axis=1)
        return np.asarray(np.minimum(rounds, boxes))


def numpy_judge(match: Match) -> Judge:
    rig = twin.Rig.from_document(RIG)
    reach, height = rig.extent
    stances = [Stance.of(shapes) for shapes in rig.shapes]
    few = slice(0, SHOTS_NUMPY)
    time_us, shooter = match.time_us[few], match.shooter[few]
    origin, direction = match.origin[few], match.direction[few]
    xyz = np.stack([match.x, match.y, match.z], axis=-1)

    def judge() -> NDArray[np.int32]:
        tick = ((time_us + 1) * RATE - 1) // 1_000_000
        start, end = tick * 1_000_000 // RATE, (tick + 1) * 1_000_000 // RATE
        share = (time_us - start) / (end - start)
        older, newer = xyz[tick], xyz[tick + 1]
        centre = older + (newer - older) * share[:, None, None].astype(np.float32)
        centre -= (origin - (0.0, 0.0, height)).astype(np.float32)[:, None]
        d32 = direction.astype(np.float32)
        along = np.clip(np.einsum("nsi,ni->ns", centre, d32), 0.0, REACH)
        centre -= along[..., None] * d32[:, None]
        near = np.einsum("nsi,nsi->ns", centre, centre) <= (reach + 0.05) ** 2
        near[:, match.players :] = False
        near[np.arange(len(tick)), shooter] = False
        shot, seat = np.nonzero(near)
        return narrow(shot, seat, tick[shot], share[shot])

    def narrow(shot: I64, seat: I64, tick: I64, share: F64) -> NDArray[np.int32]:
        a, b = xyz[tick, seat].astype(np.float64), xyz[tick + 1, seat].astype(np.float64)
        turn = match.yaw[tick, seat].astype(np.float64)
        arc = (match.yaw[tick + 1, seat] - turn + math.pi) % (2 * math.pi) - math.pi
        turn = turn + arc * share
        c, s = np.cos(turn), np.sin(turn)
        o, d = origin[shot] - (a + (b - a) * share[:, None]), direction[shot]
        o = np.column_stack([c * o[:, 0] + s * o[:, 1], c * o[:, 1] - s * o[:, 0], o[:, 2]])
        d = np.column_stack([c * d[:, 0] + s * d[:, 1], c * d[:, 1] - s * d[:, 0], d[:, 2]])
        skipped = np.maximum(0.0, dots(np.array([0.0, 0.0, height]) - o, d) - reach)
        o += skipped[:, None] * d
        met = np.empty(len(shot))
        stance = match.stance[tick, seat]
        for index, shapes in enumerate(stances):
            which = stance == index
            if which.any():
                met[which] = shapes.met(o[which], d[which]) + skipped[which]
        nearest = np.full(SHOTS_NUMPY, np.inf)
        np.minimum.at(nearest, shot, met)
        out = np.full(SHOTS_NUMPY, -1, np.int32)
        first = (met == nearest[shot]) & (met <= REACH)
        out[shot[first][::-1]] = seat[first][::-1]
        hit = np.nonzero(out >= 0)[0]
        low, high = match.crates[:, 0], match.crates[:, 1]
        stopped = boxes_met(origin[hit, None], direction[hit, None], low, high).min(axis=1)
        out[hit[stopped < nearest[hit]]] = -1
        return out

    return judge


# ---- the race -----------------------------------------------------------------------------------


def race(judges: dict[str, tuple[Judge, int]]) -> dict[str, float]:
    """Median nanoseconds a shot of each contestant, in turns."""
    agreed = judges["native"][0]()
    for name, (judge, shots) in judges.items():
        if not np.array_equal(judge()[:shots], agreed[:shots]):
            raise AssertionError(f"{name} judges otherwise than the core")
    times: dict[str, list[float]] = {name: [] for name in judges}
    for _ in range(ROUNDS):
        for name, (judge, shots) in judges.items():
            started = time.thread_time_ns()
            judge()
            times[name].append((time.thread_time_ns() - started) / shots)
    return {name: statistics.median(values) for name, values in times.items()}


def run() -> list[Row]:
    rows: list[Row] = []

    def add(case: str, metric: str, value: float, unit: str) -> None:
        rows.append({"case": case, "metric": metric, "value": value, "unit": unit})

    with tempfile.TemporaryDirectory() as folder:
        library = compile_c(Path(folder))
        for players in PLAYERS:
            match = make_match(players)
            native = native_judge(match)
            judged = race(
                {
                    "native": (native, SHOTS),
                    "plain C": (c_judge(match, library), SHOTS),
                    "NumPy": (numpy_judge(match), SHOTS_NUMPY),
                    "Python twin": (twin_judge(match), SHOTS_TWIN),
                }
            )
            case = f"{players} players"
            for name, value in judged.items():
                add(f"{case}, {name}", "time of a judged shot", value, "ns")
            for name, value in judged.items():
                if name != "native":
                    add(f"{case}, native : {name}", "ratio", judged["native"] / value, "x")
            add(case, "shots that hit", float(np.mean(native() >= 0)) * 100.0, "%")
    return rows


def main() -> None:
    for row in run():
        print(f"{row['case']:<34}{row['metric']:<24}{row['value']:>14,.4g} {row['unit']}")


if __name__ == "__main__":
    main()
