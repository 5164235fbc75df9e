"""Who plays which session, in PostgreSQL."""

from collections.abc import Callable
from typing import Any

import asyncpg

from services.chassis import sql
from services.chassis.db import Database, unavailable
from services.combat.domain.session import Session
from services.combat.schema import SQL
from services.combat.store import SessionStore, session_of


class PostgresOwnership:
    """Implements `OwnershipStore`.

    The worker's presence is a connection that it holds for life: it beats over it, hears over it, and its end
    tells everybody at once that the process is gone. So it must reach PostgreSQL itself, not a pooler.
    """

    def __init__(
        self,
        url: str,
        database: Database,
        sessions: SessionStore,
        *,
        wait_s: float,
        lease_s: float,
        orphan_s: float,
    ) -> None:
        """`wait_s`: for a connection. A beat may take `lease_s`: after that it is worth nothing."""
        self._url = url
        self._database = database
        self._sessions = sessions
        self._wait_s = wait_s
        self._lease_s = lease_s
        self._orphan_s = orphan_s
        self._presence: asyncpg.Connection | None = None
        self._sql = sql.load(SQL / "ownership.sql")

    async def join(self, owner: str, name: str, asked: Callable[[str], None]) -> None:
        def hear(_connection: object, _pid: object, _channel: object, session_id: object) -> None:
            asked(str(session_id))

        self._drop()
        with unavailable():
            self._presence = await asyncpg.connect(
                self._url, timeout=self._wait_s, command_timeout=self._lease_s
            )
            try:
                await self._presence.add_listener(_channel(owner), hear)
                await self._presence.execute(self._sql["forget"])
                await self._presence.execute(self._sql["join"], owner, name)
            except BaseException:
                self._drop()
                raise

    async def beat(self, owner: str) -> bool:
        if self._presence is None or self._presence.is_closed():
            return False
        try:
            with unavailable():
                return bool(await self._presence.fetchval(self._sql["beat"], owner))
        except BaseException:
            self._drop()
            raise

    async def leave(self, owner: str) -> None:
        try:
            async with self._database.connection() as connection:
                await connection.execute(self._sql["leave"], owner)
        finally:
            self._drop()

    async def claim(self, session_id: str, owner: str) -> Session | None:
        async with self._database.connection() as connection:
            row = await connection.fetchrow(self._sql["claim"], session_id, owner, self._lease_s)
            if row is not None:
                return session_of(row)
            return await self._sessions.get(connection, session_id)

    async def release(self, session_id: str, owner: str, epoch: int) -> bool:
        return bool(await self._value("release", session_id, owner, epoch))

    async def ask(self, session_id: str, holder: str) -> None:
        async with self._database.connection() as connection:
            await connection.execute("SELECT pg_notify($1, $2)", _channel(holder), session_id)

    async def held(self, owner: str) -> dict[str, int]:
        async with self._database.connection() as connection:
            rows = await connection.fetch(self._sql["held"], owner)
        return {row["id"]: row["epoch"] for row in rows}

    async def orphans(self, owner: str, limit: int) -> list[str]:
        name = owner.split(".", 1)[0]
        async with self._database.connection() as connection:
            rows = await connection.fetch(self._sql["orphans"], name, self._lease_s, self._orphan_s, limit)
        return [row["id"] for row in rows]

    async def write(self, session: Session) -> bool:
        return await self._database.transaction(lambda connection: self._sessions.update(connection, session))

    async def _value(self, name: str, *arguments: Any) -> Any:
        async with self._database.connection() as connection:
            return await connection.fetchval(self._sql[name], *arguments)

    def _drop(self) -> None:
        if self._presence is not None:
            self._presence.terminate()
            self._presence = None


def _channel(owner: str) -> str:
    return f"combat_{owner}"
