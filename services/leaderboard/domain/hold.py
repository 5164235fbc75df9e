"""Which results of a player are ranked no more: those under suspicion."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Hidden:
    """Results reached at `since` or later. `board` empty: of every board."""

    board: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Hold:
    """All that is hidden of a player. One of a lower or the same `revision` says nothing new."""

    player: str
    revision: int
    hidden: tuple[Hidden, ...]

    def hides(self, board: str, achieved_at: datetime) -> bool:
        return any(each.board in ("", board) and achieved_at >= each.since for each in self.hidden)
