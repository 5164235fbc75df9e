"""A live match: send commands, get verdicts, see the world. Lost streams come back by themselves."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from types import TracebackType
from typing import Self

import grpc
from grpc import aio

from arenamesh.client.errors import (
    Kicked,
    MeshError,
    SessionEnded,
    Unauthenticated,
    Unavailable,
    from_rpc,
)
from arenamesh.client.feed import Feed
from arenamesh.client.ledger import Batch, Ledger
from arenamesh.client.options import PlayOptions
from arenamesh.client.retry import Resumption
from arenamesh.client.tokens import TokenSource
from arenamesh.client.view import View, ViewClock
from arenamesh.client.world import World
from arenamesh.combat.v1 import event_pb2, play_pb2, service_pb2_grpc, verdict_pb2

PROTOCOL = 1


class Match:
    """One `Play` stream after another, as if it were one. Use it as an async context manager.

    Attributes:
        world: snapshots put together.
        verdicts, events, notices: feeds of what arrived.
        welcome: the mesh's first answer on the present stream.
        rtt_s: round trips lately measured, seconds, oldest first.
        durable_through: journal sequence that is committed; a new stream resumes behind it.
        server_time_us: session clock of the newest message.
        reconnects: how often the stream was lost and came back.
        over: set when the match has ended.
        result: how it ended, once it has.
    """

    def __init__(
        self,
        stub: service_pb2_grpc.CombatServiceAsyncStub,
        session_id: str,
        tokens: TokenSource,
        options: PlayOptions,
    ) -> None:
        self.session_id = session_id
        self.options = options
        self.world = World()
        self.verdicts: Feed[verdict_pb2.Verdict] = Feed(options.feed_max)
        self.events: Feed[event_pb2.Event] = Feed(options.feed_max)
        self.notices: Feed[play_pb2.Notice] = Feed(options.feed_max)
        self.welcome = play_pb2.Welcome()
        self.rtt_s: deque[float] = deque(maxlen=256)
        self.durable_through = 0
        self.server_time_us = 0
        self.reconnects = 0
        self.over = asyncio.Event()
        self.result: event_pb2.SessionEndEvent | None = None
        self._stub = stub
        self._tokens = tokens
        self._ledger = Ledger()
        self._clock = ViewClock(options.interpolation_s)
        self._frame = 0
        self._outbox: deque[Batch] = deque()
        self._wake = asyncio.Event()  # something to write
        self._room = asyncio.Event()  # fewer commands unanswered
        self._snapshot = asyncio.Event()
        self._welcomed: asyncio.Future[None] | None = None
        self._failure: MeshError | None = None
        self._task: asyncio.Task[None] | None = None
        self._prompt = False  # the mesh asked for a reconnect
        self._pinged = 0.0
        self._heard = False  # something arrived since the watch last looked
        self._silent = False  # the watch gave the present stream up

    # -- life ---------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        """Returns when the mesh has welcomed the stream.

        Raises:
            MeshError: it was refused, or could not be opened within the tries of `options.backoff`.
        """
        self._welcomed = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._live(), name=f"play {self.session_id}")
        try:
            await asyncio.shield(self._welcomed)
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    async def _close(self) -> None:
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task])
        if self._welcomed is not None and not self._welcomed.done():
            self._welcomed.cancel()
        self._finish(SessionEnded("the match was left", reason="LEFT"), ends_feeds_with=None)

    # -- facts --------------------------------------------------------------------------------

    @property
    def slot(self) -> int | None:
        """The player's own seat; None on a game server's stream."""
        return self.welcome.slot if self.welcome.HasField("slot") else None

    @property
    def view(self) -> View:
        """What the player sees now: the instant to draw, and the one that shots are sent with."""
        return self._clock.view(time.monotonic())

    @property
    def unanswered(self) -> int:
        """Commands without a verdict."""
        return self._ledger.unanswered

    async def next_snapshot(self) -> int:
        """Waits for the next snapshot and returns its tick.

        Raises:
            MeshError: the match broke. SessionEnded: it is over.
        """
        self._snapshot.clear()
        self._refuse_when_done()
        await self._snapshot.wait()
        self._refuse_when_done()
        return self.world.tick

    # -- commands -----------------------------------------------------------------------------

    async def send(self, *commands: play_pb2.Command, view: View | None = None) -> Batch:
        """Queues commands as one frame, to be judged in order. Await the returned batch for the verdicts.

        Waits while `options.unanswered_max` commands have no verdict. The commands are numbered in
        place; on a player's stream they get the player's seat.

        Args:
            view: the instant the player saw; the match's own `view` by default.

        Raises:
            MeshError: the match broke. SessionEnded: it is over. ValueError: not 1..1024 commands.
        """
        self._refuse_when_done()
        while self._ledger.unanswered and self.unanswered + len(commands) > self.options.unanswered_max:
            self._room.clear()
            await self._room.wait()
            self._refuse_when_done()
        slot = self.slot
        if slot is not None:
            for command in commands:
                command.slot = slot
        batch = self._ledger.enter(commands, view or self.view)
        self._outbox.append(batch)
        self._wake.set()
        return batch

    async def judge(self, *commands: play_pb2.Command, view: View | None = None) -> list[verdict_pb2.Verdict]:
        """`send`, and wait for the verdicts, one for each command, in order."""
        return await (await self.send(*commands, view=view))

    # -- streams ------------------------------------------------------------------------------

    async def _live(self) -> None:
        resumption = Resumption(self.options.backoff, renewable=self._tokens.renewable)
        while True:
            started = time.monotonic()
            try:
                await self._stream()
                error: MeshError = Unavailable("the stream ended")
            except MeshError as caught:
                error = caught
            if self.over.is_set():
                return self._finish(SessionEnded("the session has ended", reason="SESSION_ENDED"), None)
            wait = resumption.wait(error, lived_s=time.monotonic() - started, prompt=self._prompt)
            if wait is None:
                return self._finish(error, error)
            self._prompt = False
            await asyncio.sleep(wait)

    async def _stream(self) -> None:
        """Opens a stream and lives on it. Returns when the mesh ended it in peace or asked for another."""
        token = await self._tokens.get()
        metadata = (("x-session-id", self.session_id), ("authorization", f"Bearer {token}"))
        call = self._stub.Play(metadata=metadata)
        helpers: list[asyncio.Task[None]] = []
        self._silent = False
        try:
            await self._open(call)
            helpers.append(asyncio.create_task(self._write(call), name=f"play {self.session_id} writer"))
            helpers.append(asyncio.create_task(self._watch(call), name=f"play {self.session_id} watch"))
            while (response := await call.read()) is not aio.EOF:
                assert isinstance(response, play_pb2.PlayResponse)
                if self._receive(response):
                    return
            if await call.code() is not grpc.StatusCode.OK:
                raise Unavailable(await call.details() or "", code=await call.code())
        except aio.AioRpcError as error:
            failure = from_rpc(error)
            if isinstance(failure, Unauthenticated):
                self._tokens.refuse(token)
            raise failure from error
        except asyncio.CancelledError:
            if not self._silent or _asked_to_stop():
                raise
            raise Unavailable("the stream fell silent", reason="SILENT") from None
        finally:
            call.cancel()
            for helper in helpers:
                helper.cancel()
            if helpers:
                await asyncio.wait(helpers)

    async def _open(self, call: aio.StreamStreamCall[play_pb2.PlayRequest, play_pb2.PlayResponse]) -> None:
        hello = play_pb2.Hello(
            session_id=self.session_id,
            protocol=PROTOCOL,
            resume_sequence=self.durable_through,
            snapshot_rate_hz=self.options.snapshot_rate_hz,
        )
        try:
            async with asyncio.timeout(self.options.open_s):
                await call.write(play_pb2.PlayRequest(hello=hello))
                response = await call.read()
        except TimeoutError as error:
            raise Unavailable("the mesh did not welcome the stream in time") from error
        except asyncio.InvalidStateError:
            response = await call.read()  # refused before the hello was out; this raises why
        if not isinstance(response, play_pb2.PlayResponse):
            raise Unavailable("the stream ended before a welcome")
        self._begin(response)
        self._receive(response)

    def _begin(self, response: play_pb2.PlayResponse) -> None:
        self.reconnects += bool(self.welcome.session_id)
        self.welcome = response.welcome
        self.world.reset(self.welcome.seats)
        self._clock.reset(self.welcome.tick_rate_hz)
        if self.slot is not None:
            self._ledger.go_on_after(self.slot, self.welcome.last_sequence)
        for seat in self.welcome.seats:
            self._ledger.go_on_after(seat.slot, seat.last_sequence)
        self._outbox.clear()
        self._outbox.extend(self._ledger.open_batches())
        self._wake.set()
        if self._welcomed is not None and not self._welcomed.done():
            self._welcomed.set_result(None)

    async def _write(self, call: aio.StreamStreamCall[play_pb2.PlayRequest, play_pb2.PlayResponse]) -> None:
        self._pinged = 0.0
        try:
            while True:
                while self._outbox:
                    await call.write(self._request(self._outbox.popleft()))
                if time.monotonic() - self._pinged >= self.options.ping_s:
                    await call.write(self._request(None))
                self._wake.clear()
                try:
                    async with asyncio.timeout(self.options.ping_s):
                        await self._wake.wait()
                except TimeoutError:
                    continue
        except (aio.AioRpcError, asyncio.InvalidStateError):
            return  # the stream is over; the reader learns why

    async def _watch(self, call: aio.StreamStreamCall[play_pb2.PlayRequest, play_pb2.PlayResponse]) -> None:
        """Cancels a call on which nothing arrives any more. Counts looks, not seconds: this process may have
        been the one that paused."""
        quiet_s = 0.0
        while quiet_s < self.options.silence_s:
            self._heard = False
            await asyncio.sleep(self.options.ping_s)
            quiet_s = 0.0 if self._heard else quiet_s + self.options.ping_s
        self._silent = True
        call.cancel()

    def _request(self, batch: Batch | None) -> play_pb2.PlayRequest:
        self._frame += 1
        request = play_pb2.PlayRequest(frame=self._frame, acked_snapshot=self.world.tick)
        view = self.view if batch is None else batch.view
        request.view_tick, request.view_fraction = view
        if batch is not None:
            request.commands.extend(batch.commands)
        now = time.monotonic()
        if now - self._pinged >= self.options.ping_s:
            self._pinged = now
            request.ping_us = int(now * 1_000_000) or 1
        return request

    def _receive(self, response: play_pb2.PlayResponse) -> bool:
        """Takes in a message. True when the mesh wants this stream closed and another opened."""
        now = time.monotonic()
        self._heard = True
        self.server_time_us = max(self.server_time_us, response.server_time_us)
        self.durable_through = max(self.durable_through, response.durable_through)
        if response.HasField("snapshot") and self.world.apply(response.snapshot):
            self._clock.observe(response.snapshot.tick, now)
            self._snapshot.set()
        if response.verdicts:
            self.verdicts.publish([v for v in response.verdicts if self._ledger.settle(v)])
            self._room.set()
        if response.events:
            for event in response.events:
                self.world.follow(event)
                if event.HasField("session_end"):
                    self.result = event.session_end
                    self._end()
            self.events.publish(response.events)
        if response.pong_us:
            self.rtt_s.append(max(0.0, now - response.pong_us / 1_000_000))
        return self._heed(response) if response.notices else False

    def _heed(self, response: play_pb2.PlayResponse) -> bool:
        self.notices.publish(response.notices)
        moved = False
        for notice in response.notices:
            match notice.kind:
                case play_pb2.NOTICE_KIND_DRAINING:
                    self._prompt = True
                case play_pb2.NOTICE_KIND_MOVED:
                    self._prompt = moved = True
                case play_pb2.NOTICE_KIND_KICKED:
                    raise Kicked("removed from the session", reason=notice.reason)
                case play_pb2.NOTICE_KIND_SESSION_ENDED:
                    self._end()
        return moved

    # -- the end ------------------------------------------------------------------------------

    def _end(self) -> None:
        """No more commands. Verdicts and events that are under way still arrive."""
        self.over.set()
        self._room.set()
        self._snapshot.set()

    def _refuse_when_done(self) -> None:
        if self._failure is not None:
            raise self._failure
        if self.over.is_set():
            raise SessionEnded("the session has ended", reason="SESSION_ENDED")

    def _finish(self, failure: MeshError, ends_feeds_with: MeshError | None) -> None:
        if self._failure is not None:
            return
        self._failure = failure
        self._ledger.fail(failure)
        self.verdicts.close(ends_feeds_with)
        self.events.close(ends_feeds_with)
        self.notices.close(ends_feeds_with)
        self._end()
        if self._welcomed is not None and not self._welcomed.done():
            self._welcomed.set_exception(failure)


def _asked_to_stop() -> bool:
    """Whether this task itself was cancelled, and not only the call it waits for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
