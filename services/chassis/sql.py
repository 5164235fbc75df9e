"""Named queries from `.sql` files: `-- name: get_session`, then the statement. Several as one statement."""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

_NAME = re.compile(r"^-- name: (\w+)\s*$", re.MULTILINE)
_PARAMETER = re.compile(r"\$(\d+)")


Columns = tuple[object, ...]
"""A row as its statement takes it."""


class Statement(NamedTuple):
    """A statement and what its parameters stand for."""

    text: str
    arguments: tuple[object, ...]


def load(path: Path) -> dict[str, str]:
    """The statements of a file by name.

    Raises:
        ValueError: there is text before the first name, or a name twice.
    """
    before, *rest = _NAME.split(path.read_text())
    if before.strip():
        raise ValueError(f"{path.name}: text before the first query name")
    names = rest[0::2]
    if len(set(names)) != len(names):
        raise ValueError(f"{path.name}: a query name appears twice")
    return {name: statement.strip() for name, statement in zip(names, rest[1::2], strict=True)}


def transposed(rows: Iterable[Columns], width: int) -> list[list[object]]:
    """As `unnest` takes them. `width`: how many columns there are, also of no rows."""
    return list(map(list, zip(*rows, strict=True))) or [[] for _ in range(width)]


def together(statements: Mapping[str, Statement]) -> Statement:
    """INSERTs, UPDATEs and DELETEs of different tables, by name, as one statement: one round trip.

    All of them see the database as it was before the first. They run in the order given, which matters to
    whoever takes locks.
    """
    # PostgreSQL finishes such parts from the last to the first.
    backwards = list(statements.items())[::-1]
    texts = tuple((name, part.text, len(part.arguments)) for name, part in backwards)
    return Statement(
        _together(texts), tuple(argument for _, part in backwards for argument in part.arguments)
    )


@lru_cache(maxsize=256)
def _together(parts: tuple[tuple[str, str, int], ...]) -> str:
    before = 0
    texts = []
    for name, text, arguments in parts:
        texts.append(f"{name} AS (\n{_renumbered(text, before)}\n)")
        before += arguments
    return f"WITH {', '.join(texts)} SELECT 1"


def _renumbered(text: str, before: int) -> str:
    return _PARAMETER.sub(lambda found: f"${int(found[1]) + before}", text)
