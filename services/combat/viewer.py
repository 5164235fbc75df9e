"""What a match knows of somebody who is connected to it."""

from typing import Protocol

from arenamesh.combat.v1 import play_pb2

from services.chassis.errors import DomainError


class Viewer(Protocol):
    def on_tick(self, tick: int, events: bytes, now_s: float) -> None:
        """A tick is done. `events`: field 7 of PlayResponse. `now_s`: the monotonic clock."""

    def end(self, error: DomainError | None, kind: play_pb2.NoticeKind, reason: str) -> None:
        """The stream must end, with a notice first."""
