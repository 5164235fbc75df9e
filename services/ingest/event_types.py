"""The types of events that studios registered: in PostgreSQL, and the newest of each in memory."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import structlog

from services.chassis import clock, sql
from services.chassis.db import Connection, Database
from services.chassis.errors import ResourceExhausted, Unavailable
from services.chassis.idempotency import Idempotency, IdempotencyKey
from services.ingest.domain.event import Json
from services.ingest.schema import SCHEMA, SQL
from services.ingest.schemas import Schemas, compiled

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Registered:
    """One version of a type. `document`: its schema."""

    name: str
    version: int
    description: str
    document: dict[str, Json]
    created_at: datetime


class EventTypes:
    """One a process. `most`: names that may be registered. `poll_s`: how often it looks for what other
    processes registered."""

    def __init__(self, database: Database, *, most: int, poll_s: float) -> None:
        self._database = database
        self._most = most
        self._poll_s = poll_s
        self._sql = sql.load(SQL / "event_types.sql")
        self._idempotency = Idempotency(SCHEMA)
        self._count = 0
        self.schemas = Schemas()

    async def register(
        self,
        name: str,
        description: str,
        document: dict[str, Json],
        key: IdempotencyKey | None,
        answer: Callable[[Registered], bytes],
    ) -> bytes:
        """The next version of the type.

        Raises:
            InvalidArgument: the schema breaks a rule.
            ResourceExhausted: TOO_MANY_EVENT_TYPES.
            FailedPrecondition: IDEMPOTENCY_KEY_REUSED.
        """
        compiled(name, 0, document)

        async def add(connection: Connection) -> bytes:
            return answer(await self._add(connection, name, description, document))

        async def once(connection: Connection) -> bytes:
            return (await self._idempotency.run(connection, key, lambda: add(connection)))[0]

        stored = await self._database.transaction(once)
        await self.refresh()
        return stored

    async def _add(
        self, connection: Connection, name: str, description: str, document: dict[str, Json]
    ) -> Registered:
        await connection.execute(self._sql["lock"])
        found = await connection.fetchrow(self._sql["names"], name)
        assert found is not None
        if not found["version"] and found["names"] >= self._most:
            raise ResourceExhausted(
                f"There are {self._most} types of events already.",
                reason="TOO_MANY_EVENT_TYPES",
                metadata={"max_event_types": str(self._most)},
            )
        made = Registered(name, found["version"] + 1, description, document, clock.now())
        await connection.execute(
            self._sql["add"], name, made.version, description, json.dumps(document), made.created_at
        )
        return made

    async def all(self) -> list[Registered]:
        """The newest version of each, by name."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(self._sql["newest"])
        return [
            Registered(
                row["name"],
                row["version"],
                row["description"],
                json.loads(row["schema"]),
                row["created_at"],
            )
            for row in rows
        ]

    async def refresh(self) -> None:
        """Reads them when there are more than were read."""
        async with self._database.connection() as connection:
            count = await connection.fetchval(self._sql["count"])
        if count == self._count:
            return
        for each in await self.all():
            held = self.schemas.newest(each.name)
            if held is None or held.version < each.version:
                self.schemas.put(compiled(each.name, each.version, each.document))
        self._count = count

    async def poll(self) -> None:
        """For ever."""
        while True:
            await asyncio.sleep(self._poll_s)
            try:
                await self.refresh()
            except Unavailable as error:
                _log.warning("types of events are not looked for", reason=error.reason)
