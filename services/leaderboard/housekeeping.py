"""What is kept for a time only."""

import asyncio
from datetime import timedelta

import structlog

from services.chassis.db import Connection, Database
from services.chassis.errors import Unavailable
from services.leaderboard.settings import LeaderboardSettings
from services.leaderboard.store import EntryStore

_ROWS = 10_000
_log = structlog.get_logger()


async def forget(database: Database, settings: LeaderboardSettings) -> None:
    """For ever: ids of scores that were noted long ago."""
    store, keep = EntryStore(), timedelta(days=settings.seen_days)

    async def page(connection: Connection) -> int:
        return await store.forget_seen(connection, keep, _ROWS)

    while True:
        try:
            while await database.transaction(page) == _ROWS:
                pass
        except Unavailable as error:
            _log.warning("nothing is forgotten", reason=error.reason)
        await asyncio.sleep(settings.purge_s)
