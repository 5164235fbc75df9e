"""The inbox: an event has its effect once, whatever comes twice and whatever fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from services.chassis.db import Connection, Database
from services.chassis.inbox import Inbox
from services.combat.schema import SCHEMA

INBOX = Inbox(SCHEMA)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = await Database.connect(database_url, size=4, wait_s=5, command_s=5)
    async with opened.connection() as connection:
        await connection.execute("CREATE TABLE effects (event_id TEXT NOT NULL)")
    yield opened
    await opened.close()


async def handle(database: Database, group: str, event_id: str, *, fail: bool = False) -> bool:
    async def work(connection: Connection) -> bool:
        if not await INBOX.once(connection, group, event_id):
            return False
        await connection.execute("INSERT INTO effects VALUES ($1)", f"{group} {event_id}")
        if fail:
            raise LookupError
        return True

    return await database.transaction(work)


async def effects(database: Database) -> list[str]:
    async with database.connection() as connection:
        return [row["event_id"] for row in await connection.fetch("SELECT * FROM effects ORDER BY 1")]


async def test_each_group_has_the_effect_once(database: Database) -> None:
    answers = [await handle(database, group, "e") for group in ("a", "b", "a", "b")]
    assert answers == [True, True, False, False]
    assert await effects(database) == ["a e", "b e"]


async def test_a_failed_effect_was_not_seen(database: Database) -> None:
    with pytest.raises(LookupError):
        await handle(database, "a", "e", fail=True)
    assert await handle(database, "a", "e")
    assert await effects(database) == ["a e"]


async def test_the_same_event_many_times_at_once(database: Database) -> None:
    answers = await asyncio.gather(*(handle(database, "a", "e") for _ in range(20)))
    assert sum(answers) == 1
    assert await effects(database) == ["a e"]


async def test_forgetting(database: Database) -> None:
    for event_id in "abc":
        await handle(database, "g", event_id)
    async with database.connection() as connection:
        await connection.execute(
            f"UPDATE {SCHEMA}.inbox SET seen_at = now() - interval '2 days' WHERE event_id <> 'c'"
        )
        assert await INBOX.purge(connection, timedelta(days=1), 1) == 1
        assert await INBOX.purge(connection, timedelta(days=1), 10) == 1
        assert await INBOX.purge(connection, timedelta(days=1), 10) == 0
    assert [await handle(database, "g", each) for each in "abc"] == [True, True, False]
