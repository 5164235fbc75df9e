"""What there is: remembered, and looked for only when it is not known yet."""

from __future__ import annotations

from functools import partial

import pytest

from services.chassis.db import Database
from services.chassis.errors import NotFound
from services.leaderboard.boards import Boards, board_of
from services.leaderboard.catalogue_store import CatalogueStore
from services.leaderboard.domain.board import ALL_TIME, Board, Operator
from tests.support.boards import add

FIRST, SECOND = (Board(id_, Operator.BEST, (ALL_TIME,)) for id_ in ("first", "second"))


async def test_only_what_is_not_known_is_looked_for(database: Database) -> None:
    store = CatalogueStore()
    boards = Boards(database, store)
    wanted = partial(board_of, board_id="first")
    with pytest.raises(NotFound):
        await boards.found(wanted)
    await add(database, FIRST)  # elsewhere
    assert await boards.found(wanted) == FIRST
    await add(database, SECOND)
    assert await boards.found(wanted) == FIRST
    assert "second" not in store.known.boards
    assert await boards.found(partial(board_of, board_id="second")) == SECOND
