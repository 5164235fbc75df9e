"""What time alone brings about: restrictions end, and what is kept for a time only is deleted."""

from datetime import UTC, datetime, timedelta

import asyncpg

from services.chassis import clock, sql
from services.chassis.background import regularly
from services.chassis.db import Database
from services.chassis.metrics import FAIRNESS_SWEPT
from services.chassis.sweep import Sweep
from services.fairness.batch import Command, Turn
from services.fairness.committer import Committer
from services.fairness.domain.player import SERVICE
from services.fairness.schema import SQL

_PEER_DAYS = timedelta(days=90)
"""As many as a detector may ask for."""
_BEGINNING = datetime(1, 1, 1, tzinfo=UTC)


class Sweeper:
    """The work of one process of several (`Singleton`). `every_s`: how often it looks. `keep`:
    observations, for how long."""

    def __init__(self, database: Database, committer: Committer, *, every_s: float, keep: timedelta) -> None:
        self._sweep = Sweep(database, committer.run, sql.load(SQL / "sweeper.sql"), FAIRNESS_SWEPT)
        self._every_s = every_s
        self._keep = keep

    async def run(self) -> None:
        """For ever."""
        await regularly(self.sweep, every_s=self._every_s, failing="sweep broken off")

    async def sweep(self) -> None:
        """Once all that is due by now. What fails is told of, and tried again the next time.

        Raises Unavailable, Overloaded: the rest is for the next time.
        """
        now = clock.now()
        await self._sweep.settle("sanctions", now, (_BEGINNING, ""), _look)
        await self._sweep.delete("observations", now - self._keep)
        await self._sweep.delete("peers", (now - _PEER_DAYS).date())


def _look(row: asyncpg.Record) -> Command:
    """What is over ends whenever a player is looked at."""
    player_id = row["player_id"]

    def decide(turn: Turn) -> bytes:
        turn.player(player_id)
        return b"1"

    return Command((player_id,), decide, SERVICE)
