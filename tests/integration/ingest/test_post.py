"""Signed events: what is accepted, what a repetition gets, what is refused and why."""

import asyncio

import grpc
import pytest
from arenamesh.events.v1 import liveops_pb2
from arenamesh.events.v1.envelope_pb2 import Envelope

from services.chassis.db import Database
from tests.support.ingest import TAKEN, Ingest, body, event, ingest, refused, signature, webhook
from tests.support.refusals import reason

SOURCE = b'{"type":"progression","playerId":"p1","ts":1730560000,"payload":{"deltaXp":10}}'
INVALID = grpc.StatusCode.INVALID_ARGUMENT
PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION
UNAUTHENTICATED = grpc.StatusCode.UNAUTHENTICATED


async def stored(database: Database) -> list[tuple[str, bytes]]:
    """Ids and bodies of what was accepted; the outbox has the same ids."""
    async with database.connection() as connection:
        rows = await connection.fetch("SELECT id, body FROM ingest.events ORDER BY received_at, id")
        told = await connection.fetch(f"SELECT event_id FROM ingest.outbox {TAKEN}")
    assert sorted(row["event_id"] for row in told) == sorted(row["id"] for row in rows)
    return [(row["id"], row["body"]) for row in rows]


async def test_the_sources_own_event(server: Ingest, database: Database) -> None:
    answer = await server.post(SOURCE, key="demo-1")
    assert not answer.duplicate
    assert await stored(database) == [(answer.event_id, SOURCE)]
    async with database.connection() as connection:
        row = await connection.fetchrow("SELECT * FROM ingest.outbox")
        kept = await connection.fetchrow("SELECT * FROM ingest.events")
    assert row is not None
    assert kept is not None
    assert (kept["producer"], kept["kid"], kept["player_id"]) == ("default", "default", "p1")
    envelope = Envelope.FromString(row["envelope"])
    assert (row["topic"], row["subject"]) == ("game.liveops.events", "p1")
    assert (envelope.id, envelope.type) == (answer.event_id, "liveops.progression")
    told = liveops_pb2.LiveopsProgression()
    assert envelope.data.Unpack(told)
    assert (told.player_id, told.experience) == ("p1", 10)


async def test_the_same_again_is_the_first_answer(server: Ingest, database: Database) -> None:
    first = await server.post(body(), key="k")
    assert not first.duplicate
    for key in ("k", "", "another"):
        again = await server.post(body(), key=key)
        assert (again.event_id, again.duplicate) == (first.event_id, True)
    assert len(await stored(database)) == 1


async def test_a_key_with_another_body(server: Ingest, database: Database) -> None:
    await server.post(body(), key="k")
    await server.post(body(), key="later")  # known by its body: the key is taken all the same
    for key in ("k", "later"):
        error = await refused(server.post(body(xp=11), key=key), PRECONDITION)
        assert (error.reason, error.metadata["key"]) == ("IDEMPOTENCY_KEY_REUSED", key)
    assert len(await stored(database)) == 1


async def test_one_of_a_hundred_at_once_is_the_first_and_the_others_wait_for_it(
    server: Ingest, database: Database
) -> None:
    answers = await asyncio.gather(*(server.post(body(), key="k") for _ in range(100)))
    assert len({answer.event_id for answer in answers}) == 1
    assert sum(not answer.duplicate for answer in answers) == 1
    assert len(await stored(database)) == 1


async def test_two_bodies_with_one_key_at_once(server: Ingest, database: Database) -> None:
    answers = await asyncio.gather(
        *(server.post(body(xp=number + 1), key="k") for number in range(8)), return_exceptions=True
    )
    refusals = [each for each in answers if isinstance(each, grpc.aio.AioRpcError)]
    assert {(each.code(), reason(each)) for each in refusals} == {(PRECONDITION, "IDEMPOTENCY_KEY_REUSED")}
    assert len(refusals) == 7
    assert len(await stored(database)) == 1


async def test_two_processes_take_one_event_once(
    database_url: str, redis_url: str, database: Database
) -> None:
    where = {"database_url": database_url, "redis_url": redis_url}
    async with ingest(**where) as one, ingest(**where) as two:
        for turn in range(20):
            first, second = await asyncio.gather(
                one.post(body(xp=turn + 1), key=f"{turn}"), two.post(body(xp=turn + 1), key=f"{turn}")
            )
            assert first.event_id == second.event_id
            assert first.duplicate != second.duplicate
    assert len(await stored(database)) == 20


async def test_standard_webhooks_count_by_their_id(server: Ingest, database: Database) -> None:
    first = await server.post(body(), *webhook(body(), "msg_1"))
    again = await server.post(body(), *webhook(body(), "msg_1", ago_s=60), key="passed-over")
    assert (again.event_id, again.duplicate) == (first.event_id, True)
    other = await server.post(body(), *webhook(body(), "msg_2"))
    assert not other.duplicate
    changed = body(xp=11)
    error = await refused(server.post(changed, *webhook(changed, "msg_1")), PRECONDITION)
    assert error.reason == "IDEMPOTENCY_KEY_REUSED"
    assert len(await stored(database)) == 2


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ((("x-other", "1"),), "SIGNATURE_MISSING"),
        ((("x-signature", signature(b"other")),), "SIGNATURE_WRONG"),
        ((("x-signature", signature(body(), "another secret")),), "SIGNATURE_WRONG"),
        ((("x-signature", signature(body())), ("x-key-id", "nobody")), "KEY_UNKNOWN"),
        (webhook(body(), "msg.1"), "MESSAGE_ID_INVALID"),
        (webhook(body(), "msg_1", ago_s=3600), "TIMESTAMP_TOO_OLD"),
        (webhook(body(), "msg_1", ago_s=-3600), "TIMESTAMP_TOO_NEW"),
    ],
)
async def test_who_nobody_knows(
    server: Ingest, database: Database, headers: tuple[tuple[str, str], ...], why: str
) -> None:
    error = await refused(server.post(body(), *headers, key="k"), UNAUTHENTICATED)
    assert error.reason == why
    assert not await stored(database)
    assert not await server.rejected()  # the log is for known producers: nobody else can fill it


async def test_signatures_of_the_body_only_can_be_forbidden(database_url: str, redis_url: str) -> None:
    where = {"database_url": database_url, "redis_url": redis_url, "body_signatures": False}
    async with ingest(**where) as server:
        error = await refused(server.post(body()), UNAUTHENTICATED)
        assert error.reason == "SIGNATURE_NOT_ALLOWED"
        assert not (await server.post(body(), *webhook(body(), "m"))).duplicate


@pytest.mark.parametrize(
    ("sent", "code", "why"),
    [
        (b"", INVALID, "MALFORMED_JSON"),
        (b"{", INVALID, "MALFORMED_JSON"),
        (b'{"type":"score","type":"score"}', INVALID, "MALFORMED_JSON"),
        (b"[]", PRECONDITION, "EVENT_INVALID"),
        (body(xp=0), PRECONDITION, "EVENT_INVALID"),
        (body(ts=99_999_999_999), PRECONDITION, "EVENT_INVALID"),
        (body(type="nonsense"), PRECONDITION, "UNKNOWN_TYPE"),
        (b" " * 65_537, grpc.StatusCode.OUT_OF_RANGE, "BODY_TOO_LARGE"),
    ],
)
async def test_what_breaks_a_rule(
    server: Ingest, database: Database, sent: bytes, code: grpc.StatusCode, why: str
) -> None:
    assert (await refused(server.post(sent, key="k"), code)).reason == why
    assert not await stored(database)
    assert not (await server.post(body(), key="k")).duplicate  # the key is free


async def test_a_key_that_is_too_long(server: Ingest) -> None:
    assert (await refused(server.post(body(), key="k" * 129), INVALID)).reason == "FIELD_INVALID"


@pytest.mark.parametrize(
    ("type_", "payload"),
    [
        ("progression", {"experience": "9223372036854775807"}),
        ("boss_kill", {"bossId": "dragon", "bossLevel": 7}),
        ("drop_claimed", {"itemId": "sword"}),
        ("score", {"score": -5, "board": "kills", "columns": [1, 2]}),
    ],
)
async def test_every_known_type(
    server: Ingest, database: Database, type_: str, payload: dict[str, object]
) -> None:
    answer = await server.post(body(**event(type=type_, payload=payload)))
    async with database.connection() as connection:
        envelope = Envelope.FromString(await connection.fetchval("SELECT envelope FROM ingest.outbox"))
    assert (envelope.id, envelope.type) == (answer.event_id, f"liveops.{type_}")
