"""What goes wrong, when, from the seed."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from tests.sim.database import Network
from tests.sim.edge import Edge
from tests.sim.trace import Trace
from tests.support.virtual_time import Loop, Node


class Process(Protocol):
    """A worker, as far as it can be hurt."""

    node: Node
    owner: str

    async def drain(self) -> None: ...

    async def settled(self, session_id: str) -> tuple[int, int] | None: ...


@dataclass(frozen=True)
class Mesh:
    """What can be hurt, and how a process comes up again."""

    loop: Loop
    network: Network
    edge: Edge
    trace: Trace
    start: Callable[[str], None]
    processes: dict[str, Process | None]


class Faults:
    """Hurts until `stop`, then makes everything well."""

    def __init__(self, mesh: Mesh, draw: random.Random, rate_hz: float) -> None:
        self._mesh = mesh
        self._draw = draw
        self._rate_hz = rate_hz
        self._kinds: dict[Callable[[], Awaitable[None]], int] = {
            self._crash: 5,
            self._pause: 5,
            self._drain: 3,
            self._restart: 2,
            self._stall: 3,
            self._slow: 2,
            self._lose: 4,
            self._hang_up: 2,
            self._mute: 1,
        }
        self.counts: dict[str, int] = {}
        self._stopping: dict[str, Process] = {}
        """Told to stop; never play again."""
        self._running: list[asyncio.Task[None]] = []

    async def rage(self, seconds: float) -> None:
        """Faults overlap."""
        loop, draw = self._mesh.loop, self._draw
        end = loop.now + seconds
        while True:
            await asyncio.sleep(draw.expovariate(self._rate_hz))
            if loop.now >= end:
                return
            kind = draw.choices(list(self._kinds), list(self._kinds.values()))[0]
            self._running.append(asyncio.ensure_future(kind()))

    def heal(self) -> None:
        """Ends every fault; what is dead comes up, what is stopped goes on."""
        mesh = self._mesh
        for task in self._running:
            task.cancel()
        network = mesh.network
        if network.down:
            network.tables.restarted()
        network.down, network.slow, network.lossy, network.notify_lossy = False, 1.0, 0.0, 0.0
        network.go_on()
        for slot, process in mesh.processes.items():
            if process is not None and self._stopping.get(slot) is process:
                self._kill(slot, process)
                mesh.start(slot)
            elif process is None:
                mesh.start(slot)
            elif process.node.frozen:
                self._thaw(slot, process)
        mesh.trace.add("faults", "healed")

    # -- processes --------------------------------------------------------------------------------

    def _victim(self) -> tuple[str, Process] | None:
        living = [
            (slot, process)
            for slot, process in self._mesh.processes.items()
            if process is not None and not process.node.frozen
        ]
        return self._draw.choice(living) if living else None

    async def _crash(self) -> None:
        if (victim := self._victim()) is None:
            return
        slot, process = victim
        self._count("crash", slot)
        self._kill(slot, process)
        await asyncio.sleep(0.05 + 0.8 * self._draw.random())
        self._mesh.start(slot)

    def _kill(self, slot: str, process: Process) -> None:
        mesh = self._mesh
        process.node.dead = True
        mesh.processes[slot] = None
        mesh.edge.put(slot, None)
        mesh.network.cut(process.owner)

    async def _pause(self) -> None:
        if (victim := self._victim()) is None:
            return
        slot, process = victim
        seconds = self._draw.choice((0.2, 0.5, 2.0, 4.0)) * (0.5 + self._draw.random())
        self._count("pause", slot, f"{seconds:.3f}")
        process.node.frozen = True
        self._mesh.edge.check(slot)
        await asyncio.sleep(seconds)
        if self._mesh.processes[slot] is process:
            self._thaw(slot, process)

    def _thaw(self, slot: str, process: Process) -> None:
        self._mesh.trace.add("faults", "go on", slot)
        self._mesh.loop.thaw(process.node)
        self._mesh.edge.check(slot)

    async def _drain(self) -> None:
        """SIGTERM; and a new process in the same slot."""
        if (victim := self._victim()) is None:
            return
        slot, process = victim
        self._count("drain", slot)
        mesh = self._mesh
        mesh.edge.check(slot)
        self._stopping[slot] = process
        task = mesh.loop.spawn(process.node, process.drain())
        await asyncio.wait([task], timeout=2.5)
        if mesh.processes[slot] is not process:
            return  # killed meanwhile
        self._kill(slot, process)
        await asyncio.sleep(0.05 + 0.3 * self._draw.random())
        mesh.start(slot)

    # -- the database -----------------------------------------------------------------------------

    async def _restart(self) -> None:
        network = self._mesh.network
        seconds = self._draw.choice((0.1, 0.5, 2.0)) * (0.5 + self._draw.random())
        self._count("database restart", f"{seconds:.3f}")
        network.down = True
        await asyncio.sleep(seconds)
        network.down = False
        network.tables.restarted()

    async def _stall(self) -> None:
        network = self._mesh.network
        if network.stalled is not None:
            return
        seconds = self._draw.choice((0.1, 0.5, 2.5)) * (0.5 + self._draw.random())
        self._count("database stall", f"{seconds:.3f}")
        network.stalled = []
        await asyncio.sleep(seconds)
        network.go_on()

    async def _slow(self) -> None:
        network = self._mesh.network
        self._count("slow database")
        network.slow = self._draw.choice((5.0, 30.0))
        await asyncio.sleep(1.0 * self._draw.random())
        network.slow = 1.0

    async def _lose(self) -> None:
        network = self._mesh.network
        self._count("lost requests")
        network.lossy = self._draw.choice((0.1, 0.5))
        await asyncio.sleep(1.0 * self._draw.random())
        network.lossy = 0.0

    async def _hang_up(self) -> None:
        if (victim := self._victim()) is None:
            return
        self._count("lost presence", victim[0])
        self._mesh.network.cut(victim[1].owner)

    async def _mute(self) -> None:
        self._count("lost notifications")
        self._mesh.network.notify_lossy = 0.7
        await asyncio.sleep(1.0)
        self._mesh.network.notify_lossy = 0.0

    def _count(self, kind: str, *details: str) -> None:
        self.counts[kind] = self.counts.get(kind, 0) + 1
        self._mesh.trace.add("faults", kind, *details)
