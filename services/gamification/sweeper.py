"""What time alone brings about: periods close, quests and grants expire, what is over is deleted.

Whatever is due stays in the tables until a command of the committer has dealt with it, so a sweeper that dies
is replaced by another that begins anew, and two at a time do nothing twice.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import asyncpg
import structlog

from services.chassis import clock, sql
from services.chassis.db import Connection, Database
from services.chassis.errors import Overloaded, Unavailable
from services.chassis.metrics import GAMIFICATION_SWEPT
from services.gamification.batch import Command, Turn
from services.gamification.committer import Committer
from services.gamification.domain import grants, sweep
from services.gamification.domain.player import Closing
from services.gamification.schema import SQL

ACTOR = "service:sweeper"
_PAGE = 200
"""Commands that wait for the committer at once: the callers of others wait behind them."""
_DELETED = 2000
"""Rows that one transaction deletes at most."""
_BEGINNING = datetime(1, 1, 1, tzinfo=UTC)
_log = structlog.get_logger()

Make = Callable[[asyncpg.Record], Command]


class Sweeper:
    """The work of one process of several (`Singleton`).

    `every_s`: how often it looks. `grace`: how long after its deadline a quest expires. `keep_notifications`:
    for how long.
    """

    def __init__(
        self,
        database: Database,
        committer: Committer,
        *,
        every_s: float,
        grace: timedelta,
        keep_notifications: timedelta,
    ) -> None:
        self._database = database
        self._committer = committer
        self._every_s = every_s
        self._grace = grace
        self._keep = keep_notifications
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
        await self._all("closings", now, (_BEGINNING, "", "", "", _BEGINNING), _closing)
        await self._all("quests", now - self._grace, (_BEGINNING, "", ""), self._quest)
        await self._all("grants", now, (_BEGINNING, ""), _grant)
        await self._delete("accumulators", now)
        await self._delete("notifications", now - self._keep)

    # -- what players are told of -----------------------------------------------------------------

    async def _all(self, kind: str, until: datetime, place: Sequence[object], make: Make) -> None:
        """Page by page, each behind the last: one that cannot be dealt with holds up nobody."""
        rows: list[asyncpg.Record] = []
        while not rows or len(rows) == _PAGE:
            async with self._database.connection() as connection:
                rows = await connection.fetch(self._sql[kind], until, _PAGE, *place)
            if not rows:
                return
            await self._commit(kind, [make(row) for row in rows])
            place = tuple(rows[-1])[: len(place)]

    async def _commit(self, kind: str, commands: Sequence[Command]) -> None:
        outcomes = await asyncio.gather(*map(self._committer.run, commands), return_exceptions=True)
        for command, outcome in zip(commands, outcomes, strict=True):
            if isinstance(outcome, Unavailable | Overloaded):
                raise outcome
            if isinstance(outcome, BaseException):
                _log.error("cannot sweep", kind=kind, users=command.user_ids, error=repr(outcome))
            elif outcome:
                GAMIFICATION_SWEPT.labels(kind).inc()

    def _quest(self, row: asyncpg.Record) -> Command:
        user_id, quest_id, grace = row["user_id"], row["quest_id"], self._grace

        def decide(turn: Turn) -> bytes:
            draft = turn.player(user_id)
            return _answer(
                sweep.expire(draft, turn.catalogue, quest_id, now=turn.now, entropy=turn.entropy, grace=grace)
            )

        return Command((user_id,), decide, ACTOR)

    # -- what nobody looks at any more ------------------------------------------------------------

    async def _delete(self, kind: str, until: datetime) -> None:
        async def delete(connection: Connection) -> int:
            return len(await connection.fetch(self._sql[kind], until, _DELETED))

        while deleted := await self._database.transaction(delete):
            GAMIFICATION_SWEPT.labels(kind).inc(deleted)
            if deleted < _DELETED:
                return


def _closing(row: asyncpg.Record) -> Command:
    user_id = row["user_id"]
    closing = Closing(row["subject"], row["window_key"], row["starts_at"])

    def decide(turn: Turn) -> bytes:
        draft = turn.player(user_id)
        return _answer(sweep.close(draft, turn.catalogue, closing, now=turn.now, entropy=turn.entropy))

    return Command((user_id,), decide, ACTOR)


def _grant(row: asyncpg.Record) -> Command:
    user_id, grant_id = row["user_id"], row["id"]

    def decide(turn: Turn) -> bytes:
        return _answer(grants.expire(turn.player(user_id), grant_id, turn.now) is not None)

    return Command((user_id,), decide, ACTOR, grant_ids=(grant_id,), balances=True)


def _answer(done: bool) -> bytes:
    """Empty: another was faster, or it is not due."""
    return b"1" if done else b""
