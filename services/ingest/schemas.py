"""The JSON schemas of event types that studios registered.

JSON Schema 2020-12, as far as it can be checked in a time that nobody's payload decides: no `$ref` but to
`#/$defs/<name>`, and none in a circle; no `patternProperties` and no `unevaluated...`; patterns in the syntax
of RE2, which has no backtracking. A keyword that is unknown is refused, since it would be ignored. `format`
only describes.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from typing import Any

import re2  # type: ignore[import-untyped]
from jsonschema import Draft202012Validator, FormatChecker, SchemaError, ValidationError
from jsonschema.protocols import Validator
from jsonschema.validators import extend

from services.chassis.errors import FieldViolation, InvalidArgument
from services.ingest import strict_json
from services.ingest.domain.event import KNOWN_TYPES, Json
from services.ingest.fields import MAX_PROBLEMS

MAX_BYTES = 16_384
"""Of a schema, as JSON."""
MAX_DEPTH = 32
MAX_SIZE = 200
"""Schemas within a schema, those behind a `$ref` counted wherever it is. Times the values of a payload: how
often one is looked at, some microseconds each."""
MAX_PATTERN = 256
"""Characters of one."""
_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_FIELD = "type.schema"
_DEFS = "#/$defs/"
_NAMED = frozenset({"properties", "$defs", "dependentSchemas"})
_LISTED = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
_ONE = frozenset({"items", "contains", "additionalProperties", "propertyNames", "not", "if", "then", "else"})
_PLAIN = frozenset(
    {"$schema", "$ref", "$comment", "title", "description", "default", "examples", "deprecated", "format"}
    | {"type", "enum", "const", "required", "dependentRequired", "minProperties", "maxProperties"}
    | {"minLength", "maxLength", "pattern", "minItems", "maxItems", "uniqueItems", "minContains"}
    | {"maxContains", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}
    | {"readOnly", "writeOnly"}
)
_KEYWORDS = _NAMED | _LISTED | _ONE | _PLAIN


@dataclass(frozen=True, slots=True)
class Schema:
    """One version of a type."""

    type: str
    version: int
    validator: Validator = field(repr=False, compare=False)

    def problems(self, payload: Json) -> list[FieldViolation]:
        """Where the payload breaks the schema; at most `MAX_PROBLEMS`."""
        found = islice(self.validator.iter_errors(payload), MAX_PROBLEMS)
        return [
            FieldViolation(_path("payload", error.absolute_path), _described(error.message))
            for error in found
        ]


class Schemas:
    """The newest version of each type."""

    def __init__(self) -> None:
        self._newest: dict[str, Schema] = {}

    def put(self, schema: Schema) -> None:
        """Unless there is a newer one."""
        held = self._newest.get(schema.type)
        if held is None or held.version < schema.version:
            self._newest[schema.type] = schema

    def newest(self, type_: str) -> Schema | None:
        """None: nobody registered it."""
        return self._newest.get(type_)


def compiled(type_: str, version: int, document: Json) -> Schema:
    """`document`: as JSON has it; whole numbers may be floats, as they are in a Struct.

    Raises InvalidArgument, with the place in the schema.
    """
    if type_ in KNOWN_TYPES:
        raise InvalidArgument.of("type.name", "is one of the types that need no registering")
    found = strict_json.problems(document, _FIELD, depth=MAX_DEPTH)
    if found:
        raise InvalidArgument(
            f"{found[0].field}: {found[0].description}", reason="FIELD_INVALID", violations=found
        )
    if not isinstance(document, dict):
        raise InvalidArgument.of(_FIELD, "must be an object")
    if len(json.dumps(document).encode()) > MAX_BYTES:
        raise InvalidArgument.of(_FIELD, f"must be at most {MAX_BYTES} bytes")
    document = _with_integers(document)
    try:
        Draft202012Validator.check_schema(document, format_checker=_NO_FORMATS)
    except SchemaError as error:
        raise InvalidArgument.of(_path(_FIELD, error.absolute_path), _described(error.message)) from None
    size = _Sizes(document.get("$defs", {})).of(document, _FIELD)
    if size > MAX_SIZE:
        raise InvalidArgument.of(_FIELD, f"must come to at most {MAX_SIZE} schemas, not {size}")
    return Schema(type_, version, _Checked(document))


class _Sizes:
    """How many schemas a schema comes to. On the way, whether each holds to our rules."""

    def __init__(self, defs: Mapping[str, Json]) -> None:
        self._defs = defs
        # None: it is being counted, so whoever comes to it has come full circle.
        self._known: dict[str, int | None] = {}

    def of(self, schema: Json, path: str) -> int:
        if isinstance(schema, bool):
            return 1
        for name in schema:
            if name not in _KEYWORDS:
                raise InvalidArgument.of(
                    strict_json.shown(f"{path}.{name}"), "is no keyword that is known here"
                )
        _check_plain(schema, path)
        inner = sum(self.of(each, place) for each, place in _schemas_in(schema, path))
        return 1 + inner + (self._behind(schema["$ref"], f"{path}.$ref") if "$ref" in schema else 0)

    def _behind(self, ref: str, path: str) -> int:
        name = ref.removeprefix(_DEFS)
        if not ref.startswith(_DEFS) or name not in self._defs:
            raise InvalidArgument.of(path, f"must be {_DEFS} and one of the names there")
        if name not in self._known:
            self._known[name] = None
            self._known[name] = self.of(self._defs[name], f"{_FIELD}.$defs.{name}")
        size = self._known[name]
        if size is None:
            raise InvalidArgument.of(path, "must not come back to itself")
        return size


def _schemas_in(schema: Mapping[str, Json], path: str) -> Iterator[tuple[Json, str]]:
    for keyword, value in schema.items():
        if keyword in _NAMED:
            yield from ((each, f"{path}.{keyword}.{name}") for name, each in value.items())
        elif keyword in _LISTED:
            yield from ((each, f"{path}.{keyword}[{at}]") for at, each in enumerate(value))
        elif keyword in _ONE:
            yield value, f"{path}.{keyword}"


def _check_plain(schema: Mapping[str, Json], path: str) -> None:
    if schema.get("$schema", _DIALECT) != _DIALECT:
        raise InvalidArgument.of(f"{path}.$schema", f"must be {_DIALECT}")
    if "$defs" in schema and path != _FIELD:
        raise InvalidArgument.of(f"{path}.$defs", "must be at the root")
    pattern = schema.get("pattern", "")
    if len(pattern) > MAX_PATTERN:
        raise InvalidArgument.of(f"{path}.pattern", f"must be at most {MAX_PATTERN} characters")
    try:
        _regex(pattern)
    except re2.error:
        raise InvalidArgument.of(f"{path}.pattern", "is no expression of RE2") from None


@lru_cache(maxsize=1024)
def _regex(pattern: str) -> Any:
    options = re2.Options()
    options.log_errors = False
    options.max_mem = 1 << 20
    return re2.compile(pattern, options)


def _matches(validator: Validator, pattern: str, instance: Json, _: Json) -> Iterable[ValidationError]:
    if isinstance(instance, str) and not _regex(pattern).search(instance):
        yield ValidationError(f"does not match {pattern}")


def _is_unique(validator: Validator, wanted: bool, instance: Json, _: Json) -> Iterable[ValidationError]:
    """In a time that grows with the list, not with its square."""
    if wanted and isinstance(instance, list) and len({_frozen(each) for each in instance}) < len(instance):
        yield ValidationError("has a value twice")


def _frozen(value: Json) -> Any:
    """Equal for what JSON Schema calls equal: 1 and 1.0 are, 1 and true are not."""
    if isinstance(value, dict):
        return "object", frozenset((name, _frozen(each)) for name, each in value.items())
    if isinstance(value, list):
        return "list", tuple(map(_frozen, value))
    return ("boolean", value) if isinstance(value, bool) else ("plain", value)


_Checked: type[Validator] = extend(  # type: ignore[no-untyped-call]
    Draft202012Validator, {"pattern": _matches, "uniqueItems": _is_unique}
)
_NO_FORMATS = FormatChecker(formats=())


def _with_integers(value: Json) -> Json:
    """What a Struct made floats of."""
    if isinstance(value, dict):
        return {name: _with_integers(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_with_integers(each) for each in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _path(root: str, steps: Iterable[str | int]) -> str:
    path = root + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)
    return strict_json.shown(path)


def _described(message: str) -> str:
    """The library shows the value, which may be long."""
    return message if len(message) <= 200 else f"{message[:200]}..."
