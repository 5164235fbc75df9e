"""What metrics come to, whatever the order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest

from services.chassis.errors import InvalidArgument
from services.gamification.domain.accumulator import MAX_MEMBERS, add, value, value_of_all
from services.gamification.domain.definitions import Aggregation, Metric
from services.gamification.domain.observation import MAX_AHEAD, Observation, check
from services.gamification.domain.player import Accumulator
from services.gamification.domain.window import EPOCH

NOW = datetime(2026, 5, 5, 12, tzinfo=UTC)
TICK = timedelta(microseconds=1)
FIVE = Observation("damage", 5, "arena", NOW, "e1", "match")
LOSS = Observation("damage", -7, "docks", NOW - TICK, "e9", "match")
LATER = Observation("damage", 3, "arena", NOW + TICK, "e0", "match")
TIED = Observation("damage", 2, "ruins", NOW + TICK, "e2", "match")


def _added(aggregation: Aggregation, observations: Iterable[Observation]) -> Accumulator:
    accumulator: Accumulator | None = None
    for observation in observations:
        accumulator = add(accumulator, aggregation, observation)
    assert accumulator is not None
    return accumulator


@pytest.mark.parametrize(
    ("aggregation", "expected"),
    [
        (Aggregation.COUNT, 3),
        (Aggregation.SUM, 3),
        (Aggregation.MAX, 5),
        (Aggregation.MIN, -7),
        (Aggregation.LAST, 2),  # of two at the same time, that of the greater event
        (Aggregation.DISTINCT, 3),
    ],
)
def test_every_order_comes_to_the_same(aggregation: Aggregation, expected: int) -> None:
    all_four = (FIVE, LOSS, LATER, TIED)
    made = {_added(aggregation, order) for order in permutations(all_four)}
    assert len(made) == 1
    assert value(aggregation, made.pop()) == expected
    for cut in range(1, 4):
        parts = [_added(aggregation, all_four[:cut]), _added(aggregation, all_four[cut:])]
        assert value_of_all(aggregation, parts) == value_of_all(aggregation, parts[::-1]) == expected


def test_the_last_of_the_same_event_and_time_is_the_greater() -> None:
    again = replace(TIED, value=9)
    for order in ((TIED, again), (again, TIED)):
        assert value(Aggregation.LAST, _added(Aggregation.LAST, order)) == 9


@pytest.mark.parametrize("aggregation", [Aggregation.COUNT, Aggregation.SUM, Aggregation.DISTINCT])
def test_what_never_happened_is_nothing(aggregation: Aggregation) -> None:
    assert value(aggregation, None) == value_of_all(aggregation, []) == 0


@pytest.mark.parametrize("aggregation", [Aggregation.MAX, Aggregation.MIN, Aggregation.LAST])
def test_what_never_happened_has_no_value(aggregation: Aggregation) -> None:
    assert value(aggregation, None) is None


def test_sums_have_no_greatest_value() -> None:
    big = replace(FIVE, value=10**15)
    accumulator = _added(Aggregation.SUM, [big] * 3)
    huge = replace(accumulator, sum=2**63)
    assert value(Aggregation.SUM, add(huge, Aggregation.SUM, big)) == 2**63 + 10**15


def test_one_member_more_than_any_threshold_is_told_from_that_many() -> None:
    different = [replace(FIVE, member=f"m{number}") for number in range(MAX_MEMBERS + 5)]
    distinct = Aggregation.DISTINCT
    assert value(distinct, _added(distinct, different[:MAX_MEMBERS])) == MAX_MEMBERS
    assert value(distinct, _added(distinct, different)) == MAX_MEMBERS + 1
    assert value(distinct, _added(distinct, different[::-1])) == MAX_MEMBERS + 1
    halves = [_added(distinct, different[:700]), _added(distinct, different[600:])]
    assert value_of_all(distinct, halves) == MAX_MEMBERS + 1
    assert len(_added(distinct, different).members) == MAX_MEMBERS + 1


COUNTS = Metric("damage", "", Aggregation.COUNT)


@pytest.mark.parametrize(
    ("metric", "observation", "field", "reason"),
    [
        (COUNTS, replace(FIVE, at=NOW + MAX_AHEAD + TICK), "r.occurred_at", "OCCURRED_IN_FUTURE"),
        (COUNTS, replace(FIVE, at=EPOCH - TICK), "r.occurred_at", "OCCURRED_BEFORE_1970"),
        (COUNTS, replace(FIVE, value=-1), "r.value", "COUNT_NEGATIVE"),
        (
            replace(COUNTS, aggregation=Aggregation.DISTINCT),
            replace(FIVE, member=""),
            "r.member",
            "MEMBER_MISSING",
        ),
    ],
)
def test_what_cannot_be_true_is_refused(
    metric: Metric, observation: Observation, field: str, reason: str
) -> None:
    with pytest.raises(InvalidArgument) as refused:
        check(metric, observation, NOW, "r.")
    assert (refused.value.reason, refused.value.violations[0].field) == (reason, field)


def test_what_can_be_true_is_not() -> None:
    check(COUNTS, replace(FIVE, at=NOW + MAX_AHEAD), NOW)
    check(COUNTS, replace(FIVE, at=EPOCH, value=0), NOW)
    check(replace(COUNTS, aggregation=Aggregation.SUM), replace(LOSS, member=""), NOW)
    check(replace(COUNTS, aggregation=Aggregation.DISTINCT), FIVE, NOW)
