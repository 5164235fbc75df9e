"""JSON that means one thing only."""

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.chassis.errors import InvalidArgument
from services.ingest import strict_json
from services.ingest.domain.event import Json
from services.ingest.strict_json import MAX_DEPTH, MAX_NUMBER, MAX_VALUES

ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "line 1, column 1"),
        (b"{", "line 1, column 2"),
        (b"[1,]", "line 1, column 4"),
        (b'{"a": 1}\n{"a": 2}', "line 2, column 1"),
        (b"{'a': 1}", "line 1, column 2"),
        (b"\xff", "byte 0 is not UTF-8"),
        (b'"\xc0\xaf"', "byte 1 is not UTF-8"),
        (b"\xef\xbb\xbf{}", "line 1, column 1"),
        ('{"a":1}'.encode("utf-16"), "byte 0 is not UTF-8"),
        (b'{"a": 1, "a": 2}', "'a' is twice in one object"),
        (b'{"x": {"\\u0061": 1, "b": 0, "a": 1}}', "'a' is twice in one object"),
        (b"NaN", "NaN is no number of JSON"),
        (b'{"a": -Infinity}', "-Infinity is no number of JSON"),
        (b"1" * 5000, "a whole number has too many digits"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b"01", "line 1, column 2"),
        (b'"\t"', "line 1, column 2"),
    ],
)
def test_what_cannot_be_read(body: bytes, why: str) -> None:
    with pytest.raises(InvalidArgument) as told:
        strict_json.read(body)
    assert told.value.reason == "MALFORMED_JSON"
    assert why in told.value.text


@settings(max_examples=200)
@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    try:
        read = strict_json.read(body)
    except InvalidArgument as error:
        assert error.reason == "MALFORMED_JSON"
    else:
        assert read == json.loads(body)


@settings(max_examples=200)
@given(ANY_JSON, st.booleans())
def test_what_others_write_is_read(value: Json, ascii_only: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only)
    assert strict_json.read(text.encode()) == value


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b'{"a": [0, 1e400]}', ("payload.a[1]", "must be a finite number")),
        (b'{"a": 9007199254740992}', ("payload.a", f"must be from -{MAX_NUMBER} to {MAX_NUMBER}, or a text")),
        (
            b'{"a": ' + b"1" * 400 + b"}",
            ("payload.a", f"must be from -{MAX_NUMBER} to {MAX_NUMBER}, or a text"),
        ),
        (b'{"a": "x\\u0000"}', ("payload.a", "must not hold U+0000")),
        (b'{"a": "\\ud800"}', ("payload.a", "must not hold half of a surrogate pair")),
        (b'{"\\udc00": 1}', ("payload", "has a name that must not hold half of a surrogate pair")),
        (b'{"\\u0000": 1}', ("payload", "has a name that must not hold U+0000")),
        (b'{"\\n": {"b": "\\u0000"}}', ("payload.\\n.b", "must not hold U+0000")),
        (b"[" * 17 + b"1" + b"]" * 17, ("payload", f"must be at most {MAX_DEPTH} levels deep")),
        (b"[" + b"0," * MAX_VALUES + b"0]", ("payload", f"must have at most {MAX_VALUES} values")),
    ],
)
def test_what_is_not_passed_on(body: bytes, problem: tuple[str, str]) -> None:
    found = strict_json.problems(strict_json.read(body), "payload")
    assert [(each.field, each.description) for each in found] == [problem]


def test_what_is_passed_on() -> None:
    deep = b"[" * 16 + b"1" + b"]" * 16
    wide = b"[" + b"0," * (MAX_VALUES - 2) + b"0]"
    plain = json.dumps({"a": [MAX_NUMBER, -MAX_NUMBER, 0.5, -1e308, None, True, "\U0001f600 ü"]}).encode()
    for body in (deep, wide, plain):
        assert strict_json.problems(strict_json.read(body), "payload") == []


@settings(max_examples=200)
@given(ANY_JSON)
def test_a_value_without_problems_goes_through_utf8_and_doubles(value: Json) -> None:
    if strict_json.problems(value, "payload"):
        return
    text = json.dumps(value, ensure_ascii=False)
    assert b"\0" not in text.encode()
    assert json.loads(text, parse_int=float) == value
    assert math.isfinite(sum(each for each in [value] if isinstance(each, float)))
