"""Committed characters on their way into the cache: the newest of each, together."""

import asyncio
from collections.abc import Sequence
from contextvars import Context

from services.progression.batch import Recorded
from services.progression.cache import Cache
from services.progression.domain.character import Character


class WriteThrough:
    """A listener of the ledger. `flushed` lets an answer wait until nobody reads what was before it."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._pending: dict[str, Character] = {}
        self._task: asyncio.Task[None] | None = None
        # Done when the present write is over, and the one that takes what is pending.
        self._present: asyncio.Future[None] | None = None
        self._next: asyncio.Future[None] | None = None

    def told(self, characters: Sequence[Character], _recorded: Sequence[Recorded]) -> None:
        """See `ledger.Listener`."""
        loop = asyncio.get_running_loop()
        self._pending.update((character.character_id, character) for character in characters)
        self._next = self._next or loop.create_future()
        if self._task is None or self._task.done():
            self._task = loop.create_task(self._run(), context=Context())

    async def flushed(self) -> None:
        """Returns when what was told is in Redis, or Redis is away: after two writes at most, whatever is
        told meanwhile."""
        over = self._next or self._present
        if over is not None:
            await asyncio.shield(over)

    async def _run(self) -> None:
        while self._next is not None:
            over, self._next = self._next, None
            self._present = over
            characters = list(self._pending.values())
            self._pending.clear()
            try:
                await self._cache.put(characters)
            finally:
                over.set_result(None)
        self._present = None
