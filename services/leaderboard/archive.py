"""Ranks read from PostgreSQL: of what Redis does not have. A rank is counted, so it takes the longer the more
entries are better; everything else goes by the index."""

from collections.abc import Sequence

import asyncpg

from services.chassis import sql
from services.chassis.db import Connection, Database
from services.leaderboard.domain.board import Board, TiePolicy
from services.leaderboard.domain.order import Order
from services.leaderboard.domain.places import Place
from services.leaderboard.domain.ranking import Found, Own, Ranked, Row, single
from services.leaderboard.schema import SQL

_LAST = b"\xff"
"""Behind whatever a key may go on with, which is ASCII or eight bytes of time before 2^63."""


class Archive:
    """As `Standings`, of every place."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = sql.load(SQL / "reads.sql")

    async def top(self, board: Board, place: Place, after: bytes, limit: int, owner: str = "") -> Found:
        """See `Standings.top`."""
        async with (
            self._database.connection() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            rows = await self._rows(connection, "after", place, after, limit)
            return await self._found(connection, board, place, rows, owner)

    async def around(
        self, board: Board, place: Place, player: str, limit: int, owner: str = ""
    ) -> Found | None:
        """See `Standings.around`."""
        async with (
            self._database.connection() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            held = await self._rows(connection, "of_players", place, [player])
            if not held or (held[0].quarantined and player != owner):
                return None
            key = held[0].key
            ahead = await self._rows(connection, "ahead", place, key, limit)
            after = await self._rows(connection, "after", place, key, limit)
            ranked = [] if held[0].quarantined else held
            return await self._found(connection, board, place, [*reversed(ahead), *ranked, *after], owner)

    async def players(
        self, board: Board, place: Place, players: Sequence[str], owner: str = ""
    ) -> tuple[list[Ranked], Own | None]:
        """See `Standings.players`."""
        async with (
            self._database.connection() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            held = await self._rows(connection, "of_players", place, list(players))
            order = Order.of(board)
            found = [
                single(order, row, await self._rank(connection, board, place, row.key))
                for row in held
                if not row.quarantined or order.player(row.key) == owner
            ]
            return found, await self._own(connection, board, place, owner) if owner else None

    async def _found(
        self, connection: Connection, board: Board, place: Place, rows: Sequence[Row], owner: str
    ) -> Found:
        players = await connection.fetchval(self._sql["players"], *place)
        own = await self._own(connection, board, place, owner) if owner else None
        if not rows:
            return Found(players, players, players + 1, rows, own)
        position = await connection.fetchval(self._sql["before"], *place, rows[0].key)
        return Found(players, position, await self._rank(connection, board, place, rows[0].key), rows, own)

    async def _own(self, connection: Connection, board: Board, place: Place, owner: str) -> Own | None:
        held = await self._rows(connection, "of_players", place, [owner])
        if not held or not held[0].quarantined:
            return None
        key = held[0].key
        tuple_ = key[: Order.of(board).tuple_length]
        there = await connection.fetchval(self._sql["result_there"], *place, tuple_, tuple_ + _LAST * 9)
        return Own(held[0], await self._rank(connection, board, place, key), there)

    async def _rank(self, connection: Connection, board: Board, place: Place, key: bytes) -> int:
        length = Order.of(board).tuple_length
        match board.tie_policy:
            case TiePolicy.SHARED_DENSE:
                query, *arguments = "results_before", key[:length], length
            case TiePolicy.SHARED_COMPETITION:
                query, *arguments = "before", key[:length]
            case _:
                query, *arguments = "before", key
        count: int = await connection.fetchval(self._sql[query], *place, *arguments)
        return count + 1

    async def _rows(self, connection: Connection, query: str, place: Place, *arguments: object) -> list[Row]:
        return [_row(each) for each in await connection.fetch(self._sql[query], *place, *arguments)]


def _row(row: asyncpg.Record) -> Row:
    return Row(row["sort_key"], row["achieved_at"], row["submissions"], row["quarantined"])
