"""A whole mesh as a process, started as a person starts it."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from services.chassis import auth
from services.mesh.ports import LOOPBACK, Ports
from services.mesh.settings import ROOT

SECRET = "the end-to-end tests' own secret, 32 bytes and more"
START_S = 180.0
DEADLINE_S = 60.0

PORTS = Ports()


@dataclass
class Supervisor:
    """`scripts/up --json` as a process, and what it said."""

    process: subprocess.Popen[str]
    data: Path
    port: int
    events: list[dict[str, Any]] = field(default_factory=list)
    _lines: queue.Queue[str] = field(default_factory=queue.Queue)

    def __post_init__(self) -> None:
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)

    def until(
        self,
        event: str,
        *,
        seconds: float = DEADLINE_S,
        where: Callable[[dict[str, Any]], bool] | None = None,
    ) -> dict[str, Any]:
        """The next event of this kind for which `where` holds."""
        end = time.monotonic() + seconds
        while True:
            try:
                line = self._lines.get(timeout=max(0.0, end - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"no event {event!r} within {seconds} s: {self.events}") from None
            found: dict[str, Any] = json.loads(line)
            self.events.append(found)
            if found["event"] == event and (where is None or where(found)):
                return found
            assert found["event"] != "error", found

    @property
    def state(self) -> dict[str, Any]:
        """What it last wrote about itself."""
        found: dict[str, Any] = json.loads((self.data / "mesh.json").read_text())
        return found

    def part(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = next(part for part in self.state["parts"] if part["part"] == name)
        return found

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(DEADLINE_S)

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def target(self) -> str:
        return f"{LOOPBACK}:{self.port}"


def environment(**more: str) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if key not in ("DATABASE_URL", "REDIS_URL")}
    path = os.pathsep.join([str(ROOT), str(ROOT / "clients" / "python")])
    return kept | {"JWT_SECRET": SECRET, "ENVIRONMENT": "development", "PYTHONPATH": path} | more


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "services.mesh.main", *map(str, arguments)]


@contextmanager
def supervised(data: Path, *options: str, port: int | None = None, **env: str) -> Iterator[Supervisor]:
    """Starts a mesh and stops it; what the test left running is killed."""
    port = port or PORTS.free()
    arguments = ["up", "--json", "--data", str(data), "--port", str(port), "--workers", "2", *options]
    process = subprocess.Popen(
        command(*arguments), stdout=subprocess.PIPE, env=environment(**env), text=True, cwd=ROOT
    )
    supervisor = Supervisor(process, data, port)
    try:
        yield supervisor
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(DEADLINE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        assert process.stdout is not None
        process.stdout.close()


def token(subject: str, role: str, *, lifetime_s: int = 600, secret: str = SECRET) -> str:
    return auth.mint(secret, subject=subject, role=auth.Role(role), lifetime_s=lifetime_s)
