"""The ways to a process of a mesh on this machine, and what calls over them come to.

A client is one connection with one call unanswered at a time. Rounds go through the edge and straight to the
process in turn, so that a busy moment meets both.
"""

from __future__ import annotations

import shutil
import statistics
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench.callers import Callers, Connection, Make, Round
from tests.bench.durable import START_S
from tests.bench.play import processor_s
from tests.bench.report import Row
from tests.bench.unary import Channel
from tests.support.mesh import supervised, token

ROUND_S = 0.7
WARM_S = 0.3
ROUNDS = 3


@dataclass(frozen=True)
class Running:
    edge: str
    process: str
    pid: int
    database: str
    redis: str
    parts: Mapping[str, int]
    """Process ids by name."""


@contextmanager
def mesh(part: str, **environment: str) -> Iterator[Running]:
    """A mesh of one service, whose process is measured."""
    folder = Path(tempfile.mkdtemp(prefix="arenamesh-bench-"))
    try:
        options = ("--services", part, "--no-bots", "--no-web")
        with supervised(
            folder, *options, port=None, **({"LOG_LEVEL": "WARNING"} | environment)
        ) as supervisor:
            ready = supervisor.until("ready", seconds=START_S)
            pid = supervisor.part(part)["pid"]
            # The edge is what clients are told of; where the process listens only its environment says.
            entries = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
            port = next(entry for entry in entries if entry.startswith(b"PORT=")).decode()[5:]
            parts = {each["part"]: each["pid"] for each in supervisor.state["parts"]}
            yield Running(
                supervisor.target, f"127.0.0.1:{port}", pid, ready["database"], ready["redis"], parts
            )
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@asynccontextmanager
async def channels(target: str, count: int) -> AsyncIterator[list[Channel]]:
    metadata = [("authorization", f"Bearer {token('bench', 'game_server', lifetime_s=3600)}")]
    opened = [await Channel.open(target, metadata) for _ in range(count)]
    try:
        yield opened
    finally:
        for channel in opened:
            channel.close()


@dataclass(frozen=True)
class Level:
    """How calls are made: over how many connections, in rounds of how many seconds."""

    name: str
    connections: int
    run: Callable[[Callers], Coroutine[None, None, Round]]
    seconds: float = ROUND_S
    rounds: int = ROUNDS


def closed(clients: int) -> Level:
    """Each client over a connection of its own."""
    return Level(f"x {clients:,}", clients, lambda callers: callers.closed(clients))


class Routes:
    """The ways to the process, with their connections; what is measured over all of them, in turn."""

    def __init__(self, running: Running, by_name: Mapping[str, Sequence[Connection]]) -> None:
        self._pid = running.pid
        self._by_name = by_name

    async def measured(self, kind: str, make: Make | Mapping[str, Make], level: Level) -> list[Row]:
        """Also the processor time of the process, for each call. `make`: for each way, where they differ."""
        makes = {name: make[name] if isinstance(make, Mapping) else make for name in self._by_name}
        rounds: dict[str, list[Round]] = {name: [] for name in self._by_name}
        used = dict.fromkeys(self._by_name, 0.0)
        if level.rounds > 1:
            for name, opened in self._by_name.items():
                await level.run(Callers(opened[: level.connections], makes[name], WARM_S))
        for _ in range(level.rounds):
            for name, opened in self._by_name.items():
                before = processor_s(self._pid)
                rounds[name].append(
                    await level.run(Callers(opened[: level.connections], makes[name], level.seconds))
                )
                used[name] += processor_s(self._pid) - before
        rows: list[Row] = []
        for name, done in rounds.items():
            case = f"{kind} {level.name}, {name}"
            took = used[name] / sum(len(each.latencies) for each in done) * 1e6
            rows += figures(case, done)
            rows.append(Row(case=case, metric="processor a call", value=took, unit="us"))
        return rows


def figures(case: str, rounds: Sequence[Round]) -> list[Row]:
    """Calls a second of the middle round, and how long all calls took."""
    late = sorted(late for each in rounds for late in each.latencies)
    shown = [
        Row(case=case, metric="calls", value=statistics.median(each.rate for each in rounds), unit="1/s")
    ]
    for share in (0.50, 0.95, 0.99):
        value = late[int(share * (len(late) - 1))] * 1e3
        shown.append(Row(case=case, metric=f"p{share * 100:.0f}", value=value, unit="ms"))
    again = sum(each.again for each in rounds)
    shown.append(Row(case=case, metric="told to come again", value=again, unit="calls"))
    return shown
