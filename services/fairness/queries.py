"""What people read, from PostgreSQL: flags and their evidence, standings, the log."""

import json
from datetime import UTC, datetime
from typing import NamedTuple

import asyncpg
from arenamesh.liveops.v1 import flag_pb2
from google.protobuf.message import DecodeError

from services.chassis import clock, sql
from services.chassis.db import Database
from services.chassis.errors import DataLoss, DomainError
from services.fairness import rows, translate_evidence, translate_out
from services.fairness.domain.audit import Line
from services.fairness.domain.evidence import Evidence, Replayed, replay
from services.fairness.domain.flag import Flag, FlagState, not_found
from services.fairness.schema import SQL

LAST = datetime(9999, 12, 31, tzinfo=UTC)
MOST_LINES = 2**63 - 1


class Place(NamedTuple):
    """Where a page begins: before this time, and this id."""

    at: datetime = LAST
    id: str = ""


class Wanted(NamedTuple):
    """Flags. Empty, None: any."""

    player_id: str
    detector_id: str
    state: FlagState | None
    shadow: bool


class Checked(NamedTuple):
    """What evidence is worth: what the rule finds in it now, whether the log has it, and how many of its
    inputs are still there as they were heard, how many otherwise."""

    replayed: Replayed
    logged: bool
    kept: int
    differ: int


class Queries:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = sql.load(SQL / "reads.sql")

    # -- flags ------------------------------------------------------------------------------------

    async def flags(self, wanted: Wanted, before: Place, limit: int) -> list[Flag]:
        """The newest first."""
        state = "" if wanted.state is None else wanted.state.name.lower()
        asked = (*before, wanted.detector_id, state, wanted.shadow, limit)
        if wanted.player_id:
            found = await self._rows("flags_of", *asked, wanted.player_id)
        else:
            found = await self._rows("flags", *asked)
        return [rows.flag(row) for row in found]

    async def flag(self, flag_id: str) -> tuple[Flag, flag_pb2.Evidence]:
        """Raises NotFound (FLAG_NOT_FOUND), DataLoss (EVIDENCE_UNREADABLE)."""
        row = await self._flag(flag_id)
        try:
            return rows.flag(row), flag_pb2.Evidence.FromString(row["evidence"] or b"")
        except DecodeError as error:
            raise _unreadable(flag_id) from error

    async def owner(self, flag_id: str) -> str:
        """Whom a flag is about. Raises NotFound (FLAG_NOT_FOUND)."""
        return str((await self._flag(flag_id))["player_id"])

    async def check(self, flag_id: str) -> Checked:
        """Raises as `flag` does."""
        flag, message = await self.flag(flag_id)
        try:
            evidence = translate_evidence.of_message(message)
        except (DomainError, ValueError, LookupError) as error:
            raise _unreadable(flag_id) from error
        kept = await self._kept(flag.player_id, evidence)
        lines = await self._rows("opened", flag_id)
        return Checked(
            replay(evidence),
            logged=any(json.loads(row["details"]).get("evidence") == evidence.digest for row in lines),
            kept=sum(kept),
            differ=len(kept) - sum(kept),
        )

    async def _flag(self, flag_id: str) -> asyncpg.Record:
        found = await self._rows("flag", flag_id)
        if not found:
            raise not_found(flag_id)
        return found[0]

    async def _kept(self, player_id: str, evidence: Evidence) -> list[bool]:
        """Of each input that is still there, whether it is what was heard."""
        events = [each.event for each in evidence.inputs]
        found = {row["event_id"]: row for row in await self._rows("observations", player_id, events)}
        kept = []
        for given in evidence.inputs:
            if (row := found.get(given.event)) is not None:
                heard = json.loads(row["readings"]).get(evidence.detector.id)
                said = [given.reading.value, given.reading.of]
                kept.append(heard is not None and heard[:2] == said and row["at"] == given.at)
        return kept

    # -- standings and the log --------------------------------------------------------------------

    async def standing(self, player_id: str) -> flag_pb2.Standing:
        """Good of whom nobody knows anything."""
        (row,) = await self._rows("standing", player_id)
        flags = {each["id"]: rows.flag(each) for each in row["flags"]}
        sanctions = [rows.sanction(each) for each in row["sanctions"]]
        return translate_out.standing(player_id, sanctions, flags, clock.now())

    async def audit(self, player_id: str, flag_id: str, before: int, limit: int) -> list[Line]:
        """The newest first."""
        if flag_id:
            found = await self._rows("audit_of_flag", before, limit, flag_id, player_id)
        elif player_id:
            found = await self._rows("audit_of_player", before, limit, player_id)
        else:
            found = await self._rows("audit", before, limit)
        return [rows.line(row) for row in found]

    async def _rows(self, name: str, *arguments: object) -> list[asyncpg.Record]:
        async with self._database.connection() as connection:
            return list(await connection.fetch(self._sql[name], *arguments))


def _unreadable(flag_id: str) -> DataLoss:
    return DataLoss(
        "The evidence of the flag is not what was written.",
        reason="EVIDENCE_UNREADABLE",
        metadata={"flag": flag_id},
    )
