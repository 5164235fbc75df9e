"""Ranks of entries that follow each other, from what is known of the first."""

from bisect import bisect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise
from typing import NamedTuple

from services.leaderboard.domain.board import Board, TiePolicy
from services.leaderboard.domain.order import Order, Result


class Row(NamedTuple):
    """An entry as a listing has it. `key`: see `Order`."""

    key: bytes
    achieved_at: datetime
    submissions: int
    quarantined: bool = False


class Ranked(NamedTuple):
    """`key`: a listing goes on after it."""

    rank: int
    player: str
    result: Result
    achieved_at: datetime
    submissions: int
    quarantined: bool
    key: bytes


class Page(NamedTuple):
    """`players`: how many are ranked in all."""

    entries: list[Ranked]
    players: int


class Own(NamedTuple):
    """A quarantined entry that its owner is shown as if it were not. `rank`: that it would have.
    `tuple_there`: somebody who is ranked has the same result."""

    row: Row
    rank: int
    tuple_there: bool


@dataclass(frozen=True, slots=True)
class Found:
    """What was read: `rows` follow each other. `position`: how many are before the first of them, `rank`: of
    the first; like `players`, without `own`."""

    players: int
    position: int = 0
    rank: int = 1
    rows: Sequence[Row] = ()
    own: Own | None = None


def listed(board: Board, found: Found, limit: int, after: bytes = b"") -> Page:
    """The first `limit` after a key. `found` has as many rows, unless no more follow."""
    own = found.own
    if own is None:
        return Page(_ranked(board, found.rows, found.position, found.rank)[:limit], found.players)
    rows, position, rank = list(found.rows), found.position, found.rank
    if own.row.key <= after:
        position += 1
        rank += _shift(board, own, rows[0].key if rows else b"")
    else:
        at = bisect([row.key for row in rows], own.row.key)
        if at < len(rows) or len(rows) < limit:
            rows.insert(at, own.row)
            rank = own.rank if at == 0 else rank
    return Page(_ranked(board, rows, position, rank)[:limit], found.players + 1)


def around(board: Board, found: Found, player: str, limit: int) -> Page:
    """`limit` entries with the player's in the middle, as far as that goes. `found` has all of those,
    and one more on either side, where there is one."""
    page = _near(board, found)
    at = next(number for number, each in enumerate(page.entries) if each.player == player)
    begin = max(0, min(at - (limit - 1) // 2, len(page.entries) - limit))
    return Page(page.entries[begin : begin + limit], page.players)


def _near(board: Board, found: Found) -> Page:
    """All rows, and `own` if it is between them or next to them."""
    own, rows, count = found.own, found.rows, len(found.rows)
    if own is not None and rows:
        if own.row.key < rows[0].key and found.position:
            return listed(board, found, count, after=own.row.key)
        if own.row.key > rows[-1].key and found.position + count < found.players:
            return listed(board, replace(found, own=None, players=found.players + 1), count)
    return listed(board, found, count + 1)


def among(board: Board, found: Sequence[Ranked], own: Own | None) -> list[Ranked]:
    """Some that are ranked, `own` perhaps among them, with the ranks that they have beside it."""
    return [
        each
        if own is None or each.key <= own.row.key
        else each._replace(rank=each.rank + _shift(board, own, each.key))
        for each in found
    ]


def single(order: Order, row: Row, rank: int) -> Ranked:
    """An entry whose rank is known. `order`: of its board."""
    return Ranked(rank, order.player(row.key), order.result(row.key), *row[1:], row.key)


def _ranked(board: Board, rows: Sequence[Row], position: int, rank: int) -> list[Ranked]:
    order = Order.of(board)
    return [
        single(order, row, number)
        for row, number in zip(rows, _ranks(board, rows, position, rank), strict=True)
    ]


def _ranks(board: Board, rows: Sequence[Row], position: int, rank: int) -> Iterator[int]:
    if rows:
        yield rank
    length = Order.of(board).tuple_length
    for number, (before, row) in enumerate(pairwise(rows), position + 2):
        same = before.key[:length] == row.key[:length]
        match board.tie_policy:
            case TiePolicy.SHARED_COMPETITION:
                rank = rank if same else number
            case TiePolicy.SHARED_DENSE:
                rank += not same
            case _:
                rank = number
        yield rank


def _shift(board: Board, own: Own, key: bytes) -> int:
    """What an entry before the one of a key adds to that one's rank."""
    length = Order.of(board).tuple_length
    same = key[:length] == own.row.key[:length]
    match board.tie_policy:
        case TiePolicy.SHARED_COMPETITION:
            return int(not same)
        case TiePolicy.SHARED_DENSE:
            return int(not same and not own.tuple_there)
    return 1
