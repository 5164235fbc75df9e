"""A whole mesh, started as a person starts it, for every test here."""

from __future__ import annotations

import json
import os
import shutil
import struct
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from arenamesh.combat.v1 import service_pb2_grpc
from google.protobuf.message import Message
from grpc import aio

from tests.support.mesh import START_S, Supervisor, supervised, token

FRAGILE = ("--services", "combat,progression", "--no-bots", "--no-web")


@pytest.hookimpl(tryfirst=True)  # xdist reads the marks in the same hook
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With several pytest processes, all of these run in one: they share a mesh."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.xdist_group("mesh"))


@pytest.fixture(scope="session")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Supervisor]:
    """The mesh that most tests share: two workers, no bots. Nobody may break it."""
    with supervised(tmp_path_factory.mktemp("mesh"), "--no-bots") as supervisor:
        supervisor.until("ready", seconds=START_S)
        yield supervisor


@pytest.fixture(scope="session")
def fragile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Supervisor]:
    """A mesh that tests may hurt, if they leave all of it running. The last of them stops it. Of the services
    it has two: each costs seconds of a processor to start."""
    with supervised(tmp_path_factory.mktemp("fragile"), *FRAGILE) as supervisor:
        supervisor.until("ready", seconds=START_S)
        yield supervisor


@pytest.fixture(scope="session")
def tools(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment in which published examples run as they are. `xxd` is not on every machine: where it is
    missing, the one in this PATH knows `-p` only, which is what they ask of it."""
    if shutil.which("xxd"):
        return dict(os.environ)
    folder = tmp_path_factory.mktemp("tools")
    stand_in = folder / "xxd"
    stand_in.write_text(f"#!{sys.executable}\nimport sys\nprint(sys.stdin.buffer.read().hex())\n")
    stand_in.chmod(0o755)
    return os.environ | {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}


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

    async def lines(self, path: str, *, by: dict[str, str] = SERVER) -> AsyncGenerator[Any, None]:
        """What a stream says, message by message; closing it ends the stream."""
        async with self.http.get(self.base + path, headers=by) as response:
            assert (response.status, response.content_type) == (200, "application/json")
            async for line in response.content:
                yield json.loads(line)

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


async def grpc_web(
    http: aiohttp.ClientSession, url: str, message: Message, **headers: str
) -> tuple[bytes, bytes]:
    """A unary call as a browser makes it: the answer's bytes, and the trailers."""
    data = message.SerializeToString()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    named |= {"content-type": "application/grpc-web+proto", "x-grpc-web": "1"}
    async with http.post(url, data=struct.pack(">BI", 0, len(data)) + data, headers=named) as response:
        assert response.content_type == "application/grpc-web+proto"
        body = await response.read()
    flag, length = struct.unpack(">BI", body[:5])
    assert flag == 0
    trailers = body[5 + length :]
    assert trailers[0] == 0x80
    return body[5 : 5 + length], trailers[5:]


@pytest.fixture
async def stub(mesh: Supervisor) -> AsyncIterator[Any]:
    async with aio.insecure_channel(mesh.target) as channel:
        yield service_pb2_grpc.CombatServiceStub(channel)


def reason_of(answer: dict[str, Any]) -> str:
    """The `google.rpc.ErrorInfo` reason of a REST error."""
    infos = [detail for detail in answer["details"] if detail["@type"].endswith("google.rpc.ErrorInfo")]
    assert len(infos) == 1, answer
    return str(infos[0]["reason"])
