"""One PostgreSQL and one Redis a run; a fresh migrated database and a worker a test."""

import asyncio
import gc
import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any

import asyncpg
import pytest
import structlog

from services.chassis.db import Database
from services.combat.schema import SCHEMA, migrations
from tests.support import brokers as broker_servers
from tests.support import consume, recorded
from tests.support import postgres as postgres_server
from tests.support import redis as redis_server
from tests.support.brokers import Brokers
from tests.support.databases import migrated
from tests.support.postgres import Postgres
from tests.support.recorded import Recorder
from tests.support.worker import Worker, worker


@pytest.fixture(scope="session", autouse=True)
def _quiet_logs() -> None:
    """Warnings and worse, as plain lines that pytest shows with a failure."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,
            structlog.processors.KeyValueRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
    )


@pytest.fixture(autouse=True)
async def _no_loop_faults() -> AsyncIterator[None]:
    """Fails a test in which a task or callback died unheard."""
    faults: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: faults.append(context))
    yield
    gc.collect()
    assert not faults


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with postgres_server.running() as server:
        yield server


@pytest.fixture(scope="session")
def template(postgres: Postgres) -> str:
    """What databases of tests are copies of; tests of other services have one of their own."""
    return migrated(postgres, SCHEMA, migrations())


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    with redis_server.running() as url:
        yield url


@pytest.fixture(scope="session")
def brokers() -> Iterator[Brokers]:
    with broker_servers.running() as started:
        yield started


@pytest.fixture
async def database_url(postgres: Postgres, template: str) -> AsyncIterator[str]:
    """A database of this test's own, with the schema of the service in it."""
    name = await postgres.clone(template)
    yield postgres.url(name)
    await postgres.drop(name)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """Connections to it."""
    opened = await Database.connect(database_url, size=2, wait_s=5, command_s=10)
    yield opened
    await opened.close()


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """To the test's own database, with a table for the effects of events."""
    opened = await asyncpg.connect(database_url)
    await opened.execute(consume.TABLE)
    yield opened
    await opened.close()


@pytest.fixture
async def combat(database_url: str, redis_url: str) -> AsyncIterator[Worker]:
    async with worker(database_url=database_url, redis_url=redis_url) as running:
        yield running


@pytest.fixture
async def recorder(database_url: str) -> AsyncIterator[Recorder]:
    async with recorded.recorder(database_url) as writing:
        yield writing
