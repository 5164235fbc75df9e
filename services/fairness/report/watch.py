"""Has the detectors look at a population, each player's inputs in the order of time."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from services.fairness.domain import evidence
from services.fairness.domain.detector import Detector, Outlier
from services.fairness.domain.evidence import Evidence
from services.fairness.domain.finding import Input, Peers, Reading
from services.fairness.domain.peers import Histogram, bucket_of
from services.fairness.domain.player import MOST_COUNTED
from services.fairness.domain.track import advance
from services.fairness.report.day import begins_us, events_of
from services.fairness.report.people import Draw, Kind, Person
from services.fairness.report.tables import Stream, stream

DAY = datetime(2026, 3, 1, tzinfo=UTC)
PEERS_EVERY_US = 600_000_000
"""How often the peers are looked up anew; the service does it far more often."""


@dataclass(frozen=True, slots=True)
class Flag:
    """The first finding of a detector about a player on the day. `replayed`: its evidence led to the same."""

    person: Person
    after_us: int
    """Since the cheat began."""
    replayed: bool


@dataclass(slots=True)
class Seen:
    """By one detector."""

    players: int = 0
    inputs: int = 0
    flags: list[Flag] = field(default_factory=list)


@dataclass(slots=True)
class Watched:
    seen: dict[str, Seen]
    planted: dict[Kind, int] = field(default_factory=lambda: dict.fromkeys(Kind, 0))
    honest: int = 0


class _Score(NamedTuple):
    """An input of an outlier, waiting for those of the others."""

    at: int
    person: Person
    began: int
    value: int
    group: str


def watch(
    detectors: Iterable[Detector],
    population: Iterable[tuple[Person, Draw]],
    told: Callable[[int], None] = lambda _: None,
) -> Watched:
    """`told`: after each player, how many they are."""
    each = list(detectors)
    found = Watched({detector.id: Seen() for detector in each})
    scores: defaultdict[str, list[_Score]] = defaultdict(list)
    for number, (person, draw) in enumerate(population, 1):
        tables = events_of(person, draw)
        began = begins_us(person, tables)
        if person.kind is None:
            found.honest += 1
        else:
            found.planted[person.kind] += 1
        for detector in each:
            heard, seen = stream(detector, tables), found.seen[detector.id]
            seen.players += bool(len(heard.at))
            seen.inputs += len(heard.at)
            if isinstance(detector.rule, Outlier):
                scores[detector.id] += _scores(person, began, heard)
            elif (evidence := _first(detector, heard)) is not None:
                seen.flags.append(_flag(person, began, evidence))
        told(number)
    for detector in each:
        if scores[detector.id]:
            found.seen[detector.id].flags += _outliers(detector, scores[detector.id])
    return found


def _first(detector: Detector, heard: Stream) -> Evidence | None:
    """Of the day; what was found in the days before is not told."""
    track, inputs = None, list(zip(heard.at.tolist(), heard.value.tolist(), heard.of.tolist(), strict=True))
    for number, (at, value, of) in enumerate(inputs):
        track, finding = advance(detector, track, number, _input(number, at, value, of))
        if finding is not None and at >= 0:
            run = [_input(n, *inputs[n]) for n in range(track.begin, number + 1)]
            return evidence.build(detector, run, track.carried, finding)
    return None


def _input(number: int, at: int, value: int, of: int = 0) -> Input:
    return Input(f"e-{number}", DAY + timedelta(microseconds=at), Reading(value, of))


def _flag(person: Person, began: int, found: Evidence) -> Flag:
    replayed = evidence.replay(found)
    after = (found.inputs[-1].at - DAY) // timedelta(microseconds=1) - began
    return Flag(person, after, replayed.same and replayed.intact)


# -- outliers -----------------------------------------------------------------------------------------


def _scores(person: Person, began: int, heard: Stream) -> list[_Score]:
    groups = heard.groups if heard.groups is not None else [""] * len(heard.at)
    columns = zip(heard.at.tolist(), heard.value.tolist(), map(str, groups), strict=True)
    return [_Score(at, person, began, value, group) for at, value, group in columns]


def _outliers(detector: Detector, scores: list[_Score]) -> list[Flag]:
    """Of all players together, since each is compared with what the others had by then."""
    histograms: defaultdict[str, Histogram] = defaultdict(Histogram)
    peers: Mapping[str, Peers | None] = {}
    counted: defaultdict[str, int] = defaultdict(int)
    flags: dict[str, Flag] = {}
    looked = 0
    for number, score in enumerate(sorted(scores, key=lambda each: each.at)):
        if score.at // PEERS_EVERY_US > looked:
            looked = score.at // PEERS_EVERY_US
            peers = {group: histogram.peers(group) for group, histogram in histograms.items()}
        given = _input(number, score.at, score.value)
        track, finding = advance(detector, None, number, given, peers.get(score.group))
        if finding is not None and score.person.id not in flags:
            found = evidence.build(detector, [given], track.carried, finding)
            flags[score.person.id] = _flag(score.person, score.began, found)
        if counted[score.person.id] < MOST_COUNTED:
            counted[score.person.id] += 1
            histograms[score.group].add(bucket_of(score.value))
    return list(flags.values())
