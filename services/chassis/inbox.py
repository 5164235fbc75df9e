"""Events on their way in: noted in the transaction of their effect, so that each has its effect once.

The table `inbox` is in the service's own schema and migrations.
"""

from datetime import timedelta

from services.chassis.outbox import AnyConnection


class Inbox:
    """What each consumer group of a service has seen. Callers bring the connection."""

    def __init__(self, schema: str) -> None:
        table = f"{schema}.inbox"
        self._once = (
            f"INSERT INTO {table} (consumer_group, event_id) VALUES ($1, $2) "
            "ON CONFLICT DO NOTHING RETURNING true"
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

    async def purge(self, connection: AnyConnection, keep: timedelta, limit: int) -> int:
        """Forgets events seen longer than `keep` ago; returns how many, `limit` at most. Keep them for longer
        than any producer keeps its outbox: what is sent again later than that has its effect again."""
        return len(await connection.fetch(self._purge, keep, limit))
