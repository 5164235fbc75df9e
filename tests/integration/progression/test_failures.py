"""What a client sees when something is away, as the README's table says. Redis: see `test_cache.py`."""

import asyncio

import grpc
import pytest
from arenamesh.progression.v1 import service_pb2

from tests.support.postgres import Postgres
from tests.support.progression import Progression, progression, read, refused, versions
from tests.support.refusals import reason
from tests.support.tokens import game_server
from tests.support.waiting import eventually


async def test_a_database_that_is_away(postgres: Postgres, database_url: str, redis_url: str) -> None:
    async with progression(database_url=database_url, redis_url=redis_url, database_wait_s=0.5) as server:
        await server.award("ada", 5)
        watching = service_pb2.WatchProgressRequest(character_id="ada")
        call = server.stub.WatchProgress(watching, metadata=game_server())
        assert (await read(call)).progress.version == 2
        postgres.stop()
        try:
            keyed = (*game_server(), ("idempotency-key", "k-1"))
            for request in (server.award("ada", 7, metadata=keyed), server.paragon("ben")):
                error = await refused(request, grpc.StatusCode.UNAVAILABLE)
                assert error.reason == "DATABASE_UNAVAILABLE"
            assert (await server.paragon("ada")).base.experience == "5"  # Redis has it
        finally:
            postgres.start()

        async def awarded() -> bool:
            # Awards have a connection of their own, which comes back by itself; the watch reads by others.
            return await _reads(server) and await _awarded(server, keyed)

        await eventually(awarded)
        assert await versions(call, 1) == [3]
        await server.award("ada", 7, metadata=keyed)
        assert (await server.paragon("ada")).base.experience == "12"  # once, however often it was asked
        call.cancel()


async def _reads(server: Progression) -> bool:
    try:
        await server.paragon("ben")
    except grpc.aio.AioRpcError as error:
        return error.code() is grpc.StatusCode.NOT_FOUND
    return False


async def _awarded(server: Progression, keyed: tuple[tuple[str, str], ...]) -> bool:
    try:
        return (await server.award("ada", 7, metadata=keyed)).version == 3
    except grpc.aio.AioRpcError as error:
        assert error.code() is grpc.StatusCode.UNAVAILABLE, error
        return False


async def test_a_process_that_stops_answers_what_waits_and_takes_no_more(
    database_url: str, redis_url: str
) -> None:
    limits = {"database_url": database_url, "redis_url": redis_url}
    async with progression(**limits) as stopping, progression(**limits) as other:
        await stopping.award("ada", 1)
        await stopping.server.on_drain()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stopping.award("ada", 1)
        assert (caught.value.code(), reason(caught.value)) == (grpc.StatusCode.UNAVAILABLE, "LEDGER_CLOSED")
        assert ("x-retry-elsewhere", "1") in tuple(caught.value.trailing_metadata())
        assert (await stopping.paragon("ada")).version == 2
        assert (await other.award("ada", 1)).version == 3


async def test_too_many_changes_at_once(database_url: str, redis_url: str) -> None:
    """What is refused did not happen, and what happened was answered."""
    limits = {"database_url": database_url, "redis_url": redis_url, "ledger_waiting": 4, "ledger_batch": 1}
    async with progression(**limits) as server:
        await server.award("ada", 1)
        asked = await asyncio.gather(*(server.award("ada", 1) for _ in range(40)), return_exceptions=True)
        refusals = [each for each in asked if isinstance(each, grpc.aio.AioRpcError)]
        assert refusals
        assert {each.code() for each in refusals} == {grpc.StatusCode.RESOURCE_EXHAUSTED}
        assert (await server.paragon("ada")).base.experience == str(1 + 40 - len(refusals))
