"""What is read of projections. Nothing here knows the committer."""

from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import NamedTuple

import asyncpg

from services.chassis import clock, sql
from services.chassis.db import Database
from services.chassis.paging import Place
from services.gamification import rows
from services.gamification.domain.player import Grant, Quarantined, Transfer
from services.gamification.schema import SQL

MAX_PAGE = 100
"""Of definitions, and of progress with its history: more would not fit what a client takes as a message."""
FIRST: Place = (datetime(1970, 1, 1, tzinfo=UTC), "")
LAST: Place = (datetime(9999, 12, 31, tzinfo=UTC), "")
"""Where a page begins: after this time, and this id."""


class Held(NamedTuple):
    """What a balance is. `asset`: without its kind."""

    asset: str
    item_type: str
    amount: int


class HeldGain(NamedTuple):
    """A gain that waits, since when."""

    gain: Quarantined
    created_at: datetime


class Queries:
    """Grants, balances, transfers, gains and counts, from PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = sql.load(SQL / "reads.sql")

    async def grant(self, grant_id: str) -> Grant | None:
        found = await self._rows("grant", grant_id)
        return rows.grant(found[0]) if found else None

    async def pending(self, user_id: str, after: Place, limit: int) -> list[Grant]:
        """That can be claimed now, the oldest first."""
        return [rows.grant(row) for row in await self._rows("pending", user_id, clock.now(), *after, limit)]

    async def pending_with(self, user_id: str, asset: str, limit: int) -> list[str]:
        """Ids of those that have it, the oldest first."""
        found = await self._rows("pending_with", user_id, clock.now(), asset, limit)
        return [row["id"] for row in found]

    async def held(self, user_id: str, kind: str) -> list[Held]:
        """What a player has of `item` or `currency`, by id."""
        prefix = f"{kind}:"
        found = await self._rows("balances", f"player:{user_id}", prefix)
        return [Held(row["asset"].removeprefix(prefix), row["item_type"], row["amount"]) for row in found]

    async def ledger(self, user_id: str, before: Place, limit: int) -> list[Transfer]:
        """From or to the user's accounts, the newest first."""
        return [rows.transfer(row) for row in await self._rows("ledger", user_id, *before, limit)]

    async def gains(self, user_id: str, before: Place, limit: int) -> list[HeldGain]:
        """That nobody has looked at, the newest first. `user_id` empty: of everybody."""
        if user_id:
            found = await self._rows("gains_of", *before, limit, user_id)
        else:
            found = await self._rows("gains", *before, limit)
        return [HeldGain(rows.quarantined(row), row["created_at"]) for row in found]

    async def gain_user(self, gain_id: str) -> str | None:
        """Whose it is."""
        found = await self._rows("gain_user", gain_id)
        return found[0]["user_id"] if found else None

    async def counts(self, subjects: list[str] | None) -> Mapping[str, Mapping[str, int]]:
        """By subject and measure. None: of all subjects."""
        found: defaultdict[str, dict[str, int]] = defaultdict(dict)
        for row in await self._rows("analytics", subjects):
            found[row["subject"]][row["measure"]] = row["count"]
        return found

    async def _rows(self, name: str, *arguments: object) -> list[asyncpg.Record]:
        async with self._database.connection() as connection:
            return list(await connection.fetch(self._sql[name], *arguments))
