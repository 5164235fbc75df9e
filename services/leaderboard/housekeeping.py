"""What is kept for a time only."""

from datetime import timedelta

from services.chassis.background import forgetting
from services.chassis.db import Connection, Database
from services.leaderboard.settings import LeaderboardSettings
from services.leaderboard.store import EntryStore

_ROWS = 10_000


async def forget(database: Database, settings: LeaderboardSettings) -> None:
    """For ever: ids of scores that were noted long ago."""
    store, keep = EntryStore(), timedelta(days=settings.seen_days)

    async def page(connection: Connection) -> bool:
        return await store.forget_seen(connection, keep, _ROWS) == _ROWS

    await forgetting(database, page, every_s=settings.purge_s)
