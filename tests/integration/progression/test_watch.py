"""WatchProgress: every event once and in order, whatever stops in between."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import grpc
import pytest
from arenamesh.progression.v1 import service_pb2
from prometheus_client import REGISTRY
from redis.asyncio import Redis

from services.progression.cache import cache
from tests.support import redis as redis_server
from tests.support.progression import TO_CAP, Call, Progression, progression, read, refused, versions
from tests.support.refusals import reason, refusal
from tests.support.tokens import Metadata, bearer, game_server, player
from tests.support.waiting import eventually

_EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED
_INVALID = grpc.StatusCode.INVALID_ARGUMENT
FAR_S = 600.0
"""A poll that does not happen within a test: only what was told wakes."""


def watch(
    server: Progression, character_id: str = "ada", metadata: Metadata = (), after: int | None = None
) -> Call:
    request = service_pb2.WatchProgressRequest(character_id=character_id, after_version=after)
    return server.stub.WatchProgress(request, metadata=metadata or player("ada"))


async def test_first_how_it_stands_then_what_happens(server: Progression) -> None:
    await server.award("ada", 250)
    call = watch(server)
    first = await read(call)
    assert not first.HasField("event")
    shown = await server.paragon("ada")
    assert (first.progress.version, first.progress.base) == (2, shown.base)
    assert first.progress.paragon == shown.paragon
    for experience in (TO_CAP, 5000):
        awarded = await server.award("ada", experience)
        told = await read(call)
        assert told.event.experience_awarded == awarded.awarded
        assert told.event.version == told.progress.version == awarded.version
        assert told.progress.paragon == (await server.paragon("ada")).paragon
    assert told.progress.player_id == "ada"
    assert {each.type for each in told.progress.mastery} >= {"raid", "pvp"}
    call.cancel()


async def test_a_resumed_watch_has_no_gap(server: Progression) -> None:
    """Cut again and again while awards come: together the streams are told every event once."""
    await server.award("ada", 1)
    done = 60

    async def storm() -> None:
        for number in range(done):
            await server.award("ada", number)

    storming = asyncio.create_task(storm())
    seen = [1, 2]
    while seen[-1] < done + 2:
        call = watch(server, after=seen[-1])
        seen += await versions(call, min(7, done + 2 - seen[-1]))
        call.cancel()
    await storming
    assert seen == list(range(1, done + 3))


async def test_events_in_bulk_come_with_how_it_stood_when_they_were_read(server: Progression) -> None:
    for _ in range(3):
        await server.award("ada", 10)
    call = watch(server, after=0)
    told = [await read(call) for _ in range(4)]
    assert [each.event.version for each in told] == [1, 2, 3, 4]
    assert {each.progress.version for each in told} == {4}
    await server.award("ada", 10)
    assert (await read(call)).progress.version == 5
    call.cancel()


async def test_it_goes_on_where_redis_is_not_yet(database_url: str) -> None:
    """A watcher may have been told of a version before Redis was."""
    with redis_server.server() as redis:
        async with progression(database_url=database_url, redis_url=redis.url) as server:
            await server.award("ada", 10)
            await server.paragon("ada")
            async with Redis.from_url(redis.url) as client:
                old = await client.get("{progression}:character:ada")
                await server.award("ada", 10)
                assert isinstance(old, bytes)
                await client.set("{progression}:character:ada", old)
            assert (await server.paragon("ada")).version == 2
            call = watch(server, after=3)
            await server.award("ada", 10)
            told = await read(call)
            assert (told.event.version, told.progress.version) == (4, 4)
            assert told.progress.base.experience == "30"
            call.cancel()


async def test_more_than_is_held_at_once(database_url: str, redis_url: str) -> None:
    async with progression(database_url=database_url, redis_url=redis_url, watch_batch=3) as server:
        for _ in range(9):
            await server.award("ada", 1)
        call = watch(server, after=0)
        assert await versions(call, 10) == list(range(1, 11))
        call.cancel()


@pytest.mark.parametrize("told_by", ["redis", "poll"])
async def test_what_another_process_committed(database_url: str, told_by: str) -> None:
    """With Redis by its message alone; without Redis by looking."""
    with redis_server.server() as redis:
        poll_s = FAR_S if told_by == "redis" else 0.02
        limits: dict[str, Any] = {
            "redis_url": redis.url,
            "watch_poll_s": poll_s,
            "cache_timeout_s": 10,  # a busy machine is not a Redis that is away
            "cache_retry_s": 0.05,
        }
        async with (
            progression(database_url=database_url, **limits) as one,
            progression(database_url=database_url, **limits) as other,
        ):
            await one.award("ada", 1)
            await _listening(redis, 2)
            calls = [watch(one), watch(other)]
            for call in calls:
                assert (await read(call)).progress.version == 2
            if told_by == "poll":
                redis.kill()
            for number in range(1, 11):
                await (one, other)[number % 2].award("ada", number)
            for call in calls:
                assert await versions(call, 10) == list(range(3, 13))
                call.cancel()


async def test_what_this_process_committed_needs_no_redis(database_url: str, tmp_path: Path) -> None:
    """And while nothing happens, nothing is asked of the database."""
    quiet: dict[str, Any] = {"watch_poll_s": FAR_S, "outbox_poll_s": FAR_S}
    nowhere = f"unix://{tmp_path}/none"
    async with progression(database_url=database_url, redis_url=nowhere, **quiet) as server:
        await server.award("ada", 1)
        call = watch(server)
        await read(call)
        for number in range(3, 6):
            await server.award("ada", 1)
            assert await versions(call, 1) == [number]
        before = _database_uses()
        await _idle(server)
        assert _database_uses() < before + 10
        call.cancel()


def _database_uses() -> float:
    return REGISTRY.get_sample_value("database_wait_seconds_count") or 0


async def _idle(server: Progression) -> None:
    """Time for a stream to do whatever it still does: that of fifty calls which do nothing."""
    nobody = service_pb2.GetParagonLevelsRequest()
    for _ in range(50):
        await refused(server.stub.GetParagonLevels(nobody, metadata=game_server()), _INVALID)


async def _listening(redis: redis_server.RedisServer, count: int) -> None:
    """Every process has subscribed."""
    async with Redis.from_url(redis.url) as asking:
        changes = cache(asking, seconds=1, retry_s=1).changes

        async def subscribed() -> bool:
            found = await asking.pubsub_numsub(changes)
            return bool(found[0][1] == count)

        await eventually(subscribed)


async def test_a_drained_process_ends_its_streams_and_another_goes_on(
    database_url: str, tmp_path: Path
) -> None:
    nowhere = f"unix://{tmp_path}/none"  # nothing but the drain wakes the stream
    limits: dict[str, Any] = {"database_url": database_url, "redis_url": nowhere, "watch_poll_s": FAR_S}
    async with progression(**limits) as stopping, progression(**limits) as other:
        await stopping.award("ada", 1)
        call = watch(stopping)
        assert (await read(call)).progress.version == 2
        await stopping.award("ada", 1)
        assert await versions(call, 1) == [3]
        await _idle(stopping)
        await stopping.server.on_drain()
        async with asyncio.timeout(10):
            assert await refusal(call) == (grpc.StatusCode.UNAVAILABLE, "DRAINING")
        assert await refusal(watch(stopping)) == (grpc.StatusCode.UNAVAILABLE, "DRAINING")
        await other.award("ada", 1)
        again = watch(other, after=3)
        assert await versions(again, 1) == [4]
        again.cancel()


async def test_a_stream_ends_with_its_token(server: Progression) -> None:
    await server.award("ada", 1)
    call = watch(server, metadata=bearer("ada", lifetime_s=1))
    assert await refusal(call) == (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_EXPIRED")


async def test_whose_it_is_not_and_what_there_is_not(server: Progression) -> None:
    await server.award("ada", 1)
    foreign = watch(server, metadata=player("ben"))
    assert await refusal(foreign) == (grpc.StatusCode.PERMISSION_DENIED, "CHARACTER_FOREIGN")
    unknown = watch(server, "nobody", game_server())
    assert await refusal(unknown) == (grpc.StatusCode.NOT_FOUND, "CHARACTER_NOT_FOUND")
    ahead = watch(server, after=3)
    assert await refusal(ahead) == (grpc.StatusCode.OUT_OF_RANGE, "VERSION_AHEAD")


async def test_no_more_than_may_watch(database_url: str, redis_url: str) -> None:
    async with progression(database_url=database_url, redis_url=redis_url, max_watchers=1) as server:
        await server.award("ada", 1)
        first = watch(server)
        await read(first)
        assert await refusal(watch(server)) == (_EXHAUSTED, "TOO_MANY_WATCHERS")
        first.cancel()

        async def free() -> bool:
            call = watch(server)
            try:
                return (await read(call)).progress.version == 2
            except grpc.aio.AioRpcError:
                return False
            finally:
                call.cancel()

        await eventually(free)


async def test_a_reader_that_does_not_read_is_ended(database_url: str, redis_url: str) -> None:
    """Its events stay in the database: it may go on where it was."""
    limits: dict[str, Any] = {"database_url": database_url, "redis_url": redis_url, "watch_write_s": 0.2}
    async with progression(**limits) as server, _narrow(server) as reader:
        awards = [
            service_pb2.ExperienceAward(character_id="ada", source="s" * 64, experience=1) for _ in range(100)
        ]
        for _ in range(5):
            request = service_pb2.AwardExperienceRequest(awards=awards)
            await server.stub.AwardExperience(request, metadata=game_server())
        call = watch(reader, after=0)
        seen = await versions(call, 1)

        async def ended_it() -> bool:
            return REGISTRY.get_sample_value("progression_watchers") == 0

        await eventually(ended_it)
        with pytest.raises(grpc.aio.AioRpcError) as slow:
            while True:
                seen += await versions(call, 1)
        assert (slow.value.code(), reason(slow.value)) == (_EXHAUSTED, "SLOW_READER")
        again = watch(server, after=seen[-1])
        seen += await versions(again, 501 - len(seen))
        assert seen == list(range(1, 502))
        again.cancel()


@asynccontextmanager
async def _narrow(server: Progression) -> AsyncIterator[Progression]:
    """A client that takes little at a time."""
    options = [("grpc.http2.lookahead_bytes", 1024), ("grpc.http2.bdp_probe", 0)]
    address = f"127.0.0.1:{server.server.port}"
    async with grpc.aio.insecure_channel(address, options=options) as channel:
        yield Progression(server.server, channel)


async def test_a_gap_in_the_store_is_never_passed_over(server: Progression, database_url: str) -> None:
    for _ in range(3):
        await server.award("ada", 1)
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute("DELETE FROM progression.event_store WHERE version = 3")
    finally:
        await connection.close()
    assert await refusal(watch(server, after=1)) == (grpc.StatusCode.DATA_LOSS, "EVENTS_MISSING")
