"""GetReplay: a match streamed again, from any tick, at any speed, as live spectating shows it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from arenamesh.combat.v1 import event_pb2, play_pb2, service_pb2

from native.arena import ALL_SLOTS
from services.chassis import clock
from services.chassis.auth import Principal, Role
from services.chassis.errors import FailedPrecondition, InvalidArgument, OutOfRange, Unavailable
from services.chassis.method import Context
from services.chassis.metrics import COMBAT_STREAMS
from services.combat.domain.session import Session
from services.combat.live.notices import to_spectator
from services.combat.live.outbox import Limits, Outbox
from services.combat.live.play import expire, welcome_message
from services.combat.live.viewer import Shown
from services.combat.replay.archive import Archive
from services.combat.replay.frames import View, frame
from services.combat.replay.playback import Playback

_SLOW = to_spectator(play_pb2.NOTICE_KIND_SLOW_READER, "SLOW_READER")


class Audience:
    """Everybody who watches in this process: each has an outbox as long as its stream."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._open: set[Outbox] = set()
        self._draining = False

    @asynccontextmanager
    async def reading(self, context: Context, caller: Principal, kind: str) -> AsyncIterator[Outbox]:
        """`kind`: of stream, for the metrics. Raises Unavailable (DRAINING)."""
        if self._draining:
            raise _draining()
        outbox = Outbox(context.write, self.limits, slow_notice=_SLOW, join=False)
        expiry = expire(outbox, caller)
        self._open.add(outbox)
        COMBAT_STREAMS.labels(kind).inc()
        try:
            yield outbox
        finally:
            COMBAT_STREAMS.labels(kind).dec()
            self._open.discard(outbox)
            outbox.close()
            expiry.cancel()

    def drain(self) -> None:
        """Sends everybody elsewhere: any worker can show what this one does."""
        self._draining = True
        for outbox in tuple(self._open):
            outbox.end(_draining(), to_spectator(play_pb2.NOTICE_KIND_DRAINING, "DRAINING"))

    async def until_shown(self, outbox: Outbox, showing: Awaitable[None]) -> None:
        """Until everything is shown, or the reader is too slow, gone, or no longer allowed.

        Raises:
            DomainError: what ended it.
        """
        task = asyncio.ensure_future(showing)
        ends: set[asyncio.Future[Any]] = {outbox.over, task}
        try:
            while not outbox.over.done() and not task.done():
                await asyncio.wait(
                    ends, timeout=self.limits.write_timeout_s / 4, return_when=asyncio.FIRST_COMPLETED
                )
                outbox.check(clock.monotonic_s())
            if not outbox.over.done():
                task.result()
                outbox.end(None)
            error = await outbox.over
        finally:
            # Under a write it must not be cancelled: the end of the call ends that.
            if not outbox.busy:
                task.cancel()
        if error is not None:
            raise error


def _draining() -> Unavailable:
    return Unavailable("The worker is stopping; another one shows it.", reason="DRAINING", retry_after_s=0.2)


class Screen:
    """Shows one playback to one reader, no faster than it reads."""

    def __init__(self, playback: Playback, outbox: Outbox, archive: Archive, follow_player_id: str) -> None:
        self._playback = playback
        self._outbox = outbox
        self._run = archive.slices.run
        self._follow = follow_player_id
        self._view: View | None = None

    async def show(self, tick: int, events: bytes) -> None:
        """The tick just stepped to. The first one shown is whole, with the welcome."""
        await self._put(await self._run(partial(self._frame, tick, events)))

    async def end(self) -> None:
        """What came after the last tick, and the end of the match."""
        playback = self._playback
        events = await playback.finish()
        if events or self._view is None:
            await self.show(playback.arena.tick, events)
        await self._put(to_spectator(play_pb2.NOTICE_KIND_SESSION_ENDED, end_reason(playback)))

    def _frame(self, tick: int, events: bytes) -> bytes:
        if self._view is not None:
            return self._view.next(tick, events)
        viewer = seat(self._playback, self._follow)
        self._view = View(self._playback, viewer)
        return frame(self._playback, viewer, 0, events, welcome_message(self._playback, None))

    async def _put(self, message: bytes) -> None:
        self._outbox.put(message)
        await self._outbox.flush()
        if self._outbox.over.done():
            raise asyncio.CancelledError  # nobody reads any more


class Replay:
    """Opens streams."""

    def __init__(self, archive: Archive, audience: Audience) -> None:
        self._archive = archive
        self._audience = audience

    async def serve(self, request: service_pb2.GetReplayRequest, context: Context, caller: Principal) -> None:
        """Runs one stream to its end.

        Raises:
            DomainError: why the stream was refused, or ended by the server.
        """
        if request.to_tick and request.to_tick < request.from_tick:
            raise InvalidArgument.of("to_tick", "must not be before from_tick")
        session = await self._archive.session(request.session_id)
        await self._archive.permit(session, caller)
        held_back = caller.role is Role.PLAYER and session.live
        newest = newest_tick(session, session.spectator_delay_s if held_back else 0)
        check_recorded(request.from_tick, newest)
        last = min(request.to_tick or newest, newest)
        async with (
            self._archive.open(session, request.from_tick) as playback,
            self._audience.reading(context, caller, "replay") as outbox,
        ):
            screen = Screen(playback, outbox, self._archive, request.follow_player_id)
            whole = not session.live and last == newest
            await self._audience.until_shown(outbox, _play(playback, screen, last, request.speed, whole))


async def _play(playback: Playback, screen: Screen, last: int, speed: float, whole: bool) -> None:
    began_s, first = clock.monotonic_s(), 0
    while (tick := await playback.peek()) is not None and tick <= last:
        first = first or tick
        if speed:
            due_s = began_s + (tick - first) / (playback.session.tick_rate_hz * speed)
            if (wait_s := due_s - clock.monotonic_s()) > 0:
                await asyncio.sleep(wait_s)
        await screen.show(tick, await playback.next() or b"")
    if whole:
        await screen.end()


def seat(match: Shown, player_id: str) -> int:
    """The player's seat as of now to look from, or everywhere. Raises FailedPrecondition (NOT_JOINED)."""
    if not player_id:
        return ALL_SLOTS
    slot = match.arena.seat(player_id)
    if slot < 0:
        raise FailedPrecondition(
            "The player has no seat at this tick.", reason="NOT_JOINED", metadata={"player_id": player_id}
        )
    return slot


def end_reason(match: Shown) -> str:
    """Why the match ended, as the notice of a live one says it."""
    ended = match.arena.ended
    return event_pb2.EndReason.Name(ended) if ended else match.session.status


# -- where the journal ends ---------------------------------------------------------------------------


def tick_at(session: Session, time_us: int) -> int:
    """The last tick at or before a session time."""
    return max(time_us, 0) * session.tick_rate_hz // 1_000_000


def newest_tick(session: Session, behind_s: int) -> int:
    """The last tick that is committed, and `behind_s` or more ago."""
    newest = session.journal_tick
    if behind_s:
        newest = min(newest, tick_at(session, session.journal_time_us - behind_s * 1_000_000))
    return newest


def check_recorded(from_tick: int, newest: int) -> None:
    """Raises OutOfRange (NOT_RECORDED)."""
    if from_tick > newest:
        raise OutOfRange(
            f"from_tick: the journal that may be seen ends at tick {newest}.",
            reason="NOT_RECORDED",
            metadata={"last_tick": str(newest)},
        )
