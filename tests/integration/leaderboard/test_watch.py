"""WatchLeaderboard: the best at once, and again whenever they change, wherever that was committed."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest
from arenamesh.liveops.v1 import leaderboard_service_pb2
from redis.asyncio import Redis

from services.chassis.metrics import LEADERBOARD_STREAMS
from tests.support.leaderboard import Leaderboard, leaderboard, ranks, refused, score
from tests.support.refusals import ended, refusal
from tests.support.waiting import eventually

pytestmark = pytest.mark.usefixtures("noon")
NEVER_S = 600.0
"""Too long for a test to wait for."""


def watch(server: Leaderboard, **fields: Any) -> Any:
    return server.stub.WatchLeaderboard(leaderboard_service_pb2.WatchLeaderboardRequest(**fields))


async def told(call: Any) -> list[tuple[int, str, int]]:
    """The next answer."""
    async with asyncio.timeout(10):
        answer = await call.read()
    assert answer is not grpc.aio.EOF, await ended(call)
    return ranks(answer.entries)


async def test_the_best_are_told_at_once_and_after_each_change(server: Leaderboard) -> None:
    await server.board()
    call = watch(server)
    assert await told(call) == []
    await server.submit(score("ann", 1))
    assert await told(call) == [(1, "ann", 1)]
    await server.submit(score("ben", 2))
    assert await told(call) == [(1, "ben", 2), (2, "ann", 1)]
    call.cancel()


async def test_what_changes_nothing_that_is_shown_is_not_told(server: Leaderboard) -> None:
    """Another board, another window's place, worse scores."""
    await server.board(windows=["all_time", "daily"])
    await server.board("other")
    await server.submit(score("ann", 5, occurred_at="2026-01-01T00:00:00Z"))
    call = watch(server, window="daily")
    assert await told(call) == []
    ever = watch(server)
    assert await told(ever) == [(1, "ann", 5)]
    await server.submit(score("ann", 9, board="other"), score("ann", 7, occurred_at="2026-01-02T00:00:00Z"))
    assert await told(ever) == [(1, "ann", 7)]
    await server.submit(score("ann", 1))
    assert await told(call) == [(1, "ann", 1)]
    for each in (call, ever):
        each.cancel()


async def test_only_as_many_as_were_asked_for_are_told(server: Leaderboard) -> None:
    await server.board()
    await server.submit(*(score(f"p{number}", number) for number in range(9)))
    call = watch(server, limit=2)
    assert await told(call) == [(1, "p8", 8), (2, "p7", 7)]
    await server.submit(score("new", 1), score("p0", 5))
    await server.submit(score("p8", 9))
    assert await told(call) == [(1, "p8", 9), (2, "p7", 7)]
    call.cancel()


async def test_what_changes_faster_than_it_is_told_is_told_together(
    database_url: str, redis_url: str
) -> None:
    """Each answer is of the moment it is made, the last one is how it stands, and there are few of them."""
    changes = 60
    async with leaderboard(database_url=database_url, redis_url=redis_url, watch_every_s=0.3) as server:
        await server.board(operator="OPERATOR_SUM")
        call = watch(server)
        assert await told(call) == []
        for _ in range(changes):
            await server.submit(score("ann", 1))
        answers = 0
        seen = 0
        while seen < changes:
            ((_, _, value),) = await told(call)
            assert value > seen
            seen = value
            answers += 1
        assert answers < changes / 3
        call.cancel()


async def test_a_change_of_another_process_is_told_through_redis(
    database_url: str, redis_url: str, redis: Redis
) -> None:
    base = {"database_url": database_url, "redis_url": redis_url, "watch_poll_s": NEVER_S}
    async with leaderboard(**base) as one, leaderboard(**base, worker_name="w1") as two:
        await one.board()

        async def listening() -> bool:
            return bool((await redis.pubsub_numsub("{leaderboard}:changes"))[0][1] >= 2)

        await eventually(listening)
        call = watch(one)
        assert await told(call) == []
        await two.submit(score("ann", 3))
        assert await told(call) == [(1, "ann", 3)]
        call.cancel()


async def test_without_redis_a_stream_looks_by_itself(database_url: str) -> None:
    base = {"database_url": database_url, "redis_url": "redis://127.0.0.1:1/0", "watch_poll_s": 0.1}
    async with leaderboard(**base) as one, leaderboard(**base, worker_name="w1") as two:
        await one.board()
        call = watch(one)
        assert await told(call) == []
        await two.submit(score("ann", 3))
        assert await told(call) == [(1, "ann", 3)]
        call.cancel()


async def test_a_stopping_process_ends_its_streams(database_url: str, redis_url: str) -> None:
    async with leaderboard(database_url=database_url, redis_url=redis_url) as server:
        await server.board()
        call = watch(server)
        await told(call)
        stopping = asyncio.create_task(server.server.stop())
        assert await refusal(call) == (grpc.StatusCode.UNAVAILABLE, "DRAINING")
        await stopping


async def test_more_streams_than_allowed_are_refused(database_url: str, redis_url: str) -> None:
    async with leaderboard(database_url=database_url, redis_url=redis_url, max_watchers=1) as server:
        await server.board()
        call = watch(server)
        await told(call)
        assert await refusal(watch(server)) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_WATCHERS")
        call.cancel()

        async def gone() -> bool:
            return bool(LEADERBOARD_STREAMS._value.get() == 0)

        await eventually(gone)
        again = watch(server)
        assert await told(again) == []
        again.cancel()


async def test_a_board_that_is_not_there_cannot_be_watched(server: Leaderboard) -> None:
    await refused(watch(server, board="none").read(), grpc.StatusCode.NOT_FOUND, "BOARD_NOT_FOUND")
