"""The order of a board as bytes: of two entries the one with the lesser bytes is before the other.

PostgreSQL sorts them in an index, Redis in a set whose scores are all 0; so both have one order, exact over
all of int64. A key is the score and each column in eight bytes, big-endian with the sign flipped so that
negative numbers come first, complemented where the greatest is first; these make the *tuple*. Then, where
time decides between equals, the microseconds since 1970 likewise: tuple and time make the *head*. Then the
player's id, which makes it unique, and listings stable.
"""

import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import starmap
from typing import NamedTuple

from services.leaderboard.domain.board import Board, Sort, TiePolicy

_WIDTH = 8
_BIAS = 1 << 63
_MASK = (1 << 64) - 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TICK = timedelta(microseconds=1)
INT64_MIN, INT64_MAX = -_BIAS, _BIAS - 1
_TIES = {TiePolicy.EARLIEST: Sort.ASCENDING, TiePolicy.LATEST: Sort.DESCENDING}


class Result(NamedTuple):
    """What is ranked: int64 each, `columns` as many as the board has."""

    score: int
    columns: tuple[int, ...] = ()


def micros(at: datetime) -> int:
    """Since 1970."""
    return (at - _EPOCH) // _TICK


def moment(micros: int) -> datetime:
    return _EPOCH + micros * _TICK


@dataclass(frozen=True, slots=True)
class Order:
    """`sorts`: of score and columns. `tie`: None: time does not decide."""

    sorts: tuple[Sort, ...]
    tie: Sort | None

    @classmethod
    def of(cls, board: Board) -> "Order":
        return cls(board.sorts, _TIES.get(board.tie_policy))

    @property
    def tuple_length(self) -> int:
        return _WIDTH * len(self.sorts)

    @property
    def head_length(self) -> int:
        return self.tuple_length + (0 if self.tie is None else _WIDTH)

    def tuple(self, result: Result) -> bytes:
        """Equal for equal results, less for a better one."""
        columns = zip(result.columns, self.sorts[1:], strict=True)
        return b"".join([_encoded(result.score, self.sorts[0]), *starmap(_encoded, columns)])

    def head(self, result: Result, achieved_at: datetime) -> bytes:
        tie = b"" if self.tie is None else _encoded(micros(achieved_at), self.tie)
        return self.tuple(result) + tie

    def key(self, result: Result, achieved_at: datetime, player: str) -> bytes:
        return self.head(result, achieved_at) + player.encode()

    def result(self, key: bytes) -> Result:
        """That of a key, head or tuple."""
        numbers = struct.unpack_from(f">{len(self.sorts)}Q", key)
        score, *columns = map(_decoded, numbers, self.sorts)
        return Result(score, tuple(columns))

    def player(self, key: bytes) -> str:
        return key[self.head_length :].decode()


def _encoded(value: int, sort: Sort) -> bytes:
    if not INT64_MIN <= value <= INT64_MAX:
        raise OverflowError(f"{value} is no int64")
    biased = value + _BIAS
    return struct.pack(">Q", biased if sort is Sort.ASCENDING else biased ^ _MASK)


def _decoded(number: int, sort: Sort) -> int:
    return (number if sort is Sort.ASCENDING else number ^ _MASK) - _BIAS
