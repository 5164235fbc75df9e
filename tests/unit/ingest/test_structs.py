"""JSON values as a Struct, and back."""

import math
from datetime import UTC, datetime
from typing import Any

import pytest
from google.protobuf.struct_pb2 import Struct, Value
from hypothesis import given, settings
from hypothesis import strategies as st

from services.ingest.domain.event import Json, Score
from services.ingest.domain.refusals import EventRefused
from services.ingest.schemas import Schemas, compiled
from services.ingest.shapes import Shapes, Times
from services.ingest.structs import packed, plain

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
VALUES = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@settings(max_examples=100)
@given(st.dictionaries(st.text(), VALUES, max_size=4))
def test_there_and_back(document: dict[str, Any]) -> None:
    assert plain(Struct.FromString(packed(document).SerializeToString())) == document


def test_a_value_of_no_kind_is_null() -> None:
    assert plain(Struct(fields={"a": Value()})) == {"a": None}


def test_whole_numbers_come_as_floats_and_are_whole() -> None:
    shapes = Shapes(Schemas(), Times())
    payload = plain(packed({"score": 2**53 - 1, "columns": [1, "9223372036854775807"]}))
    made = shapes.from_parts("score", "p1", NOW, payload, NOW).payload
    assert made == Score(2**53 - 1, (1, 2**63 - 1))
    with pytest.raises(EventRefused):
        shapes.from_parts("score", "p1", NOW, plain(packed({"score": 2**53})), NOW)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("type_", ["score", "custom"])
def test_what_is_no_number_of_json(number: float, type_: str) -> None:
    known = Schemas()
    known.put(compiled("custom", 1, {}))
    payload: Json = plain(Struct(fields={"score": Value(number_value=number)}))
    with pytest.raises(EventRefused) as told:
        Shapes(known, Times()).from_parts(type_, "p1", NOW, payload, NOW)
    assert told.value.violations[0].field == "payload.score"
