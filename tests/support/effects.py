"""Events with effects in a table, and the processes that make them, to be killed."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import Process
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg

from services.chassis.bus.port import Message
from services.chassis.db import Connection, Database
from services.chassis.dead_letters import DeadLetters
from services.chassis.inbox import Inbox
from services.chassis.outbox import Outbox
from services.combat.schema import SCHEMA
from tests.support.buses import make
from tests.support.events import envelope
from tests.support.waiting import eventually

ROOT = Path(__file__).parents[2]
GROUP = "g"
OUTBOX = Outbox(SCHEMA)


async def start(module: str, *words: str) -> Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", f"tests.support.{module}", *words),
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "clients" / "python")]),
        },
        cwd=ROOT,
    )


@asynccontextmanager
async def process(module: str, *words: str) -> AsyncIterator[Process]:
    started = await start(module, *words)
    try:
        yield started
    finally:
        if started.returncode is None:
            started.kill()
        await started.wait()


@asynccontextmanager
async def consuming(database_url: str, kind: str, bus_url: str, topic: str) -> AsyncIterator[None]:
    """A consumer in this process, with its effects in the table."""
    database = await Database.connect(database_url, size=4, wait_s=5, command_s=5)
    bus, inbox = make(kind, bus_url), Inbox(SCHEMA)

    async def handle(event: Message) -> None:
        async def work(inside: Connection) -> None:
            if await inbox.once(inside, GROUP, event.id):
                await inside.execute("INSERT INTO effects (pid, event_id) VALUES (0, $1)", event.id)

        await database.transaction(work)

    await bus.subscribe(topic, GROUP, handle, DeadLetters(SCHEMA).sink(database))
    try:
        yield
    finally:
        await bus.close()
        await database.close()


async def effects(connection: asyncpg.Connection) -> list[str]:
    return [row["event_id"] for row in await connection.fetch("SELECT * FROM effects ORDER BY number")]


async def all_in(connection: asyncpg.Connection, count: int) -> None:
    async def complete() -> bool:
        return len(await effects(connection)) >= count

    await eventually(complete, 60)


def assert_once_and_in_order(found: list[str], expected: list[str]) -> None:
    assert sorted(found) == sorted(expected)
    numbers = defaultdict(list)
    for event_id in found:
        subject, number = event_id.split("/")
        numbers[subject].append(int(number))
    for subject, each in numbers.items():
        assert each == sorted(each), subject


async def write(connection: asyncpg.Connection, topic: str, begin: int, end: int) -> list[str]:
    """Events of 17 subjects, ten a transaction."""
    written = []
    for first in range(begin, end, 10):
        batch = [(f"s{n % 17}/{n}", f"s{n % 17}") for n in range(first, min(first + 10, end))]
        await OUTBOX.put(connection, topic, [envelope(event_id, subject) for event_id, subject in batch])
        written += [event_id for event_id, _ in batch]
        await asyncio.sleep(0.002)
    return written


async def told(connection: asyncpg.Connection) -> bool:
    return (await OUTBOX.waiting(connection, await OUTBOX.checkpoint(connection)))[0] == 0
