"""Characters as they are, for whoever asks.

What is asked for at the same time is read together: one look into Redis, and one into PostgreSQL for what was
not there. So reads cost less the more there are, and take one or two round trips.
"""

from services.chassis.auth import Principal
from services.chassis.db import Database
from services.chassis.lookup import Lookup
from services.progression.access import permitted
from services.progression.cache import Cache
from services.progression.domain.character import Character
from services.progression.store import ProgressionStore


class Reader:
    """Through the cache, else from the tables; `batch` characters at once."""

    def __init__(self, database: Database, cache: Cache, *, batch: int) -> None:
        self._database = database
        self._store = ProgressionStore()
        self._cache = cache
        self._asked = Lookup(self._read, batch=batch)

    async def character(self, character_id: str, caller: Principal) -> Character:
        """As of now or later. Raises NotFound, PermissionDenied (see `access.py`), DatabaseUnavailable."""
        return permitted(await self._asked.get(character_id), character_id, caller)

    async def stored(self, character_id: str, caller: Principal) -> Character:
        """As PostgreSQL has it. Raises as `character`."""
        return permitted((await self._load([character_id])).get(character_id), character_id, caller)

    async def _read(self, character_ids: list[str]) -> dict[str, Character]:
        return await self._cache.through(character_ids, self._load)

    async def _load(self, character_ids: list[str]) -> dict[str, Character]:
        async with self._database.connection() as connection:
            rows = await self._store.load(connection, character_ids)
        return {name: row.character for name, row in rows.items()}
