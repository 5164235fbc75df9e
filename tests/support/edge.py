"""A real Envoy, as the mesh configures it, before whatever a test puts behind it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp
from grpc import aio

from services.chassis import auth
from services.edge import endpoints, envoy_binary, render
from services.edge.endpoints import Endpoint
from services.edge.settings import DEVELOPMENT_ORIGINS, EdgeSettings
from services.mesh import probes
from services.mesh.ports import LOOPBACK, Ports
from services.mesh.process import Process, Program

SECRET = "a secret of at least thirty-two bytes"
DESCRIPTORS = Path(__file__).parents[2] / "build" / "arenamesh.binpb"
_DEADLINE_S = 20.0


@dataclass
class Edge:
    """A running Envoy. `channel`: to it, for gRPC."""

    address: str
    admin: str
    folder: Path
    http: aiohttp.ClientSession
    channel: aio.Channel

    def route_to(self, cluster: str, ports: Mapping[str, int]) -> None:
        """`ports`: of the cluster's processes, by name."""
        found = [Endpoint(name, LOOPBACK, port) for name, port in ports.items()]
        endpoints.publish(self.folder, cluster, found)

    async def until_healthy(self, count: int, cluster: str) -> None:
        async def healthy() -> bool:
            stat = f"cluster.{cluster}.membership_healthy"
            text = await probes.get(self.http, f"{self.admin}/stats?filter=^{stat}$")
            return text is not None and text.strip() == f"{stat}: {count}"

        async with asyncio.timeout(_DEADLINE_S):
            await probes.until(healthy)

    async def call(
        self, verb: str, path: str, *, by: dict[str, str] | None = None, **options: Any
    ) -> tuple[int, Any]:
        """Status and JSON of a REST call."""
        headers = {**(bearer() if by is None else by), **options.pop("headers", {})}
        url = f"http://{self.address}{path}"
        async with self.http.request(verb, url, headers=headers, **options) as response:
            return response.status, await response.json()


def bearer(subject: str = "server-1", role: auth.Role = auth.Role.GAME_SERVER) -> dict[str, str]:
    return {"authorization": f"Bearer {auth.mint(SECRET, subject=subject, role=role)}"}


@asynccontextmanager
async def running(folder: Path, **changed: Any) -> AsyncIterator[Edge]:
    """An edge with nobody behind it, and settings other than the default."""
    async with AsyncExitStack() as stack:
        ports = Ports()
        settings = replace(
            EdgeSettings(
                port=ports.free(),
                admin_port=ports.free(),
                access_log=str(folder / "access.log"),
                cors_origins=DEVELOPMENT_ORIGINS,
            ),
            **changed,
        )
        for cluster in endpoints.CLUSTERS:
            endpoints.publish(folder, cluster, [])
        keys = folder / "jwks.json"
        keys.write_text(render.jwks(SECRET))
        config = folder / "envoy.yaml"
        rendering = render.for_machine(settings, descriptors=DESCRIPTORS, jwks=keys, endpoints=folder)
        config.write_text(render.to_yaml(rendering))
        options = ("--disable-hot-restart", "--concurrency", "2", "--log-level", "warning")
        envoy = await Process.start(
            Program(command=(envoy_binary.path(), *options, "-c", config), log=folder / "envoy.log")
        )
        stack.push_async_callback(envoy.stop, 10.0)
        address = f"{LOOPBACK}:{settings.port}"
        edge = Edge(
            address,
            f"http://{LOOPBACK}:{settings.admin_port}",
            folder,
            await stack.enter_async_context(aiohttp.ClientSession()),
            await stack.enter_async_context(aio.insecure_channel(address)),
        )
        await edge.until_healthy(0, "combat")
        yield edge
