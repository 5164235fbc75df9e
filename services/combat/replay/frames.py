"""What spectators are shown: one encoding, of live matches and of those played again."""

from weakref import WeakKeyDictionary, WeakValueDictionary

from arenamesh.combat.v1 import play_pb2, spectate_pb2

from services.combat.live.viewer import Shown


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


class Views:
    """Everybody who looks from the same place shares a view, which lives as long as somebody looks."""

    def __init__(self) -> None:
        self._of: WeakKeyDictionary[Shown, WeakValueDictionary[int, View]] = WeakKeyDictionary()

    def get(self, match: Shown, viewer: int) -> View:
        views = self._of.setdefault(match, WeakValueDictionary())
        view = views.get(viewer)
        if view is None:
            view = views[viewer] = View(match, viewer)
        return view


def frame(
    match: Shown, viewer: int, baseline: int, events: bytes = b"", welcome: play_pb2.Welcome | None = None
) -> bytes:
    """One SpectateResponse, from what the arena encodes for players. A GetReplayResponse has the same."""
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
