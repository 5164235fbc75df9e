"""What no JSON document and no table can hold, wherever it stands in a message."""

import math
from collections.abc import Iterator
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct, Value

from services.chassis.errors import InvalidArgument

_NUL = "\0"
MAX_DEEP = 32
"""Of metadata."""


def storable(message: Message, path: str) -> None:
    """Raises InvalidArgument with the path of a text with a NUL in it, or of metadata that is no JSON."""
    for field, value in message.ListFields():
        at = f"{path}.{field.name}"
        if isinstance(value, Struct):
            if not all(_is_json(each, 0) for each in value.fields.values()) or _NUL in "".join(value.fields):
                raise InvalidArgument.of(at, f"must be JSON without NUL, at most {MAX_DEEP} deep")
        elif field.type == FieldDescriptor.TYPE_MESSAGE:
            for inner, each in _each(field, value, at):
                storable(each, inner)
        elif field.type == FieldDescriptor.TYPE_STRING:
            for inner, text in _each(field, value, at):
                if _NUL in text:
                    raise InvalidArgument.of(inner, "must not have NUL in it")


def _each(field: FieldDescriptor, value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if not field.is_repeated:
        yield path, value
        return
    for number, each in enumerate(value):
        yield f"{path}[{number}]", each


def _is_json(value: Value, depth: int) -> bool:
    kind = value.WhichOneof("kind")
    if depth > MAX_DEEP or kind is None:
        return False
    match kind:
        case "number_value":
            return math.isfinite(value.number_value)
        case "string_value":
            return _NUL not in value.string_value
        case "list_value":
            return all(_is_json(each, depth + 1) for each in value.list_value.values)
        case "struct_value":
            fields = value.struct_value.fields
            return _NUL not in "".join(fields) and all(_is_json(each, depth + 1) for each in fields.values())
    return True
