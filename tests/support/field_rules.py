"""The field rules of the contract (`buf.validate`), and a request that breaks each: a walk over whatever a
method takes. A rule that is not known here fails the test."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from arenamesh.common.v1 import access_pb2
from buf.validate import validate_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from services.chassis.auth import Role
from tests.support.tokens import Metadata, bearer

Steps = tuple[FieldDescriptor, ...]
TEXTS = ("", "\x00", " Bad text! ", "x" * 70, "x" * 200, "x" * 2000, "x" * 20_000, "x" * 60_000)


@dataclass(frozen=True)
class Violation:
    """`steps`: to the message that has the field. `rule`: that `spoil` breaks."""

    method: MethodDescriptor
    steps: Steps
    field: FieldDescriptor
    rule: str
    spoil: Callable[[Message], None]
    inside: str = ""

    @property
    def path(self) -> str:
        names = (step.name + ("[0]" if step.is_repeated else "") for step in (*self.steps, self.field))
        *before, last = names
        return ".".join([*before, last.removesuffix("[0]") + self.inside])

    def request(self) -> Message:
        request = message = GetMessageClass(self.method.input_type)()
        for step in self.steps:
            if step.is_repeated:
                message = getattr(message, step.name).add()
            else:
                message = getattr(message, step.name)
                message.SetInParent()
        self.spoil(message)
        return request


def walk(method: MethodDescriptor) -> Iterator[Violation]:
    yield from _walk(method, method.input_type, (), frozenset())


def _walk(
    method: MethodDescriptor, message: Descriptor, steps: Steps, seen: frozenset[str]
) -> Iterator[Violation]:
    for field in message.fields:
        options = field.GetOptions()
        extension: Any = validate_pb2.field
        if options.HasExtension(extension):
            for rule, spoil, inside in spoiling(field, options.Extensions[extension]):
                yield Violation(method, steps, field, rule, spoil, inside)
        inner = field.message_type
        if (
            inner is not None
            and inner.file.package == method.containing_service.file.package
            and not inner.GetOptions().map_entry
            and inner.full_name not in seen
        ):
            yield from _walk(method, inner, (*steps, field), seen | {inner.full_name})


Spoiling = tuple[str, Callable[[Message], None], str]


def spoiling(field: FieldDescriptor, rules: validate_pb2.FieldRules) -> Iterator[Spoiling]:
    """A violation of each rule of a field. A rule that is not known here fails the test."""
    if rules.required:
        yield "required", lambda message: message.ClearField(field.name), ""
    kind = rules.WhichOneof("type")
    if kind == "repeated":
        yield from _spoiled_list(field, rules.repeated)
    elif kind == "map":
        yield from _spoiled_map(field, rules.map)
    elif kind is not None:
        for name, value in bad_values(field, kind, getattr(rules, kind)):
            yield name, lambda message, value=value: setattr(message, field.name, value), ""  # type: ignore[misc]


def _spoiled_list(field: FieldDescriptor, rules: validate_pb2.RepeatedRules) -> Iterator[Spoiling]:
    def longer(message: Message) -> None:
        values = getattr(message, field.name)
        for _ in range(rules.max_items + 1):
            values.append("x") if field.message_type is None else values.add()

    for name in _names(rules):
        match name:
            case "min_items":
                yield name, lambda message: message.ClearField(field.name), ""
            case "max_items":
                yield name, longer, ""
            case "unique":
                yield name, lambda message: getattr(message, field.name).extend(["a", "a"]), ""
            case "items":
                kind = rules.items.WhichOneof("type")
                assert kind is not None
                for inner, value in bad_values(field, kind, getattr(rules.items, kind)):
                    yield (
                        f"items.{inner}",
                        lambda message, value=value: getattr(message, field.name).append(value),  # type: ignore[misc]
                        "[0]",
                    )
            case _:
                pytest.fail(f"{field.full_name}: nothing is known that breaks {name}")


def _spoiled_map(field: FieldDescriptor, rules: validate_pb2.MapRules) -> Iterator[Spoiling]:
    """Of texts to numbers."""

    def put(entries: dict[str, int]) -> Callable[[Message], None]:
        return lambda message: getattr(message, field.name).update(entries)

    for name in _names(rules):
        match name:
            case "max_pairs":
                yield name, put({f"m{number}": 1 for number in range(rules.max_pairs + 1)}), ""
            case "keys":
                for inner, value in bad_values(field, "string", rules.keys.string):
                    yield f"keys.{inner}", put({value: 1}), f"[{value}]"
            case "values":
                for inner, value in bad_values(field, "int64", rules.values.int64):
                    yield f"values.{inner}", put({"m": value}), "[m]"
            case _:
                pytest.fail(f"{field.full_name}: nothing is known that breaks {name}")


def bad_values(field: FieldDescriptor, kind: str, rules: Any) -> Iterator[tuple[str, Any]]:
    known = field.enum_type.values_by_number if field.enum_type is not None else {}
    for name in _names(rules):
        bound = getattr(rules, name)
        match kind, name:
            case "string", "pattern":
                yield name, next(text for text in TEXTS if not re.search(bound, text))
            case "string", "min_len":
                yield name, "x" * (bound - 1)
            case "string", "max_len":
                yield name, "x" * (bound + 1)
            case (("int32" | "int64"), "gte"):
                yield name, bound - 1
            case (("int32" | "int64"), "lte"):
                yield name, bound + 1
            case "enum", "defined_only":
                yield name, max(known) + 1
            case "enum", "not_in":
                yield name, bound[0]
            case "enum", "in":
                yield name, next(each for each in known if each not in bound)
            case _:
                pytest.fail(f"{field.full_name}: nothing is known that breaks {kind}.{name}")


def _names(rules: Message) -> list[str]:
    return [field.name for field, _ in rules.ListFields()]


def caller(method: MethodDescriptor) -> Metadata:
    """Somebody who may call it."""
    extension: Any = access_pb2.access
    allowed = method.GetOptions().Extensions[extension].roles
    return bearer("tester", next(role for role, declared in _ROLES.items() if declared in allowed))


_ROLES = {
    Role.OPERATOR: access_pb2.ROLE_OPERATOR,
    Role.SERVICE: access_pb2.ROLE_SERVICE,
    Role.PLAYER: access_pb2.ROLE_PLAYER,
}
