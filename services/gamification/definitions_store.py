"""Definitions in PostgreSQL, and what was last read of them."""

from collections.abc import Sequence

from services.chassis import sql
from services.chassis.current import Current
from services.chassis.db import Connection
from services.gamification.schema import SQL
from services.gamification.shelf import Definition, Shelf

Definitions = Current[Shelf]
"""As they are when somebody asks."""


class DefinitionsStore:
    """One a process. Callers bring the connection."""

    def __init__(self) -> None:
        self._sql = sql.load(SQL / "definitions.sql")
        self.known = Shelf(-1)
        """The newest that was read."""

    async def present(self, connection: Connection) -> Shelf:
        """As of now or later."""
        revision: int = await connection.fetchval(self._sql["revision"])
        return await self.at_least(connection, revision)

    async def locked(self, connection: Connection) -> Shelf:
        """As they are until the transaction ends: nobody else changes any."""
        revision: int = await connection.fetchval(self._sql["lock"])
        return await self.at_least(connection, revision)

    async def at_least(self, connection: Connection, revision: int) -> Shelf:
        """Of this revision or a later one, that was committed or is seen by this transaction alone."""
        if self.known.revision < revision:
            shelf = await self._load(connection)
            if self.known.revision < shelf.revision:
                self.known = shelf
        return self.known

    async def _load(self, connection: Connection) -> Shelf:
        # The revision first: what is read after it is as new, or newer.
        revision: int = await connection.fetchval(self._sql["revision"])
        rows = await connection.fetch(self._sql["load"])
        return Shelf(revision, (Definition(*row) for row in rows))

    async def put(self, connection: Connection, definitions: Sequence[Definition]) -> int:
        """Writes versions, new ones and those that were changed in place; the revision that this makes. The
        caller has `locked` them."""
        await connection.execute(self._sql["put"], *map(list, zip(*definitions, strict=True)))
        revision: int = await connection.fetchval(self._sql["raise"])
        return revision
