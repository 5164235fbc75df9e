"""What time alone brings about: restrictions end, and what is kept for a time only is deleted.

A restriction whose time is over stays in the tables until a command of the committer has ended it, so a
sweeper that dies is replaced by another that begins anew, and two at a time do nothing twice.
"""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import asyncpg
import structlog

from services.chassis import clock, sql
from services.chassis.db import Connection, Database
from services.chassis.errors import Overloaded, Unavailable
from services.chassis.metrics import FAIRNESS_SWEPT
from services.fairness.batch import Command, Turn
from services.fairness.committer import Committer
from services.fairness.domain.player import SERVICE
from services.fairness.schema import SQL

_PAGE = 200
"""Commands that wait for the committer at once: the callers of others wait behind them."""
_DELETED = 5000
"""Rows that one transaction deletes at most."""
_PEER_DAYS = timedelta(days=90)
"""As many as a detector may ask for."""
_BEGINNING = datetime(1, 1, 1, tzinfo=UTC)
_log = structlog.get_logger()


class Sweeper:
    """The work of one process of several (`Singleton`). `every_s`: how often it looks. `keep`:
    observations, for how long."""

    def __init__(self, database: Database, committer: Committer, *, every_s: float, keep: timedelta) -> None:
        self._database = database
        self._committer = committer
        self._every_s = every_s
        self._keep = keep
        self._sql = sql.load(SQL / "sweeper.sql")

    async def run(self) -> None:
        """For ever."""
        while True:
            try:
                await self.sweep()
            except (Unavailable, Overloaded) as error:
                _log.warning("sweep broken off", reason=error.reason)
            await asyncio.sleep(self._every_s)

    async def sweep(self) -> None:
        """Once all that is due by now. What fails is told of, and tried again the next time.

        Raises Unavailable, Overloaded: the rest is for the next time.
        """
        now = clock.now()
        await self._expire(now)
        await self._delete("observations", now - self._keep)
        await self._delete("peers", (now - _PEER_DAYS).date())

    async def _expire(self, now: datetime) -> None:
        """Page by page, each behind the last: one that cannot be dealt with holds up nobody."""
        place: tuple[object, ...] = (_BEGINNING, "")
        rows: list[asyncpg.Record] = []
        while not rows or len(rows) == _PAGE:
            async with self._database.connection() as connection:
                rows = await connection.fetch(self._sql["due"], now, _PAGE, *place)
            if not rows:
                return
            await self._commit([_look(player_id) for player_id in {row["player_id"] for row in rows}])
            FAIRNESS_SWEPT.labels("sanctions").inc(len(rows))
            place = rows[-1]["until"], rows[-1]["id"]

    async def _commit(self, commands: Sequence[Command]) -> None:
        outcomes = await asyncio.gather(*map(self._committer.run, commands), return_exceptions=True)
        for command, outcome in zip(commands, outcomes, strict=True):
            if isinstance(outcome, Unavailable | Overloaded):
                raise outcome
            if isinstance(outcome, BaseException):
                _log.error("cannot sweep", players=command.player_ids, error=repr(outcome))

    async def _delete(self, kind: str, until: object) -> None:
        async def delete(connection: Connection) -> int:
            return len(await connection.fetch(self._sql[kind], until, _DELETED))

        while deleted := await self._database.transaction(delete):
            FAIRNESS_SWEPT.labels(kind).inc(deleted)
            if deleted < _DELETED:
                return


def _look(player_id: str) -> Command:
    """What is over ends whenever a player is looked at."""

    def decide(turn: Turn) -> bytes:
        turn.player(player_id)
        return b""

    return Command((player_id,), decide, SERVICE)
