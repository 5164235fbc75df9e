"""An asyncio loop whose time is a number, and the nodes that live in it.

Nothing sleeps and nothing touches a socket: when no callback is ready, time jumps to the next timer. Each
process of the simulated world is a node: callbacks know theirs by their context, so that the loop can hold
back what a stopped process would do and drop what a dead one would.
"""

from __future__ import annotations

import asyncio
import heapq
import random
from asyncio import Handle, TimerHandle
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from contextvars import Context, ContextVar, copy_context
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVarTuple, Unpack

from services.chassis import clock

_Ts = TypeVarTuple("_Ts")
_BEGIN = datetime(2031, 5, 1, tzinfo=UTC)
# A timer's time goes through two clocks; it must never look early on the one that set it.
_AFTER_S = 1e-7


class Node:
    """A process. Its clock runs `rate` times as fast as the world's and began at `origin_s`."""

    def __init__(self, name: str, rate: float = 1.0, origin_s: float = 0.0) -> None:
        self.name = name
        self.rate = rate
        self.origin_s = origin_s
        self.dead = False
        self.frozen = False
        self.held: list[Handle] = []

    def __repr__(self) -> str:
        return self.name


_node: ContextVar[Node] = ContextVar("node")


class StuckError(Exception):
    """Nothing is left to happen, and the simulation still waits."""


class Loop(asyncio.BaseEventLoop):
    """`now` is the world's time in seconds; `time()` is the clock of the node that asks."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.world = Node("world")
        self.tasks: list[asyncio.Task[Any]] = []
        """Every task ever made: the garbage collector must not finish one that is dropped half way."""
        self.failures: list[str] = []
        self._soon: deque[Handle] = deque()
        self._timers: list[tuple[float, int, TimerHandle]] = []
        self._count = 0
        self._nodes: dict[Node, None] = {}
        self._world_context = self.context(self.world)

    # -- time -------------------------------------------------------------------------------------

    def time(self) -> float:
        node = _node.get(self.world)
        return node.origin_s + self.now * node.rate

    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[_Ts]], object],
        *args: *_Ts,
        context: Context | None = None,
    ) -> TimerHandle:
        node = _node.get(self.world)
        handle = TimerHandle(when, callback, args, self, self._of(context, node))
        self._count += 1
        at = (when - node.origin_s) / node.rate + _AFTER_S
        heapq.heappush(self._timers, (at, self._count, handle))
        return handle

    def call_later(
        self,
        delay: float,
        callback: Callable[[Unpack[_Ts]], object],
        *args: *_Ts,
        context: Context | None = None,
    ) -> TimerHandle:
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_soon(
        self, callback: Callable[[Unpack[_Ts]], object], *args: *_Ts, context: Context | None = None
    ) -> Handle:
        if context is None:
            context = copy_context()
        elif _node not in context:
            context.run(_node.set, _node.get(self.world))
        handle = Handle(callback, args, self, context)
        self._soon.append(handle)
        return handle

    def world_after(self, delay: float, callback: Callable[..., object], *args: Any) -> TimerHandle:
        """A timer of the world's own: neither held back nor dropped with whoever set it."""
        self._count += 1
        at = self.now + delay
        handle = TimerHandle(at, callback, args, self, self._world_context)
        heapq.heappush(self._timers, (at, self._count, handle))
        return handle

    def _of(self, context: Context | None, node: Node) -> Context:
        if context is None:
            return copy_context()
        if _node not in context:
            context.run(_node.set, node)
        return context

    def _timer_handle_cancelled(self, handle: TimerHandle) -> None:
        pass  # found out when its time has come

    # -- nodes ------------------------------------------------------------------------------------

    def spawn(self, node: Node, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Runs a coroutine as a part of `node`."""
        return self.create_task(coroutine, context=self.context(node))

    def context(self, node: Node) -> Context:
        self._nodes[node] = None
        context = Context()
        context.run(_node.set, node)
        return context

    def thaw(self, node: Node) -> None:
        """The node goes on with whatever came up while it was stopped."""
        node.frozen = False
        self._soon.extend(node.held)
        node.held.clear()

    def create_task(
        self, coro: Any, *, name: object = None, context: Context | None = None
    ) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=self, context=context)
        self.tasks.append(task)
        return task

    # -- running ----------------------------------------------------------------------------------

    def _run_once(self) -> None:
        soon = self._soon
        if not soon:
            self._jump()
        node_of = _node
        for _ in range(len(soon)):
            handle = soon.popleft()
            if handle._cancelled:
                continue
            node = handle._context.get(node_of)  # type: ignore[attr-defined]
            if node is not None and (node.dead or node.frozen):
                node.held.append(handle)
                continue
            handle._run()

    def _jump(self) -> None:
        timers, soon = self._timers, self._soon
        while timers:
            at, _, handle = heapq.heappop(timers)
            if handle._cancelled:
                continue
            self.now = max(self.now, at)
            soon.append(handle)
            while timers and timers[0][0] <= self.now:
                handle = heapq.heappop(timers)[2]
                if not handle._cancelled:
                    soon.append(handle)
            return
        raise StuckError

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        error = context.get("exception")
        self.failures.append(f"{context.get('message')}: {error!r}")

    def _process_events(self, event_list: list[object]) -> None:
        raise NotImplementedError

    def _write_to_self(self) -> None:
        raise NotImplementedError

    def discard(self) -> None:
        """Ends every task there still is, in whatever node, and closes the loop."""
        self._timers.clear()
        for node in self._nodes:
            node.dead = node.frozen = False
            self._soon.extend(node.held)
        asyncio._set_running_loop(self)
        try:
            self._settle()  # a task that never began would leave its coroutine behind
            for _ in range(3):
                for task in self.tasks:
                    task.cancel()
                self._settle()
        finally:
            asyncio._set_running_loop(None)
        living = [task for task in self.tasks if not task.done()]
        self.failures += [f"a task cannot be ended: {task.get_coro()!r}" for task in living]
        self.tasks.clear()
        self.close()

    def _settle(self) -> None:
        for _ in range(50):
            if not self._soon:
                return
            self._run_once()


@contextmanager
def clocks(loop: Loop, seed: int) -> Iterator[None]:
    """Puts the loop's time, and what the seed draws, behind the services' clock."""
    draw = random.Random(seed)
    replaced: dict[str, Callable[[], Any]] = {
        "monotonic_us": lambda: int(loop.time() * 1e6),
        "monotonic_s": loop.time,
        "now": lambda: _BEGIN + timedelta(microseconds=int(loop.now * 1e6)),
        "unix_s": lambda: int(_BEGIN.timestamp() + loop.now),
        "new_id": lambda: f"{draw.getrandbits(104):026x}",
        "secret_key64": lambda: draw.getrandbits(64),
    }
    before = {name: getattr(clock, name) for name in replaced}
    for name, function in replaced.items():
        setattr(clock, name, function)
    try:
        yield
    finally:
        for name, function in before.items():
            setattr(clock, name, function)
