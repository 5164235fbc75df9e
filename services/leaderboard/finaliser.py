"""Makes periods final: from then on nothing of them changes, except what is quarantined or cleared."""

import hashlib
from collections import deque

import asyncpg

from services.chassis import clock, sql
from services.chassis.background import regularly
from services.chassis.db import Connection, Database
from services.chassis.metrics import LEADERBOARD_FINALISED
from services.leaderboard import rows
from services.leaderboard.domain.order import micros
from services.leaderboard.domain.places import Place
from services.leaderboard.schema import SQL

_PAGE = 100
_FETCH = 2000


class Finaliser:
    """The work of one process of several (`Singleton`); two at a time do nothing twice. `every_s`: how often
    it looks."""

    def __init__(self, database: Database, *, every_s: float) -> None:
        self._database = database
        self._every_s = every_s
        self._sql = sql.load(SQL / "finaliser.sql")

    async def run(self) -> None:
        """For ever."""
        await regularly(self.finalise, every_s=self._every_s, failing="nothing is made final")

    async def finalise(self) -> list[Place]:
        """Those whose grace is over. Raises Unavailable, Overloaded: the rest is for the next time."""
        done: list[Place] = []
        while due := await self._due():
            for place in due:
                if await self._one(place):
                    LEADERBOARD_FINALISED.inc()
                    done.append(place)
        return done

    async def _due(self) -> list[Place]:
        async with self._database.connection() as connection:
            found = await connection.fetch(self._sql["due"], clock.now(), _PAGE)
        return [rows.place(row) for row in found]

    async def _one(self, place: Place) -> bool:
        """False: another was faster."""

        async def work(connection: Connection) -> bool:
            if not await connection.fetchval(self._sql["lock"], *place):
                return False
            count, checksum = await self._sum(connection, place)
            await connection.execute(self._sql["finalise"], *place, count, checksum, clock.now())
            return True

        return await self._database.transaction(work)

    async def _sum(self, connection: Connection, place: Place) -> tuple[int, bytes]:
        """How many entries, and the SHA-256 of them in order. An index has the order of those that are
        ranked; the others, which are few, are put between them: so no statement takes long."""
        hidden = deque(await connection.fetch(self._sql["quarantined"], *place))
        count, digest = len(hidden), hashlib.sha256()
        async for row in connection.cursor(self._sql["ranked"], *place, prefetch=_FETCH):
            while hidden and hidden[0]["sort_key"] < row["sort_key"]:
                digest.update(line(hidden.popleft()))
            digest.update(line(row))
            count += 1
        for row in hidden:
            digest.update(line(row))
        return count, digest.digest()


def line(row: asyncpg.Record) -> bytes:
    """What of an entry the checksum is over: player, score, columns, and when it was reached in microseconds
    since 1970, separated by tabs, with a line feed at the end."""
    numbers = (row["score"], row["c1"], row["c2"], micros(row["achieved_at"]))
    return (
        "\t".join((row["player_id"], *(str(number) for number in numbers if number is not None))).encode()
        + b"\n"
    )
