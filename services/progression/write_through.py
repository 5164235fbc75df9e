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

    def told(self, characters: Sequence[Character], _recorded: Sequence[Recorded]) -> None:
        """See `ledger.Listener`."""
        self._pending.update((character.character_id, character) for character in characters)
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run(), context=Context())

    async def flushed(self) -> None:
        """Returns when what was told is in Redis, or Redis is away."""
        while self._task is not None and not self._task.done():
            await asyncio.shield(self._task)

    async def _run(self) -> None:
        while self._pending:
            characters = list(self._pending.values())
            self._pending.clear()
            await self._cache.put(characters)
