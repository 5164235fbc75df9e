"""The load of a game server: frames of shots at targets in sight, in a closed loop over Play streams.

Every session has SEATS players; a stream speaks for a share of them. Frames are encoded before the clock
starts. The ruleset is the default one without limits on fire or rounds, and with health that no run uses up:
so every shot is rewound, traced through the map, and dealt.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import shutil
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from arenamesh.client import Mesh, commands
from arenamesh.combat.v1 import play_pb2, verdict_pb2

from native.world import World
from services.combat.domain.map import load_map
from tests.bench.http2 import Call

ROOT = Path(__file__).parents[2]
DATA = ROOT / "services" / "combat" / "data"
PLAY = "/arenamesh.combat.v1.CombatService/Play"
MAP, RULESET = "canyon", "bench"

SEATS = 64
WEAPONS = 32
TICK_HZ = 60
# Frames encoded for a round, by the rate of the one before.
SPARE = 1.6
VIEW_DELAY_S = 0.1
START_S = 10.0
EYE_M, CHEST_M = 1.62, 1.3
Shots = list[list[tuple[bytes, bytes]]]


# ---- content ------------------------------------------------------------------------------------


def content(folder: Path) -> None:
    """Makes a data directory with the maps and the bench's ruleset."""
    shutil.copytree(DATA / "maps", folder / "maps")
    (folder / "rulesets").mkdir()
    (folder / "rulesets" / f"{RULESET}-1.json").write_text(json.dumps(bench_ruleset()))


def bench_ruleset() -> dict[str, Any]:
    """The default ruleset with what ends a shoot-out taken out; what a shot costs stays in."""
    rules: dict[str, Any] = json.loads((DATA / "rulesets" / "default-1.json").read_text())
    rules |= {"name": RULESET, "version": 1}
    rules["player"]["health"] = 1_000_000
    rifle = rules["weapons"][0]
    rifle |= {"damage": 0.01, "fire_interval_s": 0.001, "magazine": 0, "reserve": 0, "reload_s": 0}
    # A weapon fires once a millisecond at most: each seat holds many alike and takes them in turn.
    rules["weapons"] = [rifle | {"name": f"rifle-{number}"} for number in range(WEAPONS)]
    rules["modes"][0] |= {"protection_s": 0, "score_limit": 0, "time_limit_s": 0}
    return rules


# ---- one stream ---------------------------------------------------------------------------------


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def tagged(number: int, data: bytes) -> bytes:
    """A length-delimited field."""
    return varint(number << 3 | 2) + varint(len(data)) + data


@dataclass
class Load:
    """One stream's frames, and what came back."""

    call: Call = field(init=False)

    session_id: str
    shots: Shots
    """Of each seat in turn, with each of its weapons: the fields before the sequence, and after it."""
    echoed: bool = False
    """The other end is an echo server."""
    tick: int = 0
    at: float = 0.0
    """When `tick` was."""
    in_flight: int = 2
    """Frames unanswered at a time."""
    interval_s: float = 0.0
    """Between two frames, whether answers come or not; 0: a frame as soon as there is room for it."""
    sequence: int = 1
    frame: int = 0
    acked: int = 0
    """The last frame that is answered, and durable where its verdicts are."""
    durable: bool = False
    """A frame is answered when `durable_through` covers its verdicts."""
    through: int = 0
    sent: deque[tuple[int, float]] = field(default_factory=deque)
    told: deque[tuple[int, int]] = field(default_factory=deque)
    """Frames whose verdicts came, with the journal sequence of the last of them."""
    latencies: list[float] = field(default_factory=list)
    answers: list[bytes] = field(default_factory=list)
    _waiting: Iterator[bytes] = field(default_factory=lambda: iter(()))
    _until: float = 0.0
    _due: float = 0.0
    """When the next frame should go; the wait for its answer begins then, also when it goes later."""
    _timer: asyncio.TimerHandle | None = None
    _over: asyncio.Future[None] | None = None

    async def open(self, target: str, token: str) -> None:
        """Opens the stream over a connection of its own, as one of several game servers, and is welcomed."""
        metadata = (("authorization", f"Bearer {token}"), ("x-session-id", self.session_id))
        welcome: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        def arrived(answer: bytes) -> None:
            if welcome.done():
                self.take(answer)
            else:
                welcome.set_result(answer)

        self.call = await Call.open(target, PLAY, metadata, arrived)
        hello = play_pb2.Hello(session_id=self.session_id, protocol=1, snapshot_rate_hz=1)
        self.call.send(play_pb2.PlayRequest(hello=hello).SerializeToString())
        await asyncio.wait({welcome, self.call.ended}, timeout=START_S, return_when=asyncio.FIRST_COMPLETED)
        if self.call.ended.done():
            self.call.ended.result()
        self.at = time.monotonic()
        if not self.echoed:
            self.tick = play_pb2.PlayResponse.FromString(welcome.result()).tick

    def encode(self, size: int, frames: int) -> list[bytes]:
        """Commands of `frames` frames; the head is put before them when they are sent."""
        bodies = []
        turn = 0
        for _ in range(frames):
            commands = []
            for _ in range(size):
                before, after = self.shots[turn][self.sequence % len(self.shots[turn])]
                commands.append(tagged(6, before + b"\x10" + varint(self.sequence) + after))
                turn += 1
                if turn == len(self.shots):
                    turn, self.sequence = 0, self.sequence + 1
            bodies.append(b"".join(commands))
        self.sequence += 1  # some seats are one behind: all go on from the same number
        return bodies

    def take(self, answer: bytes) -> None:
        """An answer came."""
        now = time.perf_counter()
        if self.echoed:
            self.acked += 1
        else:
            self.answers.append(answer)
            self._read(play_pb2.PlayResponse.FromString(answer))
        while self.sent and self.sent[0][0] <= self.acked:
            self.latencies.append(now - self.sent.popleft()[1])
        self._fill()

    def _read(self, answer: play_pb2.PlayResponse) -> None:
        if not self.durable:
            self.acked = max(self.acked, answer.acked_frame)
            return
        if answer.verdicts:
            self.told.append((answer.acked_frame, answer.verdicts[-1].journal_sequence))
        self.through = max(self.through, answer.durable_through)
        while self.told and self.told[0][1] <= self.through:
            self.acked = self.told.popleft()[0]

    def head(self, now: float) -> bytes:
        """Frame number and view: what was on screen VIEW_DELAY_S ago."""
        self.frame += 1
        seen = self.tick + (now - self.at - VIEW_DELAY_S) * TICK_HZ
        tick = max(0, int(seen))
        fraction = int((seen - tick) * 65536) if seen > 0 else 0
        return b"\x10" + varint(self.frame) + b"\x18" + varint(tick) + b"\x20" + varint(fraction)

    async def keep_busy(self, bodies: list[bytes], until: float, phase: float) -> int:
        """Keeps `in_flight` frames unanswered, or sends one each `interval_s`, until the time is over.

        Returns how many came back. `phase`: the part of the first interval to wait."""
        self._waiting, self._until = iter(bodies), until
        self._due = time.perf_counter() + phase * self.interval_s
        self._over = asyncio.get_running_loop().create_future()
        first = self.frame
        self._fill()
        await asyncio.wait({self._over, self.call.ended}, return_when=asyncio.FIRST_COMPLETED)
        if not self._over.done():
            self.call.ended.result()
        return self.frame - first

    def _fill(self) -> None:
        """Sends as long as there is room and time; the round is over when everything is answered then."""
        over = self._over
        if over is None or over.done():
            return
        while (
            self.frame - self.acked < self.in_flight
            and self._due <= (now := time.perf_counter()) < self._until
        ):
            body = next(self._waiting, None)
            if body is None:  # faster than ever before: the round is over a little early
                self._until = 0.0
                break
            head = self.head(time.monotonic())
            if self.interval_s:
                now, self._due = self._due, self._due + self.interval_s
            self.sent.append((self.frame, now))
            self.call.send(head + body)
        if (now := time.perf_counter()) < self._until:
            if self._due > now:
                self._fill_at(self._due - now)
        elif self.acked == self.frame:
            over.set_result(None)

    def _fill_at(self, delay_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(delay_s, self._fill)


# ---- setting up ---------------------------------------------------------------------------------


async def make_session(mesh: Mesh) -> str:
    """The id of a session in which SEATS players have taken their seats."""
    session = await mesh.combat.create_session(
        "bench",
        map_id=MAP,
        mode="deathmatch",
        ruleset=RULESET,
        max_players=SEATS,
        min_players=1,
        tick_rate_hz=TICK_HZ,
    )
    for number in range(SEATS):
        await mesh.combat.join(session.session_id, f"player-{number}")
    return session.session_id


async def aim(mesh: Mesh, session_id: str, *, hit: bool = True) -> Shots:
    """Shots of every seat that sees somebody from its spawn: at those it sees, or over their heads."""
    feet: dict[int, tuple[float, float, float]] = {}
    async with asyncio.timeout(START_S):
        while len(feet) < SEATS:  # the newest tick may be from before the last join
            state = await mesh.combat.get_state(session_id)
            feet = {e.slot: (e.x_mm / 1000, e.y_mm / 1000, e.z_mm / 1000) for e in state.snapshot.entities}
    geometry = World(load_map(DATA / "maps" / f"{MAP}.json"))
    shots = []
    for slot, (x, y, z) in feet.items():
        eye = (x, y, z + EYE_M)
        seen = []
        for other, (ox, oy, oz) in feet.items():
            chest = (ox, oy, oz + CHEST_M)
            if other != slot and geometry.sees(eye, chest):
                across = (chest[0] - eye[0], chest[1] - eye[1])
                seen.append((*across, chest[2] - eye[2] if hit else abs(across[0]) + abs(across[1])))
        if not seen:
            continue
        aims = [commands.shot(weapon, eye, seen[weapon % len(seen)]) for weapon in range(WEAPONS)]
        shots.append([(b"\x08" + varint(slot), each.SerializeToString()) for each in aims])
    if len(shots) < SEATS // 2:
        raise RuntimeError(f"only {len(shots)} of {SEATS} players see anybody")
    return shots


# ---- measuring ----------------------------------------------------------------------------------


@dataclass
class Round:
    """What one round of one server came to."""

    frames: int
    seconds: float
    latencies: list[float]

    @property
    def rate(self) -> float:
        return self.frames / self.seconds

    def percentile_s(self, share: float) -> float:
        """What that share of the frames did not wait longer than."""
        return sorted(self.latencies)[int(share * (len(self.latencies) - 1))]


@contextmanager
def prompt() -> Iterator[None]:
    """This process gets a processor as soon as it has something to do, where the system allows that.

    Game servers are other machines. Here, on cores that are all busy, answers would wait for this process for
    up to some of the kernel's ticks, and that would count as the worker's time.
    """
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    except (AttributeError, PermissionError):  # not Linux; not root
        yield
        return
    try:
        yield
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


async def measure(loads: Sequence[Load], size: int, seconds: float, rate: float) -> Round:
    """One round over these streams. `rate`: frames a second to be ready for."""
    bodies = []
    for load in loads:
        bodies.append(load.encode(size, int(rate * seconds * SPARE / len(loads)) + load.in_flight))
        await asyncio.sleep(0)  # the readers' turn
    for load in loads:
        load.answers.clear()
        load.latencies.clear()
    # A collection of what this process holds takes tens of milliseconds, which would count as the worker's.
    gc.collect()
    gc.disable()
    begin = time.perf_counter()
    try:
        with prompt():
            counts = await asyncio.gather(
                *(
                    load.keep_busy(body, begin + seconds, number / len(loads))
                    for number, (load, body) in enumerate(zip(loads, bodies, strict=True))
                )
            )
    finally:
        gc.enable()
    took = time.perf_counter() - begin
    return Round(sum(counts), took, [late for load in loads for late in load.latencies])


def inspect(loads: Sequence[Load], commands: int) -> float:
    """The share of shots of the round that hit.

    Raises:
        RuntimeError: a verdict is missing, or is not an acceptance.
    """
    accepted = hits = 0
    for load in loads:
        for answer in load.answers:
            for verdict in play_pb2.PlayResponse.FromString(answer).verdicts:
                if verdict.outcome != verdict_pb2.OUTCOME_ACCEPTED:
                    raise RuntimeError(f"a shot was not judged to the end: {verdict}")
                accepted += 1
                hits += any(hit.dealt_milli for hit in verdict.hits)
    if accepted != commands:
        raise RuntimeError(f"{commands:,} shots were sent and {accepted:,} judged")
    if hits < accepted / 2:
        raise RuntimeError(f"only {hits:,} of {accepted:,} shots hit: the load is not what it should be")
    return hits / accepted
