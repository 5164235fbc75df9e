"""Events on their way out: written in the transaction of the change they tell of, sent by `relay.py`.

An event is told if, and only if, its change was committed. The tables (`outbox`, `outbox_checkpoint`) are in
the service's own schema and migrations.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple, Self

import asyncpg
from arenamesh.events.v1.envelope_pb2 import Envelope

from services.chassis.bus.port import Message
from services.chassis.db import Connection
from services.chassis.sql import Statement

# The relay has a connection of its own, outside the pool.
AnyConnection = Connection | asyncpg.Connection
# Counting what waits stops here: the number is for an alarm.
COUNT_LIMIT = 100_000


class Position(NamedTuple):
    """Where in the outbox, in the order of telling. As text: `xid-id`."""

    xid: int
    id: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises ValueError."""
        xid, id_ = text.split("-")
        return cls(int(xid), int(id_))

    def __str__(self) -> str:
        return f"{self.xid}-{self.id}"


START = Position(0, 0)


@dataclass(frozen=True, slots=True)
class Row:
    position: Position
    topic: str
    message: Message


class Outbox:
    """The outbox of a service. Callers bring the connection."""

    def __init__(self, schema: str) -> None:
        self.schema = schema
        table, checkpoint = f"{schema}.outbox", f"{schema}.outbox_checkpoint"
        # The number of this transaction alone would not do for the order of a subject: a transaction may
        # get its number first, wait for a lock, and speak second.
        self._put = (
            f"INSERT INTO {table} (xid, event_id, topic, subject, envelope) "
            "SELECT greatest(pg_current_xact_id(), "
            f"(SELECT xid FROM {table} o WHERE o.subject = new.subject ORDER BY xid DESC LIMIT 1)), "
            "new.event_id, $1, new.subject, new.envelope "
            "FROM unnest($2::text[], $3::text[], $4::bytea[]) WITH ORDINALITY "
            "AS new (event_id, subject, envelope, number) ORDER BY number "
            "ON CONFLICT (event_id) DO NOTHING"
        )
        self._read = (
            f"SELECT xid, id, topic, event_id, subject, envelope FROM {table} "
            "WHERE (xid, id) > ($1::xid8, $2) AND xid < pg_snapshot_xmin(pg_current_snapshot()) "
            "ORDER BY xid, id LIMIT $3"
        )
        self._checkpoint = f"SELECT xid, id FROM {checkpoint}"
        self._move = (
            f"UPDATE {checkpoint} SET xid = $3::xid8, id = $4, moved_at = now() "
            "WHERE xid = $1::xid8 AND id = $2 RETURNING true"
        )
        self._waiting = (
            "SELECT count(*), coalesce(extract(epoch FROM clock_timestamp() - min(created_at)), 0) AS age "
            f"FROM (SELECT created_at FROM {table} WHERE (xid, id) > ($1::xid8, $2) "
            "ORDER BY xid, id LIMIT $3) w"
        )
        self._purge = (
            f"DELETE FROM {table} WHERE (xid, id) IN (SELECT o.xid, o.id FROM {table} o, {checkpoint} c "
            "WHERE o.created_at < now() - $1::interval AND (o.xid, o.id) <= (c.xid, c.id) "
            "ORDER BY o.created_at LIMIT $2) RETURNING true"
        )
        self._rewind = (
            f"UPDATE {checkpoint} c SET xid = first.xid, id = first.id - 1, moved_at = now() "
            f"FROM (SELECT xid, id FROM {table} WHERE created_at >= $1 ORDER BY xid, id LIMIT 1) first "
            "WHERE (c.xid, c.id) >= (first.xid, first.id) RETURNING true"
        )
        self._adopt = (
            f"UPDATE {checkpoint} SET xid = '0', id = 0, system_identifier = s.system_identifier "
            "FROM pg_control_system() s "
            f"WHERE {checkpoint}.system_identifier <> s.system_identifier RETURNING true"
        )
        self._renumber = f"UPDATE {table} SET xid = pg_current_xact_id()"

    async def put(self, connection: AnyConnection, topic: str, envelopes: Sequence[Envelope]) -> None:
        """Adds events, told in this order once the caller's transaction has committed. An event whose id is
        there already is left out. The ids of rows deleted by `purge` are forgotten.

        The order of a subject is that of the transactions, when they exclude each other (each holds a lock
        on what the subject names until it commits); without that there is none to keep.
        """
        text, arguments = self.putting(topic, envelopes)
        await connection.execute(text, *arguments)

    def putting(self, topic: str, envelopes: Sequence[Envelope]) -> Statement:
        """What `put` executes. The locks must be held before it begins."""
        return Statement(
            self._put,
            (
                topic,
                [envelope.id for envelope in envelopes],
                [envelope.subject for envelope in envelopes],
                [envelope.SerializeToString() for envelope in envelopes],
            ),
        )

    async def read(self, connection: AnyConnection, after: Position, limit: int) -> list[Row]:
        """The next rows to tell: none that could still get an earlier neighbour."""
        rows = await connection.fetch(self._read, after.xid, after.id, limit)
        return [
            Row(
                Position(row["xid"], row["id"]),
                row["topic"],
                Message(row["event_id"], row["subject"], row["envelope"]),
            )
            for row in rows
        ]

    async def checkpoint(self, connection: AnyConnection) -> Position:
        """The last row that the bus has taken."""
        row = await connection.fetchrow(self._checkpoint)
        assert row is not None
        return Position(row["xid"], row["id"])

    async def move(self, connection: AnyConnection, old: Position, new: Position) -> bool:
        """Moves the checkpoint. False: it was not at `old`, and stays."""
        return bool(await connection.fetchval(self._move, *old, *new))

    async def waiting(self, connection: AnyConnection, after: Position) -> tuple[int, float]:
        """How many rows wait (counted up to COUNT_LIMIT), and for how many seconds the oldest does."""
        row = await connection.fetchrow(self._waiting, *after, COUNT_LIMIT)
        assert row is not None
        return row["count"], float(row["age"])

    async def purge(self, connection: AnyConnection, keep: timedelta, limit: int) -> int:
        """Deletes rows that were told and are older than `keep`; returns how many, `limit` at most."""
        return len(await connection.fetch(self._purge, keep, limit))

    async def rewind(self, connection: AnyConnection, since: datetime) -> bool:
        """Sets the checkpoint back so that everything written since is told again. False: nothing of that
        time was told yet, or is kept."""
        return bool(await connection.fetchval(self._rewind, since))

    async def adopt(self, connection: AnyConnection) -> bool:
        """After a dump was restored into another cluster: its transactions are counted anew, so the rows
        are numbered again and all told again. False: nothing of that kind happened."""
        async with connection.transaction():
            if not await connection.fetchval(self._adopt):
                return False
            await connection.execute(self._renumber)
        return True
