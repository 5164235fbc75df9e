"""Named queries from `.sql` files: `-- name: get_session`, then the statement."""

import re
from pathlib import Path

_NAME = re.compile(r"^-- name: (\w+)\s*$", re.MULTILINE)


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
