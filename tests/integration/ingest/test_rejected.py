"""The log of what known producers sent and was not taken."""

import json
from datetime import datetime, timedelta

import grpc
from arenamesh.liveops.v1 import event_pb2, ingest_service_pb2

from services.chassis import clock
from services.chassis.db import Database
from services.ingest.store import IngestStore, Kind
from tests.support.ingest import Ingest, body, event, ingest, refused, typed
from tests.support.tokens import operator
from tests.support.waiting import eventually

PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION


async def test_an_operator_reads_what_was_wrong(server: Ingest) -> None:
    await refused(server.post(b"{"), grpc.StatusCode.INVALID_ARGUMENT)
    await refused(server.post(body(xp=0)), PRECONDITION)
    long = body(type="nonsense", payload={"text": "x" * 5000})
    await refused(server.post(long), PRECONDITION)
    await server.submit(typed(xp=0))
    found = await server.rejected()
    assert [each.reason for each in found] == [
        "EVENT_INVALID",
        "UNKNOWN_TYPE",
        "EVENT_INVALID",
        "MALFORMED_JSON",
    ]
    assert [each.producer for each in found] == ["game_server:gs-1", "default", "default", "default"]
    assert found[1].body == long[:4096]
    assert (found[2].problems[0].field, found[2].body) == ("payload.deltaXp", body(xp=0))
    assert "line 1" in found[3].problems[0].description
    assert [each.reason for each in await server.rejected("game_server:gs-1")] == ["EVENT_INVALID"]


async def test_pages_have_each_once_the_newest_first(server: Ingest) -> None:
    for start in range(0, 25, 5):
        await server.submit(*(typed(f"p{start + number}", xp=0) for number in range(5)))
    whole = [each.id for each in await server.rejected()]
    pages: list[str] = []
    request = ingest_service_pb2.ListRejectedEventsRequest(page_size=4)
    while True:
        answer = await server.stub.ListRejectedEvents(request, metadata=operator())
        pages += [each.id for each in answer.events]
        if not answer.next_page_token:
            break
        assert len(answer.events) == 4
        request.page_token = answer.next_page_token
    assert pages == whole
    assert len(set(pages)) == 25
    request.producer = "default"
    call = server.stub.ListRejectedEvents(request, metadata=operator())
    assert (await refused(call, grpc.StatusCode.INVALID_ARGUMENT)).reason == "PAGE_TOKEN_INVALID"


async def test_a_producer_cannot_fill_it(database_url: str, redis_url: str) -> None:
    where = {"database_url": database_url, "redis_url": redis_url}
    async with ingest(**where, producer_rate=0.01, producer_burst=3) as server:
        results = await server.submit(*(typed(xp=0) for _ in range(10)), caller="noisy")
        assert {each.reason for each in results} == {"EVENT_INVALID"}
        assert len(await server.rejected()) == 3


async def test_what_is_old_is_forgotten_but_not_a_body(server: Ingest, database: Database) -> None:
    await server.post(body(), key="k")
    await server.submit(typed(xp=0))
    soon = clock.now() + timedelta(seconds=5)
    before: dict[Kind, datetime] = dict.fromkeys(("claims", "events", "rejected"), soon)
    store = IngestStore()
    assert await database.transaction(lambda connection: store.forget(connection, before, 1))
    assert not await database.transaction(lambda connection: store.forget(connection, before, 1))
    assert not await server.rejected()
    async with database.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM ingest.events") == 0
    assert (await server.post(body(), key="other")).duplicate
    assert not (await server.post(body(xp=11), key="k")).duplicate


async def test_a_body_is_known_as_long_as_its_time_is_taken(
    database: Database, database_url: str, redis_url: str
) -> None:
    """One of two days ago, and a list with one of two hours ago: of the latter nothing is forgotten."""
    now = clock.unix_s()
    old, new = body(ts=now - 48 * 3600), json.dumps([event(ts=now - 2 * 3600)]).encode()
    where = {"database_url": database_url, "redis_url": redis_url, "purge_s": 0.02}

    async def digests() -> list[str]:
        async with database.connection() as connection:
            rows = await connection.fetch("SELECT scope FROM ingest.claims ORDER BY scope")
        return [row["scope"] for row in rows]

    async with ingest(**where) as server:
        assert not (await server.post(old)).duplicate
        await server.post_list(new)
        assert await digests() == ["body-item/default", "body/default"]

    async def forgotten() -> bool:
        return await digests() == ["body-item/default"]

    async with ingest(**where, max_behind_days=1.0) as server:
        await eventually(forgotten)
        refusal = await refused(server.post(old), grpc.StatusCode.FAILED_PRECONDITION)
        assert refusal.reason == "EVENT_INVALID"
        (again,) = await server.post_list(new)
        assert again.outcome == event_pb2.EVENT_OUTCOME_DUPLICATE
