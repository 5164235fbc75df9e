"""Databases of tests here have the progression schema; the servers below are the run's."""

from collections.abc import AsyncIterator

import pytest

from services.progression.schema import SCHEMA, migrations
from tests.support.databases import migrated
from tests.support.postgres import Postgres
from tests.support.progression import Progression, progression


@pytest.fixture(scope="session")
def template(postgres: Postgres) -> str:
    return migrated(postgres, SCHEMA, migrations())


@pytest.fixture
async def server(database_url: str, redis_url: str) -> AsyncIterator[Progression]:
    """A running server on `database_url`."""
    async with progression(database_url=database_url, redis_url=redis_url) as running:
        yield running
