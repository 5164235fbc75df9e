"""Characters as they are, for whoever asks.

What is asked for at the same time is read together: one look into Redis, and one into PostgreSQL for what was
not there. So reads cost less the more there are, and take one or two round trips.
"""

import asyncio
from contextvars import Context

from services.chassis.auth import Principal
from services.chassis.db import Database
from services.progression.access import permitted
from services.progression.cache import Cache
from services.progression.domain.character import Character
from services.progression.store import ProgressionStore


class Reader:
    """Through the cache, else from the tables; `batch` characters at once."""

    def __init__(self, database: Database, cache: Cache, *, batch: int) -> None:
        self._database = database
        self._store = ProgressionStore()
        self._batch = batch
        self._cache = cache
        self._asked: dict[str, asyncio.Future[Character | None]] = {}
        self._task: asyncio.Task[None] | None = None

    async def character(self, character_id: str, caller: Principal) -> Character:
        """As of now or later. Raises NotFound, PermissionDenied (see `access.py`), DatabaseUnavailable."""
        return permitted(await self._ask(character_id), character_id, caller)

    async def stored(self, character_id: str, caller: Principal) -> Character:
        """As PostgreSQL has it. Raises as `character`."""
        async with self._database.connection() as connection:
            rows = await self._store.load(connection, [character_id])
        found = rows[character_id].character if rows else None
        return permitted(found, character_id, caller)

    async def _ask(self, character_id: str) -> Character | None:
        future = self._asked.get(character_id)
        if future is None:
            loop = asyncio.get_running_loop()
            future = self._asked[character_id] = loop.create_future()
            if self._task is None or self._task.done():
                # Its own context: what it logs must not appear under whichever call came first.
                self._task = loop.create_task(self._run(), context=Context())
        return await asyncio.shield(future)

    async def _run(self) -> None:
        """Until nobody waits."""
        while self._asked:
            batch = {name: self._asked.pop(name) for name in list(self._asked)[: self._batch]}
            try:
                found = await self._read(list(batch))
            except Exception as error:
                for future in batch.values():
                    future.set_exception(error)
                    future.exception()  # everybody who asked may have left
            else:
                for name, future in batch.items():
                    future.set_result(found.get(name))

    async def _read(self, names: list[str]) -> dict[str, Character]:
        cached, generation = await self._cache.get(names)
        missing = [name for name in names if name not in cached]
        if not missing:
            return cached
        async with self._database.connection() as connection:
            rows = await self._store.load(connection, missing)
        stored = [row.character for row in rows.values()]
        if stored:
            await self._cache.fill(stored, generation)
        return cached | {character.character_id: character for character in stored}
