"""What happened to a character, from the event store."""

from services.chassis import sql
from services.chassis.db import Database
from services.chassis.errors import DataLoss
from services.progression.batch import Recorded
from services.progression.schema import SQL
from services.progression.store import recorded

NEWEST = 2**63 - 1
"""Above every version."""


class History:
    """Events of one character, a page at a time."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = sql.load(SQL / "reads.sql")

    async def before(self, character_id: str, version: int, limit: int) -> list[Recorded]:
        """The newest first."""
        return await self._fetch("history", character_id, version, limit)

    async def after(self, character_id: str, version: int, limit: int) -> list[Recorded]:
        """The oldest first, without a gap. Raises DataLoss (EVENTS_MISSING)."""
        found = await self._fetch("after", character_id, version, limit)
        for number, each in enumerate(found, version + 1):
            if each.version != number:
                raise DataLoss(
                    f"event {number} of the character is missing",
                    reason="EVENTS_MISSING",
                    metadata={"character_id": character_id, "version": str(number)},
                )
        return found

    async def resets(self, character_id: str, version: int, limit: int) -> list[Recorded]:
        """Prestige resets up to a version, the newest first."""
        return await self._fetch("resets", character_id, version, limit)

    async def versions(self, character_ids: list[str]) -> dict[str, int]:
        """How far each of them is."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(self._sql["versions"], character_ids)
        return {row["character_id"]: row["version"] for row in rows}

    async def _fetch(self, query: str, character_id: str, version: int, limit: int) -> list[Recorded]:
        async with self._database.connection() as connection:
            rows = await connection.fetch(self._sql[query], character_id, version, limit)
        return [recorded(row) for row in rows]
