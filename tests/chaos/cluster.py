"""A whole mesh to be hurt: its processes, its stores, and whether it runs again."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import asyncpg
import redis.asyncio
from redis.exceptions import RedisError

from tests.support.mesh import START_S, Supervisor, supervised

HEAL_S = 60.0
_POLL_S = 0.02
_UNREACHABLE = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, RedisError)


class Cluster:
    """A running mesh without page and bots. Its parts are named as `scripts/up --status` names them."""

    def __init__(self, supervisor: Supervisor) -> None:
        self.supervisor = supervisor
        state = supervisor.state
        self.target = supervisor.target
        self._database: str = state["database"]
        self._redis: str = state["redis"]
        self._started = self._pids()

    @property
    def workers(self) -> list[str]:
        return [name for name in self._started if name[0] == "w" and name[1:].isdigit()]

    @property
    def has_projector(self) -> bool:
        return "projector" in self._started

    # -- hurting it -----------------------------------------------------------------------------

    def signal(self, part: str, number: signal.Signals) -> int | None:
        """Sends it to the part and to what the part has started: PostgreSQL is many processes. Returns the
        part's process id; None: it is down as it is."""
        pid = self._pids()[part]
        if pid is None:
            return None
        for each in (pid, *_children(pid)):
            with suppress(ProcessLookupError):
                os.kill(each, number)
        return pid

    def go_on(self, pid: int) -> None:
        """Ends a SIGSTOP of `pid` and its children, if they still are."""
        for each in (pid, *_children(pid)):
            with suppress(ProcessLookupError):
                os.kill(each, signal.SIGCONT)

    async def flush_redis(self) -> None:
        with suppress(*_UNREACHABLE):
            async with redis.asyncio.Redis.from_url(self._redis, socket_timeout=2) as client:
                await client.flushall()

    # -- looking at it ----------------------------------------------------------------------------

    async def until_healed(self, replaced: Iterable[tuple[str, int]]) -> bool:
        """Waits until every part runs, and those of `replaced` as another process than before."""
        before = dict(replaced)

        def healed() -> bool:
            state = self.supervisor.state
            running = all(part["state"] == "running" for part in state["parts"])
            return running and all(before.get(part["part"]) != part["pid"] for part in state["parts"])

        try:
            async with asyncio.timeout(HEAL_S):
                while not healed():  # noqa: ASYNC110 - another process
                    await asyncio.sleep(_POLL_S)
        except TimeoutError:
            return False
        return True

    async def owned_by(self, workers: Iterable[str]) -> set[str]:
        """Live sessions of these workers; empty when the database does not answer."""
        wanted = set(workers)
        try:
            async with asyncio.timeout(2), self.database() as connection:
                rows = await connection.fetch(
                    "SELECT id, owner FROM gameplay.combat_sessions WHERE status IN ('WAITING', 'ACTIVE')"
                )
        except _UNREACHABLE:
            return set()
        return {row["id"] for row in rows if row["owner"].partition(".")[0] in wanted}

    @asynccontextmanager
    async def database(self) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
        connection = await asyncpg.connect(self._database)
        try:
            yield connection
        finally:
            await connection.close()

    def restarts(self) -> dict[str, int]:
        return {part["part"]: part["restarts"] for part in self.supervisor.state["parts"]}

    def _pids(self) -> dict[str, int | None]:
        return {part["part"]: part["pid"] for part in self.supervisor.state["parts"]}


@asynccontextmanager
async def running(data: Path, workers: int) -> AsyncIterator[Cluster]:
    """A mesh of combat alone under `data`, stopped at the end."""
    options = ("--services", "combat", "--no-bots", "--no-web", "--workers", str(workers))
    with supervised(data, *options, LOG_LEVEL="INFO") as supervisor:
        await asyncio.to_thread(supervisor.until, "ready", seconds=START_S)
        yield Cluster(supervisor)


def _children(pid: int) -> list[int]:
    """Linux only; elsewhere none are found, and only the part itself gets the signal."""
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return []
    return [int(child) for child in text.split()]
