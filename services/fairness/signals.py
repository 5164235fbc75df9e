"""What detectors find in the events of the bus: an envelope becomes readings of players."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from arenamesh.events.v1.envelope_pb2 import Envelope
from google.protobuf.message import Message

from services.chassis.event_fields import (
    Node,
    Path,
    elements,
    find,
    is_one_of,
    malformed,
    path_of,
    player_of,
    text,
    whole,
)
from services.fairness.domain.detector import (
    Bound,
    Catalogue,
    Detector,
    Mode,
    Outlier,
    Ratio,
    Repetition,
    Rule,
    Signal,
)
from services.fairness.domain.finding import Reading
from services.fairness.translate_in import MOST

MOST_GROUP = 512
"""Characters of what names a group of peers."""

Readings = Mapping[str, Mapping[str, Reading]]
"""By player and detector."""


@dataclass(frozen=True, slots=True)
class _Signal:
    """A signal of a detector, its paths taken apart."""

    detector: str
    rule: Rule
    player: Path
    each: str
    value: Path
    of: Path
    peers: tuple[Path, ...]
    filters: tuple[tuple[Path, frozenset[str]], ...]

    @classmethod
    def of_detector(cls, detector: Detector, signal: Signal) -> "_Signal":
        return cls(
            detector.id,
            detector.rule,
            path_of(signal.player),
            signal.each,
            path_of(signal.value),
            path_of(signal.of),
            tuple(map(path_of, signal.peers)),
            tuple((path_of(each.field), each.values) for each in signal.filters),
        )

    def read(self, event: Message) -> Iterator[tuple[str, Reading]]:
        """Whose it is, and what it says, of whatever says something."""
        for element in elements(event, self.each) if self.each else [event]:
            player = find(element, event, self.each, self.player)
            if player in (None, "") or not self._passes(element, event):
                continue
            reading = self._reading(element, event)
            if reading is not None:
                yield player_of(player, self.player), reading

    def _passes(self, element: Node, event: Message) -> bool:
        return all(is_one_of(find(element, event, self.each, path), wanted) for path, wanted in self.filters)

    def _reading(self, element: Node, event: Message) -> Reading | None:
        """None: a number is not there, or says nothing."""
        value = self._number(element, event, self.value) if self.value else 1
        of = self._number(element, event, self.of) if self.of else 0
        if value is None or of is None:
            return None
        match self.rule:
            case Bound() if value <= 0:
                # Or somebody who loses now and then could gain the more.
                return None
            case Ratio():
                # One shot may hit several.
                return Reading(min(value, of), of) if of > 0 and value >= 0 else None
            case _:
                return Reading(value, of, self._group(element, event))

    def _number(self, element: Node, event: Message, path: Path) -> int | None:
        """None: it is not there. What is more than anybody counts is as much as anybody counts."""
        value = find(element, event, self.each, path)
        if value is None:
            return None
        number = int(value) if isinstance(value, bool) else whole(value)
        if number is None:
            raise malformed(".".join(path), "must be a whole number")
        return max(-MOST, min(MOST, number))

    def _group(self, element: Node, event: Message) -> str:
        """A list as JSON: no two groups are written alike."""
        if not self.peers:
            return ""
        values = []
        for path in self.peers:
            found = find(element, event, self.each, path)
            values.append("" if found is None else text(found))
        group = json.dumps(values, ensure_ascii=False, separators=(",", ":"))
        if len(group) > MOST_GROUP:
            raise malformed(".".join(self.peers[0]), f"must name a group of at most {MOST_GROUP} characters")
        return group


class Signals:
    """Of all detectors of a catalogue that hear something."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self._by_event: defaultdict[str, list[_Signal]] = defaultdict(list)
        for detector in catalogue.detectors.values():
            if detector.mode is not Mode.OFF:
                for signal in detector.signals:
                    self._by_event[signal.event].append(_Signal.of_detector(detector, signal))

    def name(self, event_type: str) -> bool:
        """Whether any detector hears events of this type."""
        return event_type in self._by_event

    def read(self, envelope: Envelope, event: Message) -> Readings:
        """All that the event, which is the envelope's payload, says. What it says to one detector about one
        player is one reading, however many elements and signals say it.

        Raises:
            InvalidArgument: EVENT_MALFORMED, something that a detector hears cannot be read.
        """
        found: defaultdict[str, dict[str, Reading]] = defaultdict(dict)
        for signal in self._by_event.get(envelope.type, ()):
            for player, reading in signal.read(event):
                known = found[player].get(signal.detector)
                found[player][signal.detector] = (
                    reading if known is None else _together(signal.rule, known, reading)
                )
        return found


def _together(rule: Rule, one: Reading, other: Reading) -> Reading:
    """Of an outlier the one that is farther up, of a repetition that it happened; others add up."""
    match rule:
        case Outlier():
            return max(one, other, key=lambda reading: reading.value)
        case Repetition():
            return one
        case _:
            return Reading(min(MOST, one.value + other.value), min(MOST, one.of + other.of), one.group)
