"""A live session: the arena, its clock, and everybody who is connected to it.

One owner: all of this runs on the event loop and nothing here awaits, so the arena is never seen half
way. Time comes from outside the arena only here.
"""

import asyncio
import math
from collections.abc import Callable
from contextvars import Context
from dataclasses import replace

import structlog
from arenamesh.combat.v1 import event_pb2, play_pb2

from native.arena import Arena, Refused
from services.chassis import clock
from services.chassis.errors import DomainError, FailedPrecondition, ResourceExhausted
from services.chassis.metrics import COMBAT_TICK_LATE_SECONDS, COMBAT_TICK_SECONDS
from services.combat.domain.session import Session
from services.combat.settings import CombatSettings
from services.combat.viewer import Viewer

_log = structlog.get_logger()


class Match:
    """`on_over` is called once when the match ends by itself: with True when the arena ended it, with
    False when it failed."""

    def __init__(
        self,
        session: Session,
        arena: Arena,
        settings: CombatSettings,
        on_over: Callable[["Match", bool], None],
    ) -> None:
        self.session = session
        self.arena = arena
        self.lifecycle = asyncio.Lock()
        """Held while the session's status changes in the database and here."""
        self._settings = settings
        self._on_over = on_over
        self._loop = asyncio.get_running_loop()
        # The clock's own: what it does must not appear under whichever call set the timer.
        self._context = Context()
        self._origin_us = 0
        self._period_us = 1_000_000 / session.tick_rate_hz
        self._due_us = 0
        self._ticking: asyncio.TimerHandle | None = None
        self._emptying: asyncio.TimerHandle | None = None
        self._away: dict[int, asyncio.TimerHandle] = {}
        self._players: dict[int, Viewer] = {}
        self._others: set[Viewer] = set()
        self._closed = False
        self._watch_empty()

    # -- time -------------------------------------------------------------------------------------

    def now_us(self) -> int:
        """Session clock: microseconds since the match began, 0 before."""
        return clock.monotonic_us() - self._origin_us if self._origin_us else 0

    def start(self) -> None:
        """Begins ticking."""
        self._origin_us = clock.monotonic_us()
        self.arena.start(0)
        self._schedule()

    def _schedule(self) -> None:
        # From the origin each time, never from the last tick: lateness does not add up.
        self._due_us = self._origin_us + math.ceil((self.arena.tick + 1) * self._period_us)
        self._ticking = self._loop.call_at(self._due_us / 1e6, self._tick, context=self._context)

    def _tick(self) -> None:
        begin_us = clock.monotonic_us()
        COMBAT_TICK_LATE_SECONDS.observe(max(0, begin_us - self._due_us) / 1e6)
        try:
            self.arena.advance(self.now_us())
            self._hand_out()
        except Exception:
            _log.exception("tick failed", session_id=self.session.session_id)
            self._on_over(self, False)
            return
        COMBAT_TICK_SECONDS.observe((clock.monotonic_us() - begin_us) / 1e6)
        if self.arena.ended:
            self._on_over(self, True)
        elif not self._closed:
            self._schedule()

    def _hand_out(self) -> None:
        events = self.arena.take_events()
        tick = self.arena.tick
        now_s = clock.monotonic_s()
        for viewer in (*self._players.values(), *self._others):
            viewer.on_tick(tick, events, now_s)

    # -- seats ------------------------------------------------------------------------------------

    def join(self, player_id: str, team: int) -> int:
        """The player's seat, taken now or before.

        Raises:
            FailedPrecondition: with the arena's reason (FULL, TEAM_FULL, ENDED ...).
        """
        try:
            slot = self.arena.join(self.now_us(), player_id, team)
        except Refused as refused:
            raise FailedPrecondition(
                "The session takes no such player.",
                reason=refused.reason,
                metadata={"player_id": player_id},
            ) from refused
        self._seats_changed()
        return slot

    def leave(self, player_id: str, reason: event_pb2.LeaveReason) -> None:
        """Frees the player's seat and ends its stream.

        Raises:
            FailedPrecondition: NOT_JOINED.
        """
        slot = self.seat(player_id)
        self.arena.leave(self.now_us(), slot, reason)
        if slot in self._away:
            self._away.pop(slot).cancel()
        stream = self._players.pop(slot, None)
        if stream is not None:
            stream.end(None, play_pb2.NOTICE_KIND_KICKED, event_pb2.LeaveReason.Name(reason))
        self._seats_changed()

    def seat(self, player_id: str) -> int:
        """The player's seat. Raises FailedPrecondition (NOT_JOINED)."""
        slot = self.arena.seat(player_id)
        if slot < 0:
            raise FailedPrecondition(
                "The player has no seat in this session.",
                reason="NOT_JOINED",
                metadata={"player_id": player_id},
            )
        return slot

    def _seats_changed(self) -> None:
        self.session = replace(self.session, player_count=self.arena.players)
        self._watch_empty()
        if not self.arena.active:
            self._hand_out()

    def _watch_empty(self) -> None:
        if self.arena.players and self._emptying:
            self._emptying.cancel()
            self._emptying = None
        elif not self.arena.players and not self._emptying:
            self._emptying = self._loop.call_later(
                self._settings.max_empty_seconds, self._empty, context=self._context
            )

    def _empty(self) -> None:
        self.arena.end(self.now_us(), event_pb2.END_REASON_EMPTY)
        self._hand_out()
        self._on_over(self, True)

    # -- who is connected -------------------------------------------------------------------------

    def attach_player(self, slot: int, viewer: Viewer) -> None:
        """The stream that plays a seat; one that did before is ended (REPLACED)."""
        if slot in self._away:
            self._away.pop(slot).cancel()
        before = self._players.get(slot)
        self._players[slot] = viewer
        self.arena.connected(slot, True)
        if before is not None:
            before.end(
                FailedPrecondition("Another stream of this player took over.", reason="REPLACED"),
                play_pb2.NOTICE_KIND_KICKED,
                "REPLACED",
            )

    def detach_player(self, slot: int, viewer: Viewer, player_id: str) -> None:
        """Keeps the seat for `reconnect_seconds`, unless another stream has it or it was left."""
        if self._players.get(slot) is not viewer:
            return
        del self._players[slot]
        if self._closed or self.arena.seat(player_id) != slot:
            return
        self.arena.connected(slot, False)
        self._away[slot] = self._loop.call_later(
            self._settings.reconnect_seconds, self._time_out, slot, player_id, context=self._context
        )

    def _time_out(self, slot: int, player_id: str) -> None:
        self._away.pop(slot, None)
        if self.arena.seat(player_id) == slot:
            self.leave(player_id, event_pb2.LEAVE_REASON_TIMED_OUT)

    def attach_other(self, viewer: Viewer, *, limit: int, kind: str) -> None:
        """A game server's stream or a spectator. Raises ResourceExhausted over `limit` of its kind."""
        if sum(type(other) is type(viewer) for other in self._others) >= limit:
            raise ResourceExhausted(
                f"The session has {limit} {kind} already.", reason="TOO_MANY_STREAMS", retry_after_s=5.0
            )
        self._others.add(viewer)

    def detach_other(self, viewer: Viewer) -> None:
        self._others.discard(viewer)

    @property
    def connected(self) -> bool:
        """Whether anybody holds a stream."""
        return bool(self._players or self._others)

    # -- the end ----------------------------------------------------------------------------------

    def end(self, reason: event_pb2.EndReason) -> None:
        """Ends the arena and tells everybody."""
        self.arena.end(self.now_us(), reason)
        self._hand_out()
        self.close(None, play_pb2.NOTICE_KIND_SESSION_ENDED, event_pb2.EndReason.Name(reason))

    def close(self, error: DomainError | None, kind: play_pb2.NoticeKind, reason: str) -> None:
        """Stops the clock and ends every stream."""
        self._closed = True
        for timer in (self._ticking, self._emptying, *self._away.values()):
            if timer is not None:
                timer.cancel()
        for viewer in (*self._players.values(), *self._others):
            viewer.end(error, kind, reason)
