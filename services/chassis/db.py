"""PostgreSQL: one pool, always with a time limit, never two connections for one caller."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, Self, TypeVar

import asyncpg
import structlog

from services.chassis import clock
from services.chassis.breaker import Breaker, Refused, State
from services.chassis.errors import Overloaded, Unavailable
from services.chassis.metrics import (
    DATABASE_BREAKER,
    DATABASE_BREAKER_OPENED,
    DATABASE_RETRIES,
    DATABASE_SECONDS,
    DATABASE_SHED,
    DATABASE_WAIT_SECONDS,
)
from services.chassis.settings import Settings

T = TypeVar("T")
Connection = asyncpg.pool.PoolConnectionProxy
_log = structlog.get_logger()

# SQLSTATE class 40: the transaction lost against another one and may be run again as it was.
MAX_ATTEMPTS = 5
_READY = 4
_BY_KEY = {
    # Whatever the server's default is: what is committed is on disk.
    "synchronous_commit": "on",
    # Rows are found by their keys. Without statistics, or with few rows, PostgreSQL would read whole tables;
    # and it would think about that again each time.
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
}


class NestedAcquireError(Exception):
    """A caller that holds a connection asked for another: under load that is a deadlock."""


class DatabaseUnavailable(Unavailable):
    """DATABASE_UNAVAILABLE: a fault of the connection or the server, not of a statement."""

    def __init__(self, retry_after_s: float = 1.0) -> None:
        super().__init__(
            "The database does not answer.", reason="DATABASE_UNAVAILABLE", retry_after_s=retry_after_s
        )


class Database:
    """The only caller of the pool. A fault of the connection becomes DatabaseUnavailable; after some in a row
    callers are told so at once, until the server answers again (`breaker.py`)."""

    def __init__(self, pool: asyncpg.Pool, wait_s: float, waiting: int, breaker: Breaker) -> None:
        self._pool = pool
        self._wait_s = wait_s
        self._waiting_limit = waiting
        self._waiting = 0
        self._breaker = breaker
        self._holders: set[asyncio.Task[Any] | None] = set()

    @classmethod
    async def connect(
        cls,
        url: str,
        *,
        size: int,
        wait_s: float,
        command_s: float,
        waiting: int = 200,
        failures: int = 5,
        open_s: float = 1.0,
        by_key: bool = False,
    ) -> Self:
        """Opens the pool; fails when the server cannot be reached. For the limits see the settings.
        `by_key`: as `dedicated` says.

        Some connections are open from the start and for good: when another process has died, its work comes
        all at once, and must not wait for them.
        """
        pool = await asyncpg.create_pool(
            url,
            min_size=min(_READY, size),
            max_size=size,
            timeout=wait_s,
            command_timeout=command_s,
            max_inactive_connection_lifetime=0,
            server_settings=_BY_KEY if by_key else None,
            reset=_as_it_is if by_key else None,
        )
        name = "dedicated" if by_key else "shared"
        DATABASE_BREAKER.labels(name).set(State.CLOSED)
        return cls(
            pool, wait_s, waiting, Breaker(failures=failures, open_s=open_s, changed=partial(_told, name))
        )

    @classmethod
    async def of(cls, settings: Settings) -> Self:
        """As the settings say."""
        return await cls._of(settings, size=settings.database_pool)

    @classmethod
    async def dedicated(cls, settings: Settings) -> Self:
        """A connection that nobody else takes, for one caller at a time whose statements find all their rows
        by key and leave nothing on the connection. It is not reset after each use: that is a round trip."""
        return await cls._of(settings, size=1, by_key=True)

    @classmethod
    async def _of(cls, settings: Settings, *, size: int, by_key: bool = False) -> Self:
        return await cls.connect(
            settings.database_url.get_secret_value(),
            size=size,
            wait_s=settings.database_wait_s,
            command_s=settings.database_command_s,
            waiting=settings.database_waiting,
            failures=settings.database_failures,
            open_s=settings.database_open_s,
            by_key=by_key,
        )

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
            DatabaseUnavailable: none became free in time, the server is away or was so just now, or a
                statement took too long.
            Overloaded: too many callers wait for one.
            NestedAcquireError: the caller holds one.
        """
        task = asyncio.current_task()
        if task in self._holders:
            raise NestedAcquireError
        try:
            probing = self._breaker.admit()
        except Refused as refused:
            raise DatabaseUnavailable(refused.retry_after_s) from refused
        try:
            connection = await self._acquire(probing)
            self._holders.add(task)
            try:
                with unavailable():
                    yield connection
            except DatabaseUnavailable:
                _cut(connection)
                raise
            finally:
                self._holders.discard(task)
                await self._release(connection)
        except DatabaseUnavailable:
            self._breaker.fail(probe=probing)
            raise
        except (Overloaded, asyncio.CancelledError, GeneratorExit):
            if probing:
                self._breaker.withdraw()
            raise
        except BaseException:
            self._breaker.succeed(probe=probing)  # whatever it is, the server answered
            raise
        self._breaker.succeed(probe=probing)

    async def _acquire(self, probing: bool) -> Connection:
        if self._waiting >= self._waiting_limit:
            DATABASE_SHED.inc()
            raise Overloaded(
                "Too many requests wait for the database.", reason="DATABASE_OVERLOADED", retry_after_s=1.0
            )
        begin = clock.monotonic_s()
        self._waiting += 1
        try:
            with unavailable():
                connection = await self._pool.acquire(timeout=self._wait_s)
                if probing:
                    await self._probe(connection)
        finally:
            self._waiting -= 1
        DATABASE_WAIT_SECONDS.observe(clock.monotonic_s() - begin)
        return connection

    async def _probe(self, connection: Connection) -> None:
        """So that the caller that happens to probe does not wait out its own statements."""
        try:
            await connection.execute("SELECT 1", timeout=self._wait_s)
        except BaseException:
            _cut(connection)
            raise

    async def _release(self, connection: Connection) -> None:
        try:
            await self._pool.release(connection)
        except (*_FAULTS, asyncpg.PostgresError) as error:
            # The pool has thrown it away; what the caller did on it is done.
            _log.warning("connection dropped", error=repr(error))

    async def transaction(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Runs `work` in a transaction; on SQLSTATE class 40 again, at most MAX_ATTEMPTS times in all.

        `work` must have no effect outside the database, since it may run more than once.
        """
        return await _timed(lambda: self._once(work))

    async def statement(self, text: str, *arguments: object) -> None:
        """One statement that is a transaction of its own: a round trip instead of three. Again as
        `transaction` has it."""
        await _timed(lambda: self._alone(text, arguments))

    async def _alone(self, text: str, arguments: tuple[object, ...]) -> None:
        async with self.connection() as connection:
            await connection.execute(text, *arguments)

    async def _once(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        async with self.connection() as connection, connection.transaction():
            try:
                return await work(connection)
            except BaseException as error:
                if _is_fault(error):
                    _cut(connection)  # its ROLLBACK would wait as long again
                raise

    async def ping(self) -> None:
        """Raises Unavailable unless a trivial query answers."""
        async with self.connection() as connection:
            await connection.execute("SELECT 1")


_FAULTS = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    # A session that the server ended while a statement was on its way confuses asyncpg (its issue 1069).
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.QueryCanceledError,
)


async def _timed(attempt: Callable[[], Awaitable[T]]) -> T:
    """Again when it has lost against another transaction."""
    begin = clock.monotonic_s()
    try:
        for _ in range(MAX_ATTEMPTS - 1):
            try:
                return await attempt()
            except asyncpg.PostgresError as error:
                if not (error.sqlstate or "").startswith("40"):
                    raise
                DATABASE_RETRIES.labels(error.sqlstate).inc()
        return await attempt()
    finally:
        DATABASE_SECONDS.observe(clock.monotonic_s() - begin)


async def _as_it_is(_connection: asyncpg.Connection) -> None:
    """Instead of asyncpg's reset."""


def _cut(connection: Connection) -> None:
    """Nothing more is waited for on it; the pool makes another."""
    with suppress(asyncpg.InterfaceError):  # cut before
        connection.terminate()


def _is_fault(error: BaseException | None) -> bool:
    # An InterfaceError that is also a ValueError is an argument of the wrong type: our bug.
    return isinstance(error, _FAULTS) and not isinstance(error, ValueError)


@asynccontextmanager
async def connected(settings: Settings) -> AsyncIterator[asyncpg.Connection]:
    """A connection of its own for a command that is over soon. Nothing limits how long it takes."""
    connection = await asyncpg.connect(settings.database_url.get_secret_value())
    try:
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Database]:
    """As `Database.of`, for a command that is over soon."""
    database = await Database.of(settings)
    try:
        yield database
    finally:
        await database.close()


class unavailable:  # noqa: N801
    """Turns "the database is not there" into DatabaseUnavailable; statements' own errors pass."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, _cls: type[BaseException] | None, error: BaseException | None, _tb: object) -> None:
        if _is_fault(error):
            _log.warning("database unavailable", error=repr(error))
            raise DatabaseUnavailable from error


def _told(pool: str, state: State) -> None:
    DATABASE_BREAKER.labels(pool).set(state)
    if state is State.OPEN:
        DATABASE_BREAKER_OPENED.labels(pool).inc()
    _log.warning("database circuit", pool=pool, state=state.name)
