"""Redis, relays and consumers die in the middle: duplicates on the wire, one effect each, nothing lost."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from asyncio.subprocess import Process
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from redis.asyncio import Redis

from services.chassis.bus.port import Message, partition_of
from services.chassis.bus.redis import RedisBus
from services.chassis.bus.redis_streams import Streams, stream_key
from services.chassis.db import Connection, Database
from services.chassis.dead_letters import DeadLetters
from services.chassis.errors import Unavailable
from services.chassis.inbox import Inbox
from services.chassis.outbox import START, Outbox
from services.combat.store import SCHEMA
from tests.support import consume
from tests.support import redis as redis_server
from tests.support.buses import LEASE_S, LIMITS, Recorder, make, message, some
from tests.support.events import envelope
from tests.support.relay import relaying
from tests.support.waiting import eventually

ROOT = Path(__file__).parents[2]
TOPIC, GROUP = "faults", "g"
OUTBOX = Outbox(SCHEMA)


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    opened = await asyncpg.connect(database_url)
    await opened.execute(consume.TABLE)
    yield opened
    await opened.close()


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
async def consuming(database_url: str, redis_url: str) -> AsyncIterator[None]:
    """A consumer in this process, with its effects in the table."""
    database = await Database.connect(database_url, size=4, wait_s=5, command_s=5)
    bus, inbox = make("redis", redis_url), Inbox(SCHEMA)

    async def handle(event: Message) -> None:
        async def work(inside: Connection) -> None:
            if await inbox.once(inside, GROUP, event.id):
                await inside.execute("INSERT INTO effects (pid, event_id) VALUES (0, $1)", event.id)

        await database.transaction(work)

    await bus.subscribe(TOPIC, GROUP, handle, DeadLetters(SCHEMA).sink(database))
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


async def write(connection: asyncpg.Connection, begin: int, end: int) -> list[str]:
    """Events of 17 subjects, ten a transaction."""
    written = []
    for first in range(begin, end, 10):
        batch = [(f"s{n % 17}/{n}", f"s{n % 17}") for n in range(first, min(first + 10, end))]
        await OUTBOX.put(connection, TOPIC, [envelope(event_id, subject) for event_id, subject in batch])
        written += [event_id for event_id, _ in batch]
        await asyncio.sleep(0.002)
    return written


async def told(connection: asyncpg.Connection) -> bool:
    return (await OUTBOX.waiting(connection, await OUTBOX.checkpoint(connection)))[0] == 0


async def test_relays_are_killed_again_and_again(database_url: str, connection: asyncpg.Connection) -> None:
    draw = random.Random(1)
    with redis_server.server() as redis:
        async with consuming(database_url, redis.url):
            writing = asyncio.create_task(write(connection, 0, 600))
            other = await asyncpg.connect(database_url)
            for _ in range(4):
                async with process("relay", database_url, redis.url) as relay:
                    before = await OUTBOX.checkpoint(other)

                    async def moved(before: object = before) -> bool:
                        return await OUTBOX.checkpoint(other) != before

                    if not (writing.done() and await told(other)):
                        await eventually(moved, 30)
                    await asyncio.sleep(draw.uniform(0, 0.05))
                    relay.send_signal(signal.SIGKILL)
            written = await writing
            async with process("relay", database_url, redis.url):
                await all_in(other, len(written))
            await other.close()
        assert_once_and_in_order(await effects(connection), written)


async def test_consumers_are_killed_in_the_middle(database_url: str, connection: asyncpg.Connection) -> None:
    with redis_server.server() as redis:
        bus = make("redis", redis.url)
        words = (database_url, redis.url, TOPIC, GROUP)
        messages = some(900, 17)
        async with process("consume", *words) as first, process("consume", *words):
            for begin in range(0, 600, 50):
                await bus.publish(TOPIC, messages[begin : begin + 50])
            await all_in(connection, 100)
            first.kill()
            await first.wait()
            async with process("consume", *words):
                await bus.publish(TOPIC, messages[600:])
                await all_in(connection, 900)
        await bus.close()
    assert_once_and_in_order(await effects(connection), [each.id for each in messages])


async def test_an_event_that_kills_its_consumers_is_a_dead_letter_and_takes_no_other_along(
    database_url: str, connection: asyncpg.Connection
) -> None:
    with redis_server.server() as redis:
        bus = make("redis", redis.url)
        others = some(60, 7)
        await bus.publish(TOPIC, [*others[:30], message("lethal", 0), *others[30:]])
        deaths = 0
        while not await DeadLetters(SCHEMA).list(connection):
            async with process("consume", database_url, redis.url, TOPIC, GROUP) as consumer:

                async def over(consumer: Process = consumer) -> bool:
                    letters = await DeadLetters(SCHEMA).list(connection)
                    return consumer.returncode is not None or len(letters) >= 1

                await eventually(over, 60)
                deaths += consumer.returncode is not None
                assert deaths <= 5
        async with process("consume", database_url, redis.url, TOPIC, GROUP):
            await all_in(connection, 60)
        await bus.close()
    (kept,) = await DeadLetters(SCHEMA).list(connection)
    assert kept.letter.message == message("lethal", 0)
    assert "died" in kept.letter.error
    assert sorted(await effects(connection)) == sorted(each.id for each in others)


@pytest.mark.parametrize("durable", [True, False], ids=["durable", "forgetful"])
async def test_redis_is_killed_and_comes_back(
    database_url: str, connection: asyncpg.Connection, durable: bool
) -> None:
    """With its data, or with nothing: then the relay sees that the bus forgot, and sends again."""
    with redis_server.server(durable=durable) as redis:
        async with process("relay", database_url, redis.url), consuming(database_url, redis.url):
            written = await write(connection, 0, 200)
            await all_in(connection, 50)
            await asyncio.to_thread(redis.kill)
            written += await write(connection, 200, 300)
            await asyncio.to_thread(redis.start)
            written += await write(connection, 300, 400)
            await all_in(connection, 400)
    assert_once_and_in_order(await effects(connection), written)


async def test_everything_is_flushed_under_way(database_url: str, connection: asyncpg.Connection) -> None:
    with redis_server.server() as redis:
        client = Redis.from_url(redis.url)
        async with process("relay", database_url, redis.url):
            # Nobody has read yet, so what is flushed now would be lost.
            written = await write(connection, 0, 200)

            async def everything_told() -> bool:
                return await told(connection)

            await eventually(everything_told, 30)
            await client.flushall()
            async with consuming(database_url, redis.url):
                for begin in range(200, 800, 100):
                    written += await write(connection, begin, begin + 100)
                    await client.flushall()
                await all_in(connection, 800)
        await client.aclose()
    found = await effects(connection)
    assert sorted(found) == sorted(written)


async def test_a_bus_that_hangs_is_told_of_and_used_again() -> None:
    with redis_server.server() as redis:
        bus, seen = make("redis", redis.url), Recorder()
        await bus.subscribe(TOPIC, GROUP, seen.handle, seen.bury)
        await bus.publish(TOPIC, some(10, 3))
        await seen.until(some(10, 3))
        redis.pause()
        with pytest.raises(Unavailable) as caught:
            await bus.publish(TOPIC, some(1, 1, 100))
        assert caught.value.reason == "BUS_UNAVAILABLE"
        with pytest.raises(Unavailable):
            await bus.ping()
        redis.resume()
        await bus.publish(TOPIC, some(10, 3, 10))
        await seen.until(some(20, 3))
        await bus.close()


async def test_a_subscription_may_come_before_its_bus() -> None:
    with redis_server.server() as redis:
        redis.kill()
        bus, seen = make("redis", redis.url), Recorder()
        await bus.subscribe(TOPIC, GROUP, seen.handle, seen.bury)
        with pytest.raises(Unavailable):
            await bus.publish(TOPIC, some(1, 1))
        await asyncio.to_thread(redis.start)
        await bus.publish(TOPIC, some(10, 3))
        await seen.until(some(10, 3))
        await bus.close()


async def test_pending_entries_that_nobody_has_are_found(redis_url: str) -> None:
    """Read by somebody who is gone, behind the holder's back; one of them trimmed away since."""
    topic = "stray"
    bus, seen, streams = make("redis", redis_url, in_flight=1), Recorder(), Streams(redis_url, 1.0)
    reading, go = asyncio.Event(), asyncio.Event()

    async def handle(event: Message) -> None:
        reading.set()
        await go.wait()
        await seen.handle(event)

    await bus.subscribe(topic, GROUP, handle, seen.bury)
    messages = [message("s", number) for number in range(4)]
    key = stream_key(topic, partition_of("s"))
    await bus.publish(topic, messages[:1])
    async with asyncio.timeout(15):
        await reading.wait()  # and reads no more, with its hands full
    await bus.publish(topic, messages[1:])
    client = Redis.from_url(redis_url)
    answer: Any = await client.xreadgroup(GROUP, "holder", {key: ">"})
    ((_, entries),) = answer
    stolen = [entry_id for entry_id, _ in entries]
    assert len(stolen) == 3
    await client.xdel(key, stolen[1])
    go.set()
    await seen.until([messages[1], messages[3]])

    async def nothing_pending() -> bool:
        return await streams.pending(key, GROUP, b"", 10) == []

    await eventually(nothing_pending)
    assert messages[2].id not in seen.ids
    await client.aclose()
    await streams.close()
    await bus.close()


class Flushed(RedisBus):
    """Loses everything at one moment of the relay's work."""

    def __init__(self, url: str, moment: str) -> None:
        super().__init__(url, LIMITS, timeout_s=1.0, lease_s=LEASE_S)
        self._client = Redis.from_url(url)
        self._moment = moment

    async def _pass(self, moment: str) -> None:
        if moment == self._moment:
            self._moment = ""
            await self._client.flushall()
            await self._client.aclose()

    async def publish(self, topic: str, messages: Sequence[Message]) -> None:
        await self._pass("before publishing")
        await super().publish(topic, messages)
        await self._pass("after publishing")

    async def mark(self, name: str, position: str, expected: str | None) -> bool:
        marked = await super().mark(name, position, expected)
        if position != str(START):
            await self._pass("after marking")
        return marked


@pytest.mark.parametrize("moment", ["before publishing", "after publishing", "after marking"])
@pytest.mark.parametrize("known", [False, True], ids=["new bus", "known bus"])
async def test_a_flush_at_any_moment_of_a_batch_is_noticed(
    database_url: str, connection: asyncpg.Connection, moment: str, known: bool
) -> None:
    with redis_server.server() as redis:
        written = []
        if known:
            before = make("redis", redis.url)
            async with relaying(database_url, before):
                written += await write(connection, 0, 20)
                await eventually(lambda: told(connection))
            await before.close()
        bus = Flushed(redis.url, moment)
        async with relaying(database_url, bus):
            written += await write(connection, 20, 40)
            async with consuming(database_url, redis.url):
                await all_in(connection, len(written))
        await bus.close()
    assert sorted(await effects(connection)) == sorted(written)
