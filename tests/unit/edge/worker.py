"""A combat service that says which worker it is, and can be told to refuse.

As a process of its own (`python -m tests.unit.edge.worker NAME`) it prints its port and serves until killed,
so that a test can stop it with a signal.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import grpc
from arenamesh.combat.v1 import play_pb2, service_pb2, service_pb2_grpc
from grpc import aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from services.chassis.server import options
from services.mesh.ports import LOOPBACK

SERVICE = "arenamesh.combat.v1.CombatService"


class Worker(service_pb2_grpc.CombatServiceServicer):
    """Answers with its own name as the session's name."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.port = 0
        self.calls: list[str] = []
        # While set, every call is refused with it, and with this trailing metadata.
        self.refusal: grpc.StatusCode | None = None
        self.refusal_metadata: tuple[tuple[str, str], ...] = ()
        self.health = health.aio.HealthServicer()
        self._server: aio.Server | None = None

    async def start(self, port: int = 0) -> None:
        self._server = aio.server(options=options(1 << 20))
        service_pb2_grpc.add_CombatServiceServicer_to_server(self, self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self.health, self._server)
        await self.health.set(SERVICE, health_pb2.HealthCheckResponse.SERVING)
        self.port = self._server.add_insecure_port(f"{LOOPBACK}:{port}")
        await self._server.start()

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.stop(None)
            self._server = None

    async def CreateSession(self, request: Any, context: Any) -> Any:
        await self._called("CreateSession", context)
        created = request.session
        created.session_id = dict(context.invocation_metadata())["x-request-id"]
        created.map_id = self.name
        return service_pb2.CreateSessionResponse(session=created)

    async def GetSession(self, request: Any, context: Any) -> Any:
        await self._called("GetSession", context)
        answer = service_pb2.GetSessionResponse()
        answer.session.session_id = request.session_id
        answer.session.map_id = self.name
        return answer

    async def ListSessions(self, request: Any, context: Any) -> Any:
        await self._called("ListSessions", context)
        answer = service_pb2.ListSessionsResponse()
        answer.sessions.add(map_id=self.name)
        return answer

    async def LeaveSession(self, request: Any, context: Any) -> Any:
        await self._called("LeaveSession", context)
        return service_pb2.LeaveSessionResponse()

    async def GetState(self, request: Any, context: Any) -> Any:
        """Never answers; waits to be cut off."""
        await asyncio.Event().wait()

    async def VerifyReplay(self, request: Any, context: Any) -> Any:
        await self._called("VerifyReplay", context)
        return service_pb2.VerifyReplayResponse(verified=True, records=int(self.name.removeprefix("w")))

    async def GetReplay(self, request: Any, context: Any) -> Any:
        await self._called("GetReplay", context)
        yield service_pb2.GetReplayResponse()

    async def Play(self, requests: Any, context: Any) -> Any:
        await self._called("Play", context)
        async for _ in requests:
            yield play_pb2.PlayResponse(tick=int(self.name.removeprefix("w")))

    async def _called(self, method: str, context: Any) -> None:
        self.calls.append(method)
        if self.refusal is not None:
            await context.abort(self.refusal, "refused by the test", self.refusal_metadata)


async def main(name: str) -> None:
    worker = Worker(name)  # type: ignore[abstract]
    await worker.start()
    print(worker.port, flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
