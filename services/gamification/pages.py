"""Pages: of what is sorted by time and id; and of what is large."""

from datetime import datetime

from services.chassis import paging
from services.chassis.errors import InvalidArgument
from services.gamification.queries import Place

MAX_PAGE = 100
"""Of definitions, and of progress with its history: more would not fit what a client takes as a message."""


def place(page_token: str, query: str, first: datetime) -> Place:
    """Where a page begins. Raises InvalidArgument (PAGE_TOKEN_INVALID)."""
    last = paging.decode(page_token, query, fields=2)
    if last is None:
        return first, ""
    try:
        at = datetime.fromisoformat(last[0])
        at.timestamp()
    except (ValueError, OverflowError) as error:
        raise InvalidArgument.of("page_token", "is not a page token", reason="PAGE_TOKEN_INVALID") from error
    if at.tzinfo is None:
        raise InvalidArgument.of("page_token", "is not a page token", reason="PAGE_TOKEN_INVALID")
    return at, last[1]


def token(at: datetime, id_: str, query: str) -> str:
    return paging.encode([at.isoformat(), id_], query)
