"""Several statements as one: they run in the order given, each with its own parameters."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

from services.chassis.sql import Statement, together

TABLES = "dbaec"


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """With tables that note every row in `notes`."""
    opened = await asyncpg.connect(database_url)
    await opened.execute(
        "CREATE TABLE notes (number SERIAL, text TEXT); "
        "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "INSERT INTO notes (text) VALUES (TG_TABLE_NAME || new.id); RETURN new; END $$"
    )
    for table in TABLES:
        await opened.execute(
            f"CREATE TABLE {table} (id INT PRIMARY KEY, times INT DEFAULT 0); "
            f"CREATE TRIGGER n BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION note()"
        )
    yield opened
    await opened.close()


def adding(table: str, *ids: int) -> Statement:
    text = (
        f"INSERT INTO {table} AS old (id, times) SELECT id, $2::int FROM unnest($1::int[]) AS id "
        "ON CONFLICT (id) DO UPDATE SET times = old.times + excluded.times"
    )
    return Statement(text, (list(ids), len(ids)))


async def test_in_order_and_each_with_its_parameters(connection: asyncpg.Connection) -> None:
    """Also when the plan is the general one, and when rows are there."""
    text, arguments = together({table: adding(table, n + 2, n + 1) for n, table in enumerate(TABLES)})
    for _ in range(8):
        await connection.execute(text, *arguments)
    noted = [row["text"] for row in await connection.fetch("SELECT text FROM notes ORDER BY number")]
    assert noted == [f"{table}{n + each}" for n, table in enumerate(TABLES) for each in (2, 1)] * 8
    for n, table in enumerate(TABLES):
        rows = await connection.fetch(f"SELECT id, times FROM {table} ORDER BY id")
        assert [tuple(row) for row in rows] == [(n + 1, 16), (n + 2, 16)]
