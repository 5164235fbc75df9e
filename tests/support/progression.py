"""A whole progression server inside the test's own process: real gRPC, real PostgreSQL and Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
from arenamesh.progression.v1 import service_pb2_grpc

from services.chassis.server import Server
from services.progression.main import built
from services.progression.settings import ProgressionSettings


@dataclass
class Progression:
    """A serving process and a client of it."""

    server: Server
    channel: grpc.aio.Channel
    stub: service_pb2_grpc.ProgressionServiceAsyncStub

    @property
    def admin(self) -> str:
        return f"http://127.0.0.1:{self.server.admin_port}"


def settings(**changes: Any) -> ProgressionSettings:
    """Free ports, short times."""
    base: dict[str, Any] = {
        "port": 0,
        "admin_port": 0,
        "drain_s": 0.5,
        "database_pool": 4,
        "outbox_poll_s": 0.02,
        "bus_kind": "inmem",
    }
    return ProgressionSettings(**(base | changes))


@asynccontextmanager
async def progression(**changes: Any) -> AsyncIterator[Progression]:
    """A server with these settings, stopped gracefully at the end."""
    async with built(settings(**changes)) as server:
        await server.start()
        try:
            async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
                yield Progression(server, channel, service_pb2_grpc.ProgressionServiceStub(channel))
        finally:
            await server.stop()
