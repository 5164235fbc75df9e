"""Rates: the published table of the algorithm, and a reference written another way."""

import pytest
from hypothesis import given, settings

from services.ingest.domain import gcra
from services.ingest.domain.gcra import ALLOWED, MAX_SPAN_US, Charge, Level, Rate, Verdict, level
from services.ingest.limits import LocalRates
from tests.support.rates import BEGIN_US, FIVE, SECOND, TABLE, Buckets, Groups, histories


def test_the_published_table() -> None:
    tats: dict[str, int] = {}
    for at_ms, cost, remaining, reset_ms, retry_ms in TABLE:
        now_us = BEGIN_US + at_ms * 1000
        verdict = gcra.take(tats, [Charge("k", FIVE, cost)], now_us)
        denied = None if retry_ms == 0 else 0
        assert verdict == Verdict(denied, None if retry_ms is None else retry_ms * 1000)
        assert level(tats.get("k"), FIVE, now_us) == Level(remaining, reset_ms * 1000)


def test_less_than_a_second_is_not_forgiven() -> None:
    """Where waits are compared in whole seconds, twice as many get through."""
    tats: dict[str, int] = {}
    one = [Charge("k", Rate(SECOND, 1))]
    assert gcra.take(tats, one, BEGIN_US) is ALLOWED
    assert gcra.take(tats, one, BEGIN_US + SECOND - 1) == Verdict(0, 1)
    assert gcra.take(tats, one, BEGIN_US + SECOND) is ALLOWED


def test_all_of_a_group_or_none() -> None:
    local = LocalRates(10)
    wide, narrow = Charge("producer", Rate(SECOND, 2)), Charge("player", Rate(SECOND, 1))
    taken = local.take([[wide, narrow], [wide, narrow], [wide], [wide]], BEGIN_US)
    assert taken == [ALLOWED, Verdict(1, SECOND), ALLOWED, Verdict(0, SECOND)]


def test_nothing_to_take() -> None:
    assert LocalRates(10).take([[], []], BEGIN_US) == [ALLOWED, ALLOWED]


@settings(max_examples=150)
@given(histories())
def test_it_is_a_bucket_that_leaks(history: list[tuple[int, Groups]]) -> None:
    local, reference = LocalRates(10), Buckets()
    for now_us, groups in history:
        assert local.take(groups, now_us) == [reference.take(charges, now_us) for charges in groups]


@settings(max_examples=150)
@given(histories())
def test_never_more_than_the_rate_and_the_burst(history: list[tuple[int, Groups]]) -> None:
    local = LocalRates(10)
    taken: dict[str, int] = {}
    for now_us, groups in history:
        for charges, verdict in zip(groups, local.take(groups, now_us), strict=True):
            for charge in charges if verdict is ALLOWED else ():
                taken[charge.key] = taken.get(charge.key, 0) + charge.cost
                most = charge.rate.burst + (now_us - BEGIN_US) // charge.rate.interval_us
                assert taken[charge.key] <= most


def test_keys_over_the_limit_are_forgotten_the_longest_unasked_first() -> None:
    local = LocalRates(2)
    charges = {key: [Charge(key, Rate(SECOND, 1))] for key in "abc"}
    assert local.take([charges["a"], charges["b"]], BEGIN_US) == [ALLOWED, ALLOWED]
    assert local.take([charges["a"]], BEGIN_US) == [Verdict(0, SECOND)]
    assert local.take([charges["c"]], BEGIN_US) == [ALLOWED]
    assert local.take([charges["a"], charges["c"]], BEGIN_US) == [Verdict(0, SECOND)] * 2
    assert local.take([charges["b"]], BEGIN_US) == [ALLOWED]


@pytest.mark.parametrize(("interval_us", "burst"), [(0, 1), (1, 0), (-1, 1), (MAX_SPAN_US, 2)])
def test_what_is_no_rate(interval_us: int, burst: int) -> None:
    with pytest.raises(ValueError, match="no rate"):
        Rate(interval_us, burst)


@pytest.mark.parametrize(("count", "interval_us"), [(1, SECOND), (3, 333_333), (2000, 500), (700_000, 1)])
def test_so_many_a_second(count: int, interval_us: int) -> None:
    assert Rate.per_second(count, 7) == Rate(interval_us, 7)
