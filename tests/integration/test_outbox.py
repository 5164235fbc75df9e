"""The outbox: what is written there, in which order it is told, and what is forgotten when."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from services.chassis.outbox import START, Outbox, Position
from services.combat.schema import SCHEMA
from tests.support.events import envelope

OUTBOX = Outbox(SCHEMA)
TOPIC = "test"


@pytest.fixture
async def connections(database_url: str) -> AsyncIterator[list[asyncpg.Connection]]:
    opened = [await asyncpg.connect(database_url) for _ in range(3)]
    yield opened
    for connection in opened:
        await connection.close()


async def told(connection: asyncpg.Connection, after: Position = START) -> list[str]:
    return [row.message.id for row in await OUTBOX.read(connection, after, 1000)]


async def test_an_event_is_told_only_when_its_change_is_committed(
    connections: list[asyncpg.Connection],
) -> None:
    writer, reader, _ = connections
    transaction = writer.transaction()
    await transaction.start()
    await OUTBOX.put(writer, TOPIC, [envelope("a"), envelope("b", "t")])
    assert await told(reader) == []
    await transaction.commit()
    (first, second) = await OUTBOX.read(reader, START, 10)
    assert (first.topic, first.message.id, first.message.subject) == (TOPIC, "a", "s")
    assert first.message.body == envelope("a").SerializeToString()
    assert second.position > first.position
    transaction = writer.transaction()
    await transaction.start()
    await OUTBOX.put(writer, TOPIC, [envelope("never")])
    await transaction.rollback()
    assert await told(reader) == ["a", "b"]


async def test_an_event_is_written_once(connections: list[asyncpg.Connection]) -> None:
    writer, reader, _ = connections
    await OUTBOX.put(writer, TOPIC, [envelope("a"), envelope("a")])
    await OUTBOX.put(writer, TOPIC, [envelope("a"), envelope("b")])
    assert await told(reader) == ["a", "b"]


async def test_a_batch_keeps_its_order(connections: list[asyncpg.Connection]) -> None:
    ids = [f"{number:03}" for number in range(500)]
    await OUTBOX.put(connections[0], TOPIC, [envelope(each, each[-1]) for each in ids])
    assert await told(connections[0]) == ids


async def test_nothing_is_skipped_when_the_first_to_write_is_the_last_to_commit(
    connections: list[asyncpg.Connection],
) -> None:
    early, late, reader = connections
    transaction = early.transaction()
    await transaction.start()
    await OUTBOX.put(early, TOPIC, [envelope("early", "x")])
    await OUTBOX.put(late, TOPIC, [envelope("late", "y")])
    assert await told(reader) == []  # `late` waits: `early` would come before it
    await transaction.commit()
    assert await told(reader) == ["early", "late"]


async def test_the_order_of_a_subject_is_that_of_its_changes_not_of_transaction_numbers(
    connections: list[asyncpg.Connection],
) -> None:
    """`first` takes its number, and then waits for `second`, which changes the subject before it; a third
    transaction between the two holds the numbers of `second` back."""
    first, second, third = connections
    for connection in (first, third, second):
        await connection.execute("BEGIN")
        await connection.fetchval("SELECT pg_current_xact_id()")
    await OUTBOX.put(second, TOPIC, [envelope("one")])
    await second.execute("COMMIT")
    await OUTBOX.put(first, TOPIC, [envelope("two")])
    await first.execute("COMMIT")
    assert await told(first) == []
    await third.execute("COMMIT")
    assert await told(first) == ["one", "two"]


async def test_the_checkpoint_moves_only_from_where_it_is(connections: list[asyncpg.Connection]) -> None:
    connection = connections[0]
    await OUTBOX.put(connection, TOPIC, [envelope("a"), envelope("b")])
    first, second = [row.position for row in await OUTBOX.read(connection, START, 10)]
    assert await OUTBOX.checkpoint(connection) == START
    assert await OUTBOX.move(connection, START, first)
    assert not await OUTBOX.move(connection, START, second)
    assert await OUTBOX.checkpoint(connection) == first
    assert await told(connection, first) == ["b"]
    count, age_s = await OUTBOX.waiting(connection, first)
    assert count == 1
    assert 0 < age_s < 60
    assert Position.parse(str(second)) == second


async def test_only_what_was_told_long_ago_is_forgotten(connections: list[asyncpg.Connection]) -> None:
    connection = connections[0]
    await OUTBOX.put(connection, TOPIC, [envelope(each) for each in "abc"])
    positions = [row.position for row in await OUTBOX.read(connection, START, 10)]
    await OUTBOX.move(connection, START, positions[1])
    assert await OUTBOX.purge(connection, timedelta(hours=1), 10) == 0
    assert await OUTBOX.purge(connection, timedelta(0), 1) == 1
    assert await OUTBOX.purge(connection, timedelta(0), 10) == 1
    assert await told(connection) == ["c"]


async def test_going_back_in_time(connections: list[asyncpg.Connection]) -> None:
    connection = connections[0]
    await OUTBOX.put(connection, TOPIC, [envelope("a")])
    since = await connection.fetchval("SELECT now()")
    await OUTBOX.put(connection, TOPIC, [envelope("b"), envelope("c")])
    assert not await OUTBOX.rewind(connection, since)  # nothing was told yet
    positions = [row.position for row in await OUTBOX.read(connection, START, 10)]
    await OUTBOX.move(connection, START, positions[2])
    assert not await OUTBOX.rewind(connection, datetime.now(UTC) + timedelta(hours=1))
    assert await OUTBOX.checkpoint(connection) == positions[2]
    assert await OUTBOX.rewind(connection, since)
    assert await told(connection, await OUTBOX.checkpoint(connection)) == ["b", "c"]


async def test_a_dump_restored_elsewhere_is_told_again(connections: list[asyncpg.Connection]) -> None:
    connection = connections[0]
    await OUTBOX.put(connection, TOPIC, [envelope("a")])
    await OUTBOX.put(connection, TOPIC, [envelope("b")])
    assert not await OUTBOX.adopt(connection)
    # As rows of a cluster look that has counted further than this one.
    await connection.execute(f"UPDATE {SCHEMA}.outbox SET xid = (xid::text::bigint + 1000000000)::text::xid8")
    await connection.execute(
        f"UPDATE {SCHEMA}.outbox_checkpoint SET xid = '1000000000', system_identifier = 1"
    )
    assert await told(connection) == []
    assert await OUTBOX.adopt(connection)
    assert await OUTBOX.checkpoint(connection) == START
    assert await told(connection) == ["a", "b"]
    assert not await OUTBOX.adopt(connection)
