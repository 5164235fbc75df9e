"""What a match knows of somebody who is connected to it, and what they know of the match."""

from typing import Protocol

from arenamesh.combat.v1 import play_pb2

from native.arena import Arena
from services.chassis.errors import DomainError
from services.combat.domain.session import Session


class Shown(Protocol):
    """A match to look at: live, or played again from its journal."""

    @property
    def session(self) -> Session: ...
    @property
    def arena(self) -> Arena: ...


class Viewer(Protocol):
    def on_tick(self, tick: int, events: bytes, now_s: float) -> None:
        """A tick is done. `events`: field 7 of PlayResponse. `now_s`: the monotonic clock."""

    def end(self, error: DomainError | None, kind: play_pb2.NoticeKind, reason: str) -> None:
        """The stream must end, with a notice first."""
