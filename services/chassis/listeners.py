"""Who is told of what was committed."""

from collections.abc import Callable
from typing import ParamSpec

import structlog

P = ParamSpec("P")
_log = structlog.get_logger()


def tell(listener: Callable[P, None], *what: P.args, **named: P.kwargs) -> None:
    """One that fails must not keep the others waiting, nor whoever waits for the answer: it is committed."""
    try:
        listener(*what, **named)
    except Exception:
        _log.exception("not told", listener=listener.__qualname__)
