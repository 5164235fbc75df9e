"""Events that a consumer group could not handle, kept until an operator has looked at them.

The table `dead_letters` is in the service's own schema and migrations. `python -m services.chassis.bus` lists
and replays them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from services.chassis.bus.port import Bus, DeadLetter, DeadLetterSink, Message
from services.chassis.db import Connection, Database
from services.chassis.outbox import AnyConnection


@dataclass(frozen=True, slots=True)
class Kept:
    """A letter as the table has it. `attempts` counts over all its deaths."""

    letter: DeadLetter
    first_at: datetime
    last_at: datetime
    replayed_at: datetime | None


class DeadLetters:
    """The dead letters of a service's groups. Callers bring the connection."""

    def __init__(self, schema: str) -> None:
        table = f"{schema}.dead_letters"
        self._put = (
            f"INSERT INTO {table} AS old "
            "(consumer_group, event_id, topic, subject, payload, error, attempts) "
            "VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (consumer_group, event_id) DO UPDATE "
            "SET error = $6, attempts = old.attempts + $7, last_at = now(), replayed_at = NULL"
        )
        self._list = (
            f"SELECT * FROM {table} WHERE ($1 = '' OR consumer_group = $1) "
            "AND (cardinality($2::text[]) = 0 OR event_id = ANY($2)) AND ($3 OR replayed_at IS NULL) "
            "ORDER BY first_at, event_id LIMIT $4"
        )
        self._replayed = f"UPDATE {table} SET replayed_at = now() WHERE consumer_group = $1 AND event_id = $2"

    async def put(self, connection: AnyConnection, letter: DeadLetter) -> None:
        """Keeps a letter. One that died before is the same letter, waiting again."""
        message = letter.message
        await connection.execute(
            self._put,
            letter.group,
            message.id,
            letter.topic,
            message.subject,
            message.body,
            letter.error,
            letter.attempts,
        )

    def sink(self, database: Database) -> DeadLetterSink:
        """What a subscription wants to be told."""

        async def keep(letter: DeadLetter) -> None:
            async def work(connection: Connection) -> None:
                await self.put(connection, letter)

            await database.transaction(work)

        return keep

    async def list(
        self,
        connection: AnyConnection,
        *,
        group: str = "",
        event_ids: Sequence[str] = (),
        replayed: bool = False,
        limit: int = 100,
    ) -> list[Kept]:
        """The oldest first: of a group ('': all), of these events (none: all), with those that were replayed
        and did not come back when `replayed`."""
        rows = await connection.fetch(self._list, group, list(event_ids), replayed, limit)
        return [
            Kept(
                DeadLetter(
                    row["consumer_group"],
                    row["topic"],
                    Message(row["event_id"], row["subject"], row["payload"]),
                    row["error"],
                    row["attempts"],
                ),
                row["first_at"],
                row["last_at"],
                row["replayed_at"],
            )
            for row in rows
        ]

    async def replay(self, connection: AnyConnection, bus: Bus, kept: Kept) -> None:
        """Publishes it once more, to the topic that it died on: groups that had its effect have it in their
        inbox, so it is new only to those that did not."""
        letter = kept.letter
        await bus.publish(letter.topic, [letter.message])
        await connection.execute(self._replayed, letter.group, letter.message.id)
