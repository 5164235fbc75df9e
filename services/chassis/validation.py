"""The field rules of the contract (`buf.validate`), applied to a decoded message."""

import protovalidate
from google.protobuf.message import Message

from services.chassis.errors import FieldViolation, InvalidArgument

MAX_TOLD = 20
"""Violations that are told of a message: more would not fit what a client accepts as a status."""

_NOT_EMPTY = frozenset({"string.pattern", "string.min_len", "enum.not_in"})
"""Rules that what was left out breaks; in proto3 that is what is empty."""


def check(message: Message) -> None:
    """Raises InvalidArgument (FIELD_INVALID) with the path and rule of every field that breaks one, the
    outermost first; of more than MAX_TOLD, how many there are."""
    found = protovalidate.collect_violations(message)
    if not found:
        return
    violations = [FieldViolation(_path(v.proto), _rule(v)) for v in found]
    violations.sort(key=lambda violation: violation.field.count("."))
    texts = [f"{v.field}: {v.description}" if v.field else v.description for v in violations[:MAX_TOLD]]
    if len(violations) > MAX_TOLD:
        texts.append(f"and {len(violations) - MAX_TOLD} more")
    violations = violations[:MAX_TOLD]
    raise InvalidArgument(
        "; ".join(texts),
        reason="FIELD_INVALID",
        violations=violations,
    )


def _rule(violation: protovalidate.Violation) -> str:
    """In words. Whoever left something out is told that, and not a pattern."""
    told = violation.proto
    if told.rule_id in _NOT_EMPTY and not violation.field_value:
        return "must be given"
    return told.message or told.rule_id


def _path(violation: protovalidate.ViolationPb) -> str:
    if violation.field is None:
        return ""
    return ".".join(
        element.field_name + (f"[{element.subscript.value}]" if element.subscript else "")
        for element in violation.field.elements
    )
