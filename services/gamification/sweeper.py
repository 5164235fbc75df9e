"""What time alone brings about: periods close, quests and grants expire, what is over is deleted."""

from datetime import UTC, datetime, timedelta

import asyncpg

from services.chassis import clock, sql
from services.chassis.background import regularly
from services.chassis.db import Database
from services.chassis.metrics import GAMIFICATION_SWEPT
from services.chassis.sweep import Sweep
from services.gamification.batch import Command, Turn
from services.gamification.committer import Committer
from services.gamification.domain import grants, sweep
from services.gamification.domain.player import Closing
from services.gamification.schema import SQL

ACTOR = "service:sweeper"
_BEGINNING = datetime(1, 1, 1, tzinfo=UTC)


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
        self._sweep = Sweep(database, committer.run, sql.load(SQL / "sweeper.sql"), GAMIFICATION_SWEPT)
        self._every_s = every_s
        self._grace = grace
        self._keep = keep_notifications

    async def run(self) -> None:
        """For ever."""
        await regularly(self.sweep, every_s=self._every_s, failing="sweep broken off")

    async def sweep(self) -> None:
        """Once all that is due by now. What fails is told of, and tried again the next time.

        Raises Unavailable, Overloaded: the rest is for the next time.
        """
        now = clock.now()
        await self._sweep.settle("closings", now, (_BEGINNING, "", "", "", _BEGINNING), _closing)
        await self._sweep.settle("quests", now - self._grace, (_BEGINNING, "", ""), self._quest)
        await self._sweep.settle("grants", now, (_BEGINNING, ""), _grant)
        await self._sweep.delete("accumulators", now)
        await self._sweep.delete("notifications", now - self._keep)

    def _quest(self, row: asyncpg.Record) -> Command:
        user_id, quest_id, grace = row["user_id"], row["quest_id"], self._grace

        def decide(turn: Turn) -> bytes:
            draft = turn.player(user_id)
            return _answer(
                sweep.expire(draft, turn.catalogue, quest_id, now=turn.now, entropy=turn.entropy, grace=grace)
            )

        return Command((user_id,), decide, ACTOR)


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
