"""What scores make of an entry, and where they go."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.chassis.errors import FailedPrecondition
from services.leaderboard.domain.board import (
    ALL_TIME,
    DAILY,
    SEASONAL,
    WEEKLY,
    Board,
    Catalogue,
    Column,
    Operator,
    Season,
    Sort,
)
from services.leaderboard.domain.order import INT64_MAX, INT64_MIN, Result, moment
from services.leaderboard.domain.places import Place, slot_of, slots
from services.leaderboard.domain.scoring import Entry, Score, changed, first, scored

PLACE = Place("b", ALL_TIME, "", "")
BOARD = Board("b", Operator.BEST, (ALL_TIME,), columns=(Column("c", Sort.ASCENDING),))
SUM = replace(BOARD, operator=Operator.SUM)
LATEST = replace(BOARD, operator=Operator.LATEST)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def a_score(score: int, column: int, second: int, event: str = "") -> Score:
    return Score("b", "ann", Result(score, (column,)), moment(second * 10**6), event)


def entered(board: Board, *scores: Score) -> Entry:
    entry = first(PLACE, scores[0])
    for score in scores[1:]:
        entry = scored(board, entry, score)
    return entry


def shown(entry: Entry) -> tuple[int, int, int, int]:
    """Score, column, second in which it was reached, submissions."""
    second = (entry.achieved_at - moment(0)) // timedelta(seconds=1)
    return entry.result.score, entry.result.columns[0], second, entry.submissions


# -- operators ----------------------------------------------------------------------------------------


def test_best_compares_whole_results() -> None:
    """Nobody is shown a score with the column of another result."""
    assert shown(entered(BOARD, a_score(10, 1, 1), a_score(12, 5, 2))) == (12, 5, 2, 2)
    assert shown(entered(BOARD, a_score(12, 5, 1), a_score(10, 1, 2))) == (12, 5, 1, 2)
    assert shown(entered(BOARD, a_score(12, 5, 1), a_score(12, 4, 2))) == (12, 4, 2, 2)


def test_best_keeps_when_it_was_reached_first() -> None:
    early, late = a_score(10, 1, 1), a_score(10, 1, 2)
    assert shown(entered(BOARD, early, late)) == (10, 1, 1, 2)
    assert shown(entered(BOARD, late, early)) == (10, 1, 1, 2)
    assert changed(entered(BOARD, late), entered(BOARD, late, early))
    assert not changed(entered(BOARD, early), entered(BOARD, early, late))


def test_latest_is_by_time_then_event() -> None:
    assert shown(entered(LATEST, a_score(9, 0, 5), a_score(1, 0, 6), a_score(7, 0, 4))) == (1, 0, 6, 3)
    same = [a_score(1, 0, 5, "a"), a_score(2, 0, 5, "b")]
    assert [shown(entered(LATEST, *them))[0] for them in permutations(same)] == [2, 2]


def test_latest_of_the_same_result_has_it_since_then() -> None:
    assert shown(entered(LATEST, a_score(9, 0, 5), a_score(9, 0, 6), a_score(9, 0, 7))) == (9, 0, 5, 3)
    # And is the latest all the same.
    assert shown(entered(LATEST, a_score(9, 0, 5), a_score(9, 0, 7), a_score(1, 0, 6)))[0] == 9


def test_sum_adds_score_and_columns() -> None:
    assert shown(entered(SUM, a_score(1, 2, 1), a_score(3, 4, 2))) == (4, 6, 2, 2)
    assert shown(entered(SUM, a_score(3, 4, 2), a_score(1, 2, 1))) == (4, 6, 2, 2)


def test_sum_that_is_no_better_was_reached_before() -> None:
    assert shown(entered(SUM, a_score(3, 0, 1), a_score(-1, 0, 2))) == (2, 0, 1, 2)
    assert shown(entered(SUM, a_score(3, 0, 1), a_score(0, 0, 2))) == (3, 0, 1, 2)


@pytest.mark.parametrize("scores", [(INT64_MAX, 1), (INT64_MIN, -1)])
@pytest.mark.parametrize("column", [False, True])
def test_a_sum_beyond_64_bits_is_refused(scores: tuple[int, int], column: bool) -> None:
    made = [a_score(0, each, 1) if column else a_score(each, 0, 1) for each in scores]
    with pytest.raises(FailedPrecondition) as error:
        entered(SUM, *made)
    assert error.value.reason == "SCORE_OVERFLOW"


SCORES = st.lists(
    st.builds(a_score, st.integers(-2, 2), st.integers(-1, 1), st.integers(0, 3)), min_size=1, max_size=5
)


@settings(max_examples=300)
@given(SCORES)
def test_best_and_sum_do_not_depend_on_the_order_of_arrival(scores: list[Score]) -> None:
    ordered = sorted(scores, key=lambda score: (score.at, score.result))
    best = entered(BOARD, *scores)
    assert shown(best) == shown(entered(BOARD, *ordered))
    wanted = min(scores, key=lambda it: (-it.result.score, it.result.columns[0], it.at))
    assert (best.result, best.achieved_at) == (wanted.result, wanted.at)
    total = sum(it.result.score for it in scores), sum(it.result.columns[0] for it in scores)
    assert shown(entered(SUM, *scores))[:2] == total


# -- places -------------------------------------------------------------------------------------------

SEASONS = {
    "s1": Season("s1", "", at("2026-01-01"), at("2026-04-01")),
    "s2": Season("s2", "", at("2026-05-01"), at("2026-08-01")),
}
WIDE = Board("w", Operator.BEST, (DAILY, WEEKLY, SEASONAL, ALL_TIME), time_zone="Europe/Berlin")
CATALOGUE = Catalogue(1, {"w": WIDE}, SEASONS, {})


def places(when: str) -> list[tuple[str, str, str]]:
    return [each.place[1:] for each in slots(WIDE, CATALOGUE, at(when))]


def test_a_score_has_a_place_in_each_window_by_the_boards_zone() -> None:
    """23:30 in UTC is the next day in Berlin, which is a Monday; and the clock was put forward that night."""
    assert places("2026-03-29T22:30") == [
        (DAILY, "", "2026-03-30"),
        (WEEKLY, "", "2026-03-30"),
        (SEASONAL, "s1", ""),
        (ALL_TIME, "", ""),
    ]
    assert places("2026-03-29T21:30")[:2] == [(DAILY, "", "2026-03-29"), (WEEKLY, "", "2026-03-23")]


def test_between_seasons_there_is_no_seasonal_place() -> None:
    assert [each[0] for each in places("2026-04-01")] == [DAILY, WEEKLY, ALL_TIME]
    assert (SEASONAL, "s2", "") in places("2026-05-01")


def test_a_period_is_final_after_its_grace() -> None:
    day = slots(WIDE, CATALOGUE, at("2026-03-29T12:00"))[0]
    assert (day.starts_at, day.ends_at) == (at("2026-03-28T23:00"), at("2026-03-29T22:00"))
    assert not day.final(at("2026-03-29T22:59:59"))
    assert day.final(at("2026-03-29T23:00"))
    assert not slots(WIDE, CATALOGUE, at("2026-03-29T12:00"))[3].final(at("9000-01-01"))


@settings(max_examples=300)
@given(st.datetimes(datetime(1970, 1, 2), datetime(2199, 1, 1), timezones=st.just(UTC)))
def test_a_place_that_is_named_has_the_slot_that_scores_go_to(when: datetime) -> None:
    for slot in slots(WIDE, CATALOGUE, when):
        assert slot_of(slot.place, CATALOGUE) == slot
        assert slot.starts_at <= when
        assert slot.ends_at is None or when < slot.ends_at


@pytest.mark.parametrize(
    "named",
    [
        Place("none", DAILY, "", "2026-03-30"),
        Place("w", DAILY, "", "2026-02-30"),
        Place("w", DAILY, "", ""),
        Place("w", DAILY, "s1", "2026-03-30"),
        Place("w", WEEKLY, "", "2026-03-31"),
        Place("w", SEASONAL, "s3", ""),
        Place("w", SEASONAL, "s1", "2026-03-30"),
        Place("w", ALL_TIME, "", "2026-03-30"),
        Place("w", "hourly", "", ""),
    ],
)
def test_there_is_no_such_place(named: Place) -> None:
    assert slot_of(named, CATALOGUE) is None
