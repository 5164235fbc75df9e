"""What callers see when something breaks or takes too long."""

import asyncio

import asyncpg
import grpc
import pytest

from tests.support import tokens
from tests.support.refusals import reason
from tests.support.waiting import eventually
from tests.support.worker import Worker, refused, worker


async def test_a_fault_of_ours_says_nothing(combat: Worker, database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.execute("DROP TABLE gameplay.combat_sessions CASCADE")
    await connection.close()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await combat.get("s1")
    assert caught.value.code() is grpc.StatusCode.INTERNAL
    assert reason(caught.value) == "INTERNAL"
    assert "combat_sessions" not in str(caught.value)


async def test_a_call_that_takes_too_long(database_url: str, redis_url: str) -> None:
    async with worker(database_url=database_url, redis_url=redis_url, request_timeout_s=0.2) as combat:
        connection = await asyncpg.connect(database_url)
        async with connection.transaction():
            await connection.execute("LOCK TABLE gameplay.combat_sessions")
            found = await refused(combat.get("s1"), grpc.StatusCode.DEADLINE_EXCEEDED)
            assert found == "DEADLINE_EXCEEDED"
        await connection.close()
        assert await refused(combat.get("s1"), grpc.StatusCode.NOT_FOUND) == "SESSION_NOT_FOUND"


async def test_a_database_that_is_too_busy(database_url: str, redis_url: str) -> None:
    limits = {"database_pool": 1, "database_wait_s": 0.1, "persist_seconds": 60, "sweep_s": 60}
    async with worker(database_url=database_url, redis_url=redis_url, **limits) as combat:
        # Behind whatever the worker itself asks at its start.
        assert await refused(combat.get("s1"), grpc.StatusCode.NOT_FOUND) == "SESSION_NOT_FOUND"
        connection = await asyncpg.connect(database_url)
        async with connection.transaction():
            await connection.execute("LOCK TABLE gameplay.combat_sessions")
            first = asyncio.ensure_future(combat.get("s1"))

            async def blocked() -> bool:
                return bool(await connection.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"))

            await eventually(blocked)
            refusals = [await refused(combat.get("s1"), grpc.StatusCode.UNAVAILABLE) for _ in range(2)]
            assert refusals == ["DATABASE_UNAVAILABLE"] * 2
        await connection.close()
        assert await refused(first, grpc.StatusCode.NOT_FOUND) == "SESSION_NOT_FOUND"


async def test_too_many_calls_at_once(database_url: str, redis_url: str) -> None:
    async with worker(database_url=database_url, redis_url=redis_url, max_concurrent_rpcs=1) as combat:
        session = await combat.create()
        await combat.play(session.session_id, tokens.game_server())
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await combat.get(session.session_id)
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
