"""Signed lists of events: each has a result of its own, in order; the list again has each once."""

import json

import grpc

from services.chassis.db import Database
from tests.support import redis
from tests.support.ingest import Ingest, event, ingest, refused, webhook

ACCEPTED, DUPLICATE, REJECTED, THROTTLED = 1, 2, 3, 5
PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION


def listed(*events: object) -> bytes:
    return json.dumps(events).encode()


async def count(database: Database) -> int:
    async with database.connection() as connection:
        return int(
            await connection.fetchval(
                "SELECT count(*) FROM ingest.events e JOIN ingest.outbox o ON e.id = o.event_id"
            )
        )


async def test_results_are_in_order(server: Ingest, database: Database) -> None:
    sent = listed(event("a"), event("b", xp=0), 7, event("a", xp=5), event("c", type="nonsense"))
    results = await server.post_list(sent, key="k")
    assert [each.outcome for each in results] == [ACCEPTED, REJECTED, REJECTED, ACCEPTED, REJECTED]
    assert [each.reason for each in results] == ["", "EVENT_INVALID", "EVENT_INVALID", "", "UNKNOWN_TYPE"]
    assert [problem.field for problem in results[1].problems] == ["payload.deltaXp"]
    async with database.connection() as connection:
        told = await connection.fetch(
            "SELECT event_id FROM ingest.outbox WHERE subject = 'a' ORDER BY xid, id"
        )
    assert [row["event_id"] for row in told] == [results[0].event_id, results[3].event_id]
    assert sorted(json.loads(each.body) == 7 for each in await server.rejected()) == [False, False, True]


async def test_the_same_list_again(server: Ingest, database: Database) -> None:
    sent = listed(*(event("a", xp=number + 1) for number in range(50)))
    first = await server.post_list(sent, key="k")
    for key in ("k", "other", ""):
        again = await server.post_list(sent, key=key)
        assert {each.outcome for each in again} == {DUPLICATE}
        assert [each.event_id for each in again] == [each.event_id for each in first]
    error = await refused(server.post_list(listed(event("b")), key="k"), PRECONDITION)
    assert error.reason == "IDEMPOTENCY_KEY_REUSED"
    assert await count(database) == 50


async def test_equal_events_of_one_list_are_two(server: Ingest, database: Database) -> None:
    results = await server.post_list(listed(event(), event()))
    assert [each.outcome for each in results] == [ACCEPTED, ACCEPTED]
    assert await count(database) == 2


async def test_a_list_by_standard_webhooks(server: Ingest) -> None:
    sent = listed(event("a"), event("b"))
    first = await server.post_list(sent, *webhook(sent, "m1"))
    again = await server.post_list(sent, *webhook(sent, "m1"))
    other = await server.post_list(sent, *webhook(sent, "m2"))
    assert [each.event_id for each in again] == [each.event_id for each in first]
    assert [each.outcome for each in other] == [ACCEPTED, ACCEPTED]


async def test_what_was_too_much_is_taken_later(
    database_url: str, redis_url: str, database: Database
) -> None:
    """The list again, as it was: what was taken counts once."""
    sent = listed(event(xp=1), event(xp=2), event(xp=3))
    with redis.server() as own:
        limits = {"redis_url": own.url, "player_rate": 0.01, "player_burst": 2}
        async with ingest(database_url=database_url, **limits) as server:
            results = await server.post_list(sent, key="k")
    assert [each.outcome for each in results] == [ACCEPTED, ACCEPTED, THROTTLED]
    assert results[2].reason == "RATE_LIMITED"
    assert 99_000 < results[2].retry_after_ms <= 100_000
    async with ingest(database_url=database_url, redis_url=redis_url) as server:
        again = await server.post_list(sent, key="k")
    assert [each.outcome for each in again] == [DUPLICATE, DUPLICATE, ACCEPTED]
    assert [each.event_id for each in again[:2]] == [each.event_id for each in results[:2]]
    assert await count(database) == 3


async def test_what_is_no_list(server: Ingest) -> None:
    for sent in (b"{}", b"[]", listed(*([event()] * 1001))):
        assert (await refused(server.post_list(sent), PRECONDITION)).reason == "EVENT_INVALID"
    error = await refused(server.post_list(b"["), grpc.StatusCode.INVALID_ARGUMENT)
    assert error.reason == "MALFORMED_JSON"
    error = await refused(server.post_list(b" " * 1_048_577), grpc.StatusCode.OUT_OF_RANGE)
    assert (error.reason, error.metadata["max_bytes"]) == ("BODY_TOO_LARGE", "1048576")
