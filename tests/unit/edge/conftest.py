"""A real Envoy before small gRPC servers that say which of them answered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from arenamesh.combat.v1 import service_pb2_grpc
from grpc import aio

from services.chassis import auth
from services.edge import endpoints, envoy_binary, render
from services.edge.endpoints import Endpoint
from services.edge.settings import DEVELOPMENT_ORIGINS, EdgeSettings
from services.mesh import probes
from services.mesh.ports import LOOPBACK, Ports
from services.mesh.process import Process, Program
from tests.unit.edge.worker import Worker

SECRET = "a secret of at least thirty-two bytes"
DESCRIPTORS = Path(__file__).parents[3] / "build" / "arenamesh.binpb"
_DEADLINE_S = 20.0


@dataclass
class RunningEdge:
    """An Envoy with `workers` behind it."""

    address: str
    admin: str
    folder: Path
    workers: list[Worker]
    http: aiohttp.ClientSession
    channel: aio.Channel

    @property
    def stub(self) -> Any:
        return service_pb2_grpc.CombatServiceStub(self.channel)

    def publish(self) -> None:
        found = [Endpoint(worker.name, LOOPBACK, worker.port) for worker in self.workers]
        endpoints.publish(self.folder, "combat", found)

    async def until_healthy(self, count: int, cluster: str = "combat") -> None:
        async def healthy() -> bool:
            stat = f"cluster.{cluster}.membership_healthy"
            text = await probes.get(self.http, f"{self.admin}/stats?filter=^{stat}$")
            return text is not None and text.strip() == f"{stat}: {count}"

        async with asyncio.timeout(_DEADLINE_S):
            await probes.until(healthy)

    async def rest(self, method: str, path: str, **options: Any) -> tuple[int, Any]:
        headers = {**bearer(), **options.pop("headers", {})}
        url = f"http://{self.address}/api/v1/combat{path}"
        async with self.http.request(method, url, headers=headers, **options) as response:
            return response.status, await response.json()


def bearer(subject: str = "server-1", role: auth.Role = auth.Role.GAME_SERVER) -> dict[str, str]:
    return {"authorization": f"Bearer {auth.mint(SECRET, subject=subject, role=role)}"}


def metadata(session: str, **caller: Any) -> tuple[tuple[str, str], ...]:
    return (*bearer(**caller).items(), ("x-session-id", session))


Start = Callable[..., Any]


@pytest.fixture
async def start_edge(tmp_path: Path) -> AsyncIterator[Start]:
    """Starts an edge with so many workers, and settings other than the default."""
    async with AsyncExitStack() as stack:

        async def start(workers: int = 3, **changed: Any) -> RunningEdge:
            running = []
            for index in range(workers):
                # The other methods answer UNIMPLEMENTED, as the generated class does.
                worker = Worker(f"w{index}")  # type: ignore[abstract]
                await worker.start()
                stack.push_async_callback(worker.stop)
                running.append(worker)
            ports = Ports()
            settings = replace(
                EdgeSettings(
                    port=ports.free(),
                    admin_port=ports.free(),
                    access_log=str(tmp_path / "access.log"),
                    cors_origins=DEVELOPMENT_ORIGINS,
                ),
                **changed,
            )
            address = f"{LOOPBACK}:{settings.port}"
            edge = RunningEdge(
                address,
                f"http://{LOOPBACK}:{settings.admin_port}",
                tmp_path,
                running,
                await stack.enter_async_context(aiohttp.ClientSession()),
                await stack.enter_async_context(aio.insecure_channel(address)),
            )
            edge.publish()
            for cluster in set(endpoints.CLUSTERS) - {"combat"}:
                endpoints.publish(tmp_path, cluster, [])
            keys = tmp_path / "jwks.json"
            keys.write_text(render.jwks(SECRET))
            config = tmp_path / "envoy.yaml"
            rendering = render.for_machine(settings, descriptors=DESCRIPTORS, jwks=keys, endpoints=tmp_path)
            config.write_text(render.to_yaml(rendering))
            options = ("--disable-hot-restart", "--concurrency", "2", "--log-level", "warning")
            envoy = await Process.start(
                Program(command=(envoy_binary.path(), *options, "-c", config), log=tmp_path / "envoy.log")
            )
            stack.push_async_callback(envoy.stop, 10.0)
            await edge.until_healthy(workers)
            return edge

        yield start
