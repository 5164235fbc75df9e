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
        """A tick is done. `events`: what was told since the last one. `now_s`: the monotonic clock."""

    def tell(self, events: bytes) -> None:
        """Something happened, and is durable. `events`: field 7 of PlayResponse."""

    def stop(self) -> None:
        """Nothing of this stream may be judged any more; what was judged may still be answered."""

    def end(self, error: DomainError | None, kind: play_pb2.NoticeKind, reason: str) -> None:
        """The stream must end, with a notice first."""


class Waiter(Protocol):
    def release(self, through: int, mark: bytes) -> None:
        """The journal is durable through a sequence. `mark`: that, as field 8 of PlayResponse."""
