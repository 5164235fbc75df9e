"""What is kept for a time only."""

import asyncio
from datetime import timedelta

import structlog

from services.chassis import clock
from services.chassis.db import Database
from services.chassis.errors import Unavailable
from services.ingest.settings import IngestSettings
from services.ingest.store import IngestStore, Kind

_ROWS = 2000
"""Of each kind in one transaction: some have bodies of 64 KiB."""
_MARGIN = timedelta(hours=1)
"""For a request that is under way, and clocks that differ."""
_log = structlog.get_logger()


async def forget(database: Database, store: IngestStore, settings: IngestSettings) -> None:
    """For ever: whatever is older than it is kept."""
    kept = _kept(settings)
    while True:
        now = clock.now()
        try:
            while await database.transaction(
                lambda connection, now=now: store.forget(  # type: ignore[misc]
                    connection, {kind: now - span for kind, span in kept.items()}, _ROWS
                )
            ):
                pass
        except Unavailable as error:
            _log.warning("nothing is forgotten", reason=error.reason)
        await asyncio.sleep(settings.purge_s)


def _kept(settings: IngestSettings) -> dict[Kind, timedelta]:
    """For how long. Of digests: since their event happened, as long as it would be taken once more."""
    kept: dict[Kind, timedelta] = {
        "claims": timedelta(hours=settings.idempotency_hours),
        "events": timedelta(days=settings.event_days),
        "rejected": timedelta(days=settings.rejected_days),
    }
    if settings.max_behind_days:
        kept["digests"] = timedelta(days=settings.max_behind_days) + _MARGIN
    return kept
