"""Pages of a list (AIP-158): keyset paging behind opaque, URL-safe, versioned tokens.

A token holds the sort key of the last row, and a fingerprint of the query, so that it cannot be used to
go on with another filter.
"""

import base64
import binascii
import hashlib
import json
from datetime import UTC, datetime

from services.chassis.errors import InvalidArgument

DEFAULT_SIZE = 50
MAX_SIZE = 1000
_VERSION = 1
_LONGEST = 4000
"""Characters of a value: no sort key has so many, and Python reads no number of much more."""
_MOST = 2**63 - 1

Place = tuple[datetime, str]
"""Of a row that is sorted by a time and an id."""


def size(asked: int, most: int = MAX_SIZE) -> int:
    """Rows in a page: 0 means DEFAULT_SIZE, more than `most` means `most`."""
    if asked < 0:
        raise InvalidArgument.of("page_size", "must not be negative")
    return min(asked or DEFAULT_SIZE, most)


def encode(last: list[str], query: str) -> str:
    """`last`: the sort key of the page's last row. `query`: everything that selects and sorts the rows."""
    body = json.dumps([_VERSION, _fingerprint(query), *last], separators=(",", ":"))
    return base64.urlsafe_b64encode(body.encode()).decode().rstrip("=")


def decode(token: str, query: str, *, fields: int) -> list[str] | None:
    """The sort key to go on after, of `fields` values; None for the first page.

    Raises:
        InvalidArgument: PAGE_TOKEN_INVALID, not a token of this list and this filter.
    """
    if not token:
        return None
    try:
        body = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        version, fingerprint, *last = body
    except (binascii.Error, ValueError, TypeError, RecursionError) as error:
        raise invalid("is not a page token") from error
    if version != _VERSION or len(last) != fields or not all(map(_is_value, last)):
        raise invalid()
    if fingerprint != _fingerprint(query):
        raise invalid("belongs to another filter")
    return [str(value) for value in last]


def encode_place(at: datetime, id_: str, query: str) -> str:
    """As `encode`, of a row that is sorted by these."""
    return encode([at.isoformat(), id_], query)


def decode_place(token: str, query: str) -> Place | None:
    """As `decode`."""
    last = decode(token, query, fields=2)
    return None if last is None else (_time(last[0]), last[1])


def decode_time(token: str, query: str) -> datetime | None:
    """As `decode`, of rows that are sorted by a time."""
    last = decode(token, query, fields=1)
    return None if last is None else _time(last[0])


def decode_number(token: str, query: str) -> int | None:
    """As `decode`, of rows that are sorted by a number that is not negative."""
    last = decode(token, query, fields=1)
    if last is None:
        return None
    if not last[0].isdecimal() or int(last[0]) > _MOST:
        raise invalid()
    return int(last[0])


def invalid(text: str = "is not a page token of this list") -> InvalidArgument:
    """PAGE_TOKEN_INVALID."""
    return InvalidArgument.of("page_token", text, reason="PAGE_TOKEN_INVALID")


def _time(text: str) -> datetime:
    """In UTC. One without a zone is none of ours."""
    try:
        at = datetime.fromisoformat(text)
        in_utc = at.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise invalid() from error
    if at.tzinfo is None:
        raise invalid()
    return in_utc


def _is_value(value: object) -> bool:
    return isinstance(value, str) and len(value) <= _LONGEST


def _fingerprint(query: str) -> str:
    return hashlib.sha256(query.encode()).hexdigest()[:12]
