"""Behind the live edge: a playback that follows the journal as it is committed.

The edge is the time of the last committed record, less the delay: nobody sees anything early whatever the
clocks of the workers say, and when the match pauses its spectators do. Once the match is over the wall clock
takes the edge to its end.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

import structlog
from arenamesh.combat.v1 import play_pb2

from native.arena import Arena
from services.chassis import clock
from services.chassis.errors import DomainError, Unavailable
from services.combat.domain.session import Session
from services.combat.live.viewer import Viewer
from services.combat.replay.archive import Archive
from services.combat.replay.playback import Playback
from services.combat.replay.stream import end_reason, tick_at

_log = structlog.get_logger()
# Further behind the edge than this, ticks are shown as fast as they can be.
CATCH_UP_S = 1.0


def edge_us(session: Session, behind_s: int, now: datetime) -> int:
    """Session time up to which the match may be shown; negative: nothing yet."""
    edge = session.journal_time_us - behind_s * 1_000_000
    if session.ended_at is not None:
        edge += (now - session.ended_at) // timedelta(microseconds=1)
    return edge


def told(session: Session, behind_s: int, now: datetime) -> bool:
    """Whether the match is over for who looks `behind_s` late."""
    return not session.live and edge_us(session, behind_s, now) >= session.journal_time_us


class Follow:
    """Plays a match up to its edge, then as it goes on."""

    def __init__(self, archive: Archive, playback: Playback, behind_s: int, poll_s: float) -> None:
        self._archive = archive
        self._playback = playback
        self._behind_s = behind_s
        self._poll_s = poll_s
        # Monotonic time at which tick 0 was, or would have been, shown.
        self._origin_s: float | None = None

    async def run(self, show: Callable[[int, bytes], Awaitable[None]]) -> None:
        """Until the match is over, and that may be told. `show` gets each tick and its events."""
        playback = self._playback
        while True:
            session = await self._archive.session(playback.session.session_id)
            now = clock.now()
            shown = await self._play(tick_at(session, edge_us(session, self._behind_s, now)), show)
            if told(session, self._behind_s, now):
                playback.session = session
                return
            if not shown:
                await asyncio.sleep(self._poll_s)

    async def _play(self, edge: int, show: Callable[[int, bytes], Awaitable[None]]) -> bool:
        shown = False
        while (tick := await self._playback.peek()) is not None and tick <= edge:
            await self._wait(tick, edge)
            await show(tick, await self._playback.next() or b"")
            shown = True
        return shown

    async def _wait(self, tick: int, edge: int) -> None:
        """Until the tick is due. One that comes late moves all that follow it, so that the small waits for
        commits become one lasting lag instead of jerks."""
        rate = self._playback.session.tick_rate_hz
        now_s = clock.monotonic_s()
        due_s = now_s if self._origin_s is None else self._origin_s + tick / rate
        if due_s > now_s and (edge - tick) / rate <= CATCH_UP_S:
            await asyncio.sleep(due_s - now_s)
        else:
            self._origin_s = now_s - tick / rate


class Broadcast:
    """One followed match for everybody who looks with the same delay; to them it looks like a live one."""

    def __init__(self, archive: Archive, session: Session, behind_s: int, poll_s: float) -> None:
        self.over = False
        """Nothing is shown any more."""
        self._archive = archive
        self._session = session
        self._behind_s = behind_s
        self._poll_s = poll_s
        self._viewers: set[Viewer] = set()
        self._users = 0
        self._opened: asyncio.Future[Playback] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._run())

    @property
    def session(self) -> Session:
        return self._session

    @property
    def arena(self) -> Arena:
        return self._opened.result().arena

    @asynccontextmanager
    async def used(self) -> AsyncIterator[None]:
        """Once there is something to show; the playback ends with its last user.

        Raises:
            DomainError: see `Archive.open`.
        """
        self._users += 1
        try:
            await asyncio.shield(self._opened)
            yield
        finally:
            self._users -= 1
            if not self._users:
                self.over = True
                self._task.cancel()

    def attach(self, viewer: Viewer) -> None:
        self._viewers.add(viewer)

    def detach(self, viewer: Viewer) -> None:
        self._viewers.discard(viewer)

    async def _run(self) -> None:
        newest = tick_at(self._session, edge_us(self._session, self._behind_s, clock.now()))
        try:
            async with self._archive.open(self._session, newest + 1) as playback:
                self._opened.set_result(playback)
                await Follow(self._archive, playback, self._behind_s, self._poll_s).run(self._show)
                events = await playback.finish()
                if events:
                    await self._show(playback.arena.tick, events)
                self._end(None, end_reason(playback))
        except DomainError as error:
            self._fail(error)
        except Exception:
            _log.exception("spectating failed", session_id=self._session.session_id)
            self._fail(Unavailable("The match cannot be shown any more.", reason="SPECTATING_FAILED"))

    async def _show(self, tick: int, events: bytes) -> None:
        now_s = clock.monotonic_s()
        for viewer in tuple(self._viewers):
            viewer.on_tick(tick, events, now_s)

    def _fail(self, error: DomainError) -> None:
        if self._opened.done():
            self._end(error, error.reason)
        else:
            self.over = True
            self._opened.set_exception(error)

    def _end(self, error: DomainError | None, reason: str) -> None:
        self.over = True
        kind = play_pb2.NOTICE_KIND_UNSPECIFIED if error else play_pb2.NOTICE_KIND_SESSION_ENDED
        for viewer in tuple(self._viewers):
            viewer.end(error, kind, reason)
