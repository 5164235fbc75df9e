"""Reads through Redis: never older than what was answered, whatever becomes of Redis."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from services.progression.cache import Cache, cache
from services.progression.domain.character import Character
from services.progression.domain.events import ATTRIBUTES
from tests.support import redis as redis_server
from tests.support.progression import Progression, progression
from tests.support.redis import RedisServer
from tests.support.tokens import game_server
from tests.support.waiting import eventually

RETRY_S = 0.05


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    """One of this test's own, that keeps what it was told over a restart."""
    with redis_server.server(durable=True) as started:
        yield started


@pytest.fixture
async def client(redis: RedisServer) -> AsyncIterator[Redis]:
    async with _client(redis) as connected:
        yield connected


def _client(redis: RedisServer) -> Redis:
    return Redis.from_url(
        redis.url, socket_timeout=0.2, socket_connect_timeout=0.2, retry=Retry(NoBackoff(), 0)
    )


def cache_of(client: Redis) -> Cache:
    return cache(client, seconds=60, retry_s=RETRY_S)


def ada(version: int) -> Character:
    points = {name: number for number, name in enumerate(ATTRIBUTES)}
    return Character(
        "ada",
        "player-1",
        "default-1",
        version,
        base_experience=version,
        paragon_experience=2**70 + version,
        points=points,
        respecs=1,
        resets=2,
        mastery={"raid": 2**65},
    )


async def test_it_gives_back_what_was_put(client: Redis) -> None:
    cache = cache_of(client)
    await cache.put({"ada": ada(3)})
    assert (await cache.get(["ada"])).values == {"ada": ada(3)}


# -- two processes ------------------------------------------------------------------------------------


def limits(database_url: str, redis: RedisServer) -> dict[str, Any]:
    return {"database_url": database_url, "redis_url": redis.url, "cache_retry_s": RETRY_S}


async def test_what_was_answered_is_what_every_process_reads(database_url: str, redis: RedisServer) -> None:
    """While Redis is killed, comes back with old data, stands still and forgets."""
    asked = limits(database_url, redis)
    async with progression(**asked) as one, progression(**asked) as other, _client(redis) as client:
        both = (one, other)
        version = (await one.award("ada", 1)).version

        async def on(times: int) -> None:
            nonlocal version
            for number in range(times):
                version = (await both[number % 2].award("ada", 1)).version
                for each in both:
                    assert (await each.paragon("ada")).version == version

        await on(6)
        redis.kill()
        await on(6)
        redis.start()
        # Until both are back, one of them cannot know what the other could not tell it.
        await _heeded(client, one, other)
        await on(8)
        redis.pause()
        await on(2)
        redis.resume()
        await _heeded(client, one, other)
        await on(6)
        await client.flushall()
        await on(6)


async def test_no_read_is_older_than_an_answer_before_it(database_url: str, redis: RedisServer) -> None:
    """Two processes change and read the same characters at once, and a third declares all the time that no
    entry counts any more."""
    asked = limits(database_url, redis) | {"cache_timeout_s": 10}  # a busy machine is not one without Redis
    async with progression(**asked) as one, progression(**asked) as other, _client(redis) as client:
        newest, third = {"ada": 0, "ben": 0}, cache_of(client)

        async def change(server: Progression) -> None:
            for number in range(30):
                name = ("ada", "ben")[number % 2]
                version = (await server.award(name, 1)).version
                newest[name] = max(newest[name], version)

        async def look(server: Progression, name: str) -> None:
            while newest[name] < 31:
                known = newest[name]
                if known:
                    assert (await server.paragon(name)).version >= known
                    await third.renew()
                else:
                    await asyncio.sleep(0)

        looks = [look(server, name) for server in (one, other) for name in newest]
        async with asyncio.timeout(30):
            await asyncio.gather(change(one), change(other), *looks)


async def test_an_answer_given_again_is_what_is_read(database_url: str, redis: RedisServer) -> None:
    """Who gave it first died after its commit, before Redis was told."""
    asked = limits(database_url, redis) | {"cache_timeout_s": 10}
    keyed = (*game_server(), ("idempotency-key", "k-1"))
    async with progression(**asked) as one, progression(**asked) as other, _client(redis) as client:
        await _heeded(client, one, other)  # none of them declares a generation any more
        await one.award("ada", 1)
        before = await client.get("{progression}:character:ada")
        assert isinstance(before, bytes)
        first = await one.award("ada", 1, metadata=keyed)
        await client.set("{progression}:character:ada", before)
        assert (await other.paragon("ada")).version == 2
        assert await other.award("ada", 1, metadata=keyed) == first
        assert (await other.paragon("ada")).version == first.version == 3


async def test_what_one_could_not_write_no_other_reads_for_long(
    database_url: str, redis: RedisServer
) -> None:
    """Although nobody asks the first one for anything any more."""
    asked = limits(database_url, redis)
    async with progression(**asked) as one, progression(**asked) as other:
        await one.award("ada", 1)
        assert (await other.paragon("ada")).version == 2
        redis.kill()
        await one.award("ada", 1)
        redis.start()

        async def newer() -> bool:
            return (await other.paragon("ada")).version == 3

        await eventually(newer)


async def _heeded(client: Redis, *servers: Progression) -> None:
    """Every process reaches Redis again: what it answers is there, and counts."""
    for each in servers:

        async def there(server: Progression = each) -> bool:
            version = (await server.award("ben", 1)).version
            found: list[Any] = await client.mget("{progression}:generation", "{progression}:character:ben")
            generation, entry = found
            return bool(entry) and entry.startswith(generation + b"%019d" % version)

        await eventually(there)


async def test_reads_are_answered_from_redis(database_url: str, redis: RedisServer) -> None:
    """Proved by what is not true: an entry that PostgreSQL has no character for."""
    async with progression(**limits(database_url, redis)) as server, _client(redis) as client:
        await server.award("ben", 1)
        entry = await client.get("{progression}:character:ben")
        assert isinstance(entry, bytes)
        await client.set("{progression}:character:ada", entry)
        assert (await server.paragon("ada")).version == 2


async def test_reads_go_on_without_redis(database_url: str, redis: RedisServer) -> None:
    async with progression(**limits(database_url, redis)) as server:
        await server.award("ada", 5)
        redis.kill()
        await server.award("ada", 5)
        assert (await server.paragon("ada")).base.experience == "10"
    async with progression(**limits(database_url, redis)) as server:  # and it starts without
        assert (await server.award("ada", 5)).version == 4
        assert (await server.paragon("ada")).base.experience == "15"
