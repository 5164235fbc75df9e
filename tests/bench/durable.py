"""Shots a second that are judged and on disk, by load, beside the same without waiting for the disk.

Combat alone on this machine: one worker and the projector, PostgreSQL with its durable settings, Redis,
Envoy, and this process, which makes the load on the same cores. A verdict counts when it has arrived and
`durable_through` covers it. After each round the journal is read from PostgreSQL, and the bench fails unless
every acknowledged command is in it, once.

Levels are open loops at a rate, where the wait for a frame's answer begins when the frame is due, and closed
loops: so many streams, so many frames unanswered on each, more of them until more brings nothing. The
volatile figure is the same load against a worker whose setting `volatile_commands` lists every kind, aimed
over everybody's heads: a verdict that hurts somebody waits for the disk whatever its kind.
Through the edge the same frames pass Envoy.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import statistics
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
from arenamesh.client import Backoff, connect
from arenamesh.combat.v1 import play_pb2

from native import journal
from native.arena import ALL_SLOTS
from tests.bench.load import Load, Round, aim, content, inspect, make_session, measure
from tests.bench.report import Row
from tests.support.mesh import supervised, token

SESSIONS = 8
ROUND_S = 1.0
ROUNDS = 5
WARM_S = 0.5
FIRST_RATE = 3_000.0
# Of 16 MB each: as many as the mesh keeps.
LOG_FILES = 32
START_S = 120.0
P99_MS = 10.0
VOLATILE = {
    "VOLATILE_COMMANDS": json.dumps(["move", "shot", "action", "damage"]),
    # What nobody waits for comes faster than the disk takes it: the journal catches up between the rounds.
    "JOURNAL_PENDING_BYTES": str(1 << 30),
    "COMMIT_WAIT_S": "30",
    "DATABASE_COMMAND_S": "30",
}


@dataclass(frozen=True)
class Level:
    """One load. `streams` are spread over the sessions."""

    size: int
    """Commands a frame."""
    streams: int
    in_flight: int
    """Frames of a stream that are unanswered at a time, at most."""
    rate: int = 0
    """Frames a second of all streams, whether answers come or not; 0: as fast as they come."""

    def __str__(self) -> str:
        pace = f"at {self.rate:,}/s" if self.rate else f"x {self.in_flight}"
        return f"{self.size} a frame, {self.streams} {pace}"


SINGLE = (
    Level(1, 1, 1),
    Level(1, 8, 1),
    Level(1, 64, 16, rate=2_000),
    Level(1, 64, 16, rate=5_000),
    Level(1, 64, 16, rate=10_000),
    Level(1, 64, 1),
    Level(1, 64, 2),
    Level(1, 64, 4),
)
BATCHED = (Level(256, 1, 1), Level(256, 8, 1), Level(256, 8, 2), Level(256, 8, 4))


# ---- the mesh -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Running:
    edge: str
    worker: str
    database: str


@contextmanager
def mesh(**environment: str) -> Iterator[Running]:
    """A fresh one, with one worker and the bench's content."""
    folder = Path(tempfile.mkdtemp(prefix="arenamesh-bench-"))
    try:
        content(folder / "content")
        options = ("--services", "combat", "--workers", "1", "--no-bots", "--no-web")
        told = {
            "DATA_DIR": str(folder / "content"),
            "LOG_LEVEL": "WARNING",
            # A commit of so many shots releases megabytes of events at once.
            "PENDING_BYTES": str(16 << 20),
        }
        with supervised(folder / "mesh", *options, port=None, **told, **environment) as supervisor:
            ready = supervisor.until("ready", seconds=START_S)
            # The edge is what clients are told of; where the worker listens only its environment says.
            entries = Path(f"/proc/{supervisor.part('w0')['pid']}/environ").read_bytes().split(b"\0")
            port = next(entry for entry in entries if entry.startswith(b"PORT=")).decode()[5:]
            yield Running(supervisor.target, f"127.0.0.1:{port}", ready["database"])
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@asynccontextmanager
async def streams(target: str, count: int, *, durable: bool) -> AsyncIterator[list[Load]]:
    """`count` open streams over SESSIONS sessions: the first of each session, then the second of each ..."""
    secret = token("bench", "game_server", lifetime_s=3600)
    patient = Backoff(first_s=0.1, max_s=0.5, attempts=60)
    async with connect(target, token=secret, backoff=patient) as client:
        shots = {}
        for _ in range(SESSIONS):
            session_id = await make_session(client)
            shots[session_id] = await aim(client, session_id, hit=durable)
        share = count // SESSIONS
        loads = [
            Load(session_id, aims[number::share], durable=durable)
            for number in range(share)
            for session_id, aims in shots.items()
        ]
        for load in loads:
            await load.open(target, secret)
        try:
            yield loads
        finally:
            for load in loads:
                load.call.close()
            for session_id in shots:
                await client.combat.end_session(session_id)


async def settle(database: str) -> None:
    """A cluster that has run for a while has log files to use again; this one is made to have them."""
    connection = await asyncpg.connect(database)
    try:
        for _ in range(LOG_FILES):
            await connection.execute("SELECT pg_logical_emit_message(false, 'bench', '')")
            await connection.execute("SELECT pg_switch_wal()")
        await connection.execute("CHECKPOINT")
    finally:
        await connection.close()


# ---- proof --------------------------------------------------------------------------------------


class Proof:
    """What the journal must hold, and whether it does."""

    def __init__(self, database: str) -> None:
        self._database = database
        self._checked: dict[str, int] = {}
        self.commands = 0

    async def check(self, loads: Sequence[Load]) -> None:
        """Every verdict that these streams were given in the last round is in the journal, as it was given.

        Raises:
            RuntimeError: naming the first that is not.
        """
        connection = await asyncpg.connect(self._database)
        try:
            for session_id in sorted({load.session_id for load in loads}):
                held = await self._held(connection, session_id)
                for load in loads:
                    if load.session_id == session_id:
                        self._compare(load, held)
        finally:
            await connection.close()

    async def _held(self, connection: asyncpg.Connection, session_id: str) -> dict[int, tuple[int, int]]:
        """Seat and number of each command by journal sequence, after what was checked before."""
        after = self._checked.get(session_id, 0)
        rows = await connection.fetch(
            "SELECT payload FROM gameplay.combat_segments WHERE session_id = $1 AND last_sequence > $2"
            " ORDER BY last_sequence",
            session_id,
            after,
        )
        held: dict[int, tuple[int, int]] = {}
        for row in rows:
            found = play_pb2.PlayResponse.FromString(journal.verdicts(row["payload"], after, ALL_SLOTS))
            for verdict in found.verdicts:
                if verdict.journal_sequence in held:
                    raise RuntimeError(f"record {verdict.journal_sequence} of {session_id} is there twice")
                held[verdict.journal_sequence] = (verdict.slot, verdict.sequence)
        self._checked[session_id] = max(held, default=after)
        return held

    def _compare(self, load: Load, held: dict[int, tuple[int, int]]) -> None:
        for answer in load.answers:
            for verdict in play_pb2.PlayResponse.FromString(answer).verdicts:
                if held.get(verdict.journal_sequence) != (verdict.slot, verdict.sequence):
                    raise RuntimeError(f"acknowledged and not in the journal of {load.session_id}: {verdict}")
                self.commands += 1


# ---- measuring ----------------------------------------------------------------------------------


async def measured_level(
    loads: list[Load], level: Level, rate: float, kind: str, proof: Proof | None
) -> list[Row]:
    """Rows of one level. `rate`: frames a second to be ready for."""
    used = loads[: level.streams]
    for load in used:
        load.in_flight = level.in_flight
        load.interval_s = level.streams / level.rate if level.rate else 0.0
    rounds: list[Round] = []
    warm = await measure(used, level.size, WARM_S, rate)
    if proof is not None:
        await proof.check(used)
    for _ in range(ROUNDS):
        rounds.append(
            await measure(used, level.size, ROUND_S, max(rate, warm.rate, *(r.rate for r in rounds)))
        )
        if proof is not None:
            inspect(used, rounds[-1].frames * level.size)
            await proof.check(used)
    rows = [
        Row(
            case=str(level),
            metric=f"{kind} verdicts",
            value=statistics.median(each.rate for each in rounds) * level.size,
            unit="1/s",
        )
    ]
    # Of the rounds, the middle one: a machine that others share has moments of its own.
    for share in (0.50, 0.95, 0.99):
        value = statistics.median(each.percentile_s(share) for each in rounds) * 1e3
        rows.append(Row(case=str(level), metric=f"{kind}, p{share * 100:.0f}", value=value, unit="ms"))
    return rows


async def measured(target: str, levels: Sequence[Level], kind: str, proof: Proof | None) -> list[Row]:
    """Rows of all levels over one set of streams, and the most that was reached within P99_MS."""
    rows: list[Row] = []
    rate = FIRST_RATE
    async with streams(target, max(level.streams for level in levels), durable=proof is not None) as loads:
        for level in levels:
            found = await measured_level(loads, level, rate, kind, proof)
            rate = found[0]["value"] / level.size
            rows += found
    size = levels[0].size
    within = [
        found["value"] for found, late in zip(rows[0::4], rows[3::4], strict=True) if late["value"] < P99_MS
    ]
    return [
        *rows,
        Row(
            case=f"{size} a frame",
            metric=f"most {kind} verdicts with p99 under {P99_MS:.0f} ms",
            value=max(within, default=0.0),
            unit="1/s",
        ),
    ]


async def everything() -> list[Row]:
    rows: list[Row] = []
    with mesh() as running:
        await settle(running.database)
        proof = Proof(running.database)
        for levels in (SINGLE, BATCHED):
            rows += await measured(running.worker, levels, "durable", proof)
        rows += await measured(running.edge, SINGLE, "durable through the edge", proof)
        rows.append(
            Row(
                case="all",
                metric="acknowledged and found in the journal",
                value=proof.commands,
                unit="commands",
            )
        )
    with mesh(**VOLATILE) as running:
        for levels in (SINGLE, BATCHED):
            rows += await measured(running.worker, levels, "volatile", None)
    return rows


def run() -> list[Row]:
    return asyncio.run(everything())
