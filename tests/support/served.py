"""A whole server inside the test's own process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import grpc

from services.chassis.server import Server

QUICK: dict[str, Any] = {
    "port": 0,
    "admin_port": 0,
    "drain_s": 0.5,
    "database_pool": 4,
    "outbox_poll_s": 0.02,
    "bus_kind": "inmem",
}
"""Settings of a server in a test: free ports, short times, a bus of this process."""


@dataclass
class Served:
    """A serving process and a channel to it."""

    server: Server
    channel: grpc.aio.Channel

    @property
    def admin(self) -> str:
        return f"http://127.0.0.1:{self.server.admin_port}"


S = TypeVar("S", bound=Served)


@asynccontextmanager
async def serve(
    built: AbstractAsyncContextManager[Server], client: Callable[[Server, grpc.aio.Channel], S]
) -> AsyncIterator[S]:
    """What was built, started, with its client; stopped gracefully at the end."""
    async with built as server:
        await server.start()
        try:
            async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
                yield client(server, channel)
        finally:
            await server.stop()
