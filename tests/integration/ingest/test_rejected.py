"""The log of what known producers sent and was not taken."""

from datetime import timedelta

import grpc
from arenamesh.liveops.v1 import ingest_service_pb2

from services.chassis import clock
from services.chassis.db import Database
from services.ingest.store import IngestStore
from tests.support.ingest import Ingest, body, ingest, refused, typed
from tests.support.tokens import operator

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
    store = IngestStore()
    assert await database.transaction(lambda connection: store.forget(connection, soon, soon, 1))
    assert not await database.transaction(lambda connection: store.forget(connection, soon, soon, 1))
    assert not await server.rejected()
    assert (await server.post(body(), key="other")).duplicate
    assert not (await server.post(body(xp=11), key="k")).duplicate
