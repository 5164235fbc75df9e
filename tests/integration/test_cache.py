"""Versioned things in Redis: never older than what was committed, whatever becomes of Redis."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import NamedTuple

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from services.chassis.cache import Form, VersionedCache
from services.chassis.metrics import PROGRESSION_CACHE
from tests.support import redis as redis_server
from tests.support.redis import RedisServer
from tests.support.waiting import eventually

RETRY_S = 0.05


class Thing(NamedTuple):
    version: int
    text: str


Cache = VersionedCache[Thing]


@pytest.fixture(scope="module")
def started() -> Iterator[RedisServer]:
    """One of these tests' own, that keeps what it was told over a restart."""
    with redis_server.server(durable=True) as running:
        yield running


@pytest.fixture
async def redis(started: RedisServer) -> RedisServer:
    """Empty."""
    async with _client(started) as connected:
        await connected.flushall()
    return started


@pytest.fixture
async def client(redis: RedisServer) -> AsyncIterator[Redis]:
    async with _client(redis) as connected:
        yield connected


def _client(redis: RedisServer) -> Redis:
    return Redis.from_url(
        redis.url, socket_timeout=0.2, socket_connect_timeout=0.2, retry=Retry(NoBackoff(), 0)
    )


def cache_of(client: Redis, *, seconds: float = 60) -> Cache:
    form = Form(lambda thing: thing.version, lambda thing: thing.text, _decode)
    return VersionedCache(
        client,
        form,
        prefix="{test}",
        kind="thing",
        seconds=seconds,
        retry_s=RETRY_S,
        metrics=PROGRESSION_CACHE,
    )


def _decode(_id: str, version: int, state: bytes) -> Thing:
    return Thing(version, state.decode())


def thing(version: int) -> Thing:
    return Thing(version, f"as of {version}")


def ada(version: int) -> dict[str, Thing]:
    return {"ada": thing(version)}


async def held(cache: Cache, name: str = "ada") -> Thing | None:
    return (await cache.get([name])).values.get(name)


async def test_it_gives_back_what_was_put(client: Redis) -> None:
    cache = cache_of(client)
    assert await held(cache) is None
    await cache.put({"ada": Thing(3, "three"), "ben": Thing(4, "four")})
    assert await held(cache) == Thing(3, "three")
    both = await cache.get(["ben", "nobody", "ada"])
    assert both.values == {"ada": Thing(3, "three"), "ben": Thing(4, "four")}


@pytest.mark.parametrize("older", [1, 9])
async def test_an_older_state_never_replaces_a_newer_one(client: Redis, older: int) -> None:
    """Also where versions grow a digit."""
    cache = cache_of(client)
    generation = (await cache.get(["ada"])).generation
    await cache.put(ada(10))
    await cache.fill(ada(older), generation)
    await cache.put(ada(older))
    assert await held(cache) == thing(10)
    await cache.put(ada(11))
    assert await held(cache) == thing(11)


async def test_entries_have_an_end(client: Redis) -> None:
    cache = cache_of(client, seconds=1)
    await cache.put(ada(1))
    keys = [key async for key in client.scan_iter("*thing*")]
    assert len(keys) == 1
    assert 0 < await client.pttl(keys[0]) <= 1000


async def test_whoever_listens_hears_of_it(client: Redis) -> None:
    cache = cache_of(client)
    async with client.pubsub() as subscription:
        await subscription.subscribe(cache.changes)
        await subscription.get_message(timeout=5)
        await cache.put(ada(7))
        message = await subscription.get_message(ignore_subscribe_messages=True, timeout=5)
    assert message is not None
    assert message["data"] == b'{"ada": 7}'


async def test_what_could_not_be_written_makes_all_others_distrusted(
    redis: RedisServer, client: Redis
) -> None:
    """Redis comes back with what it had: that is older than what was committed meanwhile."""
    cache = cache_of(client)
    await cache.put(ada(1))
    redis.kill()
    await cache.put(ada(2))
    assert (await cache.get(["ada"])).generation == ""
    redis.start()
    await _back(cache)
    assert await held(cache) is None
    await cache.put(ada(2))
    assert await held(cache) == thing(2)


async def test_what_only_could_not_be_read_is_there_afterwards(redis: RedisServer, client: Redis) -> None:
    cache = cache_of(client)
    await cache.put(ada(1))
    redis.kill()
    assert await held(cache) is None
    redis.start()
    await _back(cache)
    assert await held(cache) == thing(1)


async def test_a_redis_that_forgot_everything(client: Redis) -> None:
    cache = cache_of(client)
    await cache.put(ada(1))
    await client.flushall()
    assert await held(cache) is None
    await cache.put(ada(2))
    assert await held(cache) == thing(2)


async def test_a_write_that_is_carried_out_late_changes_nothing(redis: RedisServer, client: Redis) -> None:
    """It was given up while Redis stood still, and was done when Redis went on, after newer things."""
    async with _client(redis) as other:
        late, cache = cache_of(other), cache_of(client)
        await late.put(ada(1))
        generation = (await cache.get(["ada"])).generation
        redis.pause()
        await late.put(ada(2))  # gives up; the bytes are on their way
        redis.resume()
        await _back(late)  # declares a generation, after those bytes or before
        assert await held(late) is None
        await cache.fill(ada(1), generation)  # meant for the generation before
        assert await held(late) is None
        await cache.put(ada(3))  # learns of the generation from the refusal
        assert await held(late) == await held(cache) == thing(3)


async def test_a_cancelled_write_is_one_that_failed(redis: RedisServer, client: Redis) -> None:
    cache = cache_of(client)
    await cache.put(ada(1))
    redis.pause()
    task = asyncio.create_task(cache.put(ada(2)))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    redis.resume()
    await _back(cache)
    assert (await held(cache) or thing(2)) == thing(2)


async def test_a_process_begins_with_a_generation_of_its_own(client: Redis) -> None:
    """The one before it may have died between a commit and writing it."""
    await cache_of(client).put(ada(1))
    assert await held(cache_of(client)) is None


async def _back(cache: Cache) -> None:
    async def answers() -> bool:
        return (await cache.get(["nobody"])).generation != ""

    await eventually(answers)


# -- what is only outdated ----------------------------------------------------------------------------


async def test_what_is_outdated_is_read_again_and_kept_when_it_is_new_enough(client: Redis) -> None:
    cache = cache_of(client)
    await cache.put(ada(1))
    generation = (await cache.get(["ada"])).generation
    await cache.outdate({"ada": 3, "ben": 1})
    assert (await cache.get(["ada", "ben"])).values == {}
    await cache.fill(ada(2), generation)  # read before the commit
    assert await held(cache) is None
    await cache.fill(ada(3), generation)
    assert await held(cache) == thing(3)


async def test_what_is_there_already_is_not_outdated_by_its_own_version(client: Redis) -> None:
    cache = cache_of(client)
    await cache.put(ada(3))
    await cache.outdate({"ada": 3})
    await cache.outdate({"ada": 2})
    assert await held(cache) == thing(3)


async def test_outdating_is_heard_and_what_could_not_be_outdated_is_distrusted(
    redis: RedisServer, client: Redis
) -> None:
    cache = cache_of(client)
    async with client.pubsub() as subscription:
        await subscription.subscribe(cache.changes)
        await subscription.get_message(timeout=5)
        await cache.outdate({"ada": 7})
        message = await subscription.get_message(ignore_subscribe_messages=True, timeout=5)
    assert message is not None
    assert message["data"] == b'{"ada": 7}'
    await cache.put(ada(7))
    redis.kill()
    await cache.outdate({"ada": 8})
    redis.start()
    await _back(cache)
    assert await held(cache) is None
