"""Statistics in PostgreSQL: how far each journal is counted, what was counted, who sat where."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

from services.chassis import sql
from services.chassis.db import Connection
from services.combat.domain.statistics import PlayerStats, WeaponCount
from services.combat.schema import SQL
from services.combat.statistics.memory import Seat

_COUNTS = (
    *("slot", "team", "kills", "deaths", "assists", "damage_dealt_milli", "damage_taken_milli"),
    *("healed_milli", "shots", "hits", "headshots", "longest_kill_mm", "best_streak", "time_alive_us"),
    *("movement_violations", "moved_mm", "clamped_rewinds"),
)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How far a session is counted, and the saved Story that counted it."""

    sequence: int = 0
    time_us: int = 0
    tally: bytes = b""
    story: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Lag:
    """What is committed and not counted: records of all sessions, the longest stretch of a session clock;
    sessions that cannot be counted."""

    records: int
    time_us: int
    parked: int


class StatisticsStore:
    """Every statement on projections, player statistics and seats. Callers bring the connection."""

    def __init__(self) -> None:
        self._sql = sql.load(SQL / "statistics.sql")

    # -- counting ---------------------------------------------------------------------------------

    async def pending(self, connection: Connection, retry_before: datetime, limit: int) -> list[str]:
        """Sessions with records to count; parked ones only when they were parked before `retry_before`."""
        rows = await connection.fetch(self._sql["pending"], _naive(retry_before), limit)
        return [row["id"] for row in rows]

    async def finish(self, connection: Connection) -> None:
        """Sets aside the sessions that are over and counted."""
        await connection.execute(self._sql["finish"])

    async def lag(self, connection: Connection) -> Lag:
        row = await connection.fetchrow(self._sql["lag"])
        assert row is not None
        return Lag(row["records"], row["time_us"], row["parked"])

    async def load(self, connection: Connection, session_id: str) -> Checkpoint:
        row = await connection.fetchrow(self._sql["load"], session_id)
        if row is None or row["sequence"] == 0:
            return Checkpoint()
        return Checkpoint(row["sequence"], row["time_us"], row["tally"], json.loads(row["story"]))

    async def fitting(
        self, connection: Connection, session_id: str, *, after: int, segments: int, size: int
    ) -> int:
        """How many of the next segments make one step: at least one, whatever its size."""
        fitting = await connection.fetchval(self._sql["fitting"], session_id, after, segments, size)
        return max(int(fitting), 1)

    async def move(
        self,
        connection: Connection,
        session_id: str,
        *,
        old: int,
        new: Checkpoint,
        now: datetime,
    ) -> bool:
        """Moves the checkpoint and holds its row until the transaction ends. False: it was not at `old`."""
        moved = await connection.fetchval(
            self._sql["move"],
            session_id,
            old,
            new.sequence,
            new.time_us,
            new.tally,
            json.dumps(new.story),
            _naive(now),
        )
        return moved is not None

    async def park(
        self, connection: Connection, session_id: str, *, sequence: int, error: str, now: datetime
    ) -> None:
        """Notes why the journal after `sequence` cannot be counted, unless it has been meanwhile."""
        await connection.execute(self._sql["park"], session_id, sequence, _naive(now), error)

    async def put(
        self,
        connection: Connection,
        session_id: str,
        players: Iterable[PlayerStats],
        seats: Iterable[Seat],
    ) -> None:
        await connection.executemany(self._sql["put_player"], [_row(session_id, each) for each in players])
        await connection.executemany(
            self._sql["put_seat"],
            [(session_id, s.slot, s.player_id, s.team, s.since, s.until) for s in seats],
        )

    async def clear(self, connection: Connection, session_id: str) -> None:
        """Forgets players and seats; the checkpoint stays."""
        await connection.execute(self._sql["clear_players"], session_id)
        await connection.execute(self._sql["clear_seats"], session_id)

    async def counted(self, connection: Connection, after: str, limit: int) -> list[str]:
        """Ids of sessions that have a checkpoint, in order, after one of them ('' for the first)."""
        return [row["session_id"] for row in await connection.fetch(self._sql["counted"], after, limit)]

    # -- reading ----------------------------------------------------------------------------------

    async def session(
        self, connection: Connection, session_id: str
    ) -> tuple[int, Sequence[PlayerStats]] | None:
        """Sequence that is counted, and everybody of it; None: there is no such session."""
        rows = await connection.fetch(self._sql["session_players"], session_id)
        if not rows:
            return None
        return rows[0]["sequence"], [_stats(row) for row in rows if row["player_id"] is not None]

    async def player(self, connection: Connection, player_id: str) -> tuple[int, PlayerStats]:
        """In how many sessions a player had a seat, and everything counted of all of them."""
        row = await connection.fetchrow(self._sql["player"], player_id)
        assert row is not None
        return row["sessions"], _stats({**row, "player_id": player_id, "slot": 0, "team": 0})


def _row(session_id: str, stats: PlayerStats) -> tuple[Any, ...]:
    weapons = {
        name: {"index": count.index, "shots": count.shots, "hits": count.hits, "kills": count.kills}
        for name, count in stats.weapons.items()
    }
    return (
        session_id,
        stats.player_id,
        *(getattr(stats, name) for name in _COUNTS),
        json.dumps(weapons),
        json.dumps(stats.regions),
        list(stats.rewind_bins),
    )


def _stats(row: asyncpg.Record | dict[str, Any]) -> PlayerStats:
    return PlayerStats(
        player_id=row["player_id"],
        **{name: row[name] for name in _COUNTS},
        weapons={name: WeaponCount(**count) for name, count in json.loads(row["weapons"]).items()},
        regions={int(region): hits for region, hits in json.loads(row["regions"]).items()},
        rewind_bins=row["rewind_bins"],
    )


def _naive(time: datetime) -> datetime:
    return time.replace(tzinfo=None)
