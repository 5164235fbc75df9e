"""Schemas are migrated once a run; each test has a copy."""

from __future__ import annotations

import asyncio

import asyncpg

from services.chassis import migrate
from tests.support.postgres import Postgres


def migrated(postgres: Postgres, schema: str, migrations: list[migrate.Migration]) -> str:
    """Makes an empty database that has `schema`; its name, to be cloned."""
    name = f"template_{schema}"
    asyncio.run(_make(postgres, name, schema, migrations))
    return name


async def _make(postgres: Postgres, name: str, schema: str, migrations: list[migrate.Migration]) -> None:
    await postgres.command(f"CREATE DATABASE {name}")
    connection = await asyncpg.connect(postgres.url(name))
    try:
        await migrate.migrate(connection, schema, migrations)
    finally:
        await connection.close()
