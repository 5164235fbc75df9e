"""Dead letters: kept, shown, replayed; and the operator's commands as a process."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from services.chassis.bus.port import DeadLetter, Message
from services.chassis.db import Connection, Database
from services.chassis.dead_letters import DeadLetters
from services.chassis.inbox import Inbox
from services.chassis.outbox import START, Outbox
from services.combat.schema import SCHEMA
from tests.support.buses import Recorder, make, message
from tests.support.events import envelope

ROOT = Path(__file__).parents[2]
LETTERS = DeadLetters(SCHEMA)


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    opened = await asyncpg.connect(database_url)
    yield opened
    await opened.close()


async def command(database_url: str, redis_url: str, *words: str) -> tuple[int | None, str]:
    """Exit code and what was said."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "services.chassis.bus", *words),
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "clients" / "python")]),
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
        },
        stdout=PIPE,
        stderr=PIPE,
        cwd=ROOT,
    )
    out, err = await process.communicate()
    return process.returncode, out.decode() + err.decode()


async def test_the_same_letter_dies_twice(connection: asyncpg.Connection) -> None:
    first = DeadLetter("g", "t", message("s", 1), "LookupError: one", 3)
    await LETTERS.put(connection, first)
    await LETTERS.put(connection, DeadLetter("h", "t", message("s", 1), "other group", 1))
    await LETTERS.put(connection, DeadLetter("g", "t", message("s", 1), "LookupError: two", 3))
    (kept,) = await LETTERS.list(connection, group="g")
    assert kept.letter == DeadLetter("g", "t", message("s", 1), "LookupError: two", 6)
    assert kept.last_at > kept.first_at
    assert len(await LETTERS.list(connection)) == 2


async def test_from_poison_to_replay(
    connection: asyncpg.Connection, database_url: str, redis_url: str
) -> None:
    """A handler that cannot, until it is mended; another group that could is not bothered again."""
    topic = "letters"
    database = await Database.connect(database_url, size=4, wait_s=5, command_s=5)
    await connection.execute("CREATE TABLE effects (consumer_group TEXT, event_id TEXT)")
    bus, seen, inbox = make("redis", redis_url), Recorder(), Inbox(SCHEMA)
    mended = False

    async def effect(group: str, event: Message) -> None:
        async def work(inside: Connection) -> None:
            if await inbox.once(inside, group, event.id):
                await inside.execute("INSERT INTO effects VALUES ($1, $2)", group, event.id)
                if group == "poor" and not mended:
                    raise LookupError("nothing there")

        await database.transaction(work)
        await seen.handle(event)

    sink = LETTERS.sink(database)
    await bus.subscribe(topic, "poor", lambda event: effect("poor", event), sink)
    await bus.subscribe(topic, "good", lambda event: effect("good", event), sink)
    await bus.publish(topic, [message("s", 1)])
    async with asyncio.timeout(20):
        while not (found := await LETTERS.list(connection)):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert [kept.letter for kept in found] == [
        DeadLetter("poor", topic, message("s", 1), "LookupError: nothing there", 3)
    ]
    code, said = await command(database_url, redis_url, "dead-letters", "--schema", SCHEMA)
    assert code == 0
    assert "poor  letters  s/1  3 attempts  LookupError: nothing there" in said
    mended = True
    code, said = await command(database_url, redis_url, "replay", "--schema", SCHEMA, "--group", "poor")
    assert (code, said) == (0, "1 dead letters replayed\n")
    async with asyncio.timeout(20):
        while await connection.fetchval("SELECT count(*) FROM effects") < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    rows = await connection.fetch("SELECT * FROM effects ORDER BY 1")
    assert [tuple(row) for row in rows] == [("good", "s/1"), ("poor", "s/1")]
    assert await LETTERS.list(connection) == []
    assert len(await LETTERS.list(connection, replayed=True)) == 1
    await bus.close()
    await database.close()


async def test_republish(connection: asyncpg.Connection, database_url: str, redis_url: str) -> None:
    outbox = Outbox(SCHEMA)
    await outbox.put(connection, "t", [envelope("a"), envelope("b")])
    rows = await outbox.read(connection, START, 10)
    await outbox.move(connection, START, rows[-1].position)
    asked = ("republish", "--schema", SCHEMA, "--since")
    assert await command(database_url, redis_url, *asked, "1h") == (0, "The relay sends again.\n")
    again = await outbox.read(connection, await outbox.checkpoint(connection), 10)
    assert [row.message.id for row in again] == ["a", "b"]
    code, said = await command(database_url, redis_url, *asked, "2090-01-01T00:00:00Z")
    assert (code, said) == (0, "Nothing that is still kept was sent since then.\n")


@pytest.mark.parametrize("words", [["--since", "soon"], ["--since", "2026-01-01"], ["--schema", "a.b"]])
async def test_bad_words(words: list[str], redis_url: str) -> None:
    given = {"--schema": SCHEMA, "--since": "1h"} | {words[0]: words[1]}
    flat = [word for pair in given.items() for word in pair]
    code, said = await command("postgresql://nowhere", redis_url, "republish", *flat)
    assert code == 2
    assert "invalid" in said
