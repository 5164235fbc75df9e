"""Commands a second through a real Play stream, beside a bare echo of the same bytes.

Three processes: this one makes the load, a combat worker (real PostgreSQL and Redis) judges it, and an echo
server with the same gRPC options and identity serialisers sends the same bytes back. Worker and echo take
turns in short rounds, so that a busy moment of the machine meets both; figures are medians of the rounds.
On a machine that others use too, read the ratio and the shots a processor second of the worker.

The load is that of a game server: STREAMS streams, one for each session of SEATS players, every frame filled
with shots of all of them at targets in sight, IN_FLIGHT frames on the way at a time. Frames are encoded
before the clock starts. The ruleset is the default one without limits on fire or rounds, and with health
that no run uses up: so every shot is rewound, traced through the map, and dealt. Every verdict of every
round is read afterwards, and the bench fails unless all are accepted and most of them hit.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from arenamesh.client import CHANNEL_OPTIONS, Backoff, Mesh, commands, connect
from arenamesh.combat.v1 import play_pb2, verdict_pb2
from grpc import aio

from native.world import World
from services.chassis import auth, server
from services.combat.domain.map import load_map
from tests.bench.report import Row
from tests.support import postgres, redis

ROOT = Path(__file__).parents[2]
DATA = ROOT / "services" / "combat" / "data"
PLAY = "/arenamesh.combat.v1.CombatService/Play"
MAP, RULESET = "canyon", "bench"

SIZES = (1, 16, 64, 256)
STREAMS = 4
SEATS = 64
WEAPONS = 32
IN_FLIGHT = 2
ROUND_S = 0.5
ROUNDS = 7
WARM_S = 0.3
TICK_HZ = 60
# Frames encoded for a round, by the rate of the one before.
SPARE = 1.6
FIRST_RATE = 20_000.0
VIEW_DELAY_S = 0.1
START_S = 10.0
EYE_M, CHEST_M = 1.62, 1.3


# ---- processes ----------------------------------------------------------------------------------


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


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def process(*command: str, **environment: str) -> Iterator[int]:
    """Runs a module; gives its process id."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "clients" / "python")])
    running = subprocess.Popen(
        [sys.executable, "-m", *command],
        env=os.environ | {"PYTHONPATH": path, "LOG_LEVEL": "WARNING"} | environment,
        cwd=ROOT,
    )
    try:
        yield running.pid
    finally:
        running.terminate()
        running.wait()


@contextlib.contextmanager
def servers() -> Iterator[tuple[str, str, int]]:
    """Addresses of a combat worker and of the echo server, and the worker's process id."""
    with contextlib.ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="arenamesh-bench-"))
        stack.callback(shutil.rmtree, folder)
        shutil.copytree(DATA / "maps", folder / "maps")
        (folder / "rulesets").mkdir()
        (folder / "rulesets" / f"{RULESET}-1.json").write_text(json.dumps(bench_ruleset()))
        database = stack.enter_context(postgres.running()).url()
        worker, echo = free_port(), free_port()
        environment = {
            "PORT": str(worker),
            "ADMIN_PORT": "0",
            "DATA_DIR": str(folder),
            "DATABASE_URL": database,
            "REDIS_URL": stack.enter_context(redis.running()),
            "JWT_SECRET": auth.DEVELOPMENT_SECRET,
            "ENVIRONMENT": "development",
            "DRAIN_S": "0",
        }
        subprocess.run(
            [sys.executable, "-m", "services.combat.main", "migrate"],
            env=os.environ | environment | {"LOG_LEVEL": "WARNING"},
            cwd=ROOT,
            check=True,
        )
        pid = stack.enter_context(process("services.combat.main", "serve", **environment))
        stack.enter_context(process("tests.bench.play", str(echo)))
        yield f"127.0.0.1:{worker}", f"127.0.0.1:{echo}", pid


def processor_s(pid: int) -> float:
    """What a process has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def serve_echo(port: int) -> None:
    """The least a grpc.aio server can do with a message: give it back."""

    async def echo(_: Any, context: Any) -> None:
        read, write, eof = context.read, context.write, aio.EOF
        while (message := await read()) is not eof:
            await write(message)

    bare = aio.server(options=server.options(65536))
    method: Any = grpc.stream_stream_rpc_method_handler(echo)
    service, name = PLAY[1:].split("/")
    bare.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {name: method}),))
    bare.add_insecure_port(f"127.0.0.1:{port}")
    await bare.start()
    await bare.wait_for_termination()


# ---- load ---------------------------------------------------------------------------------------


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

    stream: Any
    shots: list[list[tuple[bytes, bytes]]]
    """Of each seat in turn, with each of its weapons: the fields before the sequence, and after it."""
    tick_rate: int
    tick: int
    at: float
    """When `tick` was."""
    echoed: bool
    """The other end is the echo server."""
    sequence: int = 1
    frame: int = 0
    acked: int = 0
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    sent: deque[tuple[int, float]] = field(default_factory=deque)
    latencies: list[float] = field(default_factory=list)
    answers: list[bytes] = field(default_factory=list)

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

    def take(self, now: float, answer: bytes) -> None:
        """An answer came."""
        if self.echoed:
            self.acked += 1
        else:
            self.answers.append(answer)
            self.acked = max(self.acked, play_pb2.PlayResponse.FromString(answer).acked_frame)
        while self.sent and self.sent[0][0] <= self.acked:
            self.latencies.append(now - self.sent.popleft()[1])
        self.arrived.set()

    def head(self, now: float) -> bytes:
        """Frame number and view: what was on screen VIEW_DELAY_S ago."""
        self.frame += 1
        seen = self.tick + (now - self.at - VIEW_DELAY_S) * self.tick_rate
        tick = max(0, int(seen))
        fraction = int((seen - tick) * 65536) if seen > 0 else 0
        return b"\x10" + varint(self.frame) + b"\x18" + varint(tick) + b"\x20" + varint(fraction)


@dataclass
class Round:
    """What one round of one server came to."""

    frames: int
    seconds: float
    latencies: list[float]

    @property
    def rate(self) -> float:
        return self.frames / self.seconds


async def keep_busy(load: Load, bodies: list[bytes], until: float) -> int:
    """Sends frames with IN_FLIGHT of them unanswered until the time is over; returns how many came back."""
    waiting = iter(bodies)
    first = load.frame
    while True:
        while load.frame - load.acked < IN_FLIGHT and time.perf_counter() < until:
            body = next(waiting, None)
            if body is None:  # faster than ever before: the round is over a little early
                until = 0.0
                break
            head = load.head(time.monotonic())
            load.sent.append((load.frame, time.perf_counter()))
            await load.stream.write(head + body)
        if load.acked == load.frame:
            return load.frame - first
        load.arrived.clear()
        await load.arrived.wait()


async def receive(load: Load) -> None:
    """Reads all the time, also between the rounds: a reader that pauses is cut off."""
    while (answer := await load.stream.read()) is not aio.EOF:
        load.take(time.perf_counter(), answer)
    raise RuntimeError(f"a stream ended: {await load.stream.code()} {await load.stream.details()}")


# ---- setting up ---------------------------------------------------------------------------------


async def shooters(mesh: Mesh, session_id: str) -> list[list[tuple[bytes, bytes]]]:
    """Shots of every seat that sees somebody from its spawn, at those it sees."""
    for number in range(SEATS):
        await mesh.combat.join(session_id, f"player-{number}")
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
                seen.append((chest[0] - eye[0], chest[1] - eye[1], chest[2] - eye[2]))
        if not seen:
            continue
        aims = [commands.shot(weapon, eye, seen[weapon % len(seen)]) for weapon in range(WEAPONS)]
        shots.append([(b"\x08" + varint(slot), aim.SerializeToString()) for aim in aims])
    if len(shots) < SEATS // 2:
        raise RuntimeError(f"only {len(shots)} of {SEATS} players see anybody")
    return shots


@contextlib.asynccontextmanager
async def loads(worker: str, echo: str) -> AsyncIterator[tuple[list[Load], list[Load]]]:
    """STREAMS open streams to the worker, and as many to the echo server with the same shots to send."""
    token = auth.mint(auth.DEVELOPMENT_SECRET, subject="bench", role=auth.Role.GAME_SERVER, lifetime_s=3600)
    patient = Backoff(first_s=0.1, max_s=0.5, attempts=60)
    async with connect(worker, token=token, backoff=patient) as mesh, contextlib.AsyncExitStack() as stack:
        judged: list[Load] = []
        echoed: list[Load] = []
        for _ in range(STREAMS):
            session = await mesh.combat.create_session(
                "bench",
                map_id=MAP,
                mode="deathmatch",
                ruleset=RULESET,
                max_players=SEATS,
                min_players=1,
                tick_rate_hz=TICK_HZ,
            )
            shots = await shooters(mesh, session.session_id)
            metadata = (("authorization", f"Bearer {token}"), ("x-session-id", session.session_id))
            for target, into in ((worker, judged), (echo, echoed)):
                # A connection for each stream, as from several game servers.
                options = [*CHANNEL_OPTIONS, ("grpc.use_local_subchannel_pool", 1)]
                channel = await stack.enter_async_context(aio.insecure_channel(target, options=options))
                call: Any = channel.stream_stream(PLAY)(metadata=metadata, wait_for_ready=True)
                hello = play_pb2.Hello(session_id=session.session_id, protocol=1, snapshot_rate_hz=1)
                await call.write(play_pb2.PlayRequest(hello=hello).SerializeToString())
                answer = await call.read()
                tick = 0 if target == echo else play_pb2.PlayResponse.FromString(answer).tick
                into.append(Load(call, shots, TICK_HZ, tick, time.monotonic(), target == echo))
        yield judged, echoed


# ---- measuring ----------------------------------------------------------------------------------


async def measure(loads: list[Load], size: int, seconds: float, rate: float) -> Round:
    """One round over all streams of one server. `rate`: frames a second to be ready for."""
    frames = int(rate * seconds * SPARE / len(loads)) + IN_FLIGHT
    bodies = []
    for load in loads:
        bodies.append(load.encode(size, frames))
        await asyncio.sleep(0)  # the readers' turn
    for load in loads:
        load.answers.clear()
        load.latencies.clear()
    begin = time.perf_counter()
    counts = await asyncio.gather(
        *(keep_busy(load, body, begin + seconds) for load, body in zip(loads, bodies, strict=True))
    )
    took = time.perf_counter() - begin
    return Round(sum(counts), took, [late for load in loads for late in load.latencies])


def inspect(loads: list[Load], commands: int) -> float:
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


async def measured() -> list[Row]:
    rows: list[Row] = []
    with servers() as (worker, echo, pid):
        async with loads(worker, echo) as (judged, echoed):
            readers = [asyncio.create_task(receive(load)) for load in (*judged, *echoed)]
            for size in SIZES:
                rows += await measured_size(judged, echoed, size, pid)
                for reader in readers:
                    if reader.done():
                        reader.result()
            for reader in readers:
                reader.cancel()
            await asyncio.wait(readers)
    return rows


async def measured_size(judged: list[Load], echoed: list[Load], size: int, pid: int) -> list[Row]:
    rounds: dict[bool, list[Round]] = {False: [], True: []}
    hit = 0.0
    rates = {
        False: (await measure(judged, size, WARM_S, FIRST_RATE)).rate,
        True: (await measure(echoed, size, WARM_S, FIRST_RATE)).rate,
    }
    busy: list[float] = []
    for _ in range(ROUNDS):
        for side, loads in ((False, judged), (True, echoed)):
            used = processor_s(pid)
            done = await measure(loads, size, ROUND_S, rates[side])
            rates[side] = max(rates[side], done.rate)
            rounds[side].append(done)
            if not side:
                busy.append(done.frames * size / max(processor_s(pid) - used, 0.01))
                hit = inspect(judged, done.frames * size)
    play, echo = (statistics.median(r.rate for r in rounds[e]) for e in (False, True))
    ratio = statistics.median(p.rate / e.rate for p, e in zip(rounds[False], rounds[True], strict=True))
    late = {e: sorted(late for r in rounds[e] for late in r.latencies) for e in rounds}
    case = f"{size} a frame"
    rows: list[Row] = [
        Row(case=case, metric="judged shots of a worker", value=play * size, unit="1/s"),
        Row(
            case=case,
            metric="shots a processor second of the worker",
            value=statistics.median(busy),
            unit="1/s",
        ),
        Row(case=case, metric="frames judged", value=play, unit="1/s"),
        Row(case=case, metric="frames echoed", value=echo, unit="1/s"),
        Row(case=case, metric="judged to echoed", value=ratio, unit="ratio"),
        Row(case=case, metric="shots that hit", value=hit, unit="share"),
    ]
    for echo_side, name in ((False, "judged"), (True, "echoed")):
        for share in (0.50, 0.99):
            value = late[echo_side][int(share * (len(late[echo_side]) - 1))] * 1e3
            rows.append(Row(case=case, metric=f"frame {name}, p{share * 100:.0f}", value=value, unit="ms"))
    return rows


def run() -> list[Row]:
    return asyncio.run(measured())


if __name__ == "__main__":
    asyncio.run(serve_echo(int(sys.argv[1])))
