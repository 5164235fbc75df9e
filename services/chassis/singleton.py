"""Work that one process of several does at a time, while the others stand by."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Self

import asyncpg
import structlog

from services.chassis.settings import Settings

_log = structlog.get_logger()
# A connection that has not said anything for this long is closed by the server, and the lock is free.
_SILENT_S = 10
_ASK_S = 2.0
_STANDBY_S = 2.0


class Singleton:
    """An advisory lock on a connection of its own. It goes with the connection, so whoever died or hangs is
    replaced; who lost it without knowing may go on for a moment, so the work must be safe all the same."""

    def __init__(self, url: str, name: str, *, standby_s: float = _STANDBY_S) -> None:
        """`name`: of the work, within the database. `standby_s`: how often the others ask for the lock."""
        self._url = url
        self._name = name
        self._standby_s = standby_s

    @classmethod
    def of(cls, settings: Settings, name: str) -> Self:
        """In the service's database."""
        return cls(settings.database_url.get_secret_value(), name)

    async def run(self, work: Callable[[], Awaitable[None]]) -> None:
        """For ever: waits for the lock and does the work; cancelled and waited for again when it is lost."""
        while True:
            try:
                await self._connected(work)
            except (
                OSError,
                TimeoutError,
                asyncpg.PostgresError,
                asyncpg.InterfaceError,
                asyncpg.InternalClientError,  # see db.py
            ) as error:
                _log.warning("cannot hold the lock", work=self._name, error=repr(error))
            await asyncio.sleep(self._standby_s)

    async def _connected(self, work: Callable[[], Awaitable[None]]) -> None:
        connection = await asyncpg.connect(
            self._url,
            timeout=_SILENT_S,
            command_timeout=_SILENT_S,
            server_settings={
                "application_name": self._name,
                "idle_session_timeout": f"{_SILENT_S}s",
                "tcp_keepalives_idle": f"{_SILENT_S}",
                "tcp_keepalives_interval": "1",
                "tcp_keepalives_count": "3",
            },
        )
        try:
            lock = "SELECT pg_try_advisory_lock(hashtext($1))"
            while not await connection.fetchval(lock, self._name):  # noqa: ASYNC110  # nobody can tell us
                await asyncio.sleep(min(self._standby_s, _ASK_S))
            await self._working(connection, work)
        finally:
            connection.terminate()

    async def _working(self, connection: asyncpg.Connection, work: Callable[[], Awaitable[None]]) -> None:
        """With the lock held."""
        _log.info("at work", work=self._name)
        task = asyncio.ensure_future(work())
        try:
            while not (await asyncio.wait({task}, timeout=_ASK_S))[0]:
                await connection.execute("SELECT 1")
            await task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
