"""Whatever is found is found again from its evidence, and evidence that somebody changed is found out."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given as hypothesis_given
from hypothesis import settings

from services.fairness.domain.detector import (
    Bound,
    Drift,
    Filter,
    Flood,
    Mode,
    Outlier,
    Ratio,
    Repetition,
    Rule,
    Signal,
)
from services.fairness.domain.evidence import Evidence, digest, replay
from services.fairness.domain.finding import Finding, Peers, Reading
from services.fairness.domain.rules import INITIAL
from services.fairness.domain.rules.state import MICRO
from services.fairness.domain.summary import summary
from services.fairness.domain.track import LONGEST, MAX_INPUTS, advance
from tests.unit.fairness.detecting import (
    HISTORIES,
    RULES,
    Watched,
    detector,
    first_finding,
    given,
    inputs_of,
    peers_of,
)

PEERS = peers_of(*range(1, 13), 1_000, 100_000, group="kills")


@settings(max_examples=600)
@hypothesis_given(RULES, HISTORIES)
def test_of_any_history_every_finding_is_found_again(rule: Rule, history: list[tuple[int, int, int]]) -> None:
    watched = Watched(detector(rule))
    for each in inputs_of(history):
        watched.hear(each, PEERS if isinstance(rule, Outlier) else None)
    for found in watched.found:
        again = replay(found)
        assert (again.same, again.intact) == (True, True)
        assert again.statistic_micro == found.finding.statistic_micro
        assert again.threshold_micro == found.finding.threshold_micro
        assert 1 <= len(found.inputs) <= MAX_INPUTS
        assert summary(found)


@settings(max_examples=300)
@hypothesis_given(RULES, HISTORIES)
def test_runs_change_nothing_of_what_is_found(rule: Rule, history: list[tuple[int, int, int]]) -> None:
    """Where a run begins is for the evidence alone."""
    if isinstance(rule, Outlier):
        return
    watched = Watched(detector(rule))
    found = [n for n, each in enumerate(inputs_of(history), 1) if watched.hear(each)]
    first = first_finding(rule, inputs_of(history))
    assert found[:1] == ([first[0]] if first else [])


# -- runs ---------------------------------------------------------------------------------------------


def test_a_long_run_begins_anew_with_what_is_remembered() -> None:
    """Each trial adds a little: a thousand and more of them lead to the finding."""
    watched = Watched(detector(Ratio(500, 501, 2_000)))
    n = 0
    while not watched.found:
        n += 1
        watched.hear(given(n, 1, 1))
    found = watched.found[0]
    assert n == 1002
    assert len(found.inputs) == n - 2 * MAX_INPUTS
    assert found.carried == {"sum": 2 * MAX_INPUTS * 1_998}
    assert replay(found).same
    assert not replay(replace(found, carried=None)).same


def test_a_run_of_many_days_begins_anew_so_that_its_inputs_are_still_there() -> None:
    watched = Watched(detector(Bound(10, timedelta(days=30))))
    day = timedelta(days=1).total_seconds()
    for n in range(11):
        watched.hear(given(n * day))
    found = watched.found[0]
    assert found.inputs[-1].at - found.inputs[0].at < LONGEST
    assert found.carried is not None
    assert found.carried["sum"] == 11 - len(found.inputs)
    assert replay(found).same


def test_a_run_begins_with_the_first_input_that_matters() -> None:
    watched = Watched(detector(Ratio(500, 900, 2_000)))
    for n in range(50):
        watched.hear(given(n, 0, 1))
    for n in range(50, 54):
        watched.hear(given(n, 1, 1))
    (found,) = watched.found
    assert [each.event for each in found.inputs] == ["e-50", "e-51", "e-52", "e-53"]
    assert found.carried is None


def test_a_drift_keeps_the_players_standard_over_runs() -> None:
    watched = Watched(detector(Drift(8, 500, 4_000, 1)))
    for n in range(40):
        watched.hear(given(n, 10 + n % 3))
    for n in range(40, 43):
        watched.hear(given(n, 14))
    (found,) = watched.found
    assert found.carried == {"median_micro": 11 * MICRO, "deviation_micro": 1_482_602}
    assert len(found.inputs) < 6
    assert replay(found).same


def test_after_a_finding_all_begins_anew() -> None:
    watched = Watched(detector(Bound(2, timedelta(minutes=1))))
    for n in range(6):
        watched.hear(given(n))
    assert [[each.event for each in found.inputs] for found in watched.found] == [
        ["e-0", "e-1", "e-2"],
        ["e-3", "e-4", "e-5"],
    ]


def test_what_another_rule_remembered_is_forgotten() -> None:
    old = Watched(detector(Bound(3, timedelta(minutes=1))))
    for n in range(3):
        old.hear(given(n))
    new = detector(Bound(3, timedelta(minutes=1)), rule_version=2)
    track, finding = advance(new, old.track, 99, given(3))
    assert (track.rule_version, track.begin, track.inputs, track.carried, finding) == (2, 99, 1, None, None)


# -- changed evidence ---------------------------------------------------------------------------------


def _of(rule: Rule, *history: tuple[float, int, int], peers: Peers | None = None) -> Evidence:
    watched = Watched(detector(rule))
    for at, value, of in history:
        watched.hear(given(at, value, of), peers)
    return watched.found[-1]


BOUND = _of(Bound(9, timedelta(seconds=10)), (0, 5, 0), (1, 3, 0), (8.25, 6, 0))
FLOOD = _of(Flood(1_000, 2, 3, timedelta(seconds=60)), *((n / 10, 1, 0) for n in range(5)))
RATIO = _of(Ratio(550, 850, 5_000), (0, 4, 4), (1, 3, 4), (2, 4, 4), (3, 4, 4), (4, 4, 4))
OUTLIER = _of(Outlier(3_500, 10, 1, 7), (0, 95, 0), peers=PEERS)
DRIFT = _of(
    Drift(8, 500, 4_000, 1), *((n, 10 + n % 3, 0) for n in range(8)), *((n, 14, 0) for n in range(8, 11))
)
REPETITION = _of(
    Repetition(8, timedelta(milliseconds=500), 900, timedelta(minutes=5)),
    *((30.1 * n, 1, 0) for n in range(9)),
)
ALL = {
    "bound": BOUND,
    "flood": FLOOD,
    "ratio": RATIO,
    "outlier": OUTLIER,
    "drift": DRIFT,
    "repetition": REPETITION,
}


@pytest.mark.parametrize("found", ALL.values(), ids=ALL)
def test_evidence_is_intact_until_it_is_changed(found: Evidence) -> None:
    assert (replay(found).same, replay(found).intact) == (True, True)
    changes: list[Callable[[], Evidence]] = [
        lambda: replace(found, inputs=found.inputs[1:]),
        lambda: replace(found, inputs=(*found.inputs, found.inputs[-1])),
        lambda: _input(found, event="another"),
        lambda: _input(found, at=found.inputs[0].at + timedelta(microseconds=1)),
        lambda: _input(found, reading=Reading(found.inputs[0].reading.value + 1, found.inputs[0].reading.of)),
        lambda: _input(found, reading=Reading(found.inputs[0].reading.value, found.inputs[0].reading.of + 1)),
        lambda: replace(found, finding=replace(found.finding, statistic_micro=1)),
        lambda: replace(found, finding=replace(found.finding, threshold_micro=1)),
        lambda: replace(found, carried={**(found.carried or {}), "sum": 12}),
        lambda: replace(found, detector=replace(found.detector, version=9)),
        lambda: replace(found, detector=replace(found.detector, mode=Mode.BLOCK)),
        lambda: replace(found, detector=replace(found.detector, hold=None)),
        lambda: replace(found, detector=replace(found.detector, quarantine=False)),
        lambda: replace(found, detector=replace(found.detector, reason="Because.")),
        lambda: replace(found, detector=replace(found.detector, boards=())),
        lambda: _signal(found, filters=(Filter("session_id", frozenset({"a"})),)),
        lambda: _signal(found, value="hits"),
    ]
    for change in changes:
        changed = replay(change())
        assert not changed.intact


@pytest.mark.parametrize(
    ("found", "rule"),
    [
        (BOUND, Bound(10, timedelta(seconds=10))),
        (BOUND, Bound(9, timedelta(seconds=11))),
        (FLOOD, Flood(1_001, 2, 3, timedelta(seconds=60))),
        (RATIO, Ratio(551, 850, 5_000)),
        (OUTLIER, Outlier(3_501, 10, 1, 7)),
        (OUTLIER, Outlier(3_500, 10, 9, 7)),
        (DRIFT, Drift(8, 501, 4_000, 1)),
        (REPETITION, Repetition(8, timedelta(milliseconds=500), 901, timedelta(minutes=5))),
    ],
)
def test_another_parameter_is_found_out(found: Evidence, rule: Rule) -> None:
    changed = replace(found, detector=replace(found.detector, rule=rule))
    assert not replay(changed).intact
    resigned = replace(changed, digest=digest(changed))  # by whom could write the digest, too
    assert replay(resigned).intact


def test_changed_peers_are_found_out() -> None:
    assert OUTLIER.peers is not None
    bucket, n = next(iter(OUTLIER.peers.buckets.items()))
    more = replace(OUTLIER.peers, buckets={**OUTLIER.peers.buckets, bucket: n + 1})
    changed = replace(OUTLIER, finding=replace(OUTLIER.finding, peers=more))
    assert (replay(changed).same, replay(changed).intact) == (False, False)
    resigned = replace(changed, digest=digest(changed))  # they are not as many as they say
    assert (replay(resigned).same, replay(resigned).intact) == (False, True)


@pytest.mark.parametrize(("found"), [BOUND, FLOOD, RATIO, DRIFT, REPETITION])
def test_without_an_input_the_rule_finds_nothing(found: Evidence) -> None:
    less = replace(found, inputs=found.inputs[:-1])
    assert replay(replace(less, digest=digest(less))) == replay(less).__class__(0, 0, same=False, intact=True)
    none = replace(found, inputs=())
    assert not replay(none).same


def test_what_was_found_earlier_is_not_the_same() -> None:
    twice = replace(BOUND, inputs=BOUND.inputs * 2)
    assert not replay(twice).same


def test_a_digest_is_of_the_contents_alone() -> None:
    again = replace(BOUND, detector=replace(BOUND.detector, rule_version=8), carried=INITIAL, digest="")
    assert digest(again) == BOUND.digest
    assert len(BOUND.digest) == 64


def _input(found: Evidence, **changes: object) -> Evidence:
    first, *others = found.inputs
    return replace(found, inputs=(replace(first, **changes), *others))  # type: ignore[arg-type]


def _signal(found: Evidence, **changes: object) -> Evidence:
    (signal,) = found.detector.signals
    return replace(found, detector=replace(found.detector, signals=(replace(signal, **changes),)))  # type: ignore[arg-type]


# -- sentences ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (BOUND, "14 headshots within 8.25 s; no more than 9 in 10 s are possible."),
        (
            FLOOD,
            "3 of 5 headshots within 0.4 s came too fast; 1 a second are allowed, and 2 at once.",
        ),
        (
            RATIO,
            "15 of 16 hits were headshots (93.8%) within 3 s; of the best honest players, 55.0% are.",
        ),
        (
            OUTLIER,
            "Headshots 95: of 14 others of kills the median is 7, and half are within 3 of it."
            " The modified z-score is 19.8; up to 3.5 is usual.",
        ),
        (
            DRIFT,
            "Headshots far above the player's own within 2 s: the first 8 had median 11.0, deviation 1.5;"
            " what is above adds up to 4.6 deviations, 4 are allowed.",
        ),
        (
            REPETITION,
            "Of the last 8 times between headshots, 100.0% were 30.1 s, give or take 0.5 s.",
        ),
    ],
    ids=ALL,
)
def test_what_was_seen_in_a_sentence(found: Evidence, sentence: str) -> None:
    assert summary(found) == sentence


def test_events_that_are_counted_have_their_own_name() -> None:
    kills = replace(
        REPETITION.detector,
        signals=(Signal("liveops.boss_kill", "player_id"), Signal("liveops.drop_claimed", "player_id")),
    )
    assert "between boss kill or drop claimed," in summary(replace(REPETITION, detector=kills))


def test_an_outlier_without_peers_is_no_evidence() -> None:
    with pytest.raises(ValueError, match="peers"):
        summary(replace(OUTLIER, finding=Finding(1, 1)))
