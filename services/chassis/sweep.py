"""What time alone brings about: what is due is dealt with, what was kept for a time only is deleted.

Whatever is due stays in its table until a command has dealt with it, so a sweeper that dies is replaced by
another that begins anew, and two at a time do nothing twice.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import date, datetime
from typing import Generic, TypeVar

import asyncpg
import structlog
from prometheus_client import Counter

from services.chassis.db import Connection, Database
from services.chassis.errors import Overloaded, Unavailable

C = TypeVar("C")
_PAGE = 200
"""Commands that wait for the committer at once: the callers of others wait behind them."""
_DELETED = 2000
"""Rows that one transaction deletes at most."""
_log = structlog.get_logger()


class Sweep(Generic[C]):
    """`run`: a command that deals with something; its answer is empty when there was nothing to do.
    `statements`: by kind. `swept`: how many were dealt with or deleted, by kind."""

    def __init__(
        self,
        database: Database,
        run: Callable[[C], Awaitable[bytes]],
        statements: Mapping[str, str],
        swept: Counter,
    ) -> None:
        self._database = database
        self._run = run
        self._sql = statements
        self._swept = swept

    async def settle(
        self, kind: str, until: datetime, place: Sequence[object], make: Callable[[asyncpg.Record], C]
    ) -> None:
        """All that is due by then, page by page, each behind the last: one that cannot be dealt with holds up
        nobody.

        The statement is given the time, how many rows, and the place that they are behind, at first `place`;
        a row's first columns are its place.

        Raises Unavailable, Overloaded: the rest is for the next time.
        """
        rows: list[asyncpg.Record] = []
        while not rows or len(rows) == _PAGE:
            async with self._database.connection() as connection:
                rows = await connection.fetch(self._sql[kind], until, _PAGE, *place)
            if not rows:
                return
            await self._commit(kind, [make(row) for row in rows])
            place = tuple(rows[-1])[: len(place)]

    async def _commit(self, kind: str, commands: Sequence[C]) -> None:
        outcomes = await asyncio.gather(*map(self._run, commands), return_exceptions=True)
        for command, outcome in zip(commands, outcomes, strict=True):
            if isinstance(outcome, Unavailable | Overloaded):
                raise outcome
            if isinstance(outcome, BaseException):
                _log.error("cannot sweep", kind=kind, command=repr(command), error=repr(outcome))
            elif outcome:
                self._swept.labels(kind).inc()

    async def delete(self, kind: str, until: date) -> None:
        """What is not younger. The statement is given the time and how many rows it may delete, and returns
        each. Raises Unavailable, Overloaded."""

        async def delete(connection: Connection) -> int:
            return len(await connection.fetch(self._sql[kind], until, _DELETED))

        while deleted := await self._database.transaction(delete):
            self._swept.labels(kind).inc(deleted)
            if deleted < _DELETED:
                return
