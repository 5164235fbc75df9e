"""Why a flag was raised: enough to find the same again, and to see that nobody has changed it."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import timedelta

from services.fairness.domain.detector import Detector
from services.fairness.domain.finding import Finding, Input, Peers
from services.fairness.domain.peers import peers_of
from services.fairness.domain.rules import INITIAL, State, observe
from services.fairness.domain.rules.state import micros, span


@dataclass(frozen=True, slots=True)
class Evidence:
    """`inputs` in the order in which they were heard; the last one was found. `carried`: what the rule
    remembered before the first; None: nothing. `digest`: as it was written."""

    detector: Detector
    inputs: tuple[Input, ...]
    carried: State | None
    finding: Finding
    digest: str = ""

    @property
    def peers(self) -> Peers | None:
        return self.finding.peers


@dataclass(frozen=True, slots=True)
class Replayed:
    """What the rule finds in the same inputs. `same`: what it found then, at the same input, and the peers'
    numbers are right; `intact`: the digest is that of the evidence. Nothing found: numbers are 0."""

    statistic_micro: int
    threshold_micro: int
    same: bool
    intact: bool


def build(detector: Detector, inputs: Sequence[Input], carried: State | None, finding: Finding) -> Evidence:
    """With its digest."""
    evidence = Evidence(detector, tuple(inputs), carried, finding)
    return replace(evidence, digest=digest(evidence))


def replay(evidence: Evidence) -> Replayed:
    """Has the rule look again."""
    *earlier, last = findings(evidence) or [None]
    same = not any(earlier) and last == evidence.finding and _right(evidence.peers)
    intact = digest(evidence) == evidence.digest
    if last is None:
        return Replayed(0, 0, same=False, intact=intact)
    return Replayed(last.statistic_micro, last.threshold_micro, same, intact)


def findings(evidence: Evidence) -> list[Finding | None]:
    """What the rule finds in each input."""
    state, found = evidence.carried or INITIAL, []
    for given in evidence.inputs:
        state, finding = observe(evidence.detector.rule, state, given, evidence.peers)
        found.append(finding)
    return found


def _right(peers: Peers | None) -> bool:
    return peers is None or (bool(peers.buckets) and peers == peers_of(peers.group, peers.buckets))


def digest(evidence: Evidence) -> str:
    """SHA-256, hexadecimal, over all that the verdict comes from and what was to follow: the detector (its
    title, its budget and what it counted apart), inputs, what was carried, finding and peers."""
    return hashlib.sha256(_canonical(evidence)).hexdigest()


def _canonical(evidence: Evidence) -> bytes:
    """JSON with sorted keys: the same of equal evidence, and of different evidence different."""
    detector, finding, peers = evidence.detector, evidence.finding, evidence.peers
    whole = {
        "detector": {
            "id": detector.id,
            "version": detector.version,
            "mode": int(detector.mode),
            "signals": [asdict(signal) for signal in detector.signals],
            "rule": {type(detector.rule).__name__: asdict(detector.rule)},
            "quarantine": detector.quarantine,
            "boards": detector.boards,
            "hold": detector.hold,
            "reason": detector.reason,
        },
        "finding": [finding.statistic_micro, finding.threshold_micro],
        "inputs": [
            [given.event, micros(given.at), given.reading.value, given.reading.of]
            for given in evidence.inputs
        ],
        "carried": dict(evidence.carried or INITIAL),
        "peers": peers
        and [peers.group, peers.observations, peers.median, peers.mad, sorted(peers.buckets.items())],
    }
    return json.dumps(whole, sort_keys=True, separators=(",", ":"), default=_plain).encode()


def _plain(value: object) -> object:
    match value:
        case frozenset():
            return sorted(value)
        case timedelta():
            return span(value)
    raise TypeError(f"{type(value).__name__} has no canonical form")
