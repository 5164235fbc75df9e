"""An asyncio loop whose time is a number, and the nodes that live in it.

Nothing sleeps and nothing touches a socket: when no callback is ready, time jumps to the next timer. Each
process of the simulated world is a node: callbacks know theirs by their context, so that the loop can hold
back what a stopped process would do and drop what a dead one would.
"""

from __future__ import annotations

import asyncio
import heapq
import random
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from contextvars import Context, ContextVar, copy_context
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar, TypeVarTuple, Unpack, cast

from services.chassis import clock

T = TypeVar("T")
_Ts = TypeVarTuple("_Ts")
_BEGIN = datetime(2031, 5, 1, tzinfo=UTC)
# A timer's time goes through two clocks; it must never look early on the one that set it.
_AFTER_S = 1e-10


class Node:
    """A process. Its clock runs `rate` times as fast as the world's and began at `origin_s`."""

    def __init__(self, name: str, rate: float = 1.0, origin_s: float = 0.0) -> None:
        self.name = name
        self.rate = rate
        self.origin_s = origin_s
        self.dead = False
        self.frozen = False
        self.held: list[_Handle] = []

    def __repr__(self) -> str:
        return self.name


_node: ContextVar[Node] = ContextVar("node")


class StuckError(Exception):
    """Nothing is left to happen, and the simulation still waits."""


class _Handle(asyncio.TimerHandle):
    """asyncio's own does more, and most of the callbacks of a simulation do very little."""

    __slots__ = ()

    def __init__(self, callback: Callable[..., object], args: tuple[Any, ...], context: Context) -> None:
        self._callback = callback
        self._args = args
        self._context = context
        self._cancelled = False

    def cancel(self) -> None:
        self._cancelled = True


class Loop(asyncio.BaseEventLoop):
    """`now` is the world's time in seconds; `time()` is the clock of the node that asks."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.world = Node("world")
        self.tasks: list[asyncio.Task[Any]] = []
        """Every task ever made: the garbage collector must not finish one that is dropped half way."""
        self.failures: list[str] = []
        self._soon: deque[_Handle] = deque()
        self._timers: list[tuple[float, int, _Handle]] = []
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
    ) -> asyncio.TimerHandle:
        node = _node.get(self.world)
        at = (when - node.origin_s) / node.rate + _AFTER_S
        return self._at(at, callback, args, self._of(context))

    def call_later(
        self,
        delay: float,
        callback: Callable[[Unpack[_Ts]], object],
        *args: *_Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        node = _node.get(self.world)
        return self._at(self.now + delay / node.rate + _AFTER_S, callback, args, self._of(context))

    def call_soon(
        self, callback: Callable[[Unpack[_Ts]], object], *args: *_Ts, context: Context | None = None
    ) -> asyncio.Handle:
        if context is None or _node not in context:
            context = self._of(context)
        handle = _Handle(callback, args, context)
        self._soon.append(handle)
        return handle

    def world_after(self, delay: float, callback: Callable[..., object], *args: Any) -> None:
        """A timer of the world's own: neither held back nor dropped with whoever set it."""
        self._at(self.now + delay, callback, args, self._world_context)

    def _at(
        self, at: float, callback: Callable[..., object], args: tuple[Any, ...], context: Context
    ) -> _Handle:
        handle = _Handle(callback, args, context)
        self._count += 1
        heapq.heappush(self._timers, (at, self._count, handle))
        return handle

    # -- nodes ------------------------------------------------------------------------------------

    def spawn(self, node: Node, coroutine: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Runs a coroutine as a part of `node`."""
        return self.create_task(coroutine, context=self.context(node))

    def context(self, node: Node) -> Context:
        self._nodes[node] = None
        context = Context()
        context.run(_node.set, node)
        return context

    def _of(self, context: Context | None) -> Context:
        """The context of a callback, which has a node: its own or, where it has none, the present one."""
        if context is None:
            return copy_context()
        if _node not in context:
            context.run(_node.set, _node.get(self.world))
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

    def run_until_complete(self, future: Any) -> Any:
        """The result of one of this loop's tasks. Raises StuckError instead of waiting for ever."""
        with self._running():
            while not future.done():
                if not self._soon:
                    self._jump()
                self._step()
        return future.result()

    def _step(self) -> None:
        """Runs one callback that is ready, if whose it is can."""
        handle = self._soon.popleft()
        if handle._cancelled:
            return
        context = handle._context
        node = context.get(_node)
        if node is not None and (node.dead or node.frozen):
            node.held.append(handle)
            return
        try:
            context.run(handle._callback, *handle._args)
        except Exception as error:
            self.call_exception_handler({"message": repr(handle._callback), "exception": error})

    def _jump(self) -> None:
        """To the next timer, and whatever is due with it."""
        timers, soon = self._timers, self._soon
        while not soon:
            if not timers:
                raise StuckError
            now = self.now = max(self.now, timers[0][0])
            while timers and timers[0][0] <= now:
                handle = heapq.heappop(timers)[2]
                if not handle._cancelled:
                    soon.append(handle)

    @contextmanager
    def _running(self) -> Iterator[None]:
        asyncio._set_running_loop(self)
        try:
            yield
        finally:
            asyncio._set_running_loop(None)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.failures.append(f"{context.get('message')}: {context.get('exception')!r}")

    def discard(self) -> None:
        """Ends every task there still is, in whatever node, and closes the loop."""
        self._timers.clear()
        for node in self._nodes:
            node.dead = node.frozen = False
            self._soon.extend(node.held)
        with self._running():
            self._settle()  # a task that never began would leave its coroutine behind
            for _ in range(3):
                for task in self.tasks:
                    task.cancel()
                self._settle()
        living = [task for task in self.tasks if not task.done()]
        self.failures += [f"a task cannot be ended: {task.get_coro()!r}" for task in living]
        self.tasks.clear()
        self.close()

    def _settle(self) -> None:
        for _ in range(50):
            for _ in range(len(self._soon)):
                self._step()


@contextmanager
def clocks(loop: Loop, seed: int) -> Iterator[None]:
    """Puts the loop's time, and what the seed draws, behind the services' clock."""
    draw = random.Random(seed)
    replaced: dict[str, Callable[..., Any]] = {
        "monotonic_us": lambda: int(loop.time() * 1e6),
        "monotonic_s": loop.time,
        "now": lambda: _BEGIN + timedelta(microseconds=int(loop.now * 1e6)),
        "unix_s": lambda: int(_BEGIN.timestamp() + loop.now),
        "new_id": lambda: f"{draw.getrandbits(104):026x}",
        "secret_key64": lambda: draw.getrandbits(64),
        "secret_bytes": draw.randbytes,
    }
    before = {name: getattr(clock, name) for name in replaced}
    for name, function in replaced.items():
        setattr(clock, name, function)
    try:
        yield
    finally:
        for name, function in before.items():
            setattr(clock, name, function)


def run(main: Coroutine[Any, Any, T]) -> T:
    """As `asyncio.run`, in virtual time, on one node. Raises StuckError instead of waiting for ever."""
    loop = Loop()
    with clocks(loop, 0):
        try:
            return cast(T, loop.run_until_complete(loop.create_task(main)))
        finally:
            loop.discard()
            assert loop.failures == []
