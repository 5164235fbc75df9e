"""What a client sees when something is away, as the README's table says."""

import asyncio

import grpc
import pytest
from arenamesh.gamification.v1 import reward_service_pb2

from tests.support.gamification import Gamification, gamification, refused
from tests.support.postgres import Postgres
from tests.support.refusals import reason
from tests.support.tokens import Metadata, player
from tests.support.waiting import eventually


async def test_a_database_that_is_away(postgres: Postgres, database_url: str, redis_url: str) -> None:
    where = {"database_url": database_url, "redis_url": redis_url, "database_wait_s": 0.5}
    async with gamification(**where) as server:
        await server.metric()
        await server.achievement()
        await server.reward()
        await server.record("ada", 5)
        owed = await server.distribute("ada")
        assert (await server.progress("ada")).progress == 50
        keyed = (*player("ada"), ("idempotency-key", "k-1"))
        postgres.stop()
        try:
            for call in (_claim(server, owed.id, keyed), server.progress("ben"), server.wallet("ada")):
                error = await refused(call, grpc.StatusCode.UNAVAILABLE)
                assert error.reason == "DATABASE_UNAVAILABLE"
            assert (await server.progress("ada")).progress == 50  # Redis has it
        finally:
            postgres.start()

        async def claimed() -> bool:
            try:
                await _claim(server, owed.id, keyed)
                return await server.wallet("ada") == {"gold": 100}
            except grpc.aio.AioRpcError as error:
                assert error.code() is grpc.StatusCode.UNAVAILABLE, error
                return False

        await eventually(claimed)
        again = await _claim(server, owed.id, keyed)
        assert again.distribution.id == owed.id
        assert await server.wallet("ada") == {"gold": 100}  # once, however often it was asked
        await server.record("ada", 5)
        assert (await server.progress("ada")).is_completed


async def _claim(
    server: Gamification, grant_id: str, metadata: Metadata
) -> reward_service_pb2.ClaimRewardResponse:
    request = reward_service_pb2.ClaimRewardRequest(id=grant_id)
    return await server.rewards.ClaimReward(request, metadata=metadata)


async def test_a_process_that_stops_answers_what_waits_and_takes_no_more(
    database_url: str, redis_url: str
) -> None:
    where = {"database_url": database_url, "redis_url": redis_url}
    async with gamification(**where) as stopping, gamification(**where) as other:
        await stopping.metric()
        await stopping.achievement()
        await stopping.record("ada")
        await stopping.server.on_drain()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stopping.record("ada")
        assert (caught.value.code(), reason(caught.value)) == (grpc.StatusCode.UNAVAILABLE, "LEDGER_CLOSED")
        assert ("x-retry-elsewhere", "1") in tuple(caught.value.trailing_metadata())
        assert (await stopping.progress("ada")).progress == 10
        await other.record("ada")
        assert (await stopping.progress("ada")).progress == 20


async def test_too_many_changes_at_once(database_url: str, redis_url: str) -> None:
    """Nothing of what is turned away has happened."""
    limits = {"database_url": database_url, "redis_url": redis_url, "commit_waiting": 4, "commit_batch": 1}
    async with gamification(**limits) as server:
        await server.metric()
        await server.achievement()
        found = await asyncio.gather(*(server.record("ada") for _ in range(60)), return_exceptions=True)
        errors = [each for each in found if isinstance(each, grpc.aio.AioRpcError)]
        assert {(each.code(), reason(each)) for each in errors} == {
            (grpc.StatusCode.RESOURCE_EXHAUSTED, "LEDGER_OVERLOADED")
        }
        assert (await server.progress("ada")).metrics["kills"] == len(found) - len(errors)
