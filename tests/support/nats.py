"""A real NATS server for the tests, with its stream on disk in a fresh directory."""

from __future__ import annotations

import socket
import subprocess
import sysconfig
import time
from contextlib import AbstractContextManager, closing
from pathlib import Path

from tests.support.killable import Killable, started

_START_S = 15.0
_EXECUTABLE = Path(sysconfig.get_path("scripts")) / "nats-server"


class NatsServer(Killable):
    """See `brokers.Broker`."""

    def __init__(self, folder: Path) -> None:
        with closing(socket.create_server(("127.0.0.1", 0))) as free:
            self._port = free.getsockname()[1]
        self._log = folder / "log"
        config = folder / "nats.conf"
        # Every write on disk before its answer, as it has to be wherever there is one server only.
        config.write_text(f'jetstream {{ store_dir: "{folder}", sync_interval: always }}\n')
        self._command = [
            str(_EXECUTABLE),
            *("--config", str(config), "--addr", "127.0.0.1", "--port", str(self._port)),
            *("--log", str(self._log)),
        ]

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Returns when it answers."""
        self._log.unlink(missing_ok=True)
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + _START_S
        while not (self._log.exists() and "Server is ready" in self._log.read_text()):
            assert self._process.poll() is None and time.monotonic() < end, self._log.read_text()
            time.sleep(0.01)


def server() -> AbstractContextManager[NatsServer]:
    """Starts a server; ends it and removes its directory at the end."""
    return started(NatsServer, "arenamesh-nats-")
