"""The edge: which worker a call goes to, with what it knows of their health, which is always a little old.

Frames travel in order and take their time. A dead worker refuses or resets, a stopped one says nothing, a
worker that answers "not executed here" is not the last one asked.
"""

from __future__ import annotations

import asyncio
import random
import zlib
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar

import grpc

from services.chassis.auth import Principal
from services.chassis.errors import DomainError, Unavailable
from tests.sim.trace import Trace
from tests.support.virtual_time import Loop, Node

T = TypeVar("T")
ATTEMPTS = 3


class Host(Protocol):
    """A worker, as the edge sees it."""

    node: Node

    async def serve(self, context: Any, caller: Principal) -> None: ...


def elsewhere(error: BaseException) -> bool:
    """Whether the answer asserts that nothing was executed, and asks to try another worker."""
    return isinstance(error, DomainError) and error.elsewhere


def gone() -> Unavailable:
    return Unavailable("The connection is gone.", reason="UPSTREAM")


class Edge:
    def __init__(self, loop: Loop, draw: random.Random, trace: Trace) -> None:
        self.loop = loop
        self.trace = trace
        self.slots: dict[str, Host | None] = {}
        """Who is in each slot now."""
        self.healthy: dict[str, bool] = {}
        self._draw = draw
        self._legs: dict[Node, list[Leg]] = {}
        self._reset: dict[Node, asyncio.Future[None]] = {}

    # -- health -----------------------------------------------------------------------------------

    def put(self, slot: str, host: Host | None) -> None:
        """A process has come up in a slot, or has gone; the health checks find out later."""
        before = self.slots.get(slot)
        self.slots[slot] = host
        if before is not None:
            self._cut(before.node)
        if host is not None:
            self._reset[host.node] = self.loop.create_future()
        self.check(slot)

    def check(self, slot: str) -> None:
        """The next health checks see what is there by then."""
        self.loop.world_after(0.25 + 0.5 * self._draw.random(), self._checked, slot)

    def _checked(self, slot: str) -> None:
        host = self.slots.get(slot)
        self.healthy[slot] = host is not None and not host.node.frozen

    def _cut(self, node: Node) -> None:
        self._reset[node].set_result(None)
        for leg in self._legs.pop(node, ()):
            self.loop.world_after(0.005 * self._draw.random(), leg.call.ended, leg, gone())

    # -- calls ------------------------------------------------------------------------------------

    def hosts(self, session_id: str) -> list[str]:
        """Slots to try, the session's own first."""
        known = [slot for slot, healthy in self.healthy.items() if healthy] or list(self.slots)
        ranked = sorted(known, key=lambda slot: zlib.crc32(f"{session_id}/{slot}".encode()))
        return ranked[:ATTEMPTS]

    def delay(self) -> float:
        """Of one message between a client and a worker."""
        draw = self._draw.random()
        return 0.0005 + 0.003 * draw if draw < 0.97 else 0.1 * self._draw.random()

    def busy(self) -> bool:
        """Whether a write has to wait for the one that reads."""
        return self._draw.random() < 0.1

    async def unary(
        self, session_id: str, operation: Callable[[Any], Coroutine[Any, Any, T]], timeout_s: float = 1.5
    ) -> T:
        """The answer of the first worker that gives one.

        Raises:
            DomainError: the answer, or UNAVAILABLE when it is unknown what became of the call.
        """
        error: BaseException = gone()
        for slot in self.hosts(session_id):
            host = self.slots[slot]
            await asyncio.sleep(self.delay())
            if host is None or self.slots[slot] is not host:
                continue  # connection refused: nothing happened
            task: asyncio.Task[T] = self.loop.spawn(host.node, operation(host))
            task.add_done_callback(_seen)
            ends: list[asyncio.Future[Any]] = [task, self._reset[host.node]]
            await asyncio.wait(ends, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                self.loop.call_soon(task.cancel, context=self.loop.context(host.node))
                raise gone()
            await asyncio.sleep(self.delay())
            if (found := task.exception()) is None:
                return task.result()
            error = found
            if not elsewhere(error):
                raise error
        raise error

    def open(self, session_id: str, caller: Principal, client: Client) -> Call:
        call = Call(self, self.hosts(session_id), caller, client)
        call.next_host()
        return call

    def attach(self, leg: Leg) -> None:
        self._legs.setdefault(leg.host.node, []).append(leg)

    def detach(self, leg: Leg) -> None:
        if leg in self._legs.get(leg.host.node, ()):
            self._legs[leg.host.node].remove(leg)


class Client(Protocol):
    """Who opened a stream."""

    def received(self, call: Call, message: bytes) -> None: ...

    def closed(self, call: Call, error: BaseException | None) -> None: ...


class Call:
    """A Play stream as its client has it."""

    def __init__(self, edge: Edge, hosts: list[str], caller: Principal, client: Client) -> None:
        self.edge = edge
        self.caller = caller
        self.over = False
        self._client = client
        self._hosts = hosts
        self._sent: list[bytes] = []
        self._leg: Leg | None = None

    def send(self, frame: bytes) -> None:
        self._sent.append(frame)
        if self._leg is not None:
            self._leg.pass_on(frame)

    def cancel(self) -> None:
        """The client hangs up, and hears nothing any more."""
        self.over = True
        if self._leg is not None:
            self._leg.hang_up()

    def next_host(self) -> None:
        loop, edge = self.edge.loop, self.edge
        host = edge.slots[self._hosts.pop(0)] if self._hosts else None
        if host is None:
            if self._hosts:
                loop.world_after(edge.delay(), self._retry)
            else:
                loop.world_after(edge.delay(), self._close, gone())
            return
        leg = self._leg = Leg(self, host)
        edge.attach(leg)
        loop.world_after(edge.delay(), leg.begin)
        for frame in self._sent:
            leg.pass_on(frame)

    def _retry(self) -> None:
        if not self.over:
            self.next_host()

    def delivered(self, leg: Leg, message: bytes) -> None:
        if not self.over and leg is self._leg:
            self._client.received(self, message)

    def ended(self, leg: Leg, error: BaseException | None) -> None:
        """Of a leg: at the worker's word, or with its death."""
        self.edge.detach(leg)
        if self.over or leg is not self._leg:
            return
        if error is not None and elsewhere(error) and not leg.answered and self._hosts:
            self.next_host()
        else:
            self._close(error)

    def _close(self, error: BaseException | None) -> None:
        if not self.over:
            self.over = True
            self._client.closed(self, error)


class Leg:
    """The same stream as the worker has it: the context of its handler."""

    def __init__(self, call: Call, host: Host) -> None:
        self.call = call
        self.host = host
        self.answered = False
        self._edge = call.edge
        self._inbox: deque[Any] = deque()
        self._reading: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._in_at = self._out_at = 0.0

    # -- the edge's side --------------------------------------------------------------------------

    def begin(self) -> None:
        if self.host.node.dead:
            self.call.ended(self, gone())
        else:
            self._task = self._edge.loop.spawn(self.host.node, self._handle())

    def pass_on(self, frame: bytes) -> None:
        now, edge = self._edge.loop.now, self._edge
        self._in_at = max(self._in_at, now + edge.delay())
        edge.loop.world_after(self._in_at - now, self._arrived, frame)

    def hang_up(self) -> None:
        self._edge.loop.world_after(self._edge.delay(), self._hung_up)

    def _hung_up(self) -> None:
        loop = self._edge.loop
        self._arrived(grpc.aio.EOF)
        if self._task is not None:
            loop.call_soon(self._task.cancel, context=loop.context(self.host.node))
        self._edge.detach(self)

    def _arrived(self, frame: Any) -> None:
        self._inbox.append(frame)
        if self._reading is not None and not self._reading.done():
            self._reading.set_result(None)

    async def _handle(self) -> None:
        error: BaseException | None = None
        try:
            await self.host.serve(self, self.call.caller)
        except DomainError as raised:
            error = raised
        loop = self._edge.loop
        self._out_at = max(self._out_at, loop.now + self._edge.delay())
        loop.world_after(self._out_at - loop.now, self.call.ended, self, error)

    # -- the worker's side: what a handler needs of grpc.aio.ServicerContext ---------------------------

    async def read(self) -> Any:
        while not self._inbox:
            self._reading = self._edge.loop.create_future()
            await self._reading
        return self._inbox.popleft()

    async def write(self, message: bytes) -> None:
        self.answered = True
        edge = self._edge
        now = edge.loop.now
        self._out_at = max(self._out_at, now + edge.delay())
        edge.loop.world_after(self._out_at - now, self.call.delivered, self, message)
        if edge.busy():
            await asyncio.sleep(edge.delay())


def _seen(task: asyncio.Task[Any]) -> None:
    """Somebody may have stopped waiting for it."""
    if not task.cancelled():
        task.exception()
