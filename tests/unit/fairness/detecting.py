"""Detectors and inputs for tests of rules, and random histories."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from services.fairness.domain import evidence
from services.fairness.domain.detector import (
    Bound,
    Detector,
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
from services.fairness.domain.evidence import Evidence
from services.fairness.domain.finding import Finding, Input, Peers, Reading
from services.fairness.domain.peers import Histogram, bucket_of
from services.fairness.domain.rules import INITIAL, State, observe
from services.fairness.domain.track import Track, advance

BEGIN = datetime(2026, 3, 1, 12, tzinfo=UTC)


def detector(rule: Rule, *, rule_version: int = 1, signal: Signal | None = None) -> Detector:
    signal = signal or Signal(
        "combat.player_summary",
        "player_id",
        value="headshots",
        of="hits" if isinstance(rule, Ratio) else "",
        filters=(Filter("session_id", frozenset({"a", "b"})),),
    )
    return Detector(
        id="watch",
        version=3,
        rule_version=rule_version,
        mode=Mode.FLAG,
        signals=(signal,),
        rule=rule,
        quarantine=True,
        boards=("kills",),
        hold=timedelta(hours=1),
        reason="Too good.",
    )


def given(at_s: float, value: int = 1, of: int = 0, event: str = "") -> Input:
    return Input(event or f"e-{at_s}", BEGIN + timedelta(seconds=at_s), Reading(value, of))


def first_finding(rule: Rule, inputs: Iterable[Input], state: State = INITIAL) -> tuple[int, Finding] | None:
    """Which input, counted from 1."""
    for n, each in enumerate(inputs, 1):
        state, finding = observe(rule, state, each)
        if finding is not None:
            return n, finding
    return None


@dataclass
class Watched:
    """A player as a detector sees it, all inputs kept. A finding has its evidence, and every track survives
    being written down."""

    detector: Detector
    track: Track | None = None
    inputs: dict[int, Input] = field(default_factory=dict)
    found: list[Evidence] = field(default_factory=list)

    def hear(self, each: Input, peers: Peers | None = None) -> Evidence | None:
        number = 7 * len(self.inputs) + 3  # others than this detector's are between
        self.inputs[number] = each
        track, finding = advance(self.detector, self.track, number, each, peers)
        assert Track.from_json(json.loads(json.dumps(track.to_json()))) == track
        self.track = track
        if finding is None:
            return None
        run = [one for n, one in self.inputs.items() if n >= track.begin]
        assert len(run) == track.inputs
        self.found.append(evidence.build(self.detector, run, track.carried, finding))
        return self.found[-1]


def peers_of(*values: int, group: str = "") -> Peers:
    found = Histogram((bucket_of(value), 1) for value in values).peers(group)
    assert found is not None
    return found


# -- random -------------------------------------------------------------------------------------------

_seconds = st.integers(1, 30).map(lambda n: timedelta(seconds=n))
RULES: st.SearchStrategy[Rule] = st.one_of(
    st.builds(Bound, st.integers(0, 20), _seconds),
    st.builds(Flood, st.integers(200, 5_000), st.integers(1, 4), st.integers(1, 4), _seconds),
    st.builds(Ratio, st.integers(100, 500), st.integers(501, 900), st.integers(200, 4_000)),
    st.builds(Outlier, st.integers(500, 3_500), st.integers(10, 12), st.integers(1, 3), st.just(7)),
    st.builds(Drift, st.integers(8, 12), st.integers(1, 800), st.integers(500, 6_000), st.integers(1, 3)),
    st.builds(
        Repetition,
        st.integers(8, 12),
        st.integers(0, 400).map(lambda n: timedelta(milliseconds=n)),
        st.integers(300, 1_000),
        st.just(timedelta(minutes=1)),
    ),
)
"""Easily provoked, so that random histories have findings."""

HISTORIES: st.SearchStrategy[list[tuple[int, int, int]]] = st.lists(
    st.tuples(
        st.one_of(st.integers(-2_000, 8_000), st.just(1_000), st.just(100_000)),
        st.integers(0, 9),
        st.integers(0, 10),
    ),
    max_size=60,
)
"""Milliseconds since the one before, value, and of how many."""


def inputs_of(history: list[tuple[int, int, int]]) -> list[Input]:
    at, inputs = 0, []
    for n, (after, value, of) in enumerate(history):
        at += after
        inputs.append(given(at / 1_000, min(value, of) if of % 2 else value, of, f"e-{n}"))
    return inputs
