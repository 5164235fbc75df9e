"""Commands a second through a real Play stream, beside a bare echo of the same bytes.

Three processes: this one makes the load, a combat worker (real PostgreSQL and Redis) judges it, and an echo
server with the same gRPC options and identity serialisers sends the same bytes back. Worker and echo take
turns in short rounds, so that a busy moment of the machine meets both; figures are medians of the rounds.
On a machine that others use too, read the ratio and the shots a processor second of the worker.

The load is that of a game server (see `load.py`): STREAMS streams, one for each session, every frame filled
with shots of all its players, two frames on the way at a time. Every verdict of every round is read
afterwards, and the bench fails unless all are accepted and most of them hit. PostgreSQL runs without fsync;
what a disk costs is what `durable` measures.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import grpc
from arenamesh.client import Backoff, connect
from grpc import aio

from services.chassis import auth, server
from tests.bench.load import PLAY, ROOT, Load, Round, aim, content, inspect, make_session, measure
from tests.bench.report import Row
from tests.support import postgres, redis

SIZES = (1, 16, 64, 256)
STREAMS = 4
ROUND_S = 0.5
ROUNDS = 7
WARM_S = 0.3
FIRST_RATE = 20_000.0


# ---- processes ----------------------------------------------------------------------------------


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
        content(folder)
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


# ---- setting up ---------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def loads(worker: str, echo: str) -> AsyncIterator[tuple[list[Load], list[Load]]]:
    """STREAMS open streams to the worker, and as many to the echo server with the same shots to send."""
    token = auth.mint(auth.DEVELOPMENT_SECRET, subject="bench", role=auth.Role.GAME_SERVER, lifetime_s=3600)
    patient = Backoff(first_s=0.1, max_s=0.5, attempts=60)
    async with connect(worker, token=token, backoff=patient) as mesh:
        judged: list[Load] = []
        echoed: list[Load] = []
        for _ in range(STREAMS):
            session_id = await make_session(mesh)
            shots = await aim(mesh, session_id)
            for target, into in ((worker, judged), (echo, echoed)):
                load = Load(session_id, shots, echoed=target == echo)
                await load.open(target, token)
                into.append(load)
        try:
            yield judged, echoed
        finally:
            for load in (*judged, *echoed):
                load.call.close()


# ---- measuring ----------------------------------------------------------------------------------


async def measured() -> list[Row]:
    rows: list[Row] = []
    with servers() as (worker, echo, pid):
        async with loads(worker, echo) as (judged, echoed):
            for size in SIZES:
                rows += await measured_size(judged, echoed, size, pid)
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
