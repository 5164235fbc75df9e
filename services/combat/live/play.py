"""The Play stream: frames in, judged at once, verdicts, events and snapshots out. The hot path.

Frames stay bytes from the wire to the native arena and back. One command a frame costs one read, one
`judge` and one write: the reader writes its own answer when nobody else is writing, and everything that
comes up during a write leaves together in the next one. An answer that has to be durable first, and every
later one of its stream, waits here for the commit.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import structlog
from arenamesh.combat.v1 import play_pb2, snapshot_pb2
from google.protobuf.message import DecodeError

from native.arena import ALL_SLOTS, FrameError
from native.journal import verdicts
from services.chassis import clock
from services.chassis.auth import Principal, Role
from services.chassis.errors import (
    DeadlineExceeded,
    DomainError,
    FailedPrecondition,
    InvalidArgument,
    Unauthenticated,
)
from services.chassis.method import Context
from services.chassis.metrics import COMBAT_STREAMS
from services.chassis.validation import check
from services.combat.live.match import Match
from services.combat.live.notices import to_player
from services.combat.live.outbox import Limits, Outbox
from services.combat.live.sessions import Sessions
from services.combat.live.viewer import Shown
from services.combat.ports import JournalStore
from services.combat.settings import CombatSettings

_log = structlog.get_logger()
PROTOCOL = 1
_BASELINES = 64  # snapshots sent that a client may name as the one it holds
_RESUME_SEGMENTS = 16  # read from the journal at a time
_SLOW = to_player(play_pb2.NOTICE_KIND_SLOW_READER, "SLOW_READER")


class PlayStream:
    """One open stream. `slot` is None for a game server, which speaks for every seat."""

    def __init__(
        self,
        match: Match,
        slot: int | None,
        write: Callable[[bytes], Awaitable[None]],
        settings: CombatSettings,
        snapshot_rate_hz: int,
    ) -> None:
        self._match = match
        self._binding = ALL_SLOTS if slot is None else slot
        # What this stream was sent. A seat's acknowledgement may be of an earlier stream.
        self._sent: deque[int] = deque(maxlen=_BASELINES)
        tick_rate = match.session.tick_rate_hz
        self._every = max(1, round(tick_rate / snapshot_rate_hz)) if snapshot_rate_hz else 1
        self._shown = match.arena.tick
        self.outbox = Outbox(write, limits(settings), slow_notice=_SLOW, newest=self._snapshot, join=True)
        # Answers in order, each with the record it waits for.
        self._held: deque[tuple[int, bytes]] = deque()
        self._held_bytes = 0
        self._max_held = settings.held_replies
        self._max_held_bytes = settings.pending_bytes // 2
        self._released: asyncio.Future[None] | None = None

    def on_tick(self, tick: int, _events: bytes, now_s: float) -> None:
        outbox = self.outbox
        outbox.check(now_s)
        # Not `tick % every`: a match that is late makes several steps at once, and may never hit those.
        if tick - self._shown >= self._every:
            self._shown = tick
            outbox.due()
            outbox.kick()

    def tell(self, events: bytes) -> None:
        self.outbox.put(events)
        # An answer that waits for its commit leaves within moments, and takes them along.
        if not self._held:
            self.outbox.kick()

    def stop(self) -> None:
        self.outbox.reading = False

    def end(self, error: DomainError | None, kind: play_pb2.NoticeKind, reason: str) -> None:
        self.outbox.end(error, to_player(kind, reason))

    def start(self, read: Callable[[], Awaitable[Any]]) -> None:
        """Sends what waits, and begins to read."""
        self.outbox.kick()
        # When the server ends the stream this is still reading; the end of the call ends it.
        self._reader = asyncio.create_task(self._read(read))

    async def _read(self, read: Callable[[], Awaitable[Any]]) -> None:
        """Judges frames until the client closes its side or sends one that cannot be read."""
        match, outbox, binding, held = self._match, self.outbox, self._binding, self._held
        arena, now_us, eof = match.arena, match.now_us, grpc.aio.EOF
        judge = arena.judge
        error: DomainError | None = None
        try:
            while (frame := await read()) is not eof and outbox.reading:
                reply = judge(now_us(), frame, binding)
                awaits = arena.awaits
                if held or awaits > match.durable_through:
                    self._hold(awaits, reply)
                    while len(held) >= self._max_held or self._held_bytes >= self._max_held_bytes:
                        await self._release()
                else:
                    outbox.put(reply)
                    if not outbox.busy:
                        await outbox.flush()
        except FrameError as malformed:
            error = _malformed(malformed.reason)
        except grpc.aio.BaseError:
            return  # the stream ended under the read; its handler hears of it by itself
        except Exception as failure:
            _log.exception("play failed")
            outbox.fail(failure)
            return
        while held and not outbox.over.done():
            await self._release()
        if outbox.reading:
            outbox.end(error)

    # -- answers that wait for the journal ---------------------------------------------------------

    def _hold(self, awaits: int, reply: bytes) -> None:
        if not self._held:
            self._match.await_commit(self)
        self._held.append((awaits, reply))
        self._held_bytes += len(reply)
        self._match.demand()

    def release(self, through: int, mark: bytes) -> None:
        """Sends the answers that are durable now, and those behind them that need not be."""
        held, free = self._held, []
        while held and held[0][0] <= through:
            free.append(held.popleft()[1])
        if held:
            self._match.await_commit(self)
        if not free:
            return
        self._held_bytes -= sum(map(len, free))
        free.append(mark)
        self.outbox.put(b"".join(free))
        self.outbox.kick()
        if self._released is not None and not self._released.done():
            self._released.set_result(None)

    async def _release(self) -> None:
        """Until some answers have left, or the stream is over."""
        self._released = asyncio.get_running_loop().create_future()
        either: set[asyncio.Future[Any]] = {self._released, self.outbox.over}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if self.outbox.over.done():
            self._held.clear()
            self._held_bytes = 0

    def _snapshot(self) -> bytes:
        arena = self._match.arena
        acked = arena.acked(self._binding)
        self._sent.append(arena.tick)
        shown = arena.snapshot(self._binding, acked if acked in self._sent else 0)
        return shown + self._match.durable_mark


class Play:
    """Opens streams."""

    def __init__(self, sessions: Sessions, journal: JournalStore, settings: CombatSettings) -> None:
        self._sessions = sessions
        self._journal = journal
        self._settings = settings

    async def serve(self, context: Context, caller: Principal) -> None:
        """Runs one stream to its end.

        Raises:
            DomainError: why the stream was refused, or ended by the server.
        """
        hello = await self._hello(context)
        match = await self._sessions.match(hello.session_id)
        slot = match.seat(caller.subject) if caller.role is Role.PLAYER else None
        if hello.resume_sequence:
            self._check_resume(match, hello.resume_sequence)
        stream = PlayStream(match, slot, context.write, self._settings, hello.snapshot_rate_hz)
        kind = "game_server" if slot is None else "player"
        if slot is None:
            limit = self._settings.max_server_streams
            match.attach_other(stream, limit=limit, kind="game servers' streams", speaks=True)
        else:
            match.attach_player(slot, stream)
        expiry = expire(stream.outbox, caller)
        COMBAT_STREAMS.labels(kind).inc()
        try:
            if hello.resume_sequence:
                await stream.outbox.ahead(self._missed(match, slot, hello.resume_sequence))
            else:
                stream.outbox.put(welcome(match, slot))
            stream.outbox.due()
            stream.start(context.read)
            error = await stream.outbox.over
        finally:
            COMBAT_STREAMS.labels(kind).dec()
            stream.outbox.close()
            expiry.cancel()
            if slot is None:
                match.detach_other(stream)
            else:
                match.detach_player(slot, stream, caller.subject)
        if error is not None:
            raise error

    def _check_resume(self, match: Match, after: int) -> None:
        behind = match.durable_through - after
        if behind > self._settings.resume_records:
            raise FailedPrecondition(
                f"A stream may resume at most {self._settings.resume_records} records behind; start at now.",
                reason="RESUME_TOO_OLD",
                metadata={"behind": str(behind)},
            )

    async def _missed(self, match: Match, slot: int | None, after: int) -> AsyncIterator[bytes]:
        """The welcome, and then every verdict of the seat after a record, from the journal: what was judged
        for an earlier stream is made durable first, so nothing is left out."""
        yield welcome(match, slot)
        await match.durable_to(match.arena.sequence)
        through, mark = match.durable_through, match.durable_mark
        while after < through:
            segments = await self._journal.read(match.session_id, after, _RESUME_SEGMENTS)
            if not segments:
                break
            for segment in segments:
                found = verdicts(segment.payload, after, ALL_SLOTS if slot is None else slot)
                if found:
                    yield found
            after = segments[-1].last
        yield mark

    async def _hello(self, context: Context) -> play_pb2.Hello:
        try:
            async with asyncio.timeout(self._settings.hello_timeout_s):
                data: Any = await context.read()
        except TimeoutError as error:
            raise DeadlineExceeded("The first frame did not come.", reason="HELLO_TIMEOUT") from error
        if data is grpc.aio.EOF:
            raise InvalidArgument("The stream closed before its first frame.", reason="HELLO_MISSING")
        try:
            frame = play_pb2.PlayRequest.FromString(data)
        except DecodeError as error:
            raise _malformed("MALFORMED") from error
        if not frame.HasField("hello"):
            raise InvalidArgument.of("hello", "must be in the first frame", reason="HELLO_MISSING")
        if len(frame.ListFields()) > 1:
            raise InvalidArgument.of("hello", "must be alone in its frame", reason="HELLO_NOT_ALONE")
        if frame.hello.protocol != PROTOCOL:
            raise FailedPrecondition(
                f"This server speaks protocol {PROTOCOL}.",
                reason="PROTOCOL_UNSUPPORTED",
                metadata={"supported": str(PROTOCOL), "asked": str(frame.hello.protocol)},
            )
        check(frame.hello)
        return frame.hello


def limits(settings: CombatSettings) -> Limits:
    """The bounds of one reader."""
    return Limits(
        pending_bytes=settings.pending_bytes,
        pending_messages=settings.pending_messages,
        slow_s=settings.slow_s,
        write_timeout_s=settings.write_timeout_s,
        close_timeout_s=settings.close_timeout_s,
    )


def welcome(match: Match, slot: int | None) -> bytes:
    """The first answer, as a PlayResponse."""
    return play_pb2.PlayResponse(
        welcome=welcome_message(match, slot), tick=match.arena.tick, server_time_us=match.now_us()
    ).SerializeToString()


def welcome_message(match: Shown, slot: int | None) -> play_pb2.Welcome:
    session = match.session
    return play_pb2.Welcome(
        session_id=session.session_id,
        tick_rate_hz=session.tick_rate_hz,
        slot=slot,
        map_id=session.map_id,
        ruleset_name=session.ruleset_name,
        ruleset_version=session.ruleset_version,
        last_sequence=0 if slot is None else match.arena.last_sequence(slot),
        seats=seats(match, numbered=slot is None),
    )


def seats(match: Shown, *, numbered: bool) -> list[snapshot_pb2.Seat]:
    """`numbered`: with the last sequence of each, for who speaks for all of them."""
    return [
        snapshot_pb2.Seat(
            slot=slot,
            player_id=player,
            team=match.arena.team(slot),
            last_sequence=match.arena.last_sequence(slot) if numbered else 0,
        )
        for slot in range(match.session.max_players)
        if (player := match.arena.player(slot))
    ]


def expire(outbox: Outbox, caller: Principal) -> asyncio.TimerHandle:
    """Ends a stream when its token does."""
    error = Unauthenticated("The token has expired.", reason="TOKEN_EXPIRED")
    remaining = max(0, caller.expires_at - clock.unix_s())
    return asyncio.get_running_loop().call_later(remaining, outbox.end, error)


def _malformed(reason: str) -> InvalidArgument:
    return InvalidArgument(f"The frame cannot be read: {reason}.", reason=reason)
