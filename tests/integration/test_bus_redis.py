"""Redis forgets, or is read behind the members' backs: nothing is lost, one effect each."""

from __future__ import annotations

import asyncio
import time
from asyncio.subprocess import Process
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

import asyncpg
import pytest
from redis.asyncio import Redis

from services.chassis.bus.port import Message, partition_of
from services.chassis.bus.redis import RedisBus
from services.chassis.bus.redis_streams import Streams, stream_key
from services.chassis.errors import Unavailable
from services.chassis.outbox import START
from tests.support import redis as redis_server
from tests.support.buses import LEASE_S, LIMITS, Recorder, make, message
from tests.support.effects import (
    GROUP,
    all_in,
    assert_once_and_in_order,
    consuming,
    effects,
    process,
    told,
    write,
)
from tests.support.redis import RedisServer
from tests.support.relay import relaying
from tests.support.waiting import eventually

TOPIC = "faults"


def relay(database_url: str, redis: RedisServer) -> AbstractAsyncContextManager[Process]:
    return process("relay", database_url, "redis", redis.url)


async def test_redis_is_killed_and_forgets(database_url: str, connection: asyncpg.Connection) -> None:
    """Then the relay sees that the bus forgot, and sends again."""
    with redis_server.server() as redis:
        async with relay(database_url, redis), consuming(database_url, "redis", redis.url, TOPIC):
            written = await write(connection, TOPIC, 0, 200)
            await all_in(connection, 50)
            await asyncio.to_thread(redis.kill)
            written += await write(connection, TOPIC, 200, 300)
            await asyncio.to_thread(redis.start)
            written += await write(connection, TOPIC, 300, 400)
            await all_in(connection, 400)
    assert_once_and_in_order(await effects(connection), written)


async def test_everything_is_flushed_under_way(database_url: str, connection: asyncpg.Connection) -> None:
    with redis_server.server() as redis:
        client = Redis.from_url(redis.url)
        async with relay(database_url, redis):
            # Nobody has read yet, so what is flushed now would be lost.
            written = await write(connection, TOPIC, 0, 200)

            async def everything_told() -> bool:
                return await told(connection)

            await eventually(everything_told, 30)
            await client.flushall()
            async with consuming(database_url, "redis", redis.url, TOPIC):
                for begin in range(200, 800, 100):
                    written += await write(connection, TOPIC, begin, begin + 100)
                    await client.flushall()
                await all_in(connection, 800)
        await client.aclose()
    found = await effects(connection)
    assert sorted(found) == sorted(written)


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
                written += await write(connection, TOPIC, 0, 20)
                await eventually(lambda: told(connection))
            await before.close()
        bus = Flushed(redis.url, moment)
        async with relaying(database_url, bus):
            written += await write(connection, TOPIC, 20, 40)
            async with consuming(database_url, "redis", redis.url, TOPIC):
                await all_in(connection, len(written))
        await bus.close()
    assert sorted(await effects(connection)) == sorted(written)


async def test_who_stands_still_with_an_event_in_hand_has_not_died_of_it(redis_url: str) -> None:
    """Again and again for longer than a lease, while what the event needs is away."""
    lease_s, begun, seen = 0.2, 0, Recorder()
    bus, event = make("redis", redis_url, lease_s=lease_s), message("s", 0)

    async def handle(handed: Message) -> None:
        nonlocal begun
        begun += 1
        if begun <= 2 * LIMITS.max_attempts:
            time.sleep(1.5 * lease_s)  # noqa: ASYNC251  # nothing of this process goes on meanwhile
            raise Unavailable("It does not answer.", reason="AWAY")
        await seen.handle(handed)

    async def over() -> bool:
        return bool(seen.seen or seen.letters)

    await bus.publish("stands still", [event])
    await bus.subscribe("stands still", GROUP, handle, seen.bury)
    await eventually(over)
    assert (seen.seen, seen.letters) == ([event], [])
    await bus.close()
