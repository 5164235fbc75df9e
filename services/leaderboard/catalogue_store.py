"""Boards and seasons in PostgreSQL, and in memory for as long as there are no more of them."""

import json
from datetime import datetime

from pydantic import TypeAdapter

from services.chassis import sql
from services.chassis.db import Connection
from services.chassis.errors import AlreadyExists, FailedPrecondition
from services.leaderboard.domain.board import Board, Catalogue, Season
from services.leaderboard.schema import SQL

_BOARD = TypeAdapter(Board)


class CatalogueStore:
    """One a process. Callers bring the connection."""

    def __init__(self) -> None:
        self._sql = sql.load(SQL / "catalogue.sql")
        self.known = Catalogue(-1, {}, {}, {})
        """As it was read last."""

    async def present(self, connection: Connection) -> Catalogue:
        """As it is now."""
        return await self.at_least(connection, await connection.fetchval(self._sql["revision"]))

    async def at_least(self, connection: Connection, revision: int) -> Catalogue:
        """Of that revision or a later one: read again only when what is known is older."""
        if self.known.revision < revision:
            read = await self._read(connection)
            if self.known.revision < read.revision:
                self.known = read
        return self.known

    async def _read(self, connection: Connection) -> Catalogue:
        # The revision first: what is added meanwhile is read again the next time.
        revision = await connection.fetchval(self._sql["revision"])
        boards = await connection.fetch(self._sql["boards"])
        seasons = await connection.fetch(self._sql["seasons"])
        return Catalogue(
            revision,
            {row["id"]: _BOARD.validate_json(row["document"]) for row in boards},
            {row["id"]: Season(**row) for row in seasons},
            {row["id"]: row["created_at"] for row in boards},
        )

    async def add_board(self, connection: Connection, board: Board, at: datetime) -> None:
        """In a transaction. Raises AlreadyExists (BOARD_EXISTS)."""
        await connection.execute(self._sql["advance"])
        document = json.dumps(_BOARD.dump_python(board, mode="json"))
        if not await connection.fetchval(self._sql["add_board"], board.id, document, at):
            raise AlreadyExists(
                f"There is a board {board.id}.", reason="BOARD_EXISTS", metadata={"board": board.id}
            )

    async def add_season(self, connection: Connection, season: Season) -> None:
        """In a transaction. Raises AlreadyExists (SEASON_EXISTS), FailedPrecondition (SEASONS_MEET)."""
        await connection.execute(self._sql["advance"])
        times = season.starts_at, season.ends_at
        other = await connection.fetchval(self._sql["season_between"], *times)
        if other is not None and other != season.id:
            raise FailedPrecondition(
                f"The season {other} has some of that time.",
                reason="SEASONS_MEET",
                metadata={"season": season.id, "other": other},
            )
        if not await connection.fetchval(self._sql["add_season"], season.id, season.title, *times):
            raise AlreadyExists(
                f"There is a season {season.id}.", reason="SEASON_EXISTS", metadata={"season": season.id}
            )
