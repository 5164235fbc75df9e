"""Databases of tests here have the leaderboard schema; the servers below are the run's."""

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from services.chassis import clock
from services.leaderboard.schema import SCHEMA, migrations
from tests.support.databases import migrated
from tests.support.leaderboard import Leaderboard, leaderboard
from tests.support.postgres import Postgres


@pytest.fixture
def noon(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock goes on from noon of today, in UTC: no day and no week ends under a test."""
    real = clock.now
    now = real()
    ahead = now.replace(hour=12, minute=0) - now
    monkeypatch.setattr(clock, "now", lambda: real() + ahead)


@pytest.fixture(scope="session")
def template(postgres: Postgres) -> str:
    return migrated(postgres, SCHEMA, migrations())


@pytest.fixture
async def redis_url(redis_url: str) -> str:
    """The run's Redis, empty: boards have the names that they have."""
    async with Redis.from_url(redis_url) as client:
        await client.flushall()
    return redis_url


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    """A connection to it."""
    async with Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
async def server(database_url: str, redis_url: str) -> AsyncIterator[Leaderboard]:
    """A running server on `database_url`."""
    async with leaderboard(database_url=database_url, redis_url=redis_url) as running:
        yield running
