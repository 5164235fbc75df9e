"""What a board is: it never changes, or its entries would mean two things."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

DAILY, WEEKLY, SEASONAL, ALL_TIME = "daily", "weekly", "seasonal", "all_time"
MAX_COLUMNS = 2
DEFAULT_LIMIT = 100
DEFAULT_GRACE = timedelta(hours=1)


class Sort(Enum):
    DESCENDING = "descending"
    ASCENDING = "ascending"


class Operator(Enum):
    """What several scores of a player come to."""

    BEST = "best"
    LATEST = "latest"
    SUM = "sum"


class TiePolicy(Enum):
    """Who is first of those with the same score and columns."""

    EARLIEST = "earliest"
    LATEST = "latest"
    SHARED_COMPETITION = "shared_competition"
    SHARED_DENSE = "shared_dense"

    @property
    def shared(self) -> bool:
        """They have one rank."""
        return self in (TiePolicy.SHARED_COMPETITION, TiePolicy.SHARED_DENSE)


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    sort: Sort = Sort.DESCENDING


@dataclass(frozen=True, slots=True)
class Filter:
    """What has to be true of an event's field: it is one of `values`, written as text."""

    field: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Source:
    """Where in the events of the bus a board finds scores; as in the contract."""

    event: str
    player: str
    each: str = ""
    score: str = ""
    columns: tuple[str, ...] = ()
    filters: tuple[Filter, ...] = ()


@dataclass(frozen=True, slots=True)
class Board:
    """`grace`: how long after a period's end scores of it still count. `windows`: the first is shown when
    none is named. `time_zone`: by which days and weeks begin."""

    id: str
    operator: Operator
    windows: tuple[str, ...]
    title: str = ""
    sort: Sort = Sort.DESCENDING
    columns: tuple[Column, ...] = ()
    tie_policy: TiePolicy = TiePolicy.EARLIEST
    time_zone: str = "UTC"
    default_limit: int = DEFAULT_LIMIT
    grace: timedelta = DEFAULT_GRACE
    quarantined_visible_to_owner: bool = False
    sources: tuple[Source, ...] = ()

    @property
    def sorts(self) -> tuple[Sort, ...]:
        """Of the score and each column."""
        return (self.sort, *(column.sort for column in self.columns))


@dataclass(frozen=True, slots=True)
class Season:
    """From `starts_at`, up to and without `ends_at`. No two of them meet."""

    id: str
    title: str
    starts_at: datetime
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Every board and season. `revision` grows with each new one. `created`: when each board was."""

    revision: int
    boards: Mapping[str, Board]
    seasons: Mapping[str, Season]
    created: Mapping[str, datetime]

    def season_at(self, at: datetime) -> Season | None:
        """The one that `at` is in."""
        for season in self.seasons.values():
            if season.starts_at <= at < season.ends_at:
                return season
        return None
