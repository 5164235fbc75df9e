"""What is kept for a time only."""

from datetime import timedelta

from services.chassis import clock
from services.chassis.background import forgetting
from services.chassis.db import Connection, Database
from services.ingest.settings import IngestSettings
from services.ingest.store import IngestStore, Kind

_ROWS = 2000
"""Of each kind in one transaction: some have bodies of 64 KiB."""
_MARGIN = timedelta(hours=1)
"""For a request that is under way, and clocks that differ."""


async def forget(database: Database, store: IngestStore, settings: IngestSettings) -> None:
    """For ever: whatever is older than it is kept."""
    kept = _kept(settings)

    async def page(connection: Connection) -> bool:
        now = clock.now()
        return await store.forget(connection, {kind: now - span for kind, span in kept.items()}, _ROWS)

    await forgetting(database, page, every_s=settings.purge_s)


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
