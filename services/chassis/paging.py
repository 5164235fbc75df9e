"""Pages of a list (AIP-158): keyset paging behind opaque, URL-safe, versioned tokens.

A token holds the sort key of the last row, and a fingerprint of the query, so that it cannot be used to
go on with another filter.
"""

import base64
import binascii
import hashlib
import json

from services.chassis.errors import InvalidArgument

DEFAULT_SIZE = 50
MAX_SIZE = 1000
_VERSION = 1
_LONGEST = 4000
"""Characters of a value: no sort key has so many, and Python reads no number of much more."""


def size(asked: int) -> int:
    """Rows in a page: 0 means DEFAULT_SIZE, more than MAX_SIZE means MAX_SIZE."""
    if asked < 0:
        raise InvalidArgument.of("page_size", "must not be negative")
    return min(asked or DEFAULT_SIZE, MAX_SIZE)


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
        raise _invalid("is not a page token") from error
    if version != _VERSION or len(last) != fields or not all(map(_is_value, last)):
        raise _invalid("is not a page token of this list")
    if fingerprint != _fingerprint(query):
        raise _invalid("belongs to another filter")
    return [str(value) for value in last]


def _is_value(value: object) -> bool:
    return isinstance(value, str) and len(value) <= _LONGEST


def _fingerprint(query: str) -> str:
    return hashlib.sha256(query.encode()).hexdigest()[:12]


def _invalid(text: str) -> InvalidArgument:
    return InvalidArgument.of("page_token", text, reason="PAGE_TOKEN_INVALID")
