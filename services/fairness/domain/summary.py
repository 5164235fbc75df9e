"""What was seen, in a sentence for people."""

from collections.abc import Iterable
from datetime import timedelta

from services.fairness.domain.detector import (
    Bound,
    Detector,
    Drift,
    Flood,
    Outlier,
    Ratio,
    Repetition,
)
from services.fairness.domain.evidence import Evidence
from services.fairness.domain.rules import INITIAL, State, observe
from services.fairness.domain.rules.state import MICRO, micros, number, numbers

_UNITS = (("days", 86_400), ("h", 3_600), ("min", 60))


def summary(evidence: Evidence) -> str:
    """Numbers are those of the evidence; what the rule compares them with is named."""
    sentence = _sentence(evidence)
    return sentence[0].upper() + sentence[1:]


def _sentence(evidence: Evidence) -> str:
    match evidence.detector.rule:
        case Bound() as rule:
            return _bound(evidence, rule)
        case Flood() as rule:
            return _flood(evidence, rule)
        case Ratio() as rule:
            return _ratio(evidence, rule)
        case Outlier() as rule:
            return _outlier(evidence, rule)
        case Drift() as rule:
            return _drift(evidence, rule)
        case Repetition() as rule:
            return _repetition(evidence, rule)


def _bound(evidence: Evidence, rule: Bound) -> str:
    total = evidence.finding.statistic_micro // MICRO
    return (
        f"{total:,} {_what(evidence.detector)} {_within(evidence)}; "
        f"no more than {rule.most:,} in {_length(rule.per)} are possible."
    )


def _flood(evidence: Evidence, rule: Flood) -> str:
    strikes, n = evidence.finding.statistic_micro // MICRO, len(evidence.inputs)
    return (
        f"{strikes:,} of {n:,} {_what(evidence.detector)} {_within(evidence)} came too fast;"
        f" {rule.rate_milli / 1_000:g} a second are allowed, and {rule.burst:,} at once."
    )


def _ratio(evidence: Evidence, rule: Ratio) -> str:
    value = sum(given.reading.value for given in evidence.inputs)
    of = sum(given.reading.of for given in evidence.inputs)
    share = f" ({value / of:.1%})" if of else ""
    return (
        f"{value:,} of {of:,} {_of(evidence.detector)} were {_what(evidence.detector)}{share}"
        f" {_within(evidence)}; of the best honest players, {rule.honest_milli / 1_000:.1%} are."
    )


def _outlier(evidence: Evidence, rule: Outlier) -> str:
    peers = evidence.peers
    if peers is None:
        raise ValueError("an outlier has peers")
    score, limit = evidence.finding.statistic_micro / MICRO, rule.threshold_milli / 1_000
    group = f" of {peers.group}" if peers.group else ""
    return (
        f"{_what(evidence.detector)} {evidence.inputs[-1].reading.value:,}:"
        f" of {peers.observations:,} others{group} the median is {peers.median:,},"
        f" and half are within {peers.mad:,} of it."
        f" The modified z-score is {score:,.1f}; up to {limit:g} is usual."
    )


def _drift(evidence: Evidence, rule: Drift) -> str:
    own = _before_last(evidence)
    usual, deviation = (number(own, name) / MICRO for name in ("median_micro", "deviation_micro"))
    sum_, limit = evidence.finding.statistic_micro / MICRO, rule.threshold_milli / 1_000
    return (
        f"{_what(evidence.detector)} far above the player's own {_within(evidence)}:"
        f" the first {rule.baseline} had median {usual:,.1f}, deviation {deviation:,.1f};"
        f" what is above adds up to {sum_:.1f} deviations, {limit:g} are allowed."
    )


def _repetition(evidence: Evidence, rule: Repetition) -> str:
    state, last = _before_last(evidence), micros(evidence.inputs[-1].at)
    gaps = [*numbers(state, "gaps"), last - number(state, "last")][-rule.intervals :]
    usual = timedelta(microseconds=sorted(gaps)[len(gaps) // 2])
    share = evidence.finding.statistic_micro / MICRO
    return (
        f"Of the last {rule.intervals} times between {_what(evidence.detector)}, {share:.1%} were "
        f"{_length(usual)}, give or take {_length(rule.tolerance)}."
    )


def _before_last(evidence: Evidence) -> State:
    state = evidence.carried or INITIAL
    for given in evidence.inputs[:-1]:
        state, _ = observe(evidence.detector.rule, state, given, evidence.peers)
    return state


# -- words --------------------------------------------------------------------------------------------


def _what(detector: Detector) -> str:
    """Such as `movement violations`, or `liveops.boss kill` where events are counted."""
    return _names(signal.value or signal.event for signal in detector.signals)


def _of(detector: Detector) -> str:
    return _names(signal.of for signal in detector.signals)


def _names(names: Iterable[str]) -> str:
    return " or ".join(dict.fromkeys(name.rsplit(".", 1)[-1].replace("_", " ") for name in names))


def _within(evidence: Evidence) -> str:
    times = [given.at for given in evidence.inputs]
    return f"within {_length(max(times) - min(times))}"


def _length(length: timedelta) -> str:
    seconds = length.total_seconds()
    for unit, size in _UNITS:
        if seconds >= 2 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"
