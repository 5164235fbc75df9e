"""What was committed on its way into a cache: the newest of each id, together."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextvars import Context
from typing import Generic, TypeVar

V = TypeVar("V")


class WriteThrough(Generic[V]):
    """`write`: takes what is pending, by id, such as `VersionedCache.put` or `outdate`. `flushed` lets an
    answer wait until nobody reads what was before it."""

    def __init__(self, write: Callable[[Mapping[str, V]], Awaitable[None]]) -> None:
        self._write = write
        self._pending: dict[str, V] = {}
        self._task: asyncio.Task[None] | None = None
        # Done when the present write is over, and the one that takes what is pending.
        self._present: asyncio.Future[None] | None = None
        self._next: asyncio.Future[None] | None = None

    def told(self, values: Mapping[str, V]) -> None:
        """Of what a commit left, before anybody has an answer of it."""
        loop = asyncio.get_running_loop()
        self._pending.update(values)
        self._next = self._next or loop.create_future()
        if self._task is None or self._task.done():
            self._task = loop.create_task(self._run(), context=Context())

    async def flushed(self) -> None:
        """Returns when what was told is written, or the cache is away: after two writes at most, whatever is
        told meanwhile."""
        over = self._next or self._present
        if over is not None:
            await asyncio.shield(over)

    async def _run(self) -> None:
        while self._next is not None:
            over, self._next = self._next, None
            self._present = over
            values = self._pending
            self._pending = {}
            try:
                await self._write(values)
            finally:
                over.set_result(None)
        self._present = None
