"""Boards and seasons: what there is, and what it takes to add one. None is ever changed or taken away."""

from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import TypeVar

from arenamesh.liveops.v1 import board_pb2, leaderboard_service_pb2

from services.chassis import clock, definition_files
from services.chassis.current import Current
from services.chassis.db import Connection, Database
from services.chassis.errors import DomainError, NotFound
from services.chassis.idempotency import Idempotency, IdempotencyKey
from services.leaderboard import translate
from services.leaderboard.catalogue_store import CatalogueStore
from services.leaderboard.domain.board import Board, Catalogue
from services.leaderboard.schema import SCHEMA

T = TypeVar("T")


class Boards(Current[Catalogue]):
    """What there is, for whoever asks, and new ones."""

    def __init__(self, database: Database, store: CatalogueStore) -> None:
        super().__init__(database, store)
        self._store = store
        self._idempotency = Idempotency(SCHEMA)

    # -- reading ----------------------------------------------------------------------------------

    async def found(self, wanted: Callable[[Catalogue], T]) -> T:
        """What is wanted, in what is known; only what is not there is looked for again. So it costs nothing,
        and is never wrong: nothing is ever changed or taken away.

        Raises:
            DomainError: `wanted` does not find it in what there is by now.
            DatabaseUnavailable, Overloaded: see `current`.
        """
        try:
            return wanted(self._store.known)
        except DomainError:
            return wanted(await self.current())

    # -- adding -----------------------------------------------------------------------------------

    async def create_board(
        self, key: IdempotencyKey | None, message: board_pb2.Board
    ) -> leaderboard_service_pb2.CreateBoardResponse:
        """Raises InvalidArgument, AlreadyExists (BOARD_EXISTS)."""
        board = translate.to_board(message)

        async def add(connection: Connection) -> bytes:
            at = clock.now()
            await self._store.add_board(connection, board, at)
            shown = translate.board(board, at)
            return leaderboard_service_pb2.CreateBoardResponse(board=shown).SerializeToString()

        return leaderboard_service_pb2.CreateBoardResponse.FromString(await self._add(key, add))

    async def create_season(
        self, key: IdempotencyKey | None, message: board_pb2.Season
    ) -> leaderboard_service_pb2.CreateSeasonResponse:
        """Raises InvalidArgument, AlreadyExists (SEASON_EXISTS), FailedPrecondition (SEASONS_MEET)."""
        season = translate.to_season(message)

        async def add(connection: Connection) -> bytes:
            await self._store.add_season(connection, season)
            shown = translate.season(season)
            return leaderboard_service_pb2.CreateSeasonResponse(season=shown).SerializeToString()

        return leaderboard_service_pb2.CreateSeasonResponse.FromString(await self._add(key, add))

    async def _add(self, key: IdempotencyKey | None, add: Callable[[Connection], Awaitable[bytes]]) -> bytes:
        """The stored answer for a repeated key."""

        async def transact(connection: Connection) -> bytes:
            stored, _ = await self._idempotency.run(connection, key, lambda: add(connection))
            return stored

        return await self._database.transaction(transact)

    async def install(self, boards: Iterable[Board]) -> list[str]:
        """Adds those that are not there yet; their ids."""

        async def transact(connection: Connection) -> list[str]:
            known = (await self._store.present(connection)).boards
            new = [board for board in boards if board.id not in known]
            for board in new:
                await self._store.add_board(connection, board, clock.now())
            return [board.id for board in new]

        return await self._database.transaction(transact)


def read(folder: Path) -> list[Board]:
    """The boards in files, `boards/<id>.json`. Raises ValueError, naming the file and the field."""
    return list(definition_files.read(folder / "boards", board_pb2.Board, translate.to_board).values())


def board_of(catalogue: Catalogue, board_id: str) -> Board:
    """The default one when none is named. Raises NotFound: BOARD_NOT_FOUND."""
    name = board_id or translate.DEFAULT_BOARD
    board = catalogue.boards.get(name)
    if board is None:
        raise NotFound("There is no such board.", reason="BOARD_NOT_FOUND", metadata={"board": name})
    return board
