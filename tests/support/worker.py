"""A whole combat worker inside the test's own process: real gRPC, real arenas, real PostgreSQL and Redis."""

from __future__ import annotations

from collections.abc import Awaitable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, cast

import grpc
from arenamesh.combat.v1 import play_pb2, service_pb2, service_pb2_grpc, session_pb2

from services.combat.live.matches import Matches
from services.combat.main import built
from services.combat.settings import CombatSettings
from tests.support.refusals import ended, failure, reason
from tests.support.served import Served, serve
from tests.support.tokens import Metadata, game_server


@dataclass
class Worker(Served):
    """A serving worker and a client of it."""

    def __post_init__(self) -> None:
        self.stub: service_pb2_grpc.CombatServiceAsyncStub = service_pb2_grpc.CombatServiceStub(self.channel)

    @property
    def matches(self) -> Matches:
        """What it plays."""
        [(_, servicer)] = cast(Any, self.server.services)
        return cast(Matches, servicer._sessions._matches)

    def hush(self) -> None:
        """Others think it dead, and it does not know: a zombie."""
        ownership: Any = self.matches.ownership
        ownership._task.cancel()
        ownership._store._drop()

    def kill(self) -> None:
        """It stops in the middle of whatever it does, without a word to anybody."""
        self.hush()
        matches: Any = self.matches
        matches.committer._task.cancel()
        matches.committer._sweeping.cancel()
        matches.committer._task = None
        for match in matches._live.values():
            match.suspend()

    async def create(self, metadata: Metadata | None = None, **fields: Any) -> session_pb2.Session:
        """A session that begins only when told to, unless `min_players` says otherwise."""
        asked: dict[str, Any] = {"name": "test", "type": session_pb2.SESSION_TYPE_TRAINING, "min_players": 0}
        request = service_pb2.CreateSessionRequest(session=session_pb2.Session(**(asked | fields)))
        answer = await self.stub.CreateSession(request, metadata=metadata or game_server())
        return answer.session

    async def begin(self, session_id: str) -> session_pb2.Session:
        """WAITING becomes ACTIVE."""
        request = service_pb2.UpdateSessionRequest(
            session_id=session_id, session=session_pb2.Session(status=session_pb2.SESSION_STATUS_ACTIVE)
        )
        return (await self.stub.UpdateSession(request, metadata=game_server())).session

    async def join(self, session_id: str, player_id: str, team: int = 0) -> int:
        """The seat."""
        request = service_pb2.JoinSessionRequest(session_id=session_id, player_id=player_id, team=team)
        return (await self.stub.JoinSession(request, metadata=game_server())).seat.slot

    async def get(self, session_id: str) -> session_pb2.Session:
        request = service_pb2.GetSessionRequest(session_id=session_id)
        return (await self.stub.GetSession(request, metadata=game_server())).session

    async def play(
        self, session_id: str, metadata: Metadata, *, snapshot_rate_hz: int = 0, resume_sequence: int = 0
    ) -> Stream:
        """An open stream that has been welcomed."""
        stream = Stream(self.stub.Play(metadata=metadata))
        hello = play_pb2.Hello(
            session_id=session_id,
            protocol=1,
            snapshot_rate_hz=snapshot_rate_hz,
            resume_sequence=resume_sequence,
        )
        await stream.send(play_pb2.PlayRequest(hello=hello))
        answer = await stream.until(lambda answer: answer.HasField("welcome"))
        stream.welcome = answer.welcome
        return stream


class Stream:
    """The client's end of a Play stream."""

    def __init__(self, call: grpc.aio.StreamStreamCall[play_pb2.PlayRequest, play_pb2.PlayResponse]) -> None:
        self.call = call
        self.welcome = play_pb2.Welcome()
        self.seen: list[play_pb2.PlayResponse] = []
        self._frame = 0

    async def send(self, frame: play_pb2.PlayRequest) -> None:
        await self.call.write(frame)

    async def commands(self, *commands: play_pb2.Command, **fields: Any) -> list[Any]:
        """Sends one frame and returns the verdicts it brought."""
        self._frame += 1
        await self.send(play_pb2.PlayRequest(frame=self._frame, commands=commands, **fields))
        verdicts: list[Any] = []
        while True:
            answer = await self.next()
            verdicts += answer.verdicts
            if answer.acked_frame == self._frame:
                return verdicts

    async def next(self) -> play_pb2.PlayResponse:
        """The next message. Raises EOFError, or AioRpcError when the stream ended with an error."""
        answer = await self.call.read()
        if answer is grpc.aio.EOF:
            status = await self.call.code()
            if status is grpc.StatusCode.OK:
                raise EOFError
            raise await ended(self.call)
        received = cast(play_pb2.PlayResponse, answer)
        self.seen.append(received)
        return received

    async def until(self, wanted: Any) -> play_pb2.PlayResponse:
        """The first message from now on that satisfies `wanted`."""
        while True:
            answer = await self.next()
            if wanted(answer):
                return answer

    async def rest(self) -> list[play_pb2.PlayResponse]:
        """Everything up to a good end."""
        found = []
        try:
            while True:
                found.append(await self.next())
        except EOFError:
            return found


async def refused(call: Awaitable[Any], code: grpc.StatusCode) -> str:
    """The reason of a call that must fail with `code`."""
    return reason(await failure(call, code, "combat.arenamesh"))


def settings(**changes: Any) -> CombatSettings:
    """Free ports, short times."""
    base: dict[str, Any] = {
        "port": 0,
        "admin_port": 0,
        "drain_s": 0.5,
        "worker_name": "w0",
        "database_pool": 4,
    }
    return CombatSettings(**(base | changes))


def worker(**changes: Any) -> AbstractAsyncContextManager[Worker]:
    """A worker with these settings, stopped gracefully at the end."""
    return serve(built(settings(**changes)), Worker)
