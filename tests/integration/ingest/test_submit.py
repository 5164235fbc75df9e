"""Events of game servers, with a token: one request or a stream; types that studios registered."""

import grpc
import pytest
from arenamesh.events.v1 import liveops_pb2
from arenamesh.events.v1.envelope_pb2 import Envelope
from arenamesh.liveops.v1 import ingest_service_pb2
from google.protobuf.json_format import MessageToDict

from services.chassis import clock
from services.chassis.db import Database
from tests.support.ingest import TAKEN, Ingest, body, ingest, refused, typed
from tests.support.refusals import reason
from tests.support.tokens import game_server, operator, player
from tests.support.waiting import eventually

ACCEPTED, DUPLICATE, REJECTED = 1, 2, 3
INVALID = grpc.StatusCode.INVALID_ARGUMENT
SCHEMA = {
    "type": "object",
    "required": ["level"],
    "properties": {"level": {"type": "integer", "minimum": 1}},
    "additionalProperties": False,
}


def streamed(*events: object) -> ingest_service_pb2.StreamEventsRequest:
    return ingest_service_pb2.StreamEventsRequest(events=events)  # type: ignore[arg-type]


async def test_each_has_its_result(server: Ingest) -> None:
    results = await server.submit(typed(key="1"), typed(xp=0), typed(type="nonsense"), typed(key="1"))
    assert [each.outcome for each in results] == [ACCEPTED, REJECTED, REJECTED, DUPLICATE]
    assert [each.reason for each in results] == ["", "EVENT_INVALID", "UNKNOWN_TYPE", ""]
    assert results[3].event_id == results[0].event_id


async def test_keys_are_the_callers_own(server: Ingest) -> None:
    [first] = await server.submit(typed(key="1"))
    [again] = await server.submit(typed(key="1"))
    [changed] = await server.submit(typed(key="1", xp=11))
    [other] = await server.submit(typed(key="1"), caller="gs-2")
    signed = await server.post(body(), key="1")
    assert (again.outcome, again.event_id) == (DUPLICATE, first.event_id)
    assert (changed.outcome, changed.reason) == (REJECTED, "IDEMPOTENCY_KEY_REUSED")
    assert other.outcome == ACCEPTED
    assert not signed.duplicate


async def test_without_a_key_each_counts(server: Ingest) -> None:
    results = await server.submit(typed(), typed())
    assert [each.outcome for each in results] == [ACCEPTED, ACCEPTED]


async def test_times_that_are_none(server: Ingest) -> None:
    late = typed()
    late.ts.seconds = 10**14
    early = typed()
    early.ts.seconds = -1
    results = await server.submit(late, early, typed(ts="2126-01-01T00:00:00Z"), typed(key="a\0b"))
    assert {each.reason for each in results} == {"EVENT_INVALID"}
    assert [[problem.field for problem in each.problems] for each in results] == [["ts"]] * 3 + [["key"]]


async def test_a_stream_is_answered_at_its_end(server: Ingest, database: Database) -> None:
    call = server.stub.StreamEvents(metadata=game_server())
    for turn in range(5):
        await call.write(streamed(*(typed(key=f"{turn}-{n}") for n in range(20)), typed(xp=0)))
    await call.write(streamed(typed(key="0-0")))
    await call.done_writing()
    answer = await call
    assert (answer.accepted, answer.duplicates, answer.not_accepted) == (100, 1, 5)
    assert sorted(answer.results) == [20, 41, 62, 83, 104]
    assert {each.reason for each in answer.results.values()} == {"EVENT_INVALID"}
    async with database.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM ingest.events") == 100
        assert await connection.fetchval(f"SELECT count(*) FROM ingest.outbox {TAKEN}") == 100


async def test_a_stream_with_a_message_that_breaks_the_contract(server: Ingest) -> None:
    call = server.stub.StreamEvents(metadata=game_server())
    await call.write(streamed())
    assert await refusal_of(call) == (INVALID, "FIELD_INVALID")


async def test_a_token_that_ends_in_the_middle_of_a_stream(
    server: Ingest, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def taken() -> bool:
        async with database.connection() as connection:
            return bool(await connection.fetchval("SELECT count(*) = 1 FROM ingest.events"))

    call = server.stub.StreamEvents(metadata=game_server())
    await call.write(streamed(typed(key="1")))
    await eventually(taken)
    later = clock.unix_s() + 3601
    monkeypatch.setattr(clock, "unix_s", lambda: later)
    await call.write(streamed(typed(key="2")))
    assert await refusal_of(call) == (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_EXPIRED")
    assert await taken()


async def refusal_of(call: object) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call  # type: ignore[misc]
    return caught.value.code(), reason(caught.value)


async def test_who_may(server: Ingest) -> None:
    denied = grpc.StatusCode.PERMISSION_DENIED
    for metadata in (player("p1"), operator()):
        request = ingest_service_pb2.SubmitEventsRequest(events=[typed()])
        assert (await refused(server.stub.SubmitEvents(request, metadata=metadata), denied)).reason
    rejected = ingest_service_pb2.ListRejectedEventsRequest()
    assert (await refused(server.stub.ListRejectedEvents(rejected, metadata=game_server()), denied)).reason


async def test_a_registered_type_is_told_with_its_version(server: Ingest, database: Database) -> None:
    assert (
        await refused(server.post(custom(3)), grpc.StatusCode.FAILED_PRECONDITION)
    ).reason == "UNKNOWN_TYPE"
    first = await server.register("dungeon", SCHEMA, "r1")
    assert (first.version, MessageToDict(first.schema)) == (1, SCHEMA)
    assert await server.register("dungeon", SCHEMA, "r1") == first
    answer = await server.post(custom(3))
    async with database.connection() as connection:
        envelope = Envelope.FromString(await connection.fetchval("SELECT envelope FROM ingest.outbox"))
    told = liveops_pb2.LiveopsCustom()
    assert envelope.data.Unpack(told)
    assert (envelope.id, envelope.type) == (answer.event_id, "liveops.dungeon")
    assert (told.type, told.schema_version, MessageToDict(told.payload)) == ("dungeon", 1, {"level": 3})
    [result] = await server.submit(typed(type="dungeon", payload={"level": 0}))
    assert (result.reason, result.problems[0].field) == ("EVENT_INVALID", "payload.level")


async def test_the_newest_version_counts_at_every_process(
    server: Ingest, database_url: str, redis_url: str
) -> None:
    async with ingest(database_url=database_url, redis_url=redis_url) as other:
        await server.register("dungeon", SCHEMA)
        second = await server.register("dungeon", SCHEMA | {"properties": {"level": {"type": "string"}}})
        assert second.version == 2
        [result] = await server.submit(typed(type="dungeon", payload={"level": "deep"}))
        assert result.outcome == ACCEPTED

        async def known() -> bool:
            [result] = await other.submit(typed(type="dungeon", payload={"level": "deep"}))
            return result.outcome == ACCEPTED

        await eventually(known)
        listed = await other.stub.ListEventTypes(
            ingest_service_pb2.ListEventTypesRequest(), metadata=game_server()
        )
        assert [(each.name, each.version) for each in listed.types] == [("dungeon", 2)]


async def test_schemas_that_are_refused(server: Ingest) -> None:
    for name, schema in (
        ("score", {}),
        ("a", {"type": "nonsense"}),
        ("a", {"$ref": "https://example.com/s"}),
    ):
        await refused(server.register(name, schema), INVALID)


async def test_there_are_not_too_many_types(database_url: str, redis_url: str) -> None:
    async with ingest(database_url=database_url, redis_url=redis_url, max_event_types=1) as server:
        await server.register("one", {})
        assert (await server.register("one", {})).version == 2
        error = await refused(server.register("two", {}), grpc.StatusCode.RESOURCE_EXHAUSTED)
        assert error.reason == "TOO_MANY_EVENT_TYPES"


def custom(level: int) -> bytes:
    return body(type="dungeon", payload={"level": level})
