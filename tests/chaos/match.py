"""One long match of bots through the edge, with the worker that plays it killed in the middle."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from arenamesh.client import Mesh, connect

from tests.chaos import audit, journal
from tests.chaos.checker import Findings, check
from tests.chaos.cluster import Cluster
from tests.chaos.history import History
from tests.support.mesh import SECRET, environment, token

# No score or time limit ends it before its time.
_MODE = "training"
_SPARE_SEATS = 4
_START_S = 30.0


@dataclass(slots=True)
class Played:
    """A match that is over."""

    session: str
    workers: list[str]
    """Who played it, in turn."""
    bots: dict[str, Any]
    """What the bots counted."""
    hiccup_s: float
    """Longest time between two snapshots after the kill."""
    audited: audit.Audit
    findings: Findings
    records: int = 0
    seconds: float = 0.0


@dataclass(slots=True)
class Watch:
    """Who sees a match: when snapshots came."""

    seen: list[float] = field(default_factory=list)

    def longest_gap(self, since: float) -> float:
        times = [seen for seen in self.seen if seen >= since]
        return max((b - a for a, b in zip([since, *times], times, strict=False)), default=float("inf"))


async def play(cluster: Cluster, *, seconds: float, bots: int, seed: int) -> Played:
    """Plays for so long; the kill comes half way."""
    async with connect(cluster.target, token=partial(token, "server-1", "game_server")) as server:
        session = await server.combat.create_session(
            "failover", map_id="foundry", mode=_MODE, max_players=bots + _SPARE_SEATS, min_players=1
        )
        name = session.session_id
        async with _bots(cluster.target, name, bots, seconds, seed) as finished:
            async with _watched(server, name) as watch:
                before = await _owner(cluster, name)
                await asyncio.sleep(seconds / 2)
                killed = time.monotonic()
                assert cluster.signal(before, signal.SIGKILL) is not None
                figures = await finished()
            after = await _owner(cluster, name)
        await server.combat.end_session(name)
    async with cluster.database() as connection:
        journals = {name: (await journal.fetch(connection))[name]}
    findings = check(History(), journals)
    audited = await audit.audit(cluster, journals, findings)
    return Played(
        name,
        [before, after],
        figures,
        watch.longest_gap(killed),
        audited,
        findings,
        journals[name].sequence,
        seconds,
    )


def sentences(played: Played) -> str:
    """For people."""
    figures = played.bots
    lines = [
        f"a match of {played.seconds:.0f} s: {figures['moves']:,} moves, {figures['shots']:,} shots, "
        f"{figures['kills']:,} kills; "
        f"worker {played.workers[0]} was killed half way, {played.workers[1]} had it at the end",
        f"longest time without a picture after the kill: {played.hiccup_s:.2f} s; "
        f"streams came back {figures['reconnects']} times",
        f"{played.audited.records:,} of {played.records:,} records verify; statistics of "
        f"{played.audited.counted} players equal a recount",
        *played.findings.sentences(),
        "GOOD" if played.findings.good else "BAD",
    ]
    return "\n".join(lines)


@asynccontextmanager
async def _bots(target: str, session: str, bots: int, seconds: float, seed: int) -> AsyncIterator[Any]:
    """`python -m arenamesh.bots` in this session; yields what waits for their figures."""
    options = ["--edge", target, "--session", session, "--bots", str(bots), "--seed", str(seed)]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "arenamesh.bots", *options, "--seconds", f"{seconds:g}", "--json"),
        env=environment(JWT_SECRET=SECRET),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )

    async def finished() -> dict[str, Any]:
        assert process.stdout is not None
        out = await process.stdout.read()
        if await process.wait() != 0:
            raise RuntimeError(f"the bots ended with {process.returncode}: {out.decode()}")
        figures: dict[str, Any] = json.loads(out.splitlines()[-1])
        return figures

    try:
        yield finished
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@asynccontextmanager
async def _watched(server: Mesh, session: str) -> AsyncIterator[Watch]:
    """A game server's stream that only looks, from the first snapshot on."""
    watch = Watch()
    async with server.play(session) as match:

        async def look() -> None:
            while True:
                await match.next_snapshot()
                watch.seen.append(time.monotonic())

        async with asyncio.timeout(_START_S):
            await match.next_snapshot()
        looking = asyncio.create_task(look())
        try:
            yield watch
        finally:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)


async def _owner(cluster: Cluster, session: str) -> str:
    async with cluster.database() as connection:
        owner = await connection.fetchval("SELECT owner FROM gameplay.combat_sessions WHERE id = $1", session)
    return str(owner).partition(".")[0]
