"""The time in which a metric counts, by when things happened."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from services.chassis.calendar import Calendar, zones

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Ever:
    """All of it."""

    @property
    def key(self) -> str:
        return "ever"


@dataclass(frozen=True, slots=True)
class Sliding:
    """The last `length`, in `parts` equal parts that begin at multiples of their length since 1970. A window
    is so many parts that follow each other, the last one still going on: so it holds all of the last
    `length - length / parts` and nothing older than `length`."""

    length: timedelta
    parts: int

    def __post_init__(self) -> None:
        if self.parts < 1 or self.length <= timedelta(0) or self.length != self.span * self.parts:
            raise ValueError(f"{self.length} cannot be cut into {self.parts} equal parts")

    @property
    def key(self) -> str:
        return f"{int(self.length.total_seconds())}s/{self.parts}"

    @property
    def span(self) -> timedelta:
        """Length of a part."""
        return self.length // self.parts

    def part(self, at: datetime) -> datetime:
        """When the part that `at`, in UTC, is in began."""
        return at - (at - EPOCH) % self.span


Window = Ever | Calendar | Sliding
EVER = Ever()


@lru_cache(maxsize=4096)
def parse_window(key: str) -> Window:
    """The window with that key. Raises ValueError."""
    if key == EVER.key:
        return EVER
    unit, colon, zone = key.partition(":")
    if colon and unit in ("day", "week", "month") and zone in zones():
        return Calendar(unit, zone)
    seconds, slash, parts = key.partition("s/")
    if slash and seconds.isdecimal() and parts.isdecimal():
        return Sliding(timedelta(seconds=int(seconds)), int(parts))
    raise ValueError(f"no window has the key {key!r}")
