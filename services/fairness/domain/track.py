"""What a detector remembers of a player, cut into runs: whatever it finds can be found again from what it
remembered before the run (`carried`) and the run's inputs alone.

A run begins anew when nothing before an input matters any more, after a finding, and when it gets too long:
then with what is remembered at this moment.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import cast

from services.fairness.domain.detector import Detector
from services.fairness.domain.finding import Finding, Input, Peers
from services.fairness.domain.rules import INITIAL, State, observe, settled
from services.fairness.domain.rules.state import micros, span

MAX_INPUTS = 500
LONGEST = timedelta(days=2)
"""Of a run. Observations have to be kept for longer than this, or findings cannot be told in full."""


@dataclass(frozen=True, slots=True)
class Track:
    """`begin`: number of the player's observation that the run began with; `since`: its time, microseconds
    since 1970; `inputs`: how many so far. With a finding these are still the ones that led to it."""

    rule_version: int
    state: State
    carried: State | None
    begin: int
    since: int
    inputs: int

    def to_json(self) -> dict[str, object]:
        return {
            "rule_version": self.rule_version,
            "state": dict(self.state),
            "carried": None if self.carried is None else dict(self.carried),
            "begin": self.begin,
            "since": self.since,
            "inputs": self.inputs,
        }

    @classmethod
    def from_json(cls, document: Mapping[str, object]) -> "Track":
        """Of what `to_json` made."""
        return cls(
            rule_version=cast(int, document["rule_version"]),
            state=cast(State, document["state"]),
            carried=cast(State | None, document["carried"]),
            begin=cast(int, document["begin"]),
            since=cast(int, document["since"]),
            inputs=cast(int, document["inputs"]),
        )


def advance(
    detector: Detector, track: Track | None, number: int, given: Input, peers: Peers | None = None
) -> tuple[Track, Finding | None]:
    """The track after an input, and what was found in it.

    Args:
        track: None, or of another rule version: the detector begins with the player.
        number: of the player's observation that the input is of; greater than those before.
        peers: of the input's group, for an outlier.
    """
    if track is None or track.rule_version != detector.rule_version:
        track = Track(detector.rule_version, INITIAL, None, number, 0, 0)
    rule, state = detector.rule, track.state
    after = observe(rule, state, given, peers)
    before = settled(rule, state)
    at = micros(given.at)
    if state != before and after != observe(rule, before, given, peers):
        too_long = track.inputs >= MAX_INPUTS or abs(at - track.since) >= span(LONGEST)
        if not too_long:
            return replace(track, state=after[0], inputs=track.inputs + 1), after[1]
        before = state
    return Track(detector.rule_version, after[0], before or None, number, at, 1), after[1]
