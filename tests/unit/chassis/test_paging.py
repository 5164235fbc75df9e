"""Page sizes and tokens by AIP-158."""

import base64
import json
import string
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.chassis import paging
from services.chassis.errors import InvalidArgument


@pytest.mark.parametrize(("asked", "rows"), [(0, 50), (1, 1), (1000, 1000), (1001, 1000)])
def test_size(asked: int, rows: int) -> None:
    assert paging.size(asked) == rows


@pytest.mark.parametrize(("asked", "rows"), [(0, 50), (100, 100), (101, 100), (1001, 100)])
def test_size_of_large_rows(asked: int, rows: int) -> None:
    assert paging.size(asked, 100) == rows


def test_negative_size() -> None:
    with pytest.raises(InvalidArgument) as caught:
        paging.size(-1)
    assert caught.value.violations[0].field == "page_size"


@settings(max_examples=300)
@given(st.lists(st.text(), min_size=1, max_size=3), st.text())
def test_a_token_brings_its_key_back(last: list[str], query: str) -> None:
    token = paging.encode(last, query)
    assert set(token) <= set(string.ascii_letters + string.digits + "-_")
    assert paging.decode(token, query, fields=len(last)) == last


@settings(max_examples=300)
@given(st.datetimes(timezones=st.just(UTC)), st.text())
def test_a_place_is_brought_back(at: datetime, id_: str) -> None:
    assert paging.decode_place(paging.encode_place(at, id_, "q"), "q") == (at, id_)


@pytest.mark.parametrize(
    "at", ["", "yesterday", "2026-11-20T09:30:00", "9999-12-31T23:59:59-01:00", "0001-01-01T00:00:00+01:00"]
)
def test_a_place_at_no_time(at: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        paging.decode_place(paging.encode([at, "id"], "q"), "q")
    assert caught.value.reason == "PAGE_TOKEN_INVALID"
    with pytest.raises(InvalidArgument):
        paging.decode_time(paging.encode([at], "q"), "q")


@pytest.mark.parametrize("number", [0, 7, 2**63 - 1])
def test_a_number_is_brought_back(number: int) -> None:
    assert paging.decode_number(paging.encode([str(number)], "q"), "q") == number


@pytest.mark.parametrize("text", ["", "-1", "1.5", "x", "²", str(2**63)])
def test_what_is_no_number(text: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        paging.decode_number(paging.encode([text], "q"), "q")
    assert caught.value.reason == "PAGE_TOKEN_INVALID"


def test_no_token_is_the_first_page() -> None:
    assert paging.decode("", "q", fields=2) is None
    assert paging.decode_place("", "q") is None
    assert paging.decode_number("", "q") is None


def refused(token: str, query: str = "q", fields: int = 2) -> str:
    with pytest.raises(InvalidArgument) as caught:
        paging.decode(token, query, fields=fields)
    assert caught.value.reason == "PAGE_TOKEN_INVALID"
    assert caught.value.violations[0].field == "page_token"
    return caught.value.text


def test_a_token_of_another_filter() -> None:
    assert "another filter" in refused(paging.encode(["a", "b"], "status=1"), "status=2")


def test_a_token_of_another_list() -> None:
    assert "this list" in refused(paging.encode(["a"], "q"))


@pytest.mark.parametrize(
    "body", [None, 5, [], ["x"], {}, [2, "f", "a", "b"], [1, "f", 3, 4], [1, None, "a", "b"]], ids=str
)
def test_a_made_up_token(body: object) -> None:
    refused(base64.urlsafe_b64encode(json.dumps(body).encode()).decode())


def test_a_token_that_is_too_much_to_read() -> None:
    refused(base64.urlsafe_b64encode(b"[" * 30_000).decode())
    refused(paging.encode(["9" * 4001], "q"), fields=1)


@settings(max_examples=300)
@given(st.text(max_size=40).filter(bool))
def test_any_text_is_refused_in_words(token: str) -> None:
    refused(token)
