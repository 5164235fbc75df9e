"""Schemas of registered types: which are refused, and what they say of payloads."""

import time
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct
from hypothesis import given, settings
from hypothesis import strategies as st

from services.chassis.errors import InvalidArgument
from services.ingest import strict_json
from services.ingest.domain.event import Json
from services.ingest.fields import MAX_PROBLEMS
from services.ingest.schemas import MAX_BYTES, MAX_PATTERN, MAX_SIZE, Schemas, compiled


def found(document: Json, payload: Json) -> list[tuple[str, str]]:
    problems = compiled("mine", 1, document).problems(payload)
    return [(problem.field, problem.description) for problem in problems]


def refused(document: Json) -> str:
    """Where."""
    with pytest.raises(InvalidArgument) as told:
        compiled("mine", 1, document)
    return told.value.violations[0].field


def doubling(depth: int) -> dict[str, Any]:
    """Each of them is twice the next."""
    defs = {f"d{at}": {"allOf": [{"$ref": f"#/$defs/d{at + 1}"}] * 2} for at in range(depth)}
    return {"$defs": defs | {f"d{depth}": True}, "$ref": "#/$defs/d0"}


def nested(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    for _ in range(depth):
        schema = {"not": schema}
    return schema


@pytest.mark.parametrize(
    ("document", "where"),
    [
        ([], ""),
        (True, ""),
        (None, ""),
        ({"type": "strin"}, ".type"),
        ({"properties": {"a": {"minimum": "1"}}}, ".properties.a.minimum"),
        ({"properties": {"a": 1}}, ".properties.a"),
        ({"required": ["a", "a"]}, ".required"),
        ({"requried": ["a"]}, ".requried"),
        ({"patternProperties": {".*": {}}}, ".patternProperties"),
        ({"unevaluatedProperties": False}, ".unevaluatedProperties"),
        ({"$id": "urn:mine"}, ".$id"),
        ({"$dynamicRef": "#a"}, ".$dynamicRef"),
        ({"$anchor": "a"}, ".$anchor"),
        ({"$schema": "http://json-schema.org/draft-07/schema#"}, ".$schema"),
        ({"$ref": "https://example.com/schema"}, ".$ref"),
        ({"$ref": "file:///etc/passwd"}, ".$ref"),
        ({"$ref": "#"}, ".$ref"),
        ({"$ref": "#/properties/a"}, ".$ref"),
        ({"items": [{"$ref": "#/$defs/b"}]}, ".items"),
        ({"items": {"$ref": "#/$defs/b"}, "$defs": {"a": {}}}, ".items.$ref"),
        ({"$defs": {"a": {"$ref": "#/$defs/a"}}}, ".$defs.a.$ref"),
        (
            {"$defs": {"a": {"items": {"$ref": "#/$defs/b"}}, "b": {"$ref": "#/$defs/a"}}},
            ".$defs.a.items.$ref",
        ),
        ({"items": {"$defs": {"a": {}}}}, ".items.$defs"),
        (doubling(6), ""),
        ({"allOf": [{}] * MAX_SIZE}, ""),
        (nested(40), ""),
        ({"description": "x" * MAX_BYTES}, ""),
        ({"const": 2**53}, ".const"),
        ({"const": float("nan")}, ".const"),
        ({"enum": ["\0"]}, ".enum[0]"),
        ({"properties": {"a": {"pattern": "("}}}, ".properties.a.pattern"),
        ({"pattern": "(?=a)"}, ".pattern"),
        ({"pattern": r"(a)\1"}, ".pattern"),
        ({"pattern": "a" * (MAX_PATTERN + 1)}, ".pattern"),
        ({"pattern": "((a{1000}){1000}){1000}"}, ".pattern"),
        ({"multipleOf": 0}, ".multipleOf"),
    ],
)
def test_a_schema_that_is_refused(document: Json, where: str) -> None:
    place = refused(document)
    assert place == f"type.schema{where}" or (where == "" and place.startswith("type.schema"))


def test_a_known_type_is_not_registered() -> None:
    with pytest.raises(InvalidArgument) as told:
        compiled("score", 1, {})
    assert told.value.violations[0].field == "type.name"


@pytest.mark.parametrize(
    ("document", "payload", "problems"),
    [
        ({}, {"a": [1, None]}, []),
        ({"required": ["a"]}, {}, [("payload", "'a' is a required property")]),
        (
            {"properties": {"a": {"items": {"type": "integer"}}}},
            {"a": [1, 2.0, 1.5]},
            [("payload.a[2]", "1.5")],
        ),
        ({"properties": {"a": {"type": "integer"}}}, {"a": True}, [("payload.a", "True is not of type")]),
        ({"additionalProperties": False}, {"a": 1}, [("payload", "Additional properties")]),
        ({"properties": {"a": {"pattern": "^x+$"}}}, {"a": "y"}, [("payload.a", "does not match ^x+$")]),
        ({"properties": {"a": {"pattern": "x"}}}, {"a": "axa", "b": "y"}, []),
        ({"properties": {"a": {"pattern": r"^\p{L}$"}}}, {"a": "ü"}, []),
        ({"properties": {"a": {"uniqueItems": True}}}, {"a": [1, True, "1", None, [1], {"x": 1}]}, []),
        ({"properties": {"a": {"uniqueItems": True}}}, {"a": [1, 1.0]}, [("payload.a", "has a value twice")]),
        (
            {"properties": {"a": {"uniqueItems": True}}},
            {"a": [{"x": [1], "y": 2}, {"y": 2.0, "x": [1.0]}]},
            [("payload.a", "has a value twice")],
        ),
        (
            {"properties": {"a": {"multipleOf": 1e-300}}},
            {"a": 1e300},
            [("payload.a", "1e+300 is not a multiple")],
        ),
        ({"properties": {"a": {"format": "date-time"}}}, {"a": "soon"}, []),
        (
            {"properties": {"a": {"$ref": "#/$defs/n"}}, "$defs": {"n": {"minimum": 3}}},
            {"a": 2},
            [("payload.a", "2 is less than the minimum of 3")],
        ),
        (doubling(3), {"a": 1}, []),
    ],
)
def test_what_a_schema_says(document: Json, payload: Json, problems: list[tuple[str, str]]) -> None:
    told = found(document, payload)
    assert [field for field, _ in told] == [field for field, _ in problems]
    for (_, description), (_, begins) in zip(told, problems, strict=True):
        assert description.startswith(begins)


def test_problems_are_counted_and_short() -> None:
    document = {"additionalProperties": {"maxLength": 1}}
    told = found(document, {f"a{at}": "x" * 5000 for at in range(100)})
    assert len(told) == MAX_PROBLEMS
    assert all(len(description) < 250 for _, description in told)


def test_a_schema_may_come_as_a_struct() -> None:
    """Where every number is a float."""
    struct = Struct()
    struct.update({"properties": {"a": {"minLength": 2, "multipleOf": 3}}, "minProperties": 1})
    document = MessageToDict(struct)
    assert found(document, {"a": "x"})[0][0] == "payload.a"
    assert found(document, {"a": 4}) == [("payload.a", "4 is not a multiple of 3")]


@pytest.mark.parametrize("pattern", ["^(a+)+$", "^(a|a)*$", "(.*)*x", "a*a*a*a*a*b"])
def test_no_pattern_takes_for_ever(pattern: str) -> None:
    """With backtracking the first would take longer than the universe is old."""
    schema = compiled("mine", 1, {"properties": {"a": {"pattern": pattern}}})
    began = time.monotonic()
    assert schema.problems({"a": "a" * 20_000 + "!"})
    assert time.monotonic() - began < 5


def test_the_newest_version_counts() -> None:
    known = Schemas()
    assert known.newest("mine") is None
    for version in (2, 3, 1):
        known.put(compiled("mine", version, {"maxProperties": version}))
    newest = known.newest("mine")
    assert newest is not None
    assert newest.version == 3
    assert newest.problems({"a": 1, "b": 2, "c": 3}) == []


KEYWORDS = [
    "type",
    "properties",
    "items",
    "$ref",
    "$defs",
    "pattern",
    "minimum",
    "enum",
    "uniqueItems",
    "not",
]
KEYWORDS += ["allOf", "contains", "multipleOf", "required", "if", "then", "dependentSchemas", "x"]
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.floats(allow_nan=True)
    | st.text(max_size=3)
    | st.sampled_from(["#/$defs/a", "integer", "object", "string"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*KEYWORDS, "a"]), inner, max_size=3)
    ),
    max_leaves=10,
)


@settings(max_examples=400)
@given(st.dictionaries(st.sampled_from(KEYWORDS), VALUES, max_size=4), VALUES)
def test_whatever_is_registered_judges_or_is_refused(document: dict[str, Any], payload: Json) -> None:
    try:
        schema = compiled("mine", 1, document)
    except InvalidArgument as error:
        assert error.violations[0].field.startswith("type.schema")
        return
    if not strict_json.problems(payload, "payload"):
        assert all(problem.field.startswith("payload") for problem in schema.problems(payload))
