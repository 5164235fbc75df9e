"""Events of the bus as whoever counts them sees them: what an envelope carries, and its fields by their path,
whatever message it is; a message is read by its descriptor, a Struct by its keys.

What is read is text, a number, true or false; an enumeration is the name of its value.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from enum import Enum
from typing import cast

from arenamesh.events.v1 import combat_pb2, gamification_pb2, liveops_pb2, progression_pb2
from arenamesh.events.v1.envelope_pb2 import Envelope
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.struct_pb2 import ListValue, Struct
from google.protobuf.timestamp_pb2 import Timestamp

from services.chassis.errors import InvalidArgument

EVENTS: Mapping[str, type[Message]] = {
    "combat.session_started": combat_pb2.CombatSessionStarted,
    "combat.session_ended": combat_pb2.CombatSessionEnded,
    "combat.kill": combat_pb2.CombatKill,
    "combat.player_summary": combat_pb2.CombatPlayerSummary,
    "combat.violation": combat_pb2.CombatViolation,
    "progression.experience_awarded": progression_pb2.ProgressionExperienceAwarded,
    "progression.level_up": progression_pb2.ProgressionLevelUp,
    "progression.prestige_reset": progression_pb2.ProgressionPrestigeReset,
    "progression.mastery_level_up": progression_pb2.ProgressionMasteryLevelUp,
    "gamification.impossible_gain": gamification_pb2.ImpossibleGain,
    "liveops.progression": liveops_pb2.LiveopsProgression,
    "liveops.boss_kill": liveops_pb2.LiveopsBossKill,
    "liveops.drop_claimed": liveops_pb2.LiveopsDropClaimed,
    "liveops.score": liveops_pb2.LiveopsScore,
    "liveops.refused": liveops_pb2.LiveopsRefused,
}
"""What each known type says. Others may carry any message that is known here, such as a Struct."""

MAX_ID = 255
"""Characters of an event's id: as many as the tables take."""
PLAYER = re.compile(r"[A-Za-z0-9_.:@-]{1,64}")

Scalar = str | int | float | bool
Node = Message | Scalar
"""Something that has fields, or is what a field holds."""
Path = tuple[str, ...]

_WHOLE = re.compile(r"-?[0-9]{1,40}")


class Kind(Enum):
    """Of what a field holds, as far as a descriptor says."""

    TEXT = "text"
    NUMBER = "number"
    FLAG = "true or false"


_KINDS = {
    FieldDescriptor.CPPTYPE_STRING: Kind.TEXT,
    FieldDescriptor.CPPTYPE_ENUM: Kind.TEXT,
    FieldDescriptor.CPPTYPE_BOOL: Kind.FLAG,
}


# -- envelopes -----------------------------------------------------------------------------------------


def envelope_of(body: bytes) -> Envelope:
    """What a message of the bus holds. Raises InvalidArgument: EVENT_MALFORMED."""
    try:
        return Envelope.FromString(body)
    except DecodeError as error:
        raise malformed("envelope", "must be an arenamesh.events.v1.Envelope") from error


def payload(envelope: Envelope) -> Message:
    """What it carries. Raises InvalidArgument: EVENT_MALFORMED."""
    name = envelope.data.TypeName()
    known = EVENTS.get(envelope.type)
    if known is not None and name != known.DESCRIPTOR.full_name:
        raise malformed("data", f"must be a {known.DESCRIPTOR.full_name}")
    try:
        found = known or message_factory.GetMessageClass(
            descriptor_pool.Default().FindMessageTypeByName(name)
        )
        return found.FromString(envelope.data.value)
    except KeyError as error:
        raise malformed("data", f"'{name}' is no message that is known here") from error
    except DecodeError as error:
        raise malformed("data", f"must be a {name}") from error


def event_id(envelope: Envelope, most: int = MAX_ID) -> str:
    """Of `most` characters at the most. Raises InvalidArgument: EVENT_MALFORMED."""
    if not 1 <= len(envelope.id) <= most:
        raise malformed("id", f"must have 1 to {most} characters")
    return envelope.id


def malformed(field: str, rule: str) -> InvalidArgument:
    return InvalidArgument.of(field, rule, reason="EVENT_MALFORMED")


def occurred_at(envelope: Envelope) -> datetime:
    """When it happened. Raises InvalidArgument: EVENT_MALFORMED."""
    if not envelope.HasField("time"):
        raise malformed("time", "must be given: what happened counts when it happened")
    return time_of(envelope.time, "time")


def time_of(stamp: Timestamp, field: str) -> datetime:
    """Raises InvalidArgument: EVENT_MALFORMED."""
    try:
        return stamp.ToDatetime(UTC)
    except (ValueError, OverflowError) as error:
        raise malformed(field, "is no time") from error


# -- reading ------------------------------------------------------------------------------------------


def look(node: Node, path: Path) -> Scalar | None:
    """What is there. None: nothing is, or nothing that can be read."""
    found: Node | None = node
    for name in path:
        found = _step(found, name) if isinstance(found, Message) else None
    return None if isinstance(found, Message) else found


def find(element: Node, event: Message, each: str, path: Path) -> Scalar | None:
    """Of the element of a field `each`, or else of the event. An element that is no message has the name of
    its field."""
    if has(element, path[0]):
        return look(element, path)
    if path == (each,):
        return look(element, ())
    return look(event, path)


def elements(node: Message, name: str) -> list[Node]:
    """Of a repeated field; nothing when there is no such."""
    if isinstance(node, Struct):
        found = _key(node, name)
        values: Iterable[object] = found if isinstance(found, ListValue) else ()
    else:
        field = node.DESCRIPTOR.fields_by_name.get(name)
        values = getattr(node, name) if field is not None and field.is_repeated else ()
    return [each for each in values if isinstance(each, Message | str | int | float | bool)]


def has(node: Node, name: str) -> bool:
    """Whether it has a field of this name."""
    if isinstance(node, Struct):
        return name in node
    return isinstance(node, Message) and name in node.DESCRIPTOR.fields_by_name


def _step(node: Message, name: str) -> Node | None:
    if isinstance(node, Struct):
        found = _key(node, name)
        return found if isinstance(found, Struct | str | float | bool) else None
    field = node.DESCRIPTOR.fields_by_name.get(name)
    if field is None or field.is_repeated or (field.has_presence and not node.HasField(name)):
        return None
    value = getattr(node, name)
    if field.enum_type is not None:
        named = field.enum_type.values_by_number.get(value)
        return named.name if named is not None else str(value)
    return value if isinstance(value, Message | str | int | float | bool) else None


def _key(node: Struct, name: str) -> object:
    return node[name] if name in node else None  # noqa: SIM401  # a Struct has no `get`


# -- what was read ------------------------------------------------------------------------------------


def player_of(value: Scalar | None, path: Path) -> str:
    """The id of a player. Raises InvalidArgument: EVENT_MALFORMED."""
    if not isinstance(value, str) or not PLAYER.fullmatch(value):
        raise malformed(".".join(path), f"must match {PLAYER.pattern}")
    return value


def whole(value: Scalar) -> int | None:
    """A whole number, also one in decimal text. None: it is none."""
    match value:
        case bool():
            return None
        case int():
            return value
        case float():
            return int(value) if value.is_integer() else None
        case str():
            return int(value) if _WHOLE.fullmatch(value) else None


def text(value: Scalar) -> str:
    """As a filter or a member has it: `railgun`, `true`, `25`."""
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case float() if value.is_integer():
            return str(int(value))
        case _:
            return str(value)


def path_of(path: str) -> Path:
    return tuple(path.split(".")) if path else ()


def is_one_of(value: Scalar | None, wanted: Iterable[str]) -> bool:
    """Whether it is one of these, each written as text. What is absent is none."""
    return value is not None and any(_equal(value, each) for each in wanted)


def _equal(value: Scalar, wanted: str) -> bool:
    if isinstance(value, str | bool):
        return text(value) == wanted
    return decimal_of(value) == decimal_of(wanted)


def decimal_of(value: Scalar) -> Decimal | None:
    """None: it is none, or not finite."""
    if isinstance(value, bool):
        return None
    try:
        found = Decimal(value)
    except InvalidOperation:
        return None
    return found if found.is_finite() else None


# -- what a message can have --------------------------------------------------------------------------


def kind(descriptor: Descriptor, path: Sequence[str]) -> Kind | None:
    """Of a field. None: there is no such, or it holds more than one thing."""
    for depth, name in enumerate(path, 1):
        field = descriptor.fields_by_name.get(name)
        if field is None or field.is_repeated:
            return None
        if field.message_type is None:
            return kind_of(field) if depth == len(path) else None
        descriptor = field.message_type
    return None


def kind_of(field: FieldDescriptor) -> Kind:
    """Of each value of a field that holds no messages."""
    return _KINDS.get(field.cpp_type, Kind.NUMBER)


class Names:
    """What can be named of an event, and of the elements of its field `each`."""

    def __init__(self, event: Descriptor, each: str) -> None:
        self._event = event
        self._name = each
        self._each = event.fields_by_name.get(each)
        self.each_is_wrong = bool(each) and (self._each is None or not self._each.is_repeated)
        self.event_name = event.full_name

    def kind(self, path: Path) -> Kind | None:
        if self._each is not None and not self.each_is_wrong:
            element = self._each.message_type
            if element is None and path == (self._name,):
                return kind_of(self._each)
            if element is not None and path[0] in element.fields_by_name:
                return kind(element, path)
        return kind(self._event, path)


def check_named(
    event: str,
    path: str,
    *,
    each: str,
    player: str,
    others: Mapping[str, str],
    filters: Iterable[tuple[str, Iterable[str]]],
) -> None:
    """Of an event that is known here, whatever is named has to be there.

    `path`: of what names it, such as `board.sources[0]`. `others`: names, by the fields that hold them; empty
    ones name nothing. `filters`: names, and the values of which each must have one.

    Raises:
        InvalidArgument: FIELD_INVALID, one of them is not.
    """
    known = EVENTS.get(event)
    if known is None:
        return
    names = Names(cast(Descriptor, known.DESCRIPTOR), each)
    nothing = f"there is no such field in {names.event_name}"
    if names.each_is_wrong:
        raise InvalidArgument.of(f"{path}.each", f"there is no such repeated field in {names.event_name}")
    whose = names.kind(path_of(player))
    if whose is not Kind.TEXT:
        raise InvalidArgument.of(f"{path}.player", nothing if whose is None else "must be text")
    for field, name in others.items():
        if name and names.kind(path_of(name)) is None:
            raise InvalidArgument.of(f"{path}.{field}", nothing)
    for number, (name, values) in enumerate(filters):
        found = names.kind(path_of(name))
        if found is None:
            raise InvalidArgument.of(f"{path}.filters[{number}].field", nothing)
        if found is Kind.FLAG and set(values) - {"true", "false"}:
            raise InvalidArgument.of(f"{path}.filters[{number}].values", "must be true or false")
