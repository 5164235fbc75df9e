"""Periods that have entries, and what they came to."""

from dataclasses import dataclass
from datetime import datetime

import asyncpg

from services.chassis import clock, sql
from services.chassis.db import Database
from services.leaderboard import rows
from services.leaderboard.domain.board import Board
from services.leaderboard.domain.places import Slot
from services.leaderboard.schema import SQL


@dataclass(frozen=True, slots=True)
class State:
    """Of a period. `entries`, `checksum`: of a final one."""

    final: bool = False
    entries: int = 0
    checksum: bytes = b""


class Periods:
    """From PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = sql.load(SQL / "periods.sql")

    async def state(self, slot: Slot) -> State:
        """What is not over is not final, and needs no look."""
        if not slot.final(clock.now()):
            return State()
        async with self._database.connection() as connection:
            row = await connection.fetchrow(self._sql["state"], *slot.place)
        return State() if row is None else _state(row)

    async def list(
        self, board: Board, window: str, before: datetime | None, limit: int
    ) -> list[tuple[Slot, State]]:
        """The latest first: those that began before."""
        async with self._database.connection() as connection:
            found = await connection.fetch(self._sql["list"], board.id, window, before, limit)
        return [
            (Slot(rows.place(row), row["starts_at"], row["ends_at"], board.grace), _state(row))
            for row in found
        ]


def _state(row: asyncpg.Record) -> State:
    return State(row["final"], row["entries"] or 0, row["checksum"] or b"")
