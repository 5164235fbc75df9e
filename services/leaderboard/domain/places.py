"""Which entries a score goes to: one in each window of the board, by when it happened."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import NamedTuple

from services.chassis.calendar import Calendar, zone_of
from services.leaderboard.domain.board import ALL_TIME, DAILY, SEASONAL, WEEKLY, Board, Catalogue

_UNITS = {DAILY: "day", WEEKLY: "week"}
_NOON = time(12)
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


class Place(NamedTuple):
    """Entries that are ranked together. `season` only of a seasonal window, `period` only of a daily or
    weekly one: the day, or the Monday of the week; they are empty otherwise."""

    board: str
    window: str
    season: str
    period: str


@dataclass(frozen=True, slots=True)
class Slot:
    """A place and its time. `ends_at` None: it has no end."""

    place: Place
    starts_at: datetime
    ends_at: datetime | None
    grace: timedelta

    def final(self, now: datetime) -> bool:
        """Whether no score counts here any more."""
        return self.ends_at is not None and now >= self.ends_at + self.grace


def slots(board: Board, catalogue: Catalogue, at: datetime) -> list[Slot]:
    """Of what happened at `at`, in UTC; a seasonal window has none between seasons."""
    found = (slot(board, window, catalogue, at) for window in board.windows)
    return [each for each in found if each is not None]


def slot(board: Board, window: str, catalogue: Catalogue, at: datetime) -> Slot | None:
    """That of `window` at `at`. None: there is no season then."""
    if window == ALL_TIME:
        return Slot(Place(board.id, window, "", ""), _BEGINNING, None, board.grace)
    if window == SEASONAL:
        season = catalogue.season_at(at)
        return None if season is None else _seasonal(board, catalogue, season.id)
    start, end = Calendar(_UNITS[window], board.time_zone).period(at)
    return Slot(Place(board.id, window, "", _day(start, board.time_zone)), start, end, board.grace)


def slot_of(place: Place, catalogue: Catalogue) -> Slot | None:
    """The slot of a place that somebody names. None: there is no such."""
    board = catalogue.boards.get(place.board)
    if board is None or place.window not in board.windows:
        return None
    if place.window == SEASONAL:
        found = _seasonal(board, catalogue, place.season)
    elif place.window == ALL_TIME:
        found = slot(board, ALL_TIME, catalogue, _BEGINNING)
    else:
        found = _dated(board, place, catalogue)
    return found if found is not None and found.place == place else None


@lru_cache(maxsize=4096)
def _day(start: datetime, zone: str) -> str:
    return start.astimezone(zone_of(zone)).date().isoformat()


def _seasonal(board: Board, catalogue: Catalogue, season_id: str) -> Slot | None:
    season = catalogue.seasons.get(season_id)
    if season is None:
        return None
    place = Place(board.id, SEASONAL, season.id, "")
    return Slot(place, season.starts_at, season.ends_at, board.grace)


def _dated(board: Board, place: Place, catalogue: Catalogue) -> Slot | None:
    try:
        noon = datetime.combine(date.fromisoformat(place.period), _NOON, zone_of(board.time_zone))
        return slot(board, place.window, catalogue, noon.astimezone(UTC))
    except (ValueError, OverflowError):
        return None
