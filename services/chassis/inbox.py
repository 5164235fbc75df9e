"""Events on their way in: noted in the transaction of their effect, so that each has its effect once.

The table `inbox` is in the service's own schema and migrations.
"""

from collections.abc import Collection
from datetime import timedelta

from services.chassis.outbox import AnyConnection
from services.chassis.sql import Statement


class Inbox:
    """What each consumer group of a service has seen. Callers bring the connection."""

    def __init__(self, schema: str) -> None:
        table = f"{schema}.inbox"
        self._once = (
            f"INSERT INTO {table} (consumer_group, event_id) VALUES ($1, $2) "
            "ON CONFLICT DO NOTHING RETURNING true"
        )
        self._seen = f"SELECT event_id FROM {table} WHERE consumer_group = $1 AND event_id = ANY($2::text[])"
        self._note = (
            f"INSERT INTO {table} (consumer_group, event_id) SELECT $1, event_id "
            "FROM unnest($2::text[]) AS event_id"
        )
        self._purge = (
            f"DELETE FROM {table} WHERE (consumer_group, event_id) IN (SELECT consumer_group, event_id "
            f"FROM {table} WHERE seen_at < now() - $1::interval ORDER BY seen_at LIMIT $2) RETURNING true"
        )

    async def once(self, connection: AnyConnection, group: str, event_id: str) -> bool:
        """Whether the event is new to the group; from then on it is not. `connection` must be in the
        transaction of the effect: the note is taken back with it. While another transaction handles the
        same event this waits for its end."""
        return bool(await connection.fetchval(self._once, group, event_id))

    async def seen(self, connection: AnyConnection, group: str, event_ids: Collection[str]) -> frozenset[str]:
        """Those of many events that the group has seen. Their effects may follow with `noting` at the end."""
        if not event_ids:
            return frozenset()
        rows = await connection.fetch(self._seen, group, list(event_ids))
        return frozenset(row["event_id"] for row in rows)

    def noting(self, group: str, event_ids: Collection[str]) -> Statement:
        """Notes events, in the transaction of their effects. It waits for the end of another transaction
        that handles one of them, and fails with UniqueViolationError when that had its effect."""
        return Statement(self._note, (group, sorted(event_ids)))

    async def purge(self, connection: AnyConnection, keep: timedelta, limit: int) -> int:
        """Forgets events seen longer than `keep` ago; returns how many, `limit` at most. Keep them for longer
        than any producer keeps its outbox: what is sent again later than that has its effect again."""
        return len(await connection.fetch(self._purge, keep, limit))
