"""Lines for the log, written in the transaction of what they tell of."""

import json
import sys
from collections.abc import Sequence

import structlog

from services.chassis import sql
from services.chassis.db import Connection
from services.chassis.sql import Statement
from services.fairness import rows
from services.fairness.domain.audit import Entry, Head, Line, chained
from services.fairness.schema import SQL

_log = structlog.get_logger()


class AuditLog:
    """Callers bring the connection, in a transaction, and take every other lock that they need before."""

    def __init__(self) -> None:
        self._sql = sql.load(SQL / "audit.sql")

    async def append(self, connection: Connection, entries: Sequence[Entry]) -> list[Line]:
        """Adds lines; give them to `told` when they are committed."""
        lines = await self.lines(connection, entries)
        statement = sql.together(self.writing(lines))
        await connection.execute(statement.text, *statement.arguments)
        return lines

    async def lines(self, connection: Connection, entries: Sequence[Entry]) -> list[Line]:
        """What is to be written. Nobody else adds lines until the transaction ends."""
        row = await connection.fetchrow(self._sql["lock"])
        assert row is not None
        return chained(Head(row["sequence"], row["hash"]), entries)[0]

    def writing(self, lines: Sequence[Line]) -> dict[str, Statement]:
        """What `append` executes: at least one line."""
        columns = sql.transposed(map(rows.line_columns, lines), 9)
        last = lines[-1]
        return {
            "audit": Statement(self._sql["append"], tuple(columns)),
            "audit_head": Statement(self._sql["advance"], (last.sequence, last.hash)),
        }


def told(lines: Sequence[Line]) -> None:
    """Each as a line of JSON on the standard output, for whoever keeps it where nobody here can change it.
    They are committed: when nobody listens, whoever waits for an answer gets it all the same."""
    if not lines:
        return
    try:
        sys.stdout.write("".join(map(_json, lines)))
        sys.stdout.flush()
    except (OSError, ValueError):
        _log.exception("lines of the log not told", first=lines[0].sequence, last=lines[-1].sequence)


def _json(line: Line) -> str:
    entry = line.entry
    document = {
        "audit": entry.action,
        "sequence": line.sequence,
        "at": entry.at.isoformat(),
        "actor": entry.actor,
        "player_id": entry.player_id,
        "flag_id": entry.flag_id,
        "details": entry.details,
        "previous": line.previous.hex(),
        "hash": line.hash.hex(),
    }
    return json.dumps(document, separators=(",", ":")) + "\n"
