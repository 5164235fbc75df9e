"""What ingest hears from fairness, and what it tells it."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from functools import partial
from itertools import count

import grpc
import pytest
from arenamesh.events.v1 import fairness_pb2, liveops_pb2
from arenamesh.events.v1.envelope_pb2 import Envelope

from services.chassis import clock
from services.chassis.bus.port import Bus, Message
from services.chassis.db import Database
from services.ingest.heard import TOPIC
from tests.support.buses import make
from tests.support.ingest import Ingest, body, ingest, refused
from tests.support.waiting import eventually

_numbers = count(1)


@pytest.fixture
async def bus(redis_url: str) -> AsyncIterator[Bus]:
    opened = make("redis", redis_url)
    yield opened
    await opened.close()


@pytest.fixture
async def hearing(database: Database, database_url: str, redis_url: str) -> AsyncIterator[Ingest]:
    """A server that hears the bus, and lets a player send three at once."""
    where = {"database_url": database_url, "redis_url": redis_url, "bus_kind": "redis", "refused_s": 0.05}
    async with ingest(**where, bus_backoff_s=0.01, player_rate=0.001, player_burst=3) as running:
        yield running


def stands(player: str, revision: int, state: str, *, until_s: int | None = None) -> Message:
    changed = fairness_pb2.FairnessStandingChanged(
        player_id=player, revision=revision, state=state, reason="Too fast."
    )
    if until_s is not None:
        changed.until.FromSeconds(until_s)
    envelope = Envelope(id=f"f{next(_numbers)}", source="arenamesh/test", type="fairness.standing_changed")
    envelope.data.Pack(changed)
    return Message(envelope.id, player, envelope.SerializeToString())


async def test_the_last_word_of_fairness_counts(hearing: Ingest, database: Database, bus: Bus) -> None:
    """However often and in whatever order it is said."""
    f1, f2 = uuid.uuid4().hex, uuid.uuid4().hex  # the bus and the rates are those of other tests, too

    async def known(revision: int) -> bool:
        async with database.connection() as connection:
            return bool(
                await connection.fetchval(
                    "SELECT revision = $1 FROM ingest.standings WHERE player_id = $2", revision, f1
                )
            )

    blocked, good = stands(f1, 2, "blocked"), stands(f1, 1, "good")
    await bus.publish(TOPIC, [blocked, good, blocked])
    await eventually(partial(known, 2))
    error = await refused(hearing.post(body(f1)), grpc.StatusCode.PERMISSION_DENIED)
    assert (error.reason, error.metadata["blocked_for"]) == ("PLAYER_BLOCKED", "Too fast.")
    await hearing.post(body(f2))
    await bus.publish(TOPIC, [stands(f1, 3, "throttled", until_s=4_000_000_000), blocked])
    await eventually(partial(known, 3))
    error = await refused(hearing.post(body(f1)), grpc.StatusCode.RESOURCE_EXHAUSTED)
    assert error.reason == "PLAYER_THROTTLED"
    over = stands(f1, 4, "blocked", until_s=int(clock.unix_s()) - 1)
    await bus.publish(TOPIC, [over, stands(f1, 5, "exiled"), stands("a b", 6, "good")])
    await eventually(partial(known, 4))
    await hearing.post(body(f1))

    async def buried() -> bool:
        async with database.connection() as connection:
            rows = await connection.fetch("SELECT error FROM ingest.dead_letters ORDER BY error")
        return [field in row["error"] for field, row in zip(["player_id", "state"], rows, strict=False)] == [
            True,
            True,
        ]

    await eventually(buried)


async def test_what_was_not_taken_is_told(hearing: Ingest, database: Database) -> None:
    async def told() -> dict[str, tuple[int, int, int, int]]:
        """Duplicates, throttled, blocked, reused, by player."""
        async with database.connection() as connection:
            rows = await connection.fetch("SELECT envelope FROM ingest.outbox ORDER BY xid, id")
        found: dict[str, tuple[int, int, int, int]] = {}
        for row in rows:
            envelope = Envelope.FromString(row["envelope"])
            if envelope.type == "liveops.refused":
                each = liveops_pb2.LiveopsRefused.FromString(envelope.data.value)
                assert (
                    each.since.ToNanoseconds() <= each.until.ToNanoseconds() == envelope.time.ToNanoseconds()
                )
                numbers = (each.duplicates, each.throttled, each.blocked, each.reused)
                before = found.get(each.player_id, (0, 0, 0, 0))
                a, b, c, d = (one + other for one, other in zip(before, numbers, strict=True))
                found[each.player_id] = (a, b, c, d)
        return found

    async with database.connection() as connection:
        await connection.execute("INSERT INTO ingest.standings VALUES ('q2', 'blocked', 'speed', NULL)")
    for xp in (1, 2, 3):
        await hearing.post(body("q1", xp=xp), key=str(xp))
    for xp in (1, 2):
        assert (await hearing.post(body("q1", xp=xp), key=str(xp))).duplicate
    await refused(hearing.post(body("q1", xp=9), key="1"), grpc.StatusCode.FAILED_PRECONDITION)
    for xp in (4, 5, 6):
        await refused(hearing.post(body("q1", xp=xp)), grpc.StatusCode.RESOURCE_EXHAUSTED)
    await refused(hearing.post(body("q2")), grpc.StatusCode.PERMISSION_DENIED)
    await hearing.post(body("q3"))

    async def all_told() -> bool:
        return await told() == {"q1": (2, 3, 0, 1), "q2": (0, 0, 1, 0)}

    await eventually(all_told)
