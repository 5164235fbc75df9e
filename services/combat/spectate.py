"""Live spectating: each tick is encoded once for everybody who looks from the same place.

Every frame but the first is a difference to the one before it, which holds because a spectator's
messages are sent in order and one that falls too far behind is ended, never skipped.
"""

from weakref import WeakValueDictionary

from arenamesh.combat.v1 import play_pb2, spectate_pb2

from native.arena import ALL_SLOTS, Arena
from services.chassis.auth import Principal, Role
from services.chassis.errors import DomainError, NotImplementedYet, PermissionDenied
from services.chassis.method import Context
from services.chassis.metrics import COMBAT_STREAMS
from services.combat.match import Match
from services.combat.notices import to_spectator
from services.combat.outbox import Limits, Outbox
from services.combat.play import expire, welcome_message
from services.combat.sessions import Sessions
from services.combat.viewer import Shown

_SLOW = to_spectator(play_pb2.NOTICE_KIND_SLOW_READER, "SLOW_READER")


class View:
    """What one place of a match looks like, tick by tick. `viewer`: a seat, or ALL_SLOTS."""

    def __init__(self, match: Shown, viewer: int) -> None:
        self._match = match
        self._viewer = viewer
        # Whoever opens the view has just been shown this tick.
        self._shown = (match.arena.tick, b"")
        self._message = b""

    def next(self, tick: int, events: bytes) -> bytes:
        """The frame of a new tick, as a SpectateResponse: a difference, and once a second all of it."""
        if not self._message or self._shown != (tick, events):
            before = self._shown[0]
            full = tick // self._match.session.tick_rate_hz != before // self._match.session.tick_rate_hz
            self._message = frame(self._match, self._viewer, 0 if full else before, events)
            self._shown = (tick, events)
        return self._message


def frame(
    match: Shown, viewer: int, baseline: int, events: bytes = b"", welcome: play_pb2.Welcome | None = None
) -> bytes:
    """One SpectateResponse, from what the arena encodes for players."""
    shown = play_pb2.PlayResponse.FromString(match.arena.snapshot(viewer, baseline) + events)
    return spectate_pb2.SpectateResponse(
        frame=spectate_pb2.SpectatorFrame(
            tick=shown.tick,
            server_time_us=shown.server_time_us,
            snapshot=shown.snapshot,
            events=shown.events,
            welcome=welcome,
        )
    ).SerializeToString()


class Spectator:
    """One open stream."""

    def __init__(self, arena: Arena, view: View, outbox: Outbox) -> None:
        self._arena = arena
        self._view = view
        self.outbox = outbox

    def on_tick(self, tick: int, events: bytes, now_s: float) -> None:
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
    """Opens streams. `limit`: spectators of one session."""

    def __init__(self, sessions: Sessions, limits: Limits, limit: int) -> None:
        self._sessions = sessions
        self._limits = limits
        self._limit = limit
        # A view lives as long as somebody looks at it.
        self._views: WeakValueDictionary[tuple[str, int], View] = WeakValueDictionary()

    async def serve(self, request: spectate_pb2.SpectateRequest, context: Context, caller: Principal) -> None:
        """Runs one stream to its end.

        Raises:
            DomainError: why the stream was refused, or ended by the server.
        """
        match = await self._sessions.match(request.session_id)
        _permit(match, request, caller)
        viewer = match.seat(request.follow_player_id) if request.follow_player_id else ALL_SLOTS
        view = self._view(match, viewer)
        outbox = Outbox(context.write, self._limits, slow_notice=_SLOW, join=False)
        spectator = Spectator(match.arena, view, outbox)
        match.attach_other(spectator, limit=self._limit, kind="spectators")
        COMBAT_STREAMS.labels("spectator").inc()
        expiry = expire(outbox, caller)
        try:
            outbox.put(frame(match, viewer, 0, welcome=welcome_message(match, None)))
            outbox.kick()
            error = await outbox.over
        finally:
            COMBAT_STREAMS.labels("spectator").dec()
            outbox.close()
            expiry.cancel()
            match.detach_other(spectator)
        if error is not None:
            raise error

    def _view(self, match: Match, viewer: int) -> View:
        key = (match.session.session_id, viewer)
        view = self._views.get(key)
        if view is None:
            view = self._views[key] = View(match, viewer)
        return view


def _permit(match: Match, request: spectate_pb2.SpectateRequest, caller: Principal) -> None:
    if request.delay_s or match.session.spectator_delay_s:
        raise NotImplementedYet(
            "Spectating with a delay is not built yet; this session has "
            f"{match.session.spectator_delay_s} s and {request.delay_s} s more were asked for.",
            reason="SPECTATE_DELAY",
        )
    if request.from_tick:
        raise NotImplementedYet("Spectating starts at the newest tick.", reason="SPECTATE_FROM_TICK")
    if caller.role is Role.PLAYER and match.arena.seat(caller.subject) >= 0:
        raise PermissionDenied("A player of the match may not spectate it live.", reason="PLAYER_OF_MATCH")
