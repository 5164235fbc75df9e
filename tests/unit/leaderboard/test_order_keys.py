"""Keys have the order of what they are made of."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from services.leaderboard.domain.board import Board, Column, Operator, Sort, TiePolicy
from services.leaderboard.domain.order import INT64_MAX, INT64_MIN, Order, Result, micros, moment

ASCENDING, DESCENDING = Sort.ASCENDING, Sort.DESCENDING
INT64 = st.integers(INT64_MIN, INT64_MAX) | st.integers(-2, 2) | st.sampled_from([2**53, 2**53 + 1])
TIMES = st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)) | st.sampled_from(
    [moment(0), moment(1), moment(2**53)]
)
NAMES = st.text("ABYZabyz019_.:@-", min_size=1, max_size=5)


class Made(NamedTuple):
    result: Result
    at: datetime
    player: str


@st.composite
def boards(draw: st.DrawFn) -> Board:
    sorts = st.sampled_from(Sort)
    columns = draw(st.lists(sorts, max_size=2))
    return Board(
        "b",
        Operator.BEST,
        ("all_time",),
        sort=draw(sorts),
        columns=tuple(Column(f"c{number}", sort) for number, sort in enumerate(columns)),
        tie_policy=draw(st.sampled_from(TiePolicy)),
    )


def compared(board: Board, one: Made, two: Made) -> int:
    """-1 when `one` is before `two`: column by column, without keys."""
    for ours, theirs, sort in zip(
        (one.result.score, *one.result.columns),
        (two.result.score, *two.result.columns),
        board.sorts,
        strict=True,
    ):
        if ours != theirs:
            return -1 if (ours < theirs) == (sort is ASCENDING) else 1
    if not board.tie_policy.shared and one.at != two.at:
        return -1 if (one.at < two.at) == (board.tie_policy is TiePolicy.EARLIEST) else 1
    return (one.player > two.player) - (one.player < two.player)


MADE = st.builds(Made, st.builds(Result, INT64, st.tuples(INT64, INT64)), TIMES, NAMES)


@settings(max_examples=400)
@given(boards(), MADE, MADE, st.integers(0, 4))
def test_bytes_are_ordered_as_the_entries_are(board: Board, one: Made, two: Made, same: int) -> None:
    """`same`: how much of the first one the second has, too: score, columns, time."""
    count = len(board.columns)
    numbers = [(it.result.score, *it.result.columns) for it in (one, two)]
    values = (*numbers[0][:same], *numbers[1][same:])
    one = Made(Result(numbers[0][0], numbers[0][1 : 1 + count]), one.at, one.player)
    two = Made(Result(values[0], values[1 : 1 + count]), one.at if same == 4 else two.at, two.player)
    order = Order.of(board)
    ours, theirs = (order.key(*each) for each in (one, two))
    assert (ours > theirs) - (ours < theirs) == compared(board, one, two)
    assert (order.tuple(one.result) == order.tuple(two.result)) == (one.result == two.result)


@settings(max_examples=200)
@given(boards(), INT64, st.lists(INT64, min_size=2, max_size=2), TIMES, NAMES)
def test_what_went_in_can_be_read_again(
    board: Board, score: int, columns: list[int], at: datetime, player: str
) -> None:
    order, result = Order.of(board), Result(score, tuple(columns[: len(board.columns)]))
    key = order.key(result, at, player)
    assert (order.result(key), order.player(key)) == (result, player)
    assert key.startswith(order.head(result, at))
    assert len(order.head(result, at)) == order.head_length
    assert order.head(result, at)[: order.tuple_length] == order.tuple(result)


@settings(max_examples=200)
@given(TIMES)
@example(datetime(2026, 11, 20, 12, 0, 0, 999_999, tzinfo=UTC))
def test_times_are_whole_microseconds(at: datetime) -> None:
    assert moment(micros(at)) == at
    assert micros(at + timedelta(microseconds=1)) == micros(at) + 1


def test_a_key_byte_by_byte() -> None:
    board = Board("b", Operator.BEST, ("all_time",), columns=(Column("c", ASCENDING),))
    key = Order.of(board).key(Result(1, (-1,)), moment(2), "ann")
    assert key == bytes.fromhex("7ffffffffffffffe 7fffffffffffffff 8000000000000002 616e6e")


@pytest.mark.parametrize("score", [INT64_MIN - 1, INT64_MAX + 1])
def test_beyond_64_bits_there_is_no_key(score: int) -> None:
    board = Board("b", Operator.BEST, ("all_time",))
    with pytest.raises(OverflowError):
        Order.of(board).tuple(Result(score))
