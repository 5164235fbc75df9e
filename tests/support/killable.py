"""A server that is killed, paused and brought back at the same address."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar


class Killable(ABC):
    """See `brokers.Broker`. `start` sets the process."""

    _process: subprocess.Popen[bytes]

    @abstractmethod
    def start(self) -> None:
        """Returns when it answers."""

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def pause(self) -> None:
        """Connections stay, nobody answers. Returns when it has stopped: on a busy machine its threads go on
        for a while."""
        self._process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WNOWAIT)

    def resume(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def mend(self) -> None:
        self.resume()
        if self._process.poll() is not None:
            self.start()


K = TypeVar("K", bound=Killable)


@contextmanager
def started(make: Callable[[Path], K], prefix: str, place: str | None = None) -> Iterator[K]:
    """Starts a server in a fresh directory, somewhere in `place`; ends it and removes the directory at the
    end."""
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=place))
    server = make(folder)
    server.start()
    try:
        yield server
    finally:
        server.kill()
        shutil.rmtree(folder, ignore_errors=True)
