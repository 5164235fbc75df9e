"""Spectating: each tick is encoded once for everybody who looks from the same place with the same delay.

Every frame but the first is a difference to the one before it, which holds because a spectator's
messages are sent in order and one that falls too far behind is ended, never skipped.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from arenamesh.combat.v1 import play_pb2, spectate_pb2

from native.arena import ALL_SLOTS
from services.chassis import clock
from services.chassis.auth import Principal, Role
from services.chassis.errors import DomainError, ResourceExhausted
from services.chassis.method import Context
from services.combat.domain import session as rules
from services.combat.domain.session import Session
from services.combat.live.notices import to_spectator
from services.combat.live.outbox import Outbox
from services.combat.live.play import welcome_message
from services.combat.live.sessions import Sessions
from services.combat.live.viewer import Shown
from services.combat.replay.archive import Archive, player_of_match
from services.combat.replay.follow import Broadcast, Follow, edge_us, told
from services.combat.replay.frames import View, Views, frame
from services.combat.replay.playback import Playback
from services.combat.replay.stream import Audience, Screen, check_recorded, seat, tick_at


class Spectator:
    """One open stream. `player_id`: who may look until it has a seat; '': whoever may in any case."""

    def __init__(self, match: Shown, view: View, outbox: Outbox, player_id: str) -> None:
        self._arena = match.arena
        self._player_id = player_id
        self._view = view
        self.outbox = outbox

    def on_tick(self, tick: int, events: bytes, now_s: float) -> None:
        if self._player_id and self._arena.seat(self._player_id) >= 0:
            self.outbox.end(player_of_match())
            return
        self.outbox.check(now_s)
        self.outbox.put(self._view.next(tick, events))
        self.outbox.kick()

    def tell(self, events: bytes) -> None:
        """What happens goes with the picture; where no tick brings the next one, at once."""
        if not self._arena.active:
            self.outbox.put(self._view.next(self._arena.tick, events))
            self.outbox.kick()

    def stop(self) -> None:
        """A spectator sends nothing that could be judged."""

    def end(self, error: DomainError | None, kind: play_pb2.NoticeKind, reason: str) -> None:
        self.outbox.end(error, to_spectator(kind, reason))


class Spectate:
    """Opens streams. `limit`: spectators of one session; `poll_s`: how often a delayed one looks for more."""

    def __init__(
        self, sessions: Sessions, archive: Archive, audience: Audience, *, limit: int, poll_s: float
    ) -> None:
        self._sessions = sessions
        self._archive = archive
        self._audience = audience
        self._limit = limit
        self._poll_s = poll_s
        self._views = Views()
        self._watching: Counter[str] = Counter()
        self._broadcasts: dict[tuple[str, int], Broadcast] = {}

    async def serve(self, request: spectate_pb2.SpectateRequest, context: Context, caller: Principal) -> None:
        """Runs one stream to its end.

        Raises:
            DomainError: why the stream was refused, or ended by the server.
        """
        session = await self._sessions.get(request.session_id)
        behind_s = request.delay_s + (session.spectator_delay_s if caller.role is Role.PLAYER else 0)
        with self._counted(request.session_id):
            if behind_s or request.from_tick:
                await self._delayed(request, behind_s, context, caller)
            else:
                await self._live(request, context, caller)

    async def _live(self, request: spectate_pb2.SpectateRequest, context: Context, caller: Principal) -> None:
        match = await self._sessions.match(request.session_id)
        player_id = caller.subject if caller.role is Role.PLAYER else ""
        if player_id and match.arena.seat(player_id) >= 0:
            raise player_of_match()
        viewer = match.seat(request.follow_player_id) if request.follow_player_id else ALL_SLOTS
        async with self._audience.reading(context, caller, "spectator") as outbox:
            spectator = Spectator(match, self._views.get(match, viewer), outbox, player_id)
            match.attach_other(spectator, limit=self._limit, kind="spectators")
            try:
                await _watch(match, viewer, outbox)
            finally:
                match.detach_other(spectator)

    async def _delayed(
        self, request: spectate_pb2.SpectateRequest, behind_s: int, context: Context, caller: Principal
    ) -> None:
        session = await self._archive.session(request.session_id)
        if told(session, behind_s, clock.now()):
            raise rules.over(session)
        player_id = await self._archive.permit(session, caller)
        if request.from_tick:
            check_recorded(request.from_tick, tick_at(session, edge_us(session, behind_s, clock.now())))
            async with (
                self._archive.open(session, request.from_tick) as playback,
                self._audience.reading(context, caller, "spectator") as outbox,
            ):
                screen = Screen(playback, outbox, self._archive, request.follow_player_id)
                follow = Follow(self._archive, playback, behind_s, self._poll_s)
                await self._audience.until_shown(outbox, _from_there(follow, screen, playback, player_id))
            return
        broadcast = self._broadcast(session, behind_s)
        async with broadcast.used(), self._audience.reading(context, caller, "spectator") as outbox:
            viewer = seat(broadcast, request.follow_player_id)
            spectator = Spectator(broadcast, self._views.get(broadcast, viewer), outbox, player_id)
            broadcast.attach(spectator)
            try:
                await _watch(broadcast, viewer, outbox)
            finally:
                broadcast.detach(spectator)

    def _broadcast(self, session: Session, behind_s: int) -> Broadcast:
        self._broadcasts = {key: each for key, each in self._broadcasts.items() if not each.over}
        key = (session.session_id, behind_s)
        if key not in self._broadcasts:
            self._broadcasts[key] = Broadcast(self._archive, session, behind_s, self._poll_s)
        return self._broadcasts[key]

    @contextmanager
    def _counted(self, session_id: str) -> Iterator[None]:
        if self._watching[session_id] >= self._limit:
            raise ResourceExhausted(
                f"The session has {self._limit} spectators already.",
                reason="TOO_MANY_STREAMS",
                retry_after_s=5.0,
            )
        self._watching[session_id] += 1
        try:
            yield
        finally:
            self._watching[session_id] -= 1
            if not self._watching[session_id]:
                del self._watching[session_id]


async def _watch(match: Shown, viewer: int, outbox: Outbox) -> None:
    """The first frame now; the match hands out what follows."""
    outbox.put(frame(match, viewer, 0, welcome=welcome_message(match, None)))
    outbox.kick()
    error = await outbox.over
    if error is not None:
        raise error


async def _from_there(follow: Follow, screen: Screen, playback: Playback, player_id: str) -> None:
    async def show(tick: int, events: bytes) -> None:
        if player_id and playback.arena.seat(player_id) >= 0:
            raise player_of_match()
        await screen.show(tick, events)

    await follow.run(show)
    await screen.end()
