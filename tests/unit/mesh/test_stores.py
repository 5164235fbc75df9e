"""The embedded servers, for real."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import redis.asyncio
from redis.exceptions import ResponseError

from services.mesh.child import Child
from services.mesh.errors import StartError
from services.mesh.postgres import DATABASE, SPARE_CONNECTIONS, VERSION, Postgres, socket_folder
from services.mesh.redis import Redis


@pytest.fixture
async def keep(tmp_path: Path) -> AsyncIterator[Callable[[Any], Any]]:
    """Starts a store and stops it at the end."""
    children: list[Child] = []

    async def start(store: Postgres | Redis) -> Child:
        child = Child(
            "store", store.program, store.answers, lambda *_: None, start_seconds=30, stop_seconds=20
        )
        children.append(child)
        await child.start()
        return child

    yield start
    for child in children:
        assert await child.stop()


class TestPostgres:
    async def test_it_is_durable_checked_and_off_the_network(self, tmp_path: Path, keep: Any) -> None:
        postgres = Postgres(tmp_path, tmp_path / "logs", 20)
        assert await postgres.create()
        await keep(postgres)
        connection = await asyncpg.connect(postgres.url)
        shown = {
            name: await connection.fetchval(f"SHOW {name}")
            for name in (
                "fsync",
                "synchronous_commit",
                "full_page_writes",
                "data_checksums",
                "listen_addresses",
                "timezone",
                "max_connections",
            )
        }
        assert shown == {
            "fsync": "on",
            "synchronous_commit": "on",
            "full_page_writes": "on",
            "data_checksums": "on",
            "listen_addresses": "",
            "timezone": "UTC",
            "max_connections": str(20 + SPARE_CONNECTIONS),
        }
        assert await connection.fetchval("SELECT current_database()") == DATABASE
        assert (await connection.fetchval("SHOW server_version")).startswith(str(VERSION))
        await connection.close()
        assert stat.S_IMODE(socket_folder(tmp_path).stat().st_mode) == 0o700

    async def test_what_was_committed_survives_kill_9(self, tmp_path: Path, keep: Any) -> None:
        postgres = Postgres(tmp_path, tmp_path / "logs", 20)
        await postgres.create()
        child = await keep(postgres)
        connection = await asyncpg.connect(postgres.url)
        await connection.execute("CREATE TABLE kept (id int); INSERT INTO kept VALUES (7)")
        os.kill(child.pid, signal.SIGKILL)
        async with asyncio.timeout(30):
            while child.restarts == 0 or child.state != "running":  # noqa: ASYNC110 - the child is polled
                await asyncio.sleep(0.05)
        again = await asyncpg.connect(postgres.url)
        assert await again.fetchval("SELECT id FROM kept") == 7
        await again.close()
        connection.terminate()

    async def test_a_second_start_finds_the_same_database(self, tmp_path: Path, keep: Any) -> None:
        postgres = Postgres(tmp_path, tmp_path / "logs", 20)
        assert await postgres.create()
        assert not await postgres.create()

    async def test_an_interrupted_creation_is_begun_anew(self, tmp_path: Path) -> None:
        (tmp_path / "postgres" / "base").mkdir(parents=True)
        assert await Postgres(tmp_path, tmp_path / "logs", 20).create()

    async def test_another_versions_database_is_left_alone(self, tmp_path: Path) -> None:
        (tmp_path / "postgres").mkdir()
        (tmp_path / "postgres" / "PG_VERSION").write_text("15\n")
        with pytest.raises(StartError, match="made by PostgreSQL 15; this is 18"):
            await Postgres(tmp_path, tmp_path / "logs", 20).create()

    def test_a_long_path_moves_the_socket(self, tmp_path: Path) -> None:
        assert socket_folder(Path("/srv/mesh")) == Path("/srv/mesh/run")
        long = tmp_path / ("x" * 120)
        assert len(str(socket_folder(long) / ".s.PGSQL.5432")) <= 107
        assert socket_folder(long) == socket_folder(long)
        assert socket_folder(long) != socket_folder(tmp_path / ("y" * 120))


class TestRedis:
    async def test_it_keeps_streams_over_a_restart(self, tmp_path: Path, keep: Any) -> None:
        store = Redis(tmp_path, tmp_path / "logs")
        child = await keep(store)
        async with redis.asyncio.Redis.from_url(store.url) as client:
            await client.xadd("events", {"kind": "kill"})
        await child.stop()
        await child.start()
        async with redis.asyncio.Redis.from_url(store.url) as client:
            assert await client.xlen("events") == 1

    async def test_when_full_it_refuses_and_drops_nothing(self, tmp_path: Path, keep: Any) -> None:
        store = Redis(tmp_path, tmp_path / "logs")
        await keep(store)
        async with redis.asyncio.Redis.from_url(store.url) as client:
            await client.config_set("maxmemory", "2mb")
            await client.set("first", "kept")
            with pytest.raises(ResponseError):
                for index in range(200):
                    await client.set(f"key-{index}", b"x" * 65536)
            assert await client.get("first") == b"kept"
