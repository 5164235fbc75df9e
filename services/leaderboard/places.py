"""The place that a request means."""

from datetime import datetime
from typing import Protocol

from services.chassis.errors import InvalidArgument, NotFound
from services.leaderboard.boards import board_of
from services.leaderboard.domain.board import DAILY, SEASONAL, WEEKLY, Board, Catalogue
from services.leaderboard.domain.places import Place, Slot, slot, slot_of


class Named(Protocol):
    """What requests name a place by. What is empty: the default board, its first window, the present."""

    @property
    def board(self) -> str: ...
    @property
    def window(self) -> str: ...
    @property
    def season(self) -> str: ...
    @property
    def period(self) -> str: ...


def meant(catalogue: Catalogue, named: Named, now: datetime) -> tuple[Board, Slot]:
    """The board, and the place with its time.

    Raises:
        NotFound: BOARD_NOT_FOUND, WINDOW_NOT_FOUND, SEASON_NOT_FOUND, PERIOD_NOT_FOUND.
        InvalidArgument: something is named that the window does not have, or a period that is none.
    """
    board = board_of(catalogue, named.board)
    window = window_of(board, named.window)
    if named.season and window != SEASONAL:
        raise InvalidArgument.of("season", f"must be empty: the window is {window}")
    if named.period and window not in (DAILY, WEEKLY):
        raise InvalidArgument.of("period", f"must be empty: the window is {window}")
    if named.season or named.period:
        found = slot_of(Place(board.id, window, named.season, named.period), catalogue)
    else:
        found = slot(board, window, catalogue, now)
    if found is None and named.period:
        rule = "must be a day" if window == DAILY else "must be a Monday"
        raise InvalidArgument.of("period", rule)
    if found is None:
        raise _no_season(named.season)
    if named.period and found.starts_at > now:
        raise NotFound(
            "The period has not begun.", reason="PERIOD_NOT_FOUND", metadata={"period": named.period}
        )
    return board, found


def window_of(board: Board, window: str) -> str:
    """The board's first one when none is named. Raises NotFound: WINDOW_NOT_FOUND."""
    if window and window not in board.windows:
        raise NotFound(
            "The board has no such window.",
            reason="WINDOW_NOT_FOUND",
            metadata={"board": board.id, "window": window, "windows": ",".join(board.windows)},
        )
    return window or board.windows[0]


def _no_season(season_id: str) -> NotFound:
    text = "There is no such season." if season_id else "There is no season now."
    return NotFound(text, reason="SEASON_NOT_FOUND", metadata={"season": season_id})
