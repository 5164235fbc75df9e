"""A live session: the arena, its clock, what of it is durable, and everybody who is connected to it.

One owner: all of this runs on the event loop, and the arena is never seen half way. Time comes from outside
the arena only here.
"""

import asyncio
import math
from collections import deque
from collections.abc import Callable, Iterator
from contextvars import Context
from dataclasses import replace
from functools import partial

import structlog
from arenamesh.combat.v1 import event_pb2, play_pb2

from native.arena import Arena, Refused
from services.chassis import clock
from services.chassis.errors import DomainError, FailedPrecondition, ResourceExhausted, Unavailable
from services.chassis.metrics import COMBAT_TICK_LATE_SECONDS, COMBAT_TICK_SECONDS
from services.combat.domain.session import Session, SessionStatus
from services.combat.durability.committer import Committer
from services.combat.live.viewer import Viewer, Waiter
from services.combat.ports import Save, Segment
from services.combat.settings import CombatSettings

_log = structlog.get_logger()


class Match:
    """Stands still until the first `resume`. `on_over` is called once when the match ends by itself: with
    True when the arena ended it, with False when it failed."""

    def __init__(
        self,
        session: Session,
        arena: Arena,
        settings: CombatSettings,
        committer: Committer,
        on_over: Callable[["Match", bool], None],
    ) -> None:
        self.session = session
        self.arena = arena
        self.lifecycle = asyncio.Lock()
        """Held while the session's row and the arena change together."""
        self.suspended = True
        self.taken_s = -math.inf
        """When it was taken over from another worker, on the monotonic clock."""
        self.durable_through = arena.sequence
        """The last record that is committed."""
        self.durable_mark = b""
        """That, as field 8 of PlayResponse."""
        self._settings = settings
        self._committer = committer
        self._on_over = on_over
        self._loop = asyncio.get_running_loop()
        # The clock's own: what it does must not appear under whichever call set the timer.
        self._context = Context()
        self._stands_us: int | None = arena.now_us
        self._origin_us = 0
        self._period_us = 1_000_000 / session.tick_rate_hz
        self._due_us = 0
        self._ticking: asyncio.TimerHandle | None = None
        self._emptying: asyncio.TimerHandle | None = None
        self._away: dict[int, asyncio.TimerHandle] = {}
        self._players: dict[int, Viewer] = {}
        # Game servers and spectators; True: it speaks for every seat.
        self._others: dict[Viewer, bool] = {}
        # Whose seat is given up, until that is durable.
        self._leaving: dict[Viewer, None] = {}
        self._waiting: list[Waiter] = []
        # What happens when a record is durable, in that order.
        self._untold: deque[tuple[int, Callable[[], None]]] = deque()
        self._told = b""
        self._taken = arena.sequence
        self._saved = arena.sequence
        self._save_asked = False

    @property
    def session_id(self) -> str:
        return self.session.session_id

    @property
    def current(self) -> Session:
        """The session as it is now, in what has changed since its row was written too."""
        return replace(
            self.session,
            player_count=self.arena.players,
            journal_sequence=self.durable_through,
        )

    # -- time -------------------------------------------------------------------------------------

    def now_us(self) -> int:
        """Session clock: microseconds that the match has run, 0 before its start."""
        stands_us = self._stands_us
        return clock.monotonic_us() - self._origin_us if stands_us is None else stands_us

    def start(self) -> None:
        """Spawns everybody and begins ticking; while suspended, when it resumes."""
        if not self.suspended and not self.arena.ended:
            self.arena.start(self.now_us())
            self._run()

    def suspend(self) -> None:
        """The clock stands still and nothing is judged any more, as if no time passed until `resume`."""
        self.suspended = True
        self._stand()
        for viewer in self._viewers():
            viewer.stop()

    def resume(self) -> None:
        """Goes on where the match stands. Players who are not connected have `reconnect_seconds` from now,
        unless they need no stream: a game server speaks for them, or single calls come."""
        self.suspended = False
        if self.arena.active:
            self._run()
        elif self.session.status is SessionStatus.ACTIVE:
            self.start()
        if not self.arena.ended:
            self._watch_empty()
            for slot in range(self.session.max_players):
                if slot not in self._players and (player_id := self.arena.player(slot)):
                    self._expect(slot, player_id, self.arena.last_sequence(slot))

    def rebuild(self, arena: Arena) -> None:
        """Another arena in the place of one in which nothing has happened; whoever came meanwhile has to
        come again."""
        self.arena = arena
        self.disconnect(
            Unavailable("The session was changed.", reason="SESSION_CHANGED", retry_after_s=0.0),
            play_pb2.NOTICE_KIND_MOVED,
            "SESSION_CHANGED",
        )

    def _run(self) -> None:
        self._origin_us = clock.monotonic_us() - self.now_us()
        self._stands_us = None
        self._schedule()

    def _stand(self) -> None:
        self._stands_us = self.now_us()
        for timer in (self._ticking, self._emptying, *self._away.values()):
            if timer is not None:
                timer.cancel()
        self._emptying = None
        self._away.clear()

    def _schedule(self) -> None:
        # From the origin each time, never from the last tick: lateness does not add up.
        self._due_us = self._origin_us + math.ceil((self.arena.tick + 1) * self._period_us)
        self._ticking = self._loop.call_at(self._due_us / 1e6, self._tick, context=self._context)

    def _tick(self) -> None:
        begin_us = clock.monotonic_us()
        COMBAT_TICK_LATE_SECONDS.observe(max(0, begin_us - self._due_us) / 1e6)
        try:
            self.arena.advance(self.now_us())
            self._take_events()
            tick, now_s = self.arena.tick, clock.monotonic_s()
            told, self._told = self._told, b""
            for viewer in (*self._players.values(), *self._others):
                viewer.on_tick(tick, told, now_s)
        except Exception:
            _log.exception("tick failed", session_id=self.session_id)
            self._over(orderly=False)
            return
        COMBAT_TICK_SECONDS.observe((clock.monotonic_us() - begin_us) / 1e6)
        if self.arena.ended:
            self._over(orderly=True)
        elif self._stands_us is None:
            self._schedule()

    # -- what is durable --------------------------------------------------------------------------

    def take_segment(self) -> Segment | None:
        """Everything judged since the last call, with a save when one is due."""
        arena = self.arena
        first, last = self._taken + 1, arena.sequence
        if last < first:
            return None
        payload = arena.take_journal()
        self._taken = last
        save = None
        if self._save_asked or last - self._saved >= self._settings.save_records:
            save = Save(last, arena.tick, arena.save())
            self._saved = last
            self._save_asked = False
        return Segment(
            session_id=self.session_id,
            epoch=self.session.epoch,
            first=first,
            last=last,
            tick=arena.tick,
            time_us=arena.now_us,
            payload=payload,
            save=save,
        )

    def committed(self, sequence: int) -> None:
        """Durable through here: whatever waited for it is told."""
        self.durable_through = sequence
        self.durable_mark = play_pb2.PlayResponse(durable_through=sequence).SerializeToString()
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            waiter.release(sequence, self.durable_mark)
        while self._untold and self._untold[0][0] <= sequence:
            self._untold.popleft()[1]()

    def await_commit(self, waiter: Waiter) -> None:
        """Has `waiter` released by the next commit."""
        self._waiting.append(waiter)

    def demand(self) -> None:
        """Somebody waits for the next commit."""
        self._committer.demand(self)

    def ask_save(self) -> None:
        """The next segment carries a save."""
        self._save_asked = True

    async def durable(self) -> None:
        """Until all that has happened and may not be told before is durable. Raises Unavailable."""
        await self.durable_to(self.arena.barrier)

    async def durable_to(self, sequence: int) -> None:
        """Until a record is durable. Raises Unavailable: it may or may not become so."""
        if sequence > self.durable_through:
            await self._committer.flush(self)

    def _take_events(self) -> None:
        events = self.arena.take_events()
        if not events:
            return
        self._when_durable(partial(self._tell, events))

    def _when_durable(self, tell: Callable[[], None]) -> None:
        """Tells what has happened by now, at once if that is durable."""
        barrier = self.arena.barrier
        if barrier > self.durable_through:
            self._untold.append((barrier, tell))
            self._committer.demand(self)
        else:
            tell()

    def _tell(self, events: bytes) -> None:
        if self.arena.active:
            self._told += events
        for viewer in self._viewers():
            viewer.tell(events)

    # -- seats ------------------------------------------------------------------------------------

    def join(self, player_id: str, team: int) -> int:
        """The player's seat, taken now or before. The caller answers when that is `durable`.

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
        """Gives up the player's seat; its stream ends when that is durable, and the caller answers then.

        Raises:
            FailedPrecondition: NOT_JOINED.
        """
        slot = self.seat(player_id)
        stream = self._players.pop(slot, None)
        self.arena.leave(self.now_us(), slot, reason)
        if slot in self._away:
            self._away.pop(slot).cancel()
        if stream is not None:
            # The seat is the next player's from here on.
            stream.stop()
            self._leaving[stream] = None
            name = event_pb2.LeaveReason.Name(reason)
            self._when_durable(partial(stream.end, None, play_pb2.NOTICE_KIND_KICKED, name))
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
        self._watch_empty()
        if not self.arena.active:
            self._take_events()

    def _watch_empty(self) -> None:
        if self.arena.players and self._emptying:
            self._emptying.cancel()
            self._emptying = None
        elif not self.arena.players and not self._emptying:
            self._emptying = self._loop.call_later(
                self._settings.max_empty_seconds, self._empty, context=self._context
            )

    def _empty(self) -> None:
        self.end(event_pb2.END_REASON_EMPTY)
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
        self._leaving.pop(viewer, None)
        if self._players.get(slot) is not viewer:
            return
        del self._players[slot]
        if self.arena.seat(player_id) != slot:
            return
        self.arena.connected(slot, False)
        if not self.suspended and not self.arena.ended:
            self._expect(slot, player_id)

    def _expect(self, slot: int, player_id: str, judged: int | None = None) -> None:
        """`judged`: the seat's last command, when nobody knows whether the player ever had a stream."""
        self._away[slot] = self._loop.call_later(
            self._settings.reconnect_seconds, self._time_out, slot, player_id, judged, context=self._context
        )

    def _time_out(self, slot: int, player_id: str, judged: int | None) -> None:
        self._away.pop(slot, None)
        if self.arena.seat(player_id) != slot:
            return
        spoken_for = any(self._others.values()) or self.arena.last_sequence(slot) != judged
        if judged is None or not spoken_for:
            self.leave(player_id, event_pb2.LEAVE_REASON_TIMED_OUT)

    def attach_other(self, viewer: Viewer, *, limit: int, kind: str, speaks: bool = False) -> None:
        """A game server's stream, which speaks for every seat, or a spectator. Raises ResourceExhausted over
        `limit` of its kind."""
        if sum(type(other) is type(viewer) for other in self._others) >= limit:
            raise ResourceExhausted(
                f"The session has {limit} {kind} already.", reason="TOO_MANY_STREAMS", retry_after_s=5.0
            )
        self._others[viewer] = speaks

    def detach_other(self, viewer: Viewer) -> None:
        self._others.pop(viewer, None)

    @property
    def connected(self) -> bool:
        """Whether anybody holds a stream."""
        return bool(self._players or self._others)

    def _viewers(self) -> Iterator[Viewer]:
        yield from (*self._players.values(), *self._others, *self._leaving)

    def disconnect(self, error: DomainError | None, kind: play_pb2.NoticeKind, reason: str) -> None:
        """Ends every stream."""
        for viewer in self._viewers():
            viewer.end(error, kind, reason)

    # -- the end ----------------------------------------------------------------------------------

    def end(self, reason: event_pb2.EndReason) -> None:
        """Nothing is judged any more; that it is over is told when it is durable."""
        self.arena.end(self.now_us(), reason)
        self._stand()
        self._take_events()

    def _over(self, *, orderly: bool) -> None:
        self._stand()
        self._on_over(self, orderly)
