"""Reads through Redis: never older than what was answered, whatever becomes of Redis."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from services.progression.cache import CHANGES, Cache
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


def cache_of(client: Redis, *, seconds: float = 60) -> Cache:
    return Cache(client, seconds=seconds, retry_s=RETRY_S)


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


async def held(cache: Cache, name: str = "ada") -> Character | None:
    return (await cache.get([name])).characters.get(name)


# -- the cache by itself ------------------------------------------------------------------------------


async def test_it_gives_back_what_was_put(client: Redis) -> None:
    cache = cache_of(client)
    assert await held(cache) is None
    await cache.put([ada(3), replace(ada(4), character_id="ben")])
    assert await held(cache) == ada(3)
    both = await cache.get(["ben", "nobody", "ada"])
    assert {name: character.version for name, character in both.characters.items()} == {"ada": 3, "ben": 4}


@pytest.mark.parametrize("older", [1, 9])
async def test_an_older_state_never_replaces_a_newer_one(client: Redis, older: int) -> None:
    """Also where versions grow a digit."""
    cache = cache_of(client)
    generation = (await cache.get(["ada"])).generation
    await cache.put([ada(10)])
    await cache.fill([ada(older)], generation)
    await cache.put([ada(older)])
    assert await held(cache) == ada(10)
    await cache.put([ada(11)])
    assert await held(cache) == ada(11)


async def test_entries_have_an_end(client: Redis) -> None:
    cache = cache_of(client, seconds=1)
    await cache.put([ada(1)])
    keys = [key async for key in client.scan_iter("*character*")]
    assert len(keys) == 1
    assert 0 < await client.pttl(keys[0]) <= 1000


async def test_whoever_listens_hears_of_it(client: Redis) -> None:
    cache = cache_of(client)
    async with client.pubsub() as subscription:
        await subscription.subscribe(CHANGES)
        await subscription.get_message(timeout=5)
        await cache.put([ada(7)])
        message = await subscription.get_message(ignore_subscribe_messages=True, timeout=5)
    assert message is not None
    assert message["data"] == b'{"ada": 7}'


async def test_what_could_not_be_written_makes_all_others_distrusted(
    redis: RedisServer, client: Redis
) -> None:
    """Redis comes back with what it had: that is older than what was committed meanwhile."""
    cache = cache_of(client)
    await cache.put([ada(1)])
    redis.kill()
    await cache.put([ada(2)])
    assert (await cache.get(["ada"])).generation == ""
    redis.start()
    await _back(cache)
    assert await held(cache) is None
    await cache.put([ada(2)])
    assert await held(cache) == ada(2)


async def test_what_only_could_not_be_read_is_there_afterwards(redis: RedisServer, client: Redis) -> None:
    cache = cache_of(client)
    await cache.put([ada(1)])
    redis.kill()
    assert await held(cache) is None
    redis.start()
    await _back(cache)
    assert await held(cache) == ada(1)


async def test_a_redis_that_forgot_everything(client: Redis) -> None:
    cache = cache_of(client)
    await cache.put([ada(1)])
    await client.flushall()
    assert await held(cache) is None
    await cache.put([ada(2)])
    assert await held(cache) == ada(2)


async def test_a_write_that_is_carried_out_late_changes_nothing(redis: RedisServer, client: Redis) -> None:
    """It was given up while Redis stood still, and was done when Redis went on, after newer things."""
    async with _client(redis) as other:
        late, cache = cache_of(other), cache_of(client)
        await late.put([ada(1)])
        generation = (await cache.get(["ada"])).generation
        redis.pause()
        await late.put([ada(2)])  # gives up; the bytes are on their way
        redis.resume()
        await _back(late)  # declares a generation, after those bytes or before
        assert await held(late) is None
        await cache.fill([ada(1)], generation)  # meant for the generation before
        assert await held(late) is None
        await cache.put([ada(3)])  # learns of the generation from the refusal
        assert await held(late) == await held(cache) == ada(3)


async def test_a_cancelled_write_is_one_that_failed(redis: RedisServer, client: Redis) -> None:
    cache = cache_of(client)
    await cache.put([ada(1)])
    redis.pause()
    task = asyncio.create_task(cache.put([ada(2)]))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    redis.resume()
    await _back(cache)
    assert (await held(cache) or ada(2)) == ada(2)


async def test_a_process_begins_with_a_generation_of_its_own(client: Redis) -> None:
    """The one before it may have died between a commit and writing it."""
    await cache_of(client).put([ada(1)])
    assert await held(cache_of(client)) is None


async def _back(cache: Cache) -> None:
    async def answers() -> bool:
        return (await cache.get(["nobody"])).generation != ""

    await eventually(answers)


# -- two processes ------------------------------------------------------------------------------------


def limits(database_url: str, redis: RedisServer) -> dict[str, Any]:
    return {"database_url": database_url, "redis_url": redis.url, "cache_retry_s": RETRY_S}


async def test_what_was_answered_is_what_every_process_reads(database_url: str, redis: RedisServer) -> None:
    """While Redis is killed, comes back with old data, stands still and forgets."""
    asked = limits(database_url, redis)
    async with progression(**asked) as one, progression(**asked) as other:
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
        await _heeded(one, other)
        await on(8)
        redis.pause()
        await on(2)
        redis.resume()
        await _heeded(one, other)
        await on(6)
        async with _client(redis) as client:
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
        await _heeded(one, other)  # none of them declares a generation any more
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


async def _heeded(*servers: Progression) -> None:
    """Every process reaches Redis again."""
    await asyncio.sleep(RETRY_S)
    for each in servers:
        await each.award("ben", 1)


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
