"""A database with the progression schema a test, and a server on it; the servers below are the run's."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from services.chassis import migrate
from services.progression.schema import SCHEMA, migrations
from tests.support.postgres import Postgres
from tests.support.progression import Progression, progression

_TEMPLATE = "template_progression"


@pytest.fixture(scope="session")
def template(postgres: Postgres) -> str:
    """A migrated, empty database."""
    asyncio.run(_make_template(postgres))
    return _TEMPLATE


async def _make_template(postgres: Postgres) -> None:
    await postgres.command(f"CREATE DATABASE {_TEMPLATE}")
    connection = await asyncpg.connect(postgres.url(_TEMPLATE))
    try:
        await migrate.migrate(connection, SCHEMA, migrations())
    finally:
        await connection.close()


@pytest.fixture
async def database_url(postgres: Postgres, template: str) -> AsyncIterator[str]:
    """A database of this test's own, with the progression schema in it."""
    name = await postgres.clone(template)
    yield postgres.url(name)
    await postgres.drop(name)


@pytest.fixture
async def server(database_url: str, redis_url: str) -> AsyncIterator[Progression]:
    """A running server on `database_url`."""
    async with progression(database_url=database_url, redis_url=redis_url) as running:
        yield running
