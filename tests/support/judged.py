"""Committers of fairness on a real database, commands for them, and what must hold after any history."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from arenamesh.events.v1 import fairness_pb2
from arenamesh.events.v1.envelope_pb2 import Envelope
from arenamesh.liveops.v1 import detector_pb2, flag_pb2
from google.protobuf.json_format import ParseDict

from services.chassis import clock
from services.chassis.db import Connection, Database
from services.chassis.idempotency import IdempotencyKey
from services.fairness.audit import audited
from services.fairness.batch import Command, Turn, observed
from services.fairness.committer import Committer
from services.fairness.detectors import DetectorStore
from services.fairness.domain.evidence import Evidence
from services.fairness.domain.finding import Reading
from services.fairness.domain.flag import Verdict
from services.fairness.domain.happened import Limits, PeersOf, Readings
from services.fairness.domain.player import Draft
from services.fairness.domain.sanction import State
from services.fairness.translate_evidence import encode, of_message

SHOTS: Mapping[str, Any] = {"event": "combat.player_summary", "player": "player_id", "value": "shots"}


class Judge:
    """A running committer, and what it knows of detectors."""

    def __init__(self, committer: Committer, store: DetectorStore) -> None:
        self.committer = committer
        self.store = store

    async def run(self, command: Command) -> bytes:
        return await self.committer.run(command)

    async def hear(
        self, event: str, *players: str, value: int = 1, at: datetime | None = None, **values: Reading
    ) -> bytes:
        """An event that says `value` of each player to the detector `much`, or `values` by detector."""
        readings: Readings = values or {"much": Reading(value)}
        said = dict.fromkeys(players or ("p",), readings)
        return await self.run(observed(event, at or clock.now(), said, self.store.known))


@asynccontextmanager
async def judge(url: str, peers: PeersOf | None = None, **limits: int) -> AsyncIterator[Judge]:
    """One with a connection of its own, as a process has it."""
    database = await Database.connect(url, size=1, wait_s=5, command_s=10, by_key=True)
    store = DetectorStore()
    async with database.connection() as connection:
        await store.present(connection)
    running = Committer(database, store, peers or _nobody, encode, Limits(), **limits)
    running.start()
    try:
        yield Judge(running, store)
    finally:
        await running.close()
        await database.close()


def _nobody(_detector: object, _group: str) -> None:
    return None


async def define(database: Database, id_: str = "much", **fields: Any) -> None:
    """Another version of a detector: one that finds more than 10 in a minute and blocks for an hour, unless
    the fields of the contract's JSON say otherwise."""
    document: dict[str, Any] = {
        "id": id_,
        "mode": "DETECTOR_MODE_BLOCK",
        "signals": [SHOTS],
        "budget_milli": "1",
        "quarantine": True,
        "hold": "3600s",
        "reason": "Too much.",
    } | fields
    if not {"ratio", "outlier", "drift", "flood", "repetition", "bound"} & fields.keys():
        document["bound"] = {"most": "10", "per": "60s"}
    message = ParseDict(document, detector_pb2.Detector())
    store = DetectorStore()

    async def add(connection: Connection) -> None:
        known = await store.locked(connection)
        await store.add(connection, message, known.get(id_), clock.now())

    await database.transaction(add)


# -- commands -----------------------------------------------------------------------------------------


def decide(
    player_id: str, flag_id: str, verdict: Verdict = Verdict.DISMISS, *, key: str = "", by: str = "ann"
) -> Command:
    """It answers with the flag's state."""

    def change(draft: Draft) -> bytes:
        return draft.decide(flag_id, verdict, "seen").state.name.encode()

    return _command(player_id, change, f"operator:{by}", key)


def block(player_id: str, until: datetime | None = None, *, key: str = "", hide: bool = False) -> Command:
    """It answers with the player's version then."""

    def change(draft: Draft) -> bytes:
        draft.block("Rude.", State.BLOCKED, until, hide_scores=hide)
        return str(draft.player.version).encode()

    return _command(player_id, change, "operator:ann", key)


def unblock(player_id: str) -> Command:
    def change(draft: Draft) -> bytes:
        draft.unblock("Enough.")
        return b""

    return _command(player_id, change, "operator:ann", "")


def _command(player_id: str, change: Any, actor: str, key: str) -> Command:
    def work(turn: Turn) -> bytes:
        answer: bytes = change(turn.player(player_id))
        return answer

    asked = IdempotencyKey("test", key, player_id.encode()) if key else None
    return Command((player_id,), work, actor, key=asked)


# -- what there is ------------------------------------------------------------------------------------


async def rows(database: Database, query: str, *arguments: object) -> list[dict[str, Any]]:
    async with database.connection() as connection:
        return [dict(row) for row in await connection.fetch(query, *arguments)]


async def everything(database: Database) -> dict[str, list[dict[str, Any]]]:
    """All that any command may change, but not when."""
    found = {}
    for each in _TABLES:
        found[each] = await rows(database, f"SELECT * FROM fairness.{each} ORDER BY 1, 2")
    for row in found["players"]:
        del row["updated_at"]
    return found


_TABLES = (
    *("players", "observations", "flags", "evidence", "sanctions", "audit", "peers", "records", "outbox"),
    "inbox",
)


async def evidence(database: Database) -> list[Evidence]:
    """Of all flags, by when they were raised."""
    found = await rows(
        database,
        "SELECT evidence FROM fairness.evidence e JOIN fairness.flags f ON f.id = e.flag_id "
        "ORDER BY f.opened_at, f.id",
    )
    return [of_message(flag_pb2.Evidence.FromString(row["evidence"])) for row in found]


async def told(database: Database, player_id: str = "p") -> list[tuple[str, int, Any]]:
    """Type, revision and message of whatever others hear of a player, in the order in which they do."""
    found = await rows(
        database, "SELECT envelope FROM fairness.outbox WHERE subject = $1 ORDER BY xid, id", player_id
    )
    types = {
        "fairness.standing_changed": fairness_pb2.FairnessStandingChanged,
        "fairness.scores_changed": fairness_pb2.FairnessScoresChanged,
    }
    said = []
    for row in found:
        envelope = Envelope.FromString(row["envelope"])
        message = types.get(envelope.type, fairness_pb2.FairnessFlagChanged)()
        assert envelope.data.Unpack(message)
        said.append((envelope.type, message.revision, message))
    return said


async def check(database: Database) -> None:
    """The log is whole, and says of all flags and restrictions what they are; what others hear, and
    observations, are numbered without gaps; records count what there is."""
    async with database.connection() as connection:
        assert not (await audited(connection)).differences
        for what, query in _CHECKS.items():
            assert not await connection.fetch(query), what
    for row in await rows(database, "SELECT player_id, revision FROM fairness.players"):
        revisions = [revision for _, revision, _ in await told(database, row["player_id"])]
        assert revisions == list(range(1, row["revision"] + 1))


_CHECKS: Mapping[str, str] = {
    "observations": (
        "SELECT p.player_id FROM fairness.players p LEFT JOIN fairness.observations o USING (player_id) "
        "GROUP BY p.player_id, p.observed "
        "HAVING count(o.number) <> p.observed OR coalesce(max(o.number), 0) <> p.observed"
    ),
    "records of observations": (
        "SELECT coalesce(r.detector_id, o.detector_id) FROM "
        "(SELECT detector_id, sum(observations) AS n FROM fairness.records GROUP BY 1) r FULL JOIN "
        "(SELECT jsonb_object_keys(readings) AS detector_id, count(*) AS n "
        " FROM fairness.observations GROUP BY 1) o "
        "USING (detector_id) WHERE coalesce(r.n, 0) <> coalesce(o.n, 0)"
    ),
    "records of flags": (
        "SELECT r.detector_id FROM fairness.records r LEFT JOIN "
        "(SELECT detector_id, rule_version, count(*) AS n, "
        " count(*) FILTER (WHERE decisions -> -1 ->> 'decision' = 'confirm') AS confirmed, "
        " count(*) FILTER (WHERE decisions -> -1 ->> 'decision' = 'dismiss') AS dismissed "
        " FROM fairness.flags GROUP BY 1, 2) f USING (detector_id, rule_version) "
        "WHERE (r.flags, r.confirmed, r.dismissed) "
        "<> (coalesce(f.n, 0), coalesce(f.confirmed, 0), coalesce(f.dismissed, 0))"
    ),
}
"""Each finds what should not be."""
