"""Subscribe: every notification once and in order, whatever stops in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import asyncpg
import grpc
import pytest
from arenamesh.gamification.v1 import notification_pb2, notification_service_pb2
from google.protobuf.json_format import MessageToDict
from prometheus_client import REGISTRY
from redis.asyncio import Redis

from services.gamification.feed import CHANNEL
from tests.support import redis as redis_server
from tests.support.gamification import Gamification, gamification
from tests.support.refusals import ended, info, refusal
from tests.support.tokens import Metadata, bearer, game_server, player
from tests.support.waiting import eventually

_EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED
_OUT_OF_RANGE = grpc.StatusCode.OUT_OF_RANGE
FAR_S = 600.0
"""A poll that does not happen within a test: only what was told wakes."""
Call = grpc.aio.UnaryStreamCall[
    notification_service_pb2.SubscribeRequest, notification_service_pb2.SubscribeResponse
]


def subscribe(
    server: Gamification, user_id: str = "ada", metadata: Metadata = (), after: int | None = None
) -> Call:
    request = notification_service_pb2.SubscribeRequest(user_id=user_id, after_sequence=after)
    return server.notifications.Subscribe(request, metadata=metadata or player("ada"))


async def read(call: Call) -> notification_service_pb2.SubscribeResponse:
    """The next answer. Raises AioRpcError when there is none."""
    async with asyncio.timeout(10):
        answer = await call.read()
    if answer is grpc.aio.EOF:
        raise await ended(call)
    return cast(notification_service_pb2.SubscribeResponse, answer)


async def opened(call: Call) -> int:
    """The newest sequence that its first answer tells."""
    first = await read(call)
    assert not first.HasField("event")
    return first.newest


async def sequences(call: Call, count: int) -> list[int]:
    return [(await read(call)).event.sequence for _ in range(count)]


async def give(server: Gamification, *numbers: int, user_id: str = "ada") -> None:
    """A grant each: so many notifications."""
    for number in numbers:
        await server.distribute(user_id, source_id=f"s{number}")


@pytest.fixture
async def server(database_url: str, redis_url: str) -> AsyncIterator[Gamification]:
    """With a reward to give."""
    async with gamification(database_url=database_url, redis_url=redis_url) as running:
        await running.reward()
        yield running


# -- what it tells ------------------------------------------------------------------------------------


async def test_first_where_it_stands_then_what_happens(server: Gamification) -> None:
    await give(server, 1)
    call = subscribe(server)
    assert await opened(call) == 1
    granted = await server.distribute("ada", source_id="s2")
    told = await read(call)
    assert told.newest == 2
    event = told.event
    assert (event.sequence, event.type, event.user_id) == (2, "REWARD_GRANTED", "ada")
    assert event.title == "Reward: purse"
    assert MessageToDict(event.data)["grant_id"] == granted.id
    assert MessageToDict(event.data)["contents"] == [{"currency": "gold", "quantity": 100}]
    assert event.cause == granted.cause
    assert event.timestamp.ToDatetime() == granted.granted_at.ToDatetime()
    call.cancel()


async def test_a_resumed_stream_has_no_gap(server: Gamification) -> None:
    """Cut again and again while rewards come: together the streams are told everything once."""
    done = 60
    storming = asyncio.create_task(give(server, *range(done)))
    seen = [0]
    while seen[-1] < done:
        call = subscribe(server, after=seen[-1])
        await opened(call)
        seen += await sequences(call, min(7, done - seen[-1]))
        call.cancel()
    await storming
    assert seen == list(range(done + 1))


async def test_more_than_is_held_at_once(database_url: str, redis_url: str) -> None:
    async with gamification(database_url=database_url, redis_url=redis_url, stream_batch=3) as server:
        await server.reward()
        await give(server, *range(10))
        call = subscribe(server, after=0)
        assert await opened(call) == 10
        assert await sequences(call, 10) == list(range(1, 11))
        await give(server, 11)
        assert await sequences(call, 1) == [11]
        call.cancel()


async def test_each_hears_only_of_their_own(server: Gamification) -> None:
    ada, ben = subscribe(server), subscribe(server, "", player("ben"))
    assert [await opened(ada), await opened(ben)] == [0, 0]
    await give(server, 1, user_id="ben")
    await give(server, 1)
    assert (await read(ada)).event.user_id == "ada"
    assert (await read(ben)).event.user_id == "ben"
    ada.cancel()
    ben.cancel()


@pytest.mark.parametrize("told_by", ["redis", "poll"])
async def test_what_another_process_committed(database_url: str, told_by: str) -> None:
    """With Redis by its message alone; without Redis by looking."""
    with redis_server.server() as redis:
        limits: dict[str, Any] = {
            "database_url": database_url,
            "redis_url": redis.url,
            "stream_poll_s": FAR_S if told_by == "redis" else 0.02,
            "cache_timeout_s": 10,  # a busy machine is not a Redis that is away
            "cache_retry_s": 0.05,
        }
        async with gamification(**limits) as one, gamification(**limits) as other:
            await one.reward()
            await _listening(redis, 2)
            calls = [subscribe(one), subscribe(other)]
            assert [await opened(call) for call in calls] == [0, 0]
            if told_by == "poll":
                redis.kill()
            for number in range(1, 11):
                await give((one, other)[number % 2], number)
            for call in calls:
                assert await sequences(call, 10) == list(range(1, 11))
                call.cancel()


async def _listening(redis: redis_server.RedisServer, count: int) -> None:
    """Every process has subscribed."""
    async with Redis.from_url(redis.url) as asking:

        async def subscribed() -> bool:
            found = await asking.pubsub_numsub(CHANNEL)
            return bool(found[0][1] == count)

        await eventually(subscribed)


async def test_what_this_process_committed_needs_no_redis(database_url: str, tmp_path: Path) -> None:
    nowhere = f"unix://{tmp_path}/none"
    async with gamification(database_url=database_url, redis_url=nowhere, stream_poll_s=FAR_S) as server:
        await server.reward()
        call = subscribe(server)
        await opened(call)
        for number in range(1, 4):
            await give(server, number)
            assert await sequences(call, 1) == [number]
        call.cancel()


# -- where it begins ----------------------------------------------------------------------------------


async def test_after_what_there_is_and_before_what_is_kept(server: Gamification, database_url: str) -> None:
    await give(server, *range(1, 7))
    ahead = await _refused(subscribe(server, after=7))
    assert (ahead.reason, dict(ahead.metadata)["newest"]) == ("SEQUENCE_AHEAD", "6")
    await _forget(database_url, 3)
    gone = await _refused(subscribe(server, after=2))
    assert gone.reason == "SEQUENCE_GONE"
    assert {"oldest": "4", "newest": "6"}.items() <= dict(gone.metadata).items()
    for after, rest in ((0, [4, 5, 6]), (3, [4, 5, 6]), (5, [6])):
        call = subscribe(server, after=after)
        assert await opened(call) == 6
        assert await sequences(call, len(rest)) == rest
        call.cancel()
    await _forget(database_url, 6)
    assert dict((await _refused(subscribe(server, after=5))).metadata)["oldest"] == "7"
    call = subscribe(server, after=0)
    assert await opened(call) == 6
    await give(server, 7)
    assert await sequences(call, 1) == [7]
    call.cancel()


async def test_a_gap_is_never_passed_over(server: Gamification, database_url: str) -> None:
    await give(server, *range(1, 5))
    await _forget(database_url, 3, at_least=3)
    call = subscribe(server, after=0)
    assert await opened(call) == 4
    assert await refusal(call) == (grpc.StatusCode.DATA_LOSS, "NOTIFICATIONS_MISSING")


async def _forget(database_url: str, sequence: int, at_least: int = 0) -> None:
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute(
            "DELETE FROM gamification.notifications WHERE sequence BETWEEN $1 AND $2", at_least, sequence
        )
    finally:
        await connection.close()


async def _refused(call: Call) -> Any:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await read(call)
    assert caught.value.code() is _OUT_OF_RANGE
    return info(caught.value)


async def test_whose_it_is_not(server: Gamification) -> None:
    foreign = subscribe(server, metadata=player("ben"))
    assert await refusal(foreign) == (grpc.StatusCode.PERMISSION_DENIED, "USER_FOREIGN")
    call = subscribe(server, metadata=game_server())
    assert await opened(call) == 0
    call.cancel()


# -- how it ends --------------------------------------------------------------------------------------


async def test_a_drained_process_ends_its_streams_and_another_goes_on(
    database_url: str, tmp_path: Path
) -> None:
    nowhere = f"unix://{tmp_path}/none"  # nothing but the drain wakes the stream
    limits: dict[str, Any] = {"database_url": database_url, "redis_url": nowhere, "stream_poll_s": FAR_S}
    async with gamification(**limits) as stopping, gamification(**limits) as other:
        await stopping.reward()
        call = subscribe(stopping)
        await opened(call)
        await give(stopping, 1)
        assert await sequences(call, 1) == [1]
        await stopping.server.on_drain()
        async with asyncio.timeout(10):
            assert await refusal(call) == (grpc.StatusCode.UNAVAILABLE, "DRAINING")
        assert await refusal(subscribe(stopping)) == (grpc.StatusCode.UNAVAILABLE, "DRAINING")
        await give(other, 2)
        again = subscribe(other, after=1)
        await opened(again)
        assert await sequences(again, 1) == [2]
        again.cancel()


async def test_a_stream_ends_with_its_token(server: Gamification) -> None:
    call = subscribe(server, metadata=bearer("ada", lifetime_s=1))
    await opened(call)
    assert await refusal(call) == (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_EXPIRED")


async def test_no_more_than_a_user_may_have(database_url: str, redis_url: str) -> None:
    async with gamification(database_url=database_url, redis_url=redis_url, max_streams_per_user=2) as server:
        calls = [subscribe(server) for _ in range(2)]
        for call in calls:
            await opened(call)
        assert await refusal(subscribe(server)) == (_EXHAUSTED, "TOO_MANY_STREAMS")
        other = subscribe(server, "ben", player("ben"))
        await opened(other)
        calls[0].cancel()

        async def free() -> bool:
            again = subscribe(server)
            try:
                return await opened(again) == 0
            except grpc.aio.AioRpcError:
                return False
            finally:
                again.cancel()

        await eventually(free)
        calls[1].cancel()
        other.cancel()


async def test_no_more_than_a_process_may_have(database_url: str, redis_url: str) -> None:
    async with gamification(database_url=database_url, redis_url=redis_url, max_streams=1) as server:
        call = subscribe(server)
        await opened(call)
        assert await refusal(subscribe(server, "ben", player("ben"))) == (_EXHAUSTED, "TOO_MANY_WATCHERS")
        call.cancel()


async def test_a_reader_that_does_not_read_is_ended(database_url: str, redis_url: str) -> None:
    """Its notifications stay in the database: it may go on where it was."""
    limits: dict[str, Any] = {"database_url": database_url, "redis_url": redis_url, "stream_write_s": 0.2}
    async with gamification(**limits) as server, _narrow(server) as reader:
        await server.reward(title="x" * 128)
        await _tell_much(database_url, 600)
        call = subscribe(reader, after=0)
        assert await opened(call) == 600
        seen = await sequences(call, 1)

        async def ended_it() -> bool:
            return REGISTRY.get_sample_value("gamification_streams") == 0

        await eventually(ended_it)
        with pytest.raises(grpc.aio.AioRpcError) as slow:
            while True:
                seen += await sequences(call, 1)
        assert (slow.value.code(), info(slow.value).reason) == (_EXHAUSTED, "SLOW_READER")
        again = subscribe(server, after=seen[-1])
        await opened(again)
        seen += await sequences(again, 600 - len(seen))
        assert seen == list(range(1, 601))
        again.cancel()


async def _tell_much(database_url: str, number: int) -> None:
    """Notifications as the committer writes them, long ones."""
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute(
            "INSERT INTO gamification.players (user_id, version, notified, achievements_completed, "
            "achievement_points, created_at, updated_at) VALUES ('ada', 1, $1, 0, 0, now(), now())",
            number,
        )
        await connection.execute(
            "INSERT INTO gamification.notifications "
            "(user_id, sequence, type, title, data, cause, created_at) "
            "SELECT 'ada', n, 'REWARD_GRANTED', repeat('x', 256), "
            "jsonb_build_object('more', repeat('y', 500)), 'test', now() FROM generate_series(1, $1) n",
            number,
        )
    finally:
        await connection.close()


@asynccontextmanager
async def _narrow(server: Gamification) -> AsyncIterator[Gamification]:
    """A client that takes little at a time."""
    options = [("grpc.http2.lookahead_bytes", 1024), ("grpc.http2.bdp_probe", 0)]
    address = f"127.0.0.1:{server.server.port}"
    async with grpc.aio.insecure_channel(address, options=options) as channel:
        yield Gamification(server.server, channel)


# -- what it does not tell ----------------------------------------------------------------------------


async def test_a_secret_is_told_of_when_it_is_unlocked_and_not_before(server: Gamification) -> None:
    await server.metric()
    await server.achievement(
        "ghost", type="ACHIEVEMENT_TYPE_SECRET", rewards=[{"id": "purse"}], title="Ghost"
    )
    call = subscribe(server)
    assert await opened(call) == 0
    await server.record("ada", 9)
    await give(server, 1)
    assert "host" not in str(await read(call))
    await server.record("ada", 1)
    told = [await read(call) for _ in range(2)]
    completed = _of_type(told, "ACHIEVEMENT_COMPLETED")
    granted = _of_type(told, "REWARD_GRANTED")
    assert completed.title == "Achievement Unlocked: Ghost"
    grant_id = MessageToDict(granted.data)["grant_id"]
    data: Mapping[str, Any] = MessageToDict(completed.data)
    assert (data["achievement_id"], data["grant_ids"]) == ("ghost", [grant_id])
    call.cancel()


def _of_type(
    told: list[notification_service_pb2.SubscribeResponse], type_: str
) -> notification_pb2.GameEvent:
    (found,) = [each.event for each in told if each.event.type == type_]
    return found
