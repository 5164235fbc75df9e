"""Paragon of all characters: how many are where, what they have together, who is best."""

import asyncio
from bisect import bisect_left
from dataclasses import dataclass

from services.chassis import clock, sql
from services.chassis.db import Connection, Database
from services.progression.domain.events import ATTRIBUTES, Points
from services.progression.projection import bucket
from services.progression.schema import SQL

MOST_TOP = 100
DEFAULT_TOP = 10


@dataclass(frozen=True, slots=True)
class Bucket:
    """Characters of one level, or of neighbouring ones. `to_level`: inclusive."""

    from_level: int
    to_level: int
    characters: int


@dataclass(frozen=True, slots=True)
class Top:
    """`rank`: from 1; equal ones share it."""

    rank: int
    character_id: str
    level: int
    experience: int


@dataclass(frozen=True, slots=True)
class GlobalStatistics:
    """`experience`, `levels`, `points`: sums over all. `distribution`: rising. `top`: MOST_TOP at most."""

    characters: int
    experience: int
    levels: int
    points: Points
    distribution: tuple[Bucket, ...]
    top: tuple[Top, ...]

    @property
    def average_experience(self) -> int:
        return self.experience // max(self.characters, 1)

    @property
    def average_level_milli(self) -> int:
        return self.levels * 1000 // max(self.characters, 1)

    def percentile_milli(self, level: int) -> int:
        """The share of characters in buckets below that of `level`, 1/1000 of a percent, rounded down."""
        own = bisect_left(self.distribution, bucket(level), key=lambda each: each.from_level)
        below = sum(each.characters for each in self.distribution[:own])
        return below * 100_000 // max(self.characters, 1)


class Statistics:
    """Read at most once in `seconds`, whoever asks."""

    def __init__(self, database: Database, *, seconds: float) -> None:
        self._database = database
        self._seconds = seconds
        self._sql = sql.load(SQL / "reads.sql")
        self._reading = asyncio.Lock()
        self._known: GlobalStatistics | None = None
        self._read_at_s = 0.0

    async def get(self) -> GlobalStatistics:
        """Raises DatabaseUnavailable."""
        async with self._reading:
            now_s = clock.monotonic_s()
            if self._known is None or now_s - self._read_at_s >= self._seconds:
                async with self._database.connection() as connection:
                    self._known = await self._read(connection)
                self._read_at_s = now_s
            return self._known

    async def _read(self, connection: Connection) -> GlobalStatistics:
        buckets = await connection.fetch(self._sql["statistics"])
        top = await connection.fetch(self._sql["top"], MOST_TOP)
        return GlobalStatistics(
            characters=sum(row["characters"] for row in buckets),
            experience=sum(int(row["experience"]) for row in buckets),
            levels=sum(int(row["levels"]) for row in buckets),
            points={name: sum(int(row[name]) for row in buckets) for name in ATTRIBUTES},
            distribution=tuple(
                Bucket(row["bucket"], bucket_end(row["bucket"]), row["characters"]) for row in buckets
            ),
            top=tuple(
                Top(row["rank"], row["character_id"], row["level"], int(row["experience"])) for row in top
            ),
        )


def bucket_end(lowest: int) -> int:
    """The highest level in the bucket that begins with `lowest`; see `projection.bucket`."""
    size: int = 1 if lowest < 100 else 10 ** (len(str(lowest)) - 2)
    return min(lowest + size, 2**63) - 1
