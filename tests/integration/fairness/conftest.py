"""Databases of tests here have the fairness schema; the servers below are the run's."""

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from services.chassis.bus.port import Bus
from services.fairness.schema import SCHEMA, migrations
from tests.support.buses import make
from tests.support.databases import migrated
from tests.support.fairness import Fairness, fairness
from tests.support.postgres import Postgres


@pytest.fixture(scope="session")
def template(postgres: Postgres) -> str:
    return migrated(postgres, SCHEMA, migrations())


@pytest.fixture
async def redis_url(redis_url: str) -> str:
    """The run's Redis, empty: topics have the names that they have."""
    async with Redis.from_url(redis_url) as client:
        await client.flushall()
    return redis_url


@pytest.fixture
async def bus(redis_url: str) -> AsyncIterator[Bus]:
    opened = make("redis", redis_url)
    yield opened
    await opened.close()


@pytest.fixture
async def server(database_url: str, redis_url: str) -> AsyncIterator[Fairness]:
    """A running server on `database_url` that hears the bus."""
    async with fairness(database_url=database_url, redis_url=redis_url, bus_kind="redis") as running:
        yield running
