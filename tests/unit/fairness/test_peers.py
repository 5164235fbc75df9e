"""Buckets of peers against the values themselves."""

import statistics

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.fairness.domain.peers import Histogram, bucket_of, least_of, mad, median

INT64 = st.integers(-(1 << 63), (1 << 63) - 1)
VALUES = st.one_of(st.integers(-300, 300), st.integers(0, 100_000), INT64)


@settings(max_examples=400)
@given(VALUES)
def test_a_bucket_is_less_than_one_percent_wide(value: int) -> None:
    bucket = bucket_of(value)
    least, next_ = least_of(bucket), least_of(bucket + 1)
    assert least <= value < next_
    assert bucket_of(least) == bucket
    assert (next_ - least - 1) * 100 <= abs(value)
    assert abs(value) >= 256 or least == value


@settings(max_examples=200)
@given(VALUES, VALUES)
def test_buckets_are_in_the_order_of_the_values(one: int, other: int) -> None:
    if one < other:
        assert bucket_of(one) <= bucket_of(other)


def test_buckets_have_no_gaps() -> None:
    assert [bucket_of(least_of(bucket)) for bucket in range(-2_000, 2_000)] == [*range(-2_000, 2_000)]


@settings(max_examples=300)
@given(st.lists(st.integers(-255, 255), min_size=1))
def test_median_and_mad_are_those_of_the_values(values: list[int]) -> None:
    histogram = Histogram()
    for value in values:
        histogram.add(bucket_of(value))
    peers = histogram.peers("g")
    assert peers is not None
    assert (peers.group, peers.observations) == ("g", len(values))
    assert peers.median == statistics.median(values) // 1
    assert peers.mad == statistics.median(abs(value - peers.median) for value in values) // 1


def test_of_nobody_there_is_no_median() -> None:
    assert Histogram().peers("g") is None
    with pytest.raises(ValueError, match="no values"):
        median({})


def test_counts_are_values_that_often() -> None:
    assert median({1: 3, 10: 2, 100: 4}) == 10
    assert median({1: 3, 10: 3}) == 5
    assert mad({1: 3, 10: 2, 100: 4}, 10) == 9
    assert Histogram([(bucket_of(1), 3), (bucket_of(10), 2)]).peers("") == Histogram(
        [(1, 1), (10, 2), (1, 2)]
    ).peers("")
