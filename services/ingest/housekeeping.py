"""What is kept for a time only."""

import asyncio
from datetime import timedelta

import structlog

from services.chassis import clock
from services.chassis.db import Database
from services.chassis.errors import Unavailable
from services.ingest.settings import IngestSettings
from services.ingest.store import IngestStore

_ROWS = 10_000
_log = structlog.get_logger()


async def forget(database: Database, store: IngestStore, settings: IngestSettings) -> None:
    """For ever: claims that do not last, and rejected events."""
    keep_claims = timedelta(hours=settings.idempotency_hours)
    keep_rejected = timedelta(days=settings.rejected_days)
    while True:
        now = clock.now()
        try:
            while await database.transaction(
                lambda connection, now=now: store.forget(  # type: ignore[misc]
                    connection, now - keep_claims, now - keep_rejected, _ROWS
                )
            ):
                pass
        except Unavailable as error:
            _log.warning("nothing is forgotten", reason=error.reason)
        await asyncio.sleep(settings.purge_s)
