"""A whole mesh, started as a person starts it, for every test here."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from arenamesh.combat.v1 import service_pb2_grpc
from grpc import aio

from services.chassis import auth
from services.mesh.ports import LOOPBACK, Ports
from services.mesh.settings import ROOT

SECRET = "the end-to-end tests' own secret, 32 bytes and more"
START_S = 180.0
DEADLINE_S = 30.0

PORTS = Ports()


@pytest.hookimpl(tryfirst=True)  # xdist reads the marks in the same hook
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With several pytest processes, all of these run in one: they share a mesh."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.xdist_group("mesh"))


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

    def part(self, name: str) -> dict[str, Any]:
        state = json.loads((self.data / "mesh.json").read_text())
        found: dict[str, Any] = next(part for part in state["parts"] if part["part"] == name)
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


@pytest.fixture(scope="session")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Supervisor]:
    """The mesh that most tests share: two workers, no bots. Nobody may break it."""
    with supervised(tmp_path_factory.mktemp("mesh"), "--no-bots") as supervisor:
        supervisor.until("ready", seconds=START_S)
        yield supervisor


def token(subject: str, role: str, *, lifetime_s: int = 600, secret: str = SECRET) -> str:
    return auth.mint(secret, subject=subject, role=auth.Role(role), lifetime_s=lifetime_s)


def bearer(subject: str, role: str = "player") -> dict[str, str]:
    return {"authorization": f"Bearer {token(subject, role)}"}


SERVER = bearer("server-1", "game_server")


@dataclass
class Rest:
    """The REST face of one mesh."""

    http: aiohttp.ClientSession
    base: str

    async def __call__(
        self, method: str, path: str, body: Any = None, *, by: dict[str, str] = SERVER, **headers: str
    ) -> tuple[int, Any]:
        """Status and JSON. Header names are given with underscores."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.http.request(
            method, self.base + path, json=body, headers={**by, **named}
        ) as response:
            assert response.content_type == "application/json", await response.text()
            return response.status, await response.json()

    async def ok(self, method: str, path: str, body: Any = None, **options: Any) -> Any:
        status, answer = await self(method, path, body, **options)
        assert status == 200, answer
        return answer

    async def create(self, **fields: Any) -> str:
        """A session's id."""
        session = {"name": "test", "type": "SESSION_TYPE_TRAINING"} | fields
        created = await self.ok("POST", "/sessions", {"session": session})
        return str(created["session"]["session_id"])


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
def rest(mesh: Supervisor, http: aiohttp.ClientSession) -> Rest:
    return Rest(http, f"{mesh.url}/api/v1/combat")


@pytest.fixture
async def stub(mesh: Supervisor) -> AsyncIterator[Any]:
    async with aio.insecure_channel(mesh.target) as channel:
        yield service_pb2_grpc.CombatServiceStub(channel)


def reason_of(answer: dict[str, Any]) -> str:
    """The `google.rpc.ErrorInfo` reason of a REST error."""
    infos = [detail for detail in answer["details"] if detail["@type"].endswith("google.rpc.ErrorInfo")]
    assert len(infos) == 1, answer
    return str(infos[0]["reason"])
