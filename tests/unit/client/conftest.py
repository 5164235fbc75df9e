"""A combat service that follows the contract and can be told to misbehave: only the client is under test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import pytest
from arenamesh.client import Backoff, Mesh, PlayOptions, connect
from arenamesh.combat.v1 import play_pb2, service_pb2_grpc, verdict_pb2
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]
from grpc import aio
from grpc_status import rpc_status

Stream = aio.ServicerContext[play_pb2.PlayRequest, play_pb2.PlayResponse]
Script = Callable[["Combat", Stream], Awaitable[None]]


class Combat(service_pb2_grpc.CombatServiceServicer):
    """Runs `scripts` one after another, one for each Play stream; then the last one again."""

    def __init__(self) -> None:
        self.scripts: list[Script] = [serve]
        self.streams = 0
        self.hellos: list[play_pb2.Hello] = []
        self.tokens: list[str] = []
        self.judged: dict[tuple[int, int], play_pb2.Command] = {}
        self.frames: list[play_pb2.PlayRequest] = []
        self.answers: list[Any] = []
        self.requests: list[Any] = []
        self.metadata: list[dict[str, str | bytes]] = []

    def verdict(self, command: play_pb2.Command) -> verdict_pb2.Verdict:
        key = (command.slot, command.sequence)
        repeated = key in self.judged
        self.judged.setdefault(key, command)
        return verdict_pb2.Verdict(
            slot=command.slot,
            sequence=command.sequence,
            outcome=verdict_pb2.OUTCOME_ACCEPTED,
            repeated=repeated,
            journal_sequence=list(self.judged).index(key) + 1,
        )

    async def Play(self, request_iterator: object, context: Stream) -> None:  # type: ignore[override]
        script = self.scripts[min(self.streams, len(self.scripts) - 1)]
        self.streams += 1
        metadata = dict(context.invocation_metadata() or ())
        self.tokens.append(str(metadata["authorization"]))
        hello = await context.read()
        assert isinstance(hello, play_pb2.PlayRequest)
        assert metadata["x-session-id"] == hello.hello.session_id
        self.hellos.append(hello.hello)
        await script(self, context)

    async def JoinSession(self, request: Any, context: Any) -> Any:
        return await self._unary(request, context)

    async def CreateSession(self, request: Any, context: Any) -> Any:
        return await self._unary(request, context)

    async def ListSessions(self, request: Any, context: Any) -> Any:
        return await self._unary(request, context)

    async def EndSession(self, request: Any, context: Any) -> Any:
        return await self._unary(request, context)

    async def LeaveSession(self, request: Any, context: Any) -> Any:
        return await self._unary(request, context)

    async def ApplyDamage(self, request: Any, context: Any) -> Any:
        return await self._unary(request, context)

    async def _unary(self, request: Any, context: aio.ServicerContext[Any, Any]) -> Any:
        self.requests.append(type(request).FromString(request.SerializeToString()))
        self.metadata.append(dict(context.invocation_metadata() or ()))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, status_pb2.Status):
            status = rpc_status.to_status(answer)
            await context.abort(status.code, status.details, status.trailing_metadata)
        return answer


def refusal(code: grpc.StatusCode, message: str, *details: Any) -> status_pb2.Status:
    packed = []
    for detail in details:
        packed.append(any_pb2.Any())
        packed[-1].Pack(detail)
    return status_pb2.Status(code=code.value[0], message=message, details=packed)


def welcome(slot: int | None = 3, *, tick_rate_hz: int = 30, last_sequence: int = 0) -> play_pb2.PlayResponse:
    return play_pb2.PlayResponse(
        welcome=play_pb2.Welcome(
            session_id="s1", slot=slot, tick_rate_hz=tick_rate_hz, last_sequence=last_sequence
        ),
        server_time_us=7_000_000,
    )


async def frames(service: Combat, context: Stream) -> AsyncIterator[play_pb2.PlayRequest]:
    while isinstance(request := await context.read(), play_pb2.PlayRequest):
        service.frames.append(request)
        yield request


async def serve(service: Combat, context: Stream) -> None:
    """An honest worker."""
    await context.write(welcome())
    async for request in frames(service, context):
        await context.write(
            play_pb2.PlayResponse(
                acked_frame=request.frame,
                pong_us=request.ping_us,
                verdicts=[service.verdict(command) for command in request.commands],
            )
        )


@pytest.fixture
async def service() -> Combat:
    return Combat()  # type: ignore[abstract]


@pytest.fixture
async def target(service: Combat) -> AsyncIterator[str]:
    server = aio.server(options=[("grpc.so_reuseport", 0)])
    service_pb2_grpc.add_CombatServiceServicer_to_server(service, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield f"127.0.0.1:{port}"
    await server.stop(0)


FAST = Backoff(first_s=0.001, max_s=0.01, attempts=4)
OPTIONS = PlayOptions(ping_s=0.02, backoff=FAST)


@pytest.fixture
async def mesh(target: str) -> AsyncIterator[Mesh]:
    async with connect(target, token="t0", backoff=FAST) as mesh:
        yield mesh


async def soon(condition: Callable[[], bool]) -> None:
    """Waits until the condition holds; fails after 5 s."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - nobody sets an event for it
            await asyncio.sleep(0.001)


def details(reason: str, **metadata: str) -> Any:
    return error_details_pb2.ErrorInfo(reason=reason, domain="combat.arenamesh", metadata=metadata)
