"""What metrics find in the events of the bus: an envelope becomes observations of players."""

import operator
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple, cast

from arenamesh.events.v1.envelope_pb2 import Envelope
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

from services.chassis.errors import FieldViolation
from services.chassis.event_fields import (
    EVENTS,
    Kind,
    Names,
    Node,
    Path,
    Scalar,
    decimal_of,
    elements,
    find,
    is_one_of,
    malformed,
    occurred_at,
    path_of,
    player_of,
    text,
    whole,
)
from services.gamification.domain.catalogue import Catalogue
from services.gamification.domain.definitions import Aggregation, Filter, Metric, MetricSource, Operator
from services.gamification.domain.observation import Observation

_BEYOND: Mapping[Operator, Callable[[Decimal, Decimal], bool]] = {
    Operator.GT: operator.gt,
    Operator.GTE: operator.ge,
    Operator.LT: operator.lt,
    Operator.LTE: operator.le,
}
MOST = 10**15
"""As in MetricRecord, either way."""
MOST_MEMBER = 64
_ADDS = (Aggregation.COUNT, Aggregation.SUM)
_OWN = "gamification."
_NEEDS_VALUE = (Aggregation.SUM, Aggregation.MAX, Aggregation.MIN, Aggregation.LAST, Aggregation.DISTINCT)


class Seen(NamedTuple):
    """Something that an event says of a player."""

    user_id: str
    observation: Observation


# -- reading ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Source:
    """A source of a metric, its paths taken apart."""

    metric: Metric
    user: Path
    each: str
    value: Path
    filters: tuple[tuple[Path, Filter], ...]

    @classmethod
    def of(cls, metric: Metric, source: MetricSource) -> "_Source":
        filters = tuple((path_of(each.field), each) for each in source.filters)
        return cls(metric, path_of(source.user), source.each, path_of(source.value), filters)

    def read(self, event: Message) -> Iterator[tuple[str, int, str]]:
        """User, value and member of whatever counts."""
        for element in elements(event, self.each) if self.each else [event]:
            user = self._look(element, event, self.user)
            if user in (None, "") or not self._passes(element, event):
                continue
            user_id = player_of(user, self.user)
            found = self._value(element, event)
            if found is not None:
                yield user_id, *found

    def _passes(self, element: Node, event: Message) -> bool:
        return all(_passes(self._look(element, event, path), wanted) for path, wanted in self.filters)

    def _value(self, element: Node, event: Message) -> tuple[int, str] | None:
        """None: nothing happened."""
        if not self.value:
            return 1, ""
        value = self._look(element, event, self.value)
        if value is None:
            return None
        if self.metric.aggregation is Aggregation.DISTINCT:
            member = text(value)
            if len(member) > MOST_MEMBER:
                raise malformed(".".join(self.value), f"must have at most {MOST_MEMBER} characters")
            return (1, member) if member else None
        number = whole(value)
        if number is None or not -MOST <= number <= MOST:
            raise malformed(".".join(self.value), f"must be a whole number of at most {MOST}")
        return None if number == 0 and self.metric.aggregation in _ADDS else (number, "")

    def _look(self, element: Node, event: Message, path: Path) -> Scalar | None:
        return find(element, event, self.each, path)


class Sources:
    """Of all metrics of a catalogue."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self._by_event: defaultdict[str, list[_Source]] = defaultdict(list)
        for metric in catalogue.metrics.values():
            for source in metric.sources:
                self._by_event[source.event].append(_Source.of(metric, source))

    def name(self, event_type: str) -> bool:
        """Whether any metric counts events of this type."""
        return event_type in self._by_event

    def read(self, envelope: Envelope, event: Message) -> list[Seen]:
        """All that the event, which is the envelope's payload, says.

        Raises:
            InvalidArgument: EVENT_MALFORMED, something that a metric counts cannot be read.
        """
        found: list[Seen] = []
        told: Counter[tuple[str, str]] = Counter()
        for source in self._by_event.get(envelope.type, ()):
            for user_id, value, member in source.read(event):
                told[source.metric.id, user_id] += 1
                number = told[source.metric.id, user_id]
                id_ = envelope.id if number == 1 else f"{envelope.id}#{number}"
                at = occurred_at(envelope)
                found.append(
                    Seen(user_id, Observation(source.metric.id, value, member, at, id_, envelope.id))
                )
        return found


# -- filters -------------------------------------------------------------------------------------------


def _passes(value: Scalar | None, wanted: Filter) -> bool:
    """What is absent passes nothing."""
    if value is None:
        return False
    if wanted.operator is Operator.EQ:
        return is_one_of(value, wanted.values)
    found, limit = decimal_of(value), decimal_of(wanted.values[0])
    return found is not None and limit is not None and _BEYOND[wanted.operator](found, limit)


# -- what a source may name ---------------------------------------------------------------------------


def violations(aggregation: Aggregation, source: MetricSource, at: str = "source") -> list[FieldViolation]:
    """Whatever keeps a source of a metric from ever being read; `at`: path of the source. Of events that are
    not known here nothing can be said but that a value is named."""
    found = []
    if not source.value and aggregation in _NEEDS_VALUE:
        found.append(FieldViolation(f"{at}.value", f"must be given: the metric is a {aggregation.value}"))
    if source.event.startswith(_OWN):
        found.append(
            FieldViolation(f"{at}.event", "must be told by others: its own the service does not hear")
        )
    known = EVENTS.get(source.event)
    if known is not None:
        names = Names(cast(Descriptor, known.DESCRIPTOR), source.each)
        found += [FieldViolation(f"{at}.{field}", rule) for field, rule in _wrong(names, aggregation, source)]
    return found


def _wrong(names: Names, aggregation: Aggregation, source: MetricSource) -> Iterator[tuple[str, str]]:
    """Field of the source, and the rule that it breaks."""
    nothing = f"there is no such field in {names.event_name}"
    if names.each_is_wrong:
        yield "each", f"there is no such repeated field in {names.event_name}"
    user = names.kind(path_of(source.user))
    if user is not Kind.TEXT:
        yield "user", nothing if user is None else "must be text"
    if source.value:
        value = names.kind(path_of(source.value))
        if value is None:
            yield "value", nothing
        elif value is Kind.FLAG and aggregation is not Aggregation.DISTINCT:
            yield "value", "must be a number"
    for number, each in enumerate(source.filters):
        field = names.kind(path_of(each.field))
        if field is None:
            yield f"filters[{number}].field", nothing
        elif field is Kind.FLAG and (
            each.operator is not Operator.EQ or set(each.values) - {"true", "false"}
        ):
            yield f"filters[{number}].values", "must be true or false"
        elif (field is Kind.NUMBER or each.operator is not Operator.EQ) and any(
            whole(value) is None for value in each.values
        ):
            yield f"filters[{number}].values", "must be whole numbers"
