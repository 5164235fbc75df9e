"""PostgreSQL: one pool, always with a time limit, never two connections for one caller."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import asyncpg
import structlog

from services.chassis import clock
from services.chassis.errors import Unavailable
from services.chassis.metrics import DATABASE_RETRIES, DATABASE_SECONDS, DATABASE_WAIT_SECONDS

T = TypeVar("T")
Connection = asyncpg.pool.PoolConnectionProxy
_log = structlog.get_logger()

# SQLSTATE class 40: the transaction lost against another one and may be run again as it was.
MAX_ATTEMPTS = 5


class NestedAcquireError(Exception):
    """A caller that holds a connection asked for another: under load that is a deadlock."""


class Database:
    """The only caller of the pool. A fault of the connection becomes Unavailable (DATABASE_UNAVAILABLE)."""

    def __init__(self, pool: asyncpg.Pool, wait_s: float) -> None:
        self._pool = pool
        self._wait_s = wait_s
        self._holders: set[asyncio.Task[Any] | None] = set()

    @classmethod
    async def connect(cls, url: str, *, size: int, wait_s: float, command_s: float) -> "Database":
        """Opens the pool; fails when the server cannot be reached."""
        pool = await asyncpg.create_pool(
            url, min_size=1, max_size=size, timeout=wait_s, command_timeout=command_s
        )
        return cls(pool, wait_s)

    async def close(self) -> None:
        """Waits for held connections, then cuts them."""
        try:
            async with asyncio.timeout(self._wait_s):
                await self._pool.close()
        except TimeoutError:
            self._pool.terminate()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection outside any transaction.

        Raises:
            Unavailable: none became free in time, the server is away, or a statement took too long.
            NestedAcquireError: the caller holds one.
        """
        task = asyncio.current_task()
        if task in self._holders:
            raise NestedAcquireError
        begin = clock.monotonic_s()
        with unavailable():
            connection = await self._pool.acquire(timeout=self._wait_s)
        DATABASE_WAIT_SECONDS.observe(clock.monotonic_s() - begin)
        self._holders.add(task)
        try:
            with unavailable():
                yield connection
        finally:
            self._holders.discard(task)
            await self._pool.release(connection)

    async def transaction(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Runs `work` in a transaction; on SQLSTATE class 40 again, at most MAX_ATTEMPTS times in all.

        `work` must have no effect outside the database, since it may run more than once.
        """
        begin = clock.monotonic_s()
        try:
            for _ in range(MAX_ATTEMPTS - 1):
                try:
                    return await self._once(work)
                except asyncpg.PostgresError as error:
                    if not (error.sqlstate or "").startswith("40"):
                        raise
                    DATABASE_RETRIES.labels(error.sqlstate).inc()
            return await self._once(work)
        finally:
            DATABASE_SECONDS.observe(clock.monotonic_s() - begin)

    async def _once(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        async with self.connection() as connection, connection.transaction():
            return await work(connection)

    async def ping(self) -> None:
        """Raises Unavailable unless a trivial query answers."""
        async with self.connection() as connection:
            await connection.execute("SELECT 1")


class unavailable:  # noqa: N801
    """Turns "the database is not there" into the caller's Unavailable; statements' own errors pass."""

    _FAULTS = (
        OSError,
        TimeoutError,
        asyncpg.InterfaceError,
        asyncpg.PostgresConnectionError,
        asyncpg.CannotConnectNowError,
        asyncpg.AdminShutdownError,
        asyncpg.TooManyConnectionsError,
        asyncpg.QueryCanceledError,
    )

    def __enter__(self) -> None:
        return None

    def __exit__(self, _cls: type[BaseException] | None, error: BaseException | None, _tb: object) -> None:
        # An InterfaceError that is also a ValueError is an argument of the wrong type: our bug.
        if isinstance(error, self._FAULTS) and not isinstance(error, ValueError):
            _log.warning("database unavailable", error=repr(error))
            raise Unavailable(
                "The database does not answer.", reason="DATABASE_UNAVAILABLE", retry_after_s=1.0
            ) from error
