"""The database away, hanging or crowded: callers are told fast, and everything heals by itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterator
from typing import Any
from unittest.mock import patch

import pytest

from services.chassis import clock
from services.chassis.breaker import State
from services.chassis.db import Connection, Database, DatabaseUnavailable
from services.chassis.errors import Overloaded, Unavailable
from services.chassis.metrics import DATABASE_BREAKER
from tests.support import postgres as postgres_server
from tests.support.postgres import Postgres
from tests.support.waiting import eventually

OPEN_S = 0.2


@pytest.fixture(scope="module")
def victim() -> Iterator[Postgres]:
    """A server of this module's own, to be stopped and killed."""
    with postgres_server.running() as server:
        yield server


@pytest.fixture
async def database(victim: Postgres) -> AsyncIterator[Database]:
    opened = await Database.connect(
        victim.url(), size=3, wait_s=0.3, command_s=0.3, waiting=20, failures=3, open_s=OPEN_S
    )
    # Several at once would create the table twice.
    await work(opened)
    yield opened
    await opened.close()


def state() -> State:
    return State(int(DATABASE_BREAKER.labels("shared")._value.get()))


async def work(database: Database) -> None:
    async def count(connection: Connection) -> None:
        await connection.execute("CREATE TABLE IF NOT EXISTS done (n INTEGER)")
        await connection.execute("INSERT INTO done VALUES (1)")

    await database.transaction(count)


async def until_open(database: Database) -> None:
    async def opened() -> bool:
        await asyncio.gather(*(work(database) for _ in range(3)), return_exceptions=True)
        return state() is State.OPEN

    await eventually(opened)


def told_at_once(database: Database) -> None:
    """Fifty callers are refused, with a hint, before any of them has waited for anything."""
    breaker: Any = database._breaker
    with patch.object(clock, "monotonic_s", lambda: breaker._until_s - OPEN_S / 2):  # it stays open
        for _ in range(50):
            caught = refusal(work(database))
            assert isinstance(caught, DatabaseUnavailable)
            assert caught.retry_after_s == pytest.approx(OPEN_S / 2)


def refusal(caller: Coroutine[Any, Any, None]) -> Exception:
    """What a caller is told without once giving way to the event loop."""
    with pytest.raises(Unavailable) as caught:
        caller.send(None)
    return caught.value


async def healed(database: Database) -> None:
    async def works() -> bool:
        try:
            await work(database)
        except DatabaseUnavailable:
            return False
        return True

    await eventually(works)
    assert state() is State.CLOSED
    await asyncio.gather(*(work(database) for _ in range(10)))


async def test_a_killed_server(victim: Postgres, database: Database) -> None:
    await work(database)
    await asyncio.to_thread(victim.kill)
    await until_open(database)
    told_at_once(database)
    await asyncio.to_thread(victim.start)
    await healed(database)


async def test_a_server_that_hangs(victim: Postgres, database: Database) -> None:
    await asyncio.gather(*(work(database) for _ in range(3)))  # every connection is open
    victim.pause()
    try:
        begin = clock.monotonic_s()
        await until_open(database)
        # One statement, or one wait for a connection, was waited out; nothing twice.
        assert clock.monotonic_s() - begin < 2.0
        told_at_once(database)
    finally:
        victim.resume()
    await healed(database)


async def test_a_caller_is_not_kept_longer_than_its_statement_may_take(
    victim: Postgres, database: Database
) -> None:
    await work(database)
    victim.pause()
    try:
        begin = clock.monotonic_s()
        with pytest.raises(DatabaseUnavailable):
            await work(database)
        assert clock.monotonic_s() - begin < 0.3 + 0.3 + 0.2  # acquire, statement, room
    finally:
        victim.resume()
    await healed(database)


async def test_too_many_that_wait_are_turned_away_early(database: Database) -> None:
    go = asyncio.Event()

    held = asyncio.Semaphore(0)

    async def hold() -> None:
        async with database.connection():
            held.release()
            await go.wait()

    callers = [asyncio.create_task(hold()) for _ in range(3)]
    for _ in callers:
        await held.acquire()
    callers += [asyncio.create_task(hold()) for _ in range(20)]
    await asyncio.sleep(0)  # they have asked
    caught = refusal(database.ping())
    assert isinstance(caught, Overloaded)
    assert caught.reason == "DATABASE_OVERLOADED"
    go.set()
    await asyncio.gather(*callers)
    await database.ping()


async def test_what_is_wrong_with_a_statement_opens_nothing(database: Database) -> None:
    async def broken(connection: Connection) -> None:
        await connection.execute("SELECT 1/0")

    for _ in range(10):
        with pytest.raises(Exception, match="division by zero"):
            await database.transaction(broken)
    await database.ping()
