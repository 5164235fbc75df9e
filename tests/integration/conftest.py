"""One PostgreSQL and one Redis a run; a fresh migrated database and a worker a test."""

import asyncio
import gc
import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any

import asyncpg
import pytest
import structlog

from services.chassis import migrate
from services.combat.store import SCHEMA, migrations
from tests.support import postgres as postgres_server
from tests.support import recorded
from tests.support import redis as redis_server
from tests.support.postgres import Postgres
from tests.support.recorded import Recorder
from tests.support.worker import Worker, worker

TEMPLATE = "template_combat"


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
        asyncio.run(_make_template(server))
        yield server


async def _make_template(server: Postgres) -> None:
    await server.command(f"CREATE DATABASE {TEMPLATE}")
    connection = await asyncpg.connect(server.url(TEMPLATE))
    try:
        await migrate.migrate(connection, SCHEMA, migrations())
    finally:
        await connection.close()


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    with redis_server.running() as url:
        yield url


@pytest.fixture
async def database_url(postgres: Postgres) -> AsyncIterator[str]:
    """A database of this test's own, with the combat schema in it."""
    name = await postgres.clone(TEMPLATE)
    yield postgres.url(name)
    await postgres.drop(name)


@pytest.fixture
async def combat(database_url: str, redis_url: str) -> AsyncIterator[Worker]:
    async with worker(database_url=database_url, redis_url=redis_url) as running:
        yield running


@pytest.fixture
async def recorder(database_url: str) -> AsyncIterator[Recorder]:
    async with recorded.recorder(database_url) as writing:
        yield writing
