"""What is asked for at the same time is looked up together: lookups cost less the more there are."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping
from contextvars import Context
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Lookup(Generic[K, V]):
    """`read`: looks up keys, each once; what it leaves out is not there. `batch`: keys of one look at most;
    more wait for the next one. Who asks while a look is under way is answered by a later one."""

    def __init__(self, read: Callable[[list[K]], Awaitable[Mapping[K, V]]], *, batch: int) -> None:
        self._read = read
        self._batch = batch
        self._asked: dict[K, asyncio.Future[V | None]] = {}
        self._task: asyncio.Task[None] | None = None

    async def get(self, key: K) -> V | None:
        """As of now or later. None: not there. Raises what `read` does."""
        future = self._asked.get(key)
        if future is None:
            loop = asyncio.get_running_loop()
            future = self._asked[key] = loop.create_future()
            if self._task is None or self._task.done():
                # Its own context: what it logs must not appear under whichever call came first.
                self._task = loop.create_task(self._run(), context=Context())
        return await asyncio.shield(future)

    async def _run(self) -> None:
        """Until nobody waits."""
        while self._asked:
            batch = {key: self._asked.pop(key) for key in list(self._asked)[: self._batch]}
            try:
                found = await self._read(list(batch))
            except Exception as error:
                for future in batch.values():
                    future.set_exception(error)
                    future.exception()  # everybody who asked may have left
            else:
                for key, future in batch.items():
                    future.set_result(found.get(key))
