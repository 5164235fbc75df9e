"""Each rule against numbers that others published, and against its own promise."""

import math
import statistics
from datetime import timedelta
from random import Random

import pytest
from hypothesis import given as hypothesis_given
from hypothesis import settings

from services.fairness.domain.detector import Bound, Drift, Flood, Outlier, Ratio, Repetition
from services.fairness.domain.rules import INITIAL, observe
from services.fairness.domain.rules.ratio import evidence_micro
from services.fairness.domain.rules.state import MICRO, micros, number
from tests.support.rates import TABLE
from tests.unit.fairness.detecting import BEGIN, HISTORIES, first_finding, given, inputs_of, peers_of

DATA = (10, 12, 11, 13, 12, 11, 10, 12, 95)
MINUTE = timedelta(minutes=1)


# -- outlier ------------------------------------------------------------------------------------------


def test_the_published_modified_z_score() -> None:
    peers = peers_of(*DATA)
    assert (peers.observations, peers.median, peers.mad) == (9, 12, 1)
    _, finding = observe(Outlier(3_500, 9, 1, 7), INITIAL, given(0, 95), peers)
    assert finding is not None
    assert finding.statistic_micro == 55_983_500  # published as 55.983
    assert finding.threshold_micro == 3_500_000
    assert finding.peers == peers
    assert observe(Outlier(3_500, 9, 1, 7), INITIAL, given(0, 13), peers) == (INITIAL, None)


def test_one_far_away_does_not_hide_itself() -> None:
    """Mean and standard deviation can find nobody beyond three of so few: z is (n - 1) / sqrt(n) at most."""
    classic = (95 - statistics.mean(DATA)) / statistics.stdev(DATA)
    assert classic == pytest.approx(2.665, abs=5e-4)
    assert classic <= (len(DATA) - 1) / math.sqrt(len(DATA)) < 3
    for others in (2, 3, 4):  # nor do several hide each other
        peers = peers_of(*DATA, *[95] * (others - 1))
        assert observe(Outlier(3_500, 9, 1, 7), INITIAL, given(0, 95), peers)[1] is not None


def test_where_all_are_alike_the_least_scale_counts() -> None:
    peers = peers_of(*[5] * 9, 50)
    assert peers.mad == 0
    for least_scale, score in ((1, 30_352_500), (5, 6_070_500)):  # 0.6745 * 45 / least_scale
        _, finding = observe(Outlier(3_500, 10, least_scale, 7), INITIAL, given(0, 50), peers)
        assert finding is not None
        assert finding.statistic_micro == score
    assert observe(Outlier(3_500, 10, 9, 7), INITIAL, given(0, 50), peers)[1] is None


def test_with_few_peers_nothing_is_said() -> None:
    assert observe(Outlier(3_500, 10, 1, 7), INITIAL, given(0, 95), peers_of(*DATA)) == (INITIAL, None)
    assert observe(Outlier(3_500, 10, 1, 7), INITIAL, given(0, 95), None) == (INITIAL, None)


# -- drift --------------------------------------------------------------------------------------------

# Run lengths of a two-sided CUSUM with allowance 0.5, by threshold and shift, as textbooks print them.
# From a shift of half a deviation on, the other side says nothing; without a shift both sides say as much.
RUN_LENGTHS = {
    (4, 0.0): 2 * 168,
    (4, 0.5): 26.6,
    (4, 1.0): 8.38,
    (4, 2.0): 3.34,
    (5, 0.5): 38.0,
    (5, 1.0): 10.4,
    (5, 1.5): 5.75,
    (5, 2.0): 4.01,
    (5, 4.0): 2.01,
}


@pytest.mark.parametrize(("threshold", "shift"), RUN_LENGTHS)
def test_run_lengths_of_the_textbook(threshold: int, shift: float) -> None:
    random = Random(f"{threshold} {shift}")
    rule = Drift(8, 500, threshold * 1_000, 1)
    standard = {"median_micro": 0, "deviation_micro": 1_000 * MICRO}
    expected = RUN_LENGTHS[threshold, shift]
    lengths = []
    for _ in range(min(2_000, 40_000 // round(expected))):
        inputs = (given(n, round(random.gauss(shift, 1) * 1_000)) for n in range(10_000))
        found = first_finding(rule, inputs, standard)
        assert found is not None
        lengths.append(found[0])
    error = statistics.stdev(lengths) / math.sqrt(len(lengths))
    assert abs(statistics.mean(lengths) - expected) < 3 * error + 0.005 * expected


def test_a_drift_is_measured_by_the_players_own_first_values() -> None:
    rule = Drift(8, 500, 4_000, 1)
    first = [given(n, value) for n, value in enumerate((10, 12, 14, 16, 18, 20, 22, 24))]
    state = INITIAL
    for each in first:
        state, _ = observe(rule, state, each)
    assert state == {"median_micro": 17_000_000, "deviation_micro": 4 * 1_482_602}
    after, found = observe(rule, state, given(9, 20))  # within the allowance
    assert (after, found) == ({**state, "sum": (3 * MICRO**2) // (4 * 1_482_602) - 500_000}, None)
    assert first_finding(rule, [given(n, 41) for n in range(9)], state) is not None
    assert first_finding(rule, [given(n, 17) for n in range(900)], state) is None


def test_whose_values_never_differ_has_the_least_scale() -> None:
    rule = Drift(8, 500, 4_000, 3)
    state = INITIAL
    for n in range(8):
        state, _ = observe(rule, state, given(n, 7))
    assert state == {"median_micro": 7 * MICRO, "deviation_micro": 3 * MICRO}


# -- ratio --------------------------------------------------------------------------------------------


def test_what_a_trial_adds_is_rounded_for_the_player() -> None:
    success, failure = evidence_micro(Ratio(550, 850, 10_000))
    assert success / MICRO == pytest.approx(math.log(850 / 550), abs=1e-6)
    assert failure / MICRO == pytest.approx(math.log(450 / 150), abs=1e-6)
    assert success < math.log(850 / 550) * MICRO
    assert failure > math.log(450 / 150) * MICRO


@pytest.mark.parametrize("trials", [1, 5])
def test_the_best_honest_player_is_flagged_as_rarely_as_promised(trials: int) -> None:
    """Once in e^h trials or less often, however many an event tells of."""
    rule, random, events = Ratio(500, 750, 4_000), Random(trials), 60_000 // trials
    state, found = INITIAL, 0
    for n in range(events):
        successes = sum(random.random() < 0.5 for _ in range(trials))
        state, finding = observe(rule, state, given(n, successes, trials))
        found += finding is not None
    promised = events * trials * math.exp(-4)
    assert 0 < found <= promised


def test_a_cheat_is_found_soon() -> None:
    """The threshold over what a trial adds on average: the divergence of both."""
    rule, random = Ratio(500, 750, 10_000), Random(5)
    divergence = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    for _ in range(20):
        found = first_finding(rule, (given(n, random.random() < 0.75, 1) for n in range(10_000)))
        assert found is not None
        assert found[0] < 3 * 10 / divergence


def test_more_successes_than_trials_are_none() -> None:
    rule = Ratio(500, 750, 1_000)
    assert observe(rule, INITIAL, given(0, 50, 2)) == observe(rule, INITIAL, given(0, 2, 2))
    assert observe(rule, INITIAL, given(0, -3, 2)) == (INITIAL, None)
    assert observe(rule, INITIAL, given(0, 5, -2)) == (INITIAL, None)


# -- flood --------------------------------------------------------------------------------------------


def test_the_published_table_of_rates() -> None:
    rule = Flood(rate_milli=1_000, burst=5, strikes=1_000, per=timedelta(days=1))
    state = INITIAL
    for at_ms, cost, _, reset_ms, retry_ms in TABLE:
        before = number(state, "strikes")
        state, _ = observe(rule, state, given(at_ms / 1_000, cost))
        struck = number(state, "strikes") - before
        assert struck == (retry_ms != 0)
        assert number(state, "free") - micros(BEGIN) - at_ms * 1_000 == reset_ms * 1_000


def test_strikes_are_counted_from_the_first_one() -> None:
    rule = Flood(rate_milli=1_000, burst=1, strikes=3, per=timedelta(seconds=10))
    times = [0, 0, 0, 10, 10, 10]  # two strikes, and after ten seconds two others
    assert first_finding(rule, [given(at) for at in times]) is None
    assert first_finding(rule, [given(at) for at in [*times, 10]]) is not None
    late = first_finding(
        rule, [given(at) for at in (100, 0, 50, 101, 3)]
    )  # 101 is in time, the others are late
    assert late is not None
    assert late[0] == 5


def test_no_events_are_no_flood() -> None:
    rule = Flood(rate_milli=1, burst=1, strikes=1, per=MINUTE)
    state, _ = observe(rule, INITIAL, given(0))
    assert observe(rule, state, given(0, 0)) == (state, None)


# -- bound --------------------------------------------------------------------------------------------


@settings(max_examples=300)
@hypothesis_given(HISTORIES)
def test_who_stays_within_a_bound_is_never_found(history: list[tuple[int, int, int]]) -> None:
    inputs, per = inputs_of(history), timedelta(seconds=5)
    most = max(
        (
            sum(other.reading.value for other in inputs if timedelta() <= other.at - each.at < per)
            for each in inputs
        ),
        default=0,
    )
    assert first_finding(Bound(most, per), inputs) is None
    if inputs:
        last = max(given.at for given in inputs)
        assert first_finding(Bound(0, per), [given((last - BEGIN).total_seconds(), 1)]) is not None


def test_a_bound_is_exceeded_from_the_first_one_on() -> None:
    rule = Bound(10, timedelta(seconds=5))
    assert first_finding(rule, [given(0, 6), given(4.9, 4), given(5, 6), given(9.9, 4)]) is None
    found = first_finding(rule, [given(0, 6), given(5, 6), given(9.9, 5)])
    assert found is not None
    assert (found[0], found[1].statistic_micro, found[1].threshold_micro) == (3, 11 * MICRO, 10 * MICRO)
    assert first_finding(rule, [given(10, 6), given(0, 6), given(11, 6)]) is not None  # one came late


def test_great_numbers_are_those_of_the_contract() -> None:
    found = first_finding(Bound(0, MINUTE), [given(0, 1 << 62)])
    assert found is not None
    assert found[1].statistic_micro == (1 << 63) - 1


# -- repetition ---------------------------------------------------------------------------------------

REGULAR = Repetition(10, timedelta(milliseconds=200), 900, timedelta(minutes=2))


def test_a_machine_is_regular_and_a_person_is_not() -> None:
    random = Random(3)
    machine = [given(30 * n + random.uniform(-0.1, 0.1)) for n in range(60)]
    found = first_finding(REGULAR, machine)
    assert found is not None
    assert found[0] == 11
    person, at = [], 0.0
    for _ in range(2_000):
        at += random.lognormvariate(math.log(30), 0.3)
        person.append(given(at))
    assert first_finding(REGULAR, person) is None


def test_what_comes_at_once_is_one_event_and_after_a_break_all_begins_anew() -> None:
    drops = [given(30 * (n // 5) + 0.01 * (n % 5)) for n in range(50)]  # five of each of ten enemies
    assert first_finding(REGULAR, [given(0.15 * n) for n in range(500)]) is None  # one that goes on
    assert first_finding(REGULAR, drops) is None
    assert first_finding(REGULAR, [*drops, given(300)]) is not None
    assert first_finding(REGULAR, [*drops, given(420), *(given(450 + 30 * n) for n in range(9))]) is None
