"""`audit`: whether the log is whole, and whether what players are accused of and subjected to is what it
says."""

import json
from dataclasses import dataclass, field

import asyncpg
from arenamesh.liveops.v1 import flag_pb2
from google.protobuf.message import DecodeError

from services.chassis import sql
from services.chassis.audit import Findings, opened, tell
from services.chassis.db import Connection
from services.chassis.errors import DomainError
from services.fairness import rows
from services.fairness.domain.audit import Chain, Head, Line
from services.fairness.domain.evidence import replay
from services.fairness.schema import SCHEMA, SQL, migrations
from services.fairness.settings import FairnessSettings
from services.fairness.translate_evidence import of_message

_PAGE = 500
"""Rows that are in memory at once."""


@dataclass(slots=True)
class Audit(Findings):
    """How many of each were looked at, and what is not as it should be."""

    lines: int = 0
    flags: int = 0
    sanctions: int = 0


@dataclass(slots=True)
class _Said:
    """What the log says there is: digests and states by flag; restrictions, and whether they have ended."""

    digests: dict[str, str] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)
    ended: dict[str, bool] = field(default_factory=dict)

    def hear(self, line: Line) -> None:
        entry = line.entry
        match entry.action:
            case "flag.opened":
                self.digests[entry.flag_id] = json.loads(entry.details)["evidence"]
                self.states[entry.flag_id] = "open"
            case "flag.decided":
                self.states[entry.flag_id] = _DECIDED[json.loads(entry.details)["decision"]]
            case "flag.appealed":
                self.states[entry.flag_id] = "appealed"
            case "sanction.began" | "sanction.ended":
                self.ended[json.loads(entry.details)["sanction"]] = entry.action == "sanction.ended"


_DECIDED = {"confirm": "confirmed", "dismiss": "dismissed"}


async def audit(settings: FairnessSettings, *, as_json: bool) -> None:
    """Recomputes the log's chain and compares flags and restrictions with it; ends with 1 when something
    differs."""
    async with opened(settings, SCHEMA, migrations()) as connection:
        found = await audited(connection)
    tell(found, as_json=as_json, wrong="What is stored is not what was done.")


async def audited(connection: Connection) -> Audit:
    """All of it as of one moment: no lock is taken, and nobody waits."""
    queries = sql.load(SQL / "audit.sql")
    found = Audit()
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        said = await _chain(connection, queries, found)
        async for row in connection.cursor(queries["flags"], prefetch=_PAGE):
            found.flags += 1
            for what in _evidence(row, said.digests.pop(row["id"], None)):
                found.differs(row["id"], what)
            if (state := said.states.get(row["id"], row["state"])) != row["state"]:
                found.differs(row["id"], f"is {row['state']}, and {state} by the log")
        async for row in connection.cursor(queries["sanctions"], prefetch=_PAGE):
            found.sanctions += 1
            if (ended := said.ended.pop(row["id"], None)) != row["ended"]:
                found.differs(row["id"], _unlike(ended))
    for id_ in (*said.digests, *said.ended):
        found.differs(id_, "is in the log, and nowhere else")
    return found


async def _chain(connection: Connection, queries: dict[str, str], found: Audit) -> _Said:
    chain, said = Chain(), _Said()
    async for row in connection.cursor(queries["lines"], prefetch=_PAGE):
        line = rows.line(row)
        found.lines += 1
        for what in chain.faults(line):
            found.differs(f"line {line.sequence}", what)
        try:
            said.hear(line)
        except (ValueError, KeyError):
            found.differs(f"line {line.sequence}", "cannot be read")
    head = await connection.fetchrow(queries["head"])
    end = Head() if head is None else Head(head["sequence"], head["hash"])
    for what in chain.faults_at_end(end):
        found.differs("the log", what)
    return said


def _evidence(row: asyncpg.Record, digest: str | None) -> list[str]:
    """What is wrong with a flag. `digest`: as the log has it."""
    if digest is None:
        return ["is not in the log"]
    if row["evidence"] is None:
        return ["has no evidence"]
    try:
        evidence = of_message(flag_pb2.Evidence.FromString(row["evidence"]))
        replayed = replay(evidence)
    except (DecodeError, DomainError, ValueError, TypeError) as error:
        return [f"has evidence that cannot be read: {error}"]
    wrong = []
    if not replayed.intact:
        wrong.append("has evidence that is not what was hashed")
    if evidence.digest != digest:
        wrong.append("has other evidence than the log says")
    if not replayed.same:
        wrong.append("is not found again in its evidence")
    return wrong


def _unlike(ended: bool | None) -> str:
    match ended:
        case None:
            return "is not in the log"
        case True:
            return "has ended by the log, and has not"
        case False:
            return "has ended, and not by the log"
