"""Daily partitions of the journal, as days go by."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date, datetime, time, timedelta

import asyncpg
import pytest

from services.chassis.db import Database
from services.combat.durability.journal_store import PostgresJournal
from services.combat.durability.retention import maintain
from services.combat.ports import Save, Segment

DAYS = 30
TODAY = date(2030, 3, 10)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = await Database.connect(database_url, size=2, wait_s=2, command_s=5)
    yield opened
    await opened.close()


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    opened = await asyncpg.connect(database_url)
    yield opened
    await opened.close()


async def session(
    connection: asyncpg.Connection, session_id: str, status: str, *, counted: bool = True
) -> None:
    await connection.execute(
        """INSERT INTO gameplay.combat_sessions (
            id, name, type, status, max_players, min_players, player_count, created_at, map_id,
            game_mode, ruleset_name, ruleset_version, tick_rate, spectator_delay_s, owner, epoch, projected
        ) VALUES ($1, '', 'duel', $2, 2, 1, 0, now(), 'yard', 'duel', 'default', 1, 30, 0, 'w', 7, $3)
        """,
        session_id,
        status,
        counted,
    )


async def record(connection: asyncpg.Connection, session_id: str, sequence: int, day: date) -> None:
    """A segment and a save, at noon of the day."""
    noon = datetime.combine(day, time(12))
    await connection.execute(
        """INSERT INTO gameplay.combat_segments
        VALUES ($1, $2, $2, 1, 1, 1, 0, '', $3)""",
        session_id,
        sequence,
        noon,
    )
    await connection.execute(
        "INSERT INTO gameplay.combat_saves VALUES ($1, $2, 1, '', $3)", session_id, sequence, noon
    )


async def where(connection: asyncpg.Connection, table: str = "combat_segments") -> dict[tuple[str, int], str]:
    """The partition of each row."""
    sequence = "first_sequence" if table == "combat_segments" else "sequence"
    rows = await connection.fetch(
        f"SELECT session_id, {sequence} AS sequence, tableoid::regclass::text AS partition"
        f" FROM gameplay.{table}"
    )
    return {
        (row["session_id"], row["sequence"]): row["partition"].removeprefix(f"gameplay.{table}_")
        for row in rows
    }


async def partitions(connection: asyncpg.Connection, table: str = "combat_segments") -> list[str]:
    rows = await connection.fetch(
        "SELECT relid::regclass::text AS name FROM pg_partition_tree($1::regclass) WHERE isleaf",
        f"gameplay.{table}",
    )
    return sorted(row["name"].removeprefix(f"gameplay.{table}_") for row in rows)


async def test_days_are_made_ahead_and_again_does_nothing(
    database: Database, connection: asyncpg.Connection
) -> None:
    for _ in range(2):
        await maintain(database, TODAY, DAYS)
        for table in ("combat_segments", "combat_saves"):
            assert await partitions(connection, table) == ["20300310", "20300311", "default"]
    await maintain(database, TODAY + timedelta(days=1), DAYS)
    assert await partitions(connection) == ["20300310", "20300311", "20300312", "default"]
    await record(connection, "a", 1, TODAY)
    await record(connection, "a", 2, TODAY + timedelta(days=2))
    await record(connection, "a", 3, TODAY + timedelta(days=3))
    expected = {("a", 1): "20300310", ("a", 2): "20300312", ("a", 3): "default"}
    assert await where(connection) == await where(connection, "combat_saves") == expected


async def test_a_partition_is_like_the_table(database: Database, connection: asyncpg.Connection) -> None:
    await maintain(database, TODAY, DAYS)
    await record(connection, "a", 1, TODAY)
    with pytest.raises(asyncpg.UniqueViolationError):
        await record(connection, "a", 1, TODAY)
    storage = await connection.fetchval(
        """SELECT attstorage FROM pg_attribute
        WHERE attrelid = 'gameplay.combat_segments_20300310'::regclass AND attname = 'payload'"""
    )
    assert storage == b"e"


async def test_a_day_that_began_without_its_partition_stays_in_the_default_one(
    database: Database, connection: asyncpg.Connection
) -> None:
    await record(connection, "a", 1, TODAY)
    await maintain(database, TODAY, DAYS)
    assert await partitions(connection) == ["20300311", "default"]
    await record(connection, "a", 2, TODAY)
    assert set((await where(connection)).values()) == {"default"}


async def test_what_is_old_goes_unless_a_live_session_needs_it(
    database: Database, connection: asyncpg.Connection
) -> None:
    await session(connection, "live", "ACTIVE")
    await session(connection, "over", "ENDED")
    for days in range(4):
        await maintain(database, TODAY + timedelta(days=days), DAYS)
        await record(connection, "over", days + 1, TODAY + timedelta(days=days))
    await record(connection, "live", 1, TODAY + timedelta(days=1))
    await maintain(database, TODAY + timedelta(days=DAYS), DAYS)
    assert "20300310" in await partitions(connection)
    await maintain(database, TODAY + timedelta(days=DAYS + 3), DAYS)
    kept = ["20300311", "20300313", "20300314"]
    for table in ("combat_segments", "combat_saves"):
        assert [name for name in await partitions(connection, table) if name < "20300401"] == kept
        # The partition of a live session stays whole.
        assert set(await where(connection, table)) == {("live", 1), ("over", 2), ("over", 4)}
    await connection.execute("UPDATE gameplay.combat_sessions SET status = 'ENDED'")
    await maintain(database, TODAY + timedelta(days=DAYS + 3), DAYS)
    assert set(await where(connection)) == {("over", 4)}


async def test_what_is_not_counted_yet_stays_unless_counting_failed(
    database: Database, connection: asyncpg.Connection
) -> None:
    await session(connection, "late", "ENDED", counted=False)
    await maintain(database, TODAY, DAYS)
    await record(connection, "late", 1, TODAY)
    await record(connection, "late", 2, TODAY - timedelta(days=1))
    await maintain(database, TODAY + timedelta(days=DAYS + 2), DAYS)
    assert set(await where(connection)) == {("late", 1), ("late", 2)}
    await connection.execute(
        """INSERT INTO gameplay.combat_projections
        VALUES ('late', 0, 0, '', '{}', now(), now(), 'record 1 cannot be read')"""
    )
    await maintain(database, TODAY + timedelta(days=DAYS + 2), DAYS)
    assert set(await where(connection)) == set()


async def test_the_default_partition_is_emptied_of_what_is_old(
    database: Database, connection: asyncpg.Connection
) -> None:
    await session(connection, "live", "WAITING")
    for name in ("live", "gone"):
        for days in (0, 1):
            await record(connection, name, days + 1, TODAY + timedelta(days=days))
    await maintain(database, TODAY + timedelta(days=DAYS + 1), DAYS)
    for table in ("combat_segments", "combat_saves"):
        assert set(await where(connection, table)) == {("live", 1), ("live", 2), ("gone", 2)}


async def test_who_uses_a_partition_is_not_waited_for(
    database: Database, connection: asyncpg.Connection
) -> None:
    await maintain(database, TODAY, DAYS)
    async with connection.transaction():
        await connection.execute("SELECT count(*) FROM gameplay.combat_segments")
        await maintain(database, TODAY + timedelta(days=DAYS + 2), DAYS)
        assert "20300310" in await partitions(connection)
        assert "20300310" not in await partitions(connection, "combat_saves")
    await maintain(database, TODAY + timedelta(days=DAYS + 2), DAYS)
    assert "20300310" not in await partitions(connection)


async def test_commits_go_to_todays_partition(
    database: Database, connection: asyncpg.Connection, database_url: str
) -> None:
    await session(connection, "a", "ACTIVE")
    today = await connection.fetchval("SELECT (now() AT TIME ZONE 'utc')::date")
    await maintain(database, today, DAYS)
    journal = PostgresJournal(database_url, database, wait_s=2, command_s=5)
    segment = Segment("a", 7, 1, 3, 1, 1, b"payload", Save(3, 1, b"whole"))
    assert await journal.commit("w", [segment]) == frozenset()
    await journal.close()
    # Unless midnight was in between.
    assert set((await where(connection)).values()) <= {f"{today + timedelta(days=n):%Y%m%d}" for n in (0, 1)}
