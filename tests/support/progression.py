"""A whole progression server inside the test's own process: real gRPC, real PostgreSQL and Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, cast

import grpc
from arenamesh.progression.v1 import history_pb2, service_pb2, service_pb2_grpc

from services.progression.definitions import installed
from services.progression.main import built
from services.progression.settings import ProgressionSettings
from tests.support.refusals import ended, failure, info
from tests.support.served import QUICK, Served, serve
from tests.support.tokens import Metadata, game_server


@dataclass
class Progression(Served):
    """A serving process and a client of it."""

    def __post_init__(self) -> None:
        self.stub: service_pb2_grpc.ProgressionServiceAsyncStub = service_pb2_grpc.ProgressionServiceStub(
            self.channel
        )

    async def award(
        self, character_id: str, experience: int = 0, *, metadata: Metadata = (), **fields: Any
    ) -> service_pb2.AwardResult:
        """One award by a game server. `fields`: of ExperienceAward; `source` is `test` unless given."""
        asked: dict[str, Any] = {"character_id": character_id, "experience": experience, "source": "test"}
        request = service_pb2.AwardExperienceRequest(awards=[service_pb2.ExperienceAward(**(asked | fields))])
        answer = await self.stub.AwardExperience(request, metadata=metadata or game_server())
        return answer.results[0]

    async def paragon(self, character_id: str) -> service_pb2.GetParagonLevelsResponse:
        request = service_pb2.GetParagonLevelsRequest(character_id=character_id)
        return await self.stub.GetParagonLevels(request, metadata=game_server())

    async def history(self, character_id: str) -> list[history_pb2.HistoryEvent]:
        """All of it, the oldest first."""
        request = service_pb2.GetHistoryRequest(character_id=character_id, page_size=1000)
        return list((await self.stub.GetHistory(request, metadata=game_server())).events)[::-1]


def settings(**changes: Any) -> ProgressionSettings:
    """As `QUICK`."""
    return ProgressionSettings(**(QUICK | {"statistics_seconds": 0} | changes))


DEFINITION = installed(settings()).active
"""What new characters follow."""
TO_CAP = DEFINITION.base.full
"""Experience that makes a new character reach the cap; all behind it is paragon experience."""


async def refused(call: Awaitable[Any], code: grpc.StatusCode) -> Any:
    """The ErrorInfo of a call that must fail with `code`."""
    return info(await failure(call, code, "progression.arenamesh"))


Call = grpc.aio.UnaryStreamCall[service_pb2.WatchProgressRequest, service_pb2.WatchProgressResponse]


async def read(call: Call) -> service_pb2.WatchProgressResponse:
    """The next answer. Raises AioRpcError when there is none."""
    async with asyncio.timeout(10):
        answer = await call.read()
    if answer is grpc.aio.EOF:
        raise await ended(call)
    return cast(service_pb2.WatchProgressResponse, answer)


async def versions(call: Call, count: int) -> list[int]:
    return [(await read(call)).event.version for _ in range(count)]


def progression(**changes: Any) -> AbstractAsyncContextManager[Progression]:
    """A server with these settings, stopped gracefully at the end."""
    return serve(built(settings(**changes)), Progression)
