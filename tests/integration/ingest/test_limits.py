"""Rates, standings, too much at once, and what happens when something is away."""

import asyncio

import grpc
import pytest
from google.rpc import error_details_pb2  # type: ignore[import-untyped]

from services.chassis.db import Database
from tests.support import redis
from tests.support.ingest import Ingest, body, ingest, refused
from tests.support.postgres import Postgres
from tests.support.refusals import details, reason
from tests.support.waiting import eventually

EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED
UNAVAILABLE = grpc.StatusCode.UNAVAILABLE


async def test_the_rate_of_a_player(database_url: str, redis_url: str) -> None:
    """Of both processes together; another player has its own."""
    where = {"database_url": database_url, "redis_url": redis_url, "player_rate": 0.01, "player_burst": 3}
    async with ingest(**where) as one, ingest(**where) as two:
        for turn, server in enumerate((one, two, one)):
            await server.post(body("rated", xp=turn + 1))
            assert (await server.post(body("rated", xp=turn + 1))).duplicate  # it costs nothing
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await two.post(body("rated", xp=4), key="k")
        assert (caught.value.code(), reason(caught.value)) == (EXHAUSTED, "RATE_LIMITED")
        [retry] = [each for each in details(caught.value) if each.Is(error_details_pb2.RetryInfo.DESCRIPTOR)]
        hint = error_details_pb2.RetryInfo.FromString(retry.value)
        assert 0 < hint.retry_delay.ToTimedelta().total_seconds() <= 100
        assert (await two.post(body("rated", xp=1))).duplicate
        await two.post(body("another"), key="k")  # and what was not taken left its key


async def test_the_rate_of_a_producer(database_url: str) -> None:
    with redis.server() as own:
        where = {"database_url": database_url, "redis_url": own.url}
        async with ingest(**where, producer_rate=0.01, producer_burst=2) as server:
            await server.post(body("a"))
            await server.post(body("b"))
            error = await refused(server.post(body("c")), EXHAUSTED)
            assert (error.reason, error.metadata["limit"]) == ("RATE_LIMITED", "producer")


async def test_without_redis_each_process_limits_by_itself(database_url: str) -> None:
    with redis.server() as own:
        limits = {"player_rate": 0.01, "player_burst": 2, "redis_timeout_s": 0.05, "redis_retry_s": 60}
        async with ingest(database_url=database_url, redis_url=own.url, **limits) as server:
            await server.post(body("p", xp=1))
            own.kill()
            await server.post(body("p", xp=2))
            await server.post(body("p", xp=3))
            error = await refused(server.post(body("p", xp=4)), EXHAUSTED)
            assert (error.reason, error.metadata["limit"]) == ("RATE_LIMITED", "player")


@pytest.mark.parametrize(
    ("state", "code", "why"),
    [
        ("blocked", grpc.StatusCode.PERMISSION_DENIED, "PLAYER_BLOCKED"),
        ("throttled", EXHAUSTED, "PLAYER_THROTTLED"),
    ],
)
async def test_the_standing_of_a_player(
    server: Ingest, database: Database, state: str, code: grpc.StatusCode, why: str
) -> None:
    before = await server.post(body())
    async with database.connection() as connection:
        await connection.execute(
            "INSERT INTO ingest.standings VALUES ('p1', $1, 'speed', NULL), "
            "('over', $1, 'speed', now() - interval '1 second')",
            state,
        )
    error = await refused(server.post(body(xp=11)), code)
    assert (error.reason, error.metadata[f"{state}_for"]) == (why, "speed")
    assert (await server.post(body())).event_id == before.event_id  # what was accepted stays so
    assert not (await server.post(body("over"))).duplicate
    assert not (await server.post(body("p2"))).duplicate


async def test_without_postgresql_nothing_is_accepted(
    postgres: Postgres, database_url: str, redis_url: str, database: Database
) -> None:
    where = {"database_url": database_url, "redis_url": redis_url, "database_wait_s": 0.5}
    async with ingest(**where, database_open_s=0.05) as server:
        await server.post(body(xp=1), key="1")
        postgres.stop()
        try:
            for turn in range(3):
                error = await refused(server.post(body(xp=2), key="2"), UNAVAILABLE)
                assert error.reason == "DATABASE_UNAVAILABLE", turn
            # What breaks a rule does so all the same.
            await refused(server.post(b"{"), grpc.StatusCode.INVALID_ARGUMENT)
        finally:
            postgres.start()

        async def taken() -> bool:
            try:
                await server.post(body(xp=2), key="2")
            except grpc.aio.AioRpcError as error:
                assert error.code() is UNAVAILABLE, error
                return False
            return True

        await eventually(taken)
        assert (await server.post(body(xp=1), key="1")).duplicate
    async with database.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM ingest.events") == 2


async def test_too_many_at_once(database_url: str, redis_url: str, database: Database) -> None:
    """What is turned away was not taken."""
    limits = {"commit_waiting": 4, "commit_batch": 1}
    async with ingest(database_url=database_url, redis_url=redis_url, **limits) as server:
        answers = await asyncio.gather(
            *(server.post(body(f"m{number}")) for number in range(60)), return_exceptions=True
        )
    refusals = [each for each in answers if isinstance(each, grpc.aio.AioRpcError)]
    assert 0 < len(refusals) < 60
    assert {(each.code(), reason(each)) for each in refusals} == {(EXHAUSTED, "LEDGER_OVERLOADED")}
    async with database.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM ingest.events") == 60 - len(refusals)


async def test_a_process_that_stops_takes_no_more(server: Ingest) -> None:
    await server.post(body())
    await server.server.on_drain()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await server.post(body(xp=11))
    assert (caught.value.code(), reason(caught.value)) == (UNAVAILABLE, "LEDGER_CLOSED")
    assert ("x-retry-elsewhere", "1") in tuple(caught.value.trailing_metadata())
