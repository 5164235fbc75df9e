"""The same request twice: one effect, one answer; also at the same time."""

import asyncio
from datetime import timedelta
from typing import Any

import asyncpg
import grpc
import pytest
from arenamesh.combat.v1 import service_pb2, session_pb2

from services.chassis.db import Connection, Database
from services.chassis.errors import FailedPrecondition, InvalidArgument
from services.chassis.idempotency import Idempotency, IdempotencyKey
from tests.support import tokens
from tests.support.worker import Worker, refused


def asked(name: str = "friday", key: str = "k1") -> service_pb2.CreateSessionRequest:
    session = session_pb2.Session(name=name, type=session_pb2.SESSION_TYPE_DUEL)
    return service_pb2.CreateSessionRequest(request_id=key, session=session)


async def count(combat: Worker) -> int:
    answer = await combat.stub.ListSessions(service_pb2.ListSessionsRequest(), metadata=tokens.operator())
    return len(answer.sessions)


async def test_a_repeat_gets_the_first_answer(combat: Worker) -> None:
    first = await combat.stub.CreateSession(asked(), metadata=tokens.game_server())
    again = await combat.stub.CreateSession(asked(), metadata=tokens.game_server())
    assert again == first
    assert await count(combat) == 1


async def test_the_header_does_the_same(combat: Worker) -> None:
    metadata = (*tokens.game_server(), ("idempotency-key", "k9"))
    first = await combat.stub.CreateSession(asked(key=""), metadata=metadata)
    again = await combat.stub.CreateSession(asked(key=""), metadata=metadata)
    assert again == first


async def test_another_request_under_the_same_key(combat: Worker) -> None:
    await combat.stub.CreateSession(asked(), metadata=tokens.game_server())
    call = combat.stub.CreateSession(asked("saturday"), metadata=tokens.game_server())
    assert await refused(call, grpc.StatusCode.FAILED_PRECONDITION) == "IDEMPOTENCY_KEY_REUSED"


async def test_keys_of_two_callers_never_meet(combat: Worker) -> None:
    one = await combat.stub.CreateSession(asked(), metadata=tokens.game_server("gs-1"))
    two = await combat.stub.CreateSession(asked("other"), metadata=tokens.game_server("gs-2"))
    assert one.session.session_id != two.session.session_id


async def test_many_at_once_make_one(combat: Worker) -> None:
    calls = (combat.stub.CreateSession(asked(), metadata=tokens.game_server()) for _ in range(12))
    answers = await asyncio.gather(*calls)
    assert len({answer.session.session_id for answer in answers}) == 1
    assert await count(combat) == 1


async def test_a_failure_does_not_keep_the_key(combat: Worker) -> None:
    bad = asked()
    bad.session.map_id = "moon"
    call = combat.stub.CreateSession(bad, metadata=tokens.game_server())
    assert await refused(call, grpc.StatusCode.INVALID_ARGUMENT) == "MAP_UNKNOWN"
    assert (await combat.stub.CreateSession(asked(), metadata=tokens.game_server())).session.session_id


async def test_ending_twice_under_one_key(combat: Worker) -> None:
    session = await combat.create()
    metadata = (*tokens.game_server(), ("idempotency-key", "end-1"))
    request = service_pb2.EndSessionRequest(session_id=session.session_id)
    first = await combat.stub.EndSession(request, metadata=metadata)
    assert await combat.stub.EndSession(request, metadata=metadata) == first
    without = combat.stub.EndSession(request, metadata=tokens.game_server())
    assert await refused(without, grpc.StatusCode.FAILED_PRECONDITION) == "SESSION_OVER"


async def test_updating_twice_under_one_key(combat: Worker) -> None:
    session = await combat.create()
    metadata = (*tokens.game_server(), ("idempotency-key", "begin-1"))
    request = service_pb2.UpdateSessionRequest(
        session_id=session.session_id, session=session_pb2.Session(status=session_pb2.SESSION_STATUS_ACTIVE)
    )
    request.update_mask.paths.append("status")
    first = await combat.stub.UpdateSession(request, metadata=metadata)
    assert await combat.stub.UpdateSession(request, metadata=metadata) == first


# -- the table itself ---------------------------------------------------------------------------------


@pytest.fixture
async def database(database_url: str) -> Any:
    opened = await Database.connect(database_url, size=3, wait_s=2, command_s=5)
    yield opened
    await opened.close()


async def test_a_duplicate_waits_and_runs_itself_when_the_first_fails(database: Database) -> None:
    guard = Idempotency("gameplay")
    key = IdempotencyKey("scope", "k", b"payload")
    inside, leave = asyncio.Event(), asyncio.Event()
    runs: list[str] = []

    async def first(connection: Connection) -> tuple[bytes, bool]:
        async def work() -> bytes:
            runs.append("first")
            inside.set()
            await leave.wait()
            raise FailedPrecondition("no", reason="NO")

        return await guard.run(connection, key, work)

    async def second(connection: Connection) -> tuple[bytes, bool]:
        async def work() -> bytes:
            runs.append("second")
            return b"answer"

        return await guard.run(connection, key, work)

    one = asyncio.create_task(database.transaction(first))
    await inside.wait()
    two = asyncio.create_task(database.transaction(second))
    await blocked(database)
    leave.set()
    with pytest.raises(FailedPrecondition):
        await one
    assert await two == (b"answer", False)
    assert runs == ["first", "second"]


async def blocked(database: Database) -> None:
    """Until some statement waits for a lock."""
    while True:
        async with database.connection() as connection:
            if await connection.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
                return


async def test_old_keys_are_forgotten(database: Database, database_url: str) -> None:
    guard = Idempotency("gameplay")

    async def work() -> bytes:
        return b"x"

    key = IdempotencyKey("scope", "k", b"p")
    await database.transaction(lambda connection: guard.run(connection, key, work))
    other = await asyncpg.connect(database_url)
    await other.execute("UPDATE gameplay.idempotency_keys SET created_at = created_at - interval '2 days'")
    await other.close()

    async with database.connection() as connection:
        await guard.purge(connection, timedelta(days=1))
    assert await database.transaction(lambda connection: guard.run(connection, key, work)) == (b"x", False)


def test_a_key_that_is_too_long() -> None:
    with pytest.raises(InvalidArgument):
        IdempotencyKey("scope", "k" * 129, b"")
