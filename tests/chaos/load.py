"""Clients of many sessions at once: game servers and players on streams, single calls beside them."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import TypeVar

import grpc
from arenamesh.client import Batch, Match, Mesh, MeshError, PlayOptions, commands, connect
from arenamesh.combat.v1 import play_pb2, verdict_pb2

from tests.chaos.history import Recorder, Told
from tests.support.mesh import token

T = TypeVar("T")
Sent = tuple[tuple[int, float], Batch]

# Refused for a reason: nothing happened. After everything else, nobody knows.
_REFUSED = frozenset(
    {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.ALREADY_EXISTS,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.UNIMPLEMENTED,
    }
)
_AGAIN_S = 0.1
# How long the last answers may take once nothing more is sent.
_LAST_WORDS_S = 20.0
_EYE_M = 1.62
# Seats may be empty while a client is cut off; nobody watches here.
_OPTIONS = PlayOptions(snapshot_rate_hz=5)


@dataclass(frozen=True, slots=True)
class Shape:
    """How much load. Commands a second: `sessions * (batch * server_hz + players * player_hz + call_hz)`,
    and as many moves of players, which are volatile."""

    sessions: int = 6
    seats: int = 4
    """Players of a session whom its game server speaks for."""
    batch: int = 4
    """Commands in a frame of the game server."""
    server_hz: float = 50.0
    players: int = 2
    """With streams of their own."""
    player_hz: float = 10.0
    call_hz: float = 4.0
    """Single calls of a session."""
    life_s: tuple[float, float] = (40.0, 90.0)
    """Then the session is ended and another begins."""


class Load:
    """Runs until `stop`; `live` are the sessions that accept commands."""

    def __init__(self, target: str, recorder: Recorder, shape: Shape, *, seed: int) -> None:
        self._target = target
        self._recorder = recorder
        self._shape = shape
        self._random = Random(seed)
        self._stopping = asyncio.Event()
        self._names = itertools.count()
        self.live: set[str] = set()

    def stop(self) -> None:
        self._stopping.set()

    async def run(self) -> None:
        async with self._connect("server-1", "game_server") as server, asyncio.TaskGroup() as group:
            for _ in range(self._shape.sessions):
                group.create_task(self._sessions(server))

    def _connect(self, subject: str, role: str) -> Mesh:
        return connect(self._target, token=partial(token, subject, role))

    # -- sessions -----------------------------------------------------------------------------------

    async def _sessions(self, server: Mesh) -> None:
        while not self._stopping.is_set():
            session = await self._until_done("create", "", lambda: server.combat.create_session("chaos"))
            if session is not None:
                await self._session(server, session.session_id)

    async def _session(self, server: Mesh, session: str) -> None:
        names = [f"p{next(self._names)}" for _ in range(self._shape.seats + self._shape.players + 1)]
        seats = {}
        for name in names:
            seat = await self._until_done(
                "join", session, partial(server.combat.join, session, name), player=name
            )
            if seat is None:
                return
            seats[name] = seat.slot
        over = asyncio.Event()
        served, playing, single = (
            names[: self._shape.seats],
            names[self._shape.seats : -1],
            names[-1],
        )
        async with asyncio.TaskGroup() as group:
            group.create_task(self._serve(server, session, [seats[name] for name in served], over))
            for name in playing:
                group.create_task(self._play(session, name, over))
            group.create_task(self._call(server, session, single, seats, over))
            life = asyncio.create_task(self._stopping.wait())
            await asyncio.wait({life}, timeout=self._random.uniform(*self._shape.life_s))
            life.cancel()
            self.live.discard(session)
            over.set()
        await self._until_done("end", session, partial(server.combat.end_session, session), last=True)

    # -- streams ------------------------------------------------------------------------------------

    async def _serve(self, server: Mesh, session: str, seats: list[int], over: asyncio.Event) -> None:
        """A game server that hurts its players a little, in turn; those who die come back."""

        def damage(_: Match) -> list[play_pb2.Command]:
            return [
                commands.damage(self._random.choice(seats), self._random.uniform(0.5, 3), slot=slot)
                for slot in self._random.choices(seats, k=self._shape.batch)
            ]

        await self._stream(server, session, damage, self._shape.server_hz, over, first=True)

    async def _play(self, session: str, name: str, over: asyncio.Event) -> None:
        """A player who stands, looks around and shoots."""

        def step(match: Match) -> list[play_pb2.Command]:
            me = match.world.player(match.slot) if match.slot is not None else None
            if me is None or not me.alive:
                return []
            yaw = self._random.uniform(-3, 3)
            x, y, z = me.position
            now_us = round(self._recorder.now() * 1e6) + 1
            return [
                commands.move(me.position, yaw=yaw, client_time_us=now_us),
                commands.shot(0, (x, y, z + _EYE_M), commands.towards(yaw)),
            ]

        async with self._connect(name, "player") as mesh:
            await self._stream(mesh, session, step, self._shape.player_hz, over)

    async def _stream(
        self,
        mesh: Mesh,
        session: str,
        step: Callable[[Match], list[play_pb2.Command]],
        hz: float,
        over: asyncio.Event,
        *,
        first: bool = False,
    ) -> None:
        """One `Match` after another until `over`; the client's own reconnects happen inside one."""
        while not over.is_set():
            try:
                async with mesh.play(session, _OPTIONS) as match:
                    if first:
                        self.live.add(session)
                    await self._drive(match, session, step, hz, over)
            except MeshError as error:
                self._recorder.fail(self._recorder.invoke("stream", session), error)
                await _until(over, _AGAIN_S)

    async def _drive(
        self,
        match: Match,
        session: str,
        step: Callable[[Match], list[play_pb2.Command]],
        hz: float,
        over: asyncio.Event,
    ) -> None:
        sent: asyncio.Queue[Sent | None] = asyncio.Queue()
        collector = asyncio.create_task(self._collect(session, sent))
        loop = asyncio.get_running_loop()
        due = loop.time()
        try:
            while not over.is_set():
                due = max(due + 1 / hz, loop.time())
                await _until(over, due - loop.time())
                frame = step(match)
                if not frame:
                    continue
                batch = await match.send(*frame)
                op = self._recorder.invoke("play", session, [(c.slot, c.sequence) for c in frame])
                sent.put_nowait((op, batch))
        finally:
            sent.put_nowait(None)
            await asyncio.wait({collector}, timeout=_LAST_WORDS_S)
            collector.cancel()

    async def _collect(self, session: str, sent: asyncio.Queue[Sent | None]) -> None:
        """Answers come in the order of the frames. None: nothing more is sent. A frame that never gets an
        answer stays without one in the history."""
        while (frame := await sent.get()) is not None:
            op, batch = frame
            try:
                await batch
            except MeshError as error:
                self._recorder.info(op, error, _told(batch))
            else:
                self._recorder.ok(op, session, _told(batch))

    # -- single calls ---------------------------------------------------------------------------------

    async def _call(
        self, server: Mesh, session: str, name: str, seats: dict[str, int], over: asyncio.Event
    ) -> None:
        """Damage with a sequence of its own, and looks at the session."""
        slots = list(seats.values())
        for sequence in itertools.count(1):
            await _until(over, 1 / self._shape.call_hz)
            if over.is_set():
                return
            command = commands.damage(self._random.choice(slots), 1, slot=seats[name])
            command.sequence = sequence
            op = self._recorder.invoke("damage", session, [(seats[name], sequence)])
            try:
                verdict = await server.combat.apply_damage(session, command, player_id=name)
            except MeshError as error:
                self._refused(op, error)
            else:
                self._recorder.ok(op, session, [_tell(verdict, durable=True)])
            if sequence % 4 == 0:
                op = self._recorder.invoke("state", session)
                try:
                    await server.combat.get_state(session)
                except MeshError as error:
                    self._refused(op, error)
                else:
                    self._recorder.ok(op, session)

    async def _until_done(
        self,
        call: str,
        session: str,
        method: Callable[[], Awaitable[T]],
        *,
        player: str = "",
        last: bool = False,
    ) -> T | None:
        """Again and again until it succeeds or is refused for good. None: refused, or the load stops
        (with `last`: only refused, or not answered long after that)."""
        loop = asyncio.get_running_loop()
        give_up = loop.time() + _LAST_WORDS_S
        while True:
            op = self._recorder.invoke(call, session, player=player)
            try:
                answer = await method()
            except MeshError as error:
                self._refused(op, error)
                if error.status in _REFUSED:
                    return None
                if self._stopping.is_set() and (not last or loop.time() > give_up):
                    return None
                await asyncio.sleep(_AGAIN_S)
            else:
                self._recorder.ok(op, session or getattr(answer, "session_id", ""))
                return answer

    def _refused(self, op: tuple[int, float], error: MeshError) -> None:
        if error.status in _REFUSED:
            self._recorder.fail(op, error)
        else:
            self._recorder.info(op, error)


def _told(batch: Batch) -> list[Told]:
    return [
        _tell(verdict, durable=not command.HasField("move"))
        for command, verdict in zip(batch.commands, batch.verdicts, strict=True)
        if verdict is not None
    ]


def _tell(verdict: verdict_pb2.Verdict, *, durable: bool) -> Told:
    return Told(verdict.slot, verdict.sequence, verdict.journal_sequence, verdict.outcome, durable)


async def _until(event: asyncio.Event, seconds: float) -> None:
    """Sleeps, unless the event comes first."""
    with suppress(TimeoutError):
        async with asyncio.timeout(max(0.0, seconds)):
            await event.wait()
