"""A match of 64 from its journal in PostgreSQL: proved, shown again, and sought in, beside real time.

The match is played without waiting, and committed in pieces as small as a busy worker's. While it is judged
again, a timer of the same event loop measures how long anybody else would have had to wait.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial

import asyncpg

from native.arena import ALL_SLOTS
from native.journal import index, ticks
from native.ruleset import Ruleset
from native.world import World
from services.chassis import migrate
from services.chassis.db import Database
from services.combat.catalogue import Catalogue
from services.combat.domain.session import Session
from services.combat.durability.journal_store import PostgresJournal
from services.combat.ports import Save, Segment
from services.combat.replay.archive import Archive
from services.combat.replay.frames import View
from services.combat.replay.proof import Prover
from services.combat.schema import SCHEMA, migrations
from services.combat.store import SessionStore
from tests.bench.arena import RATE, empty, fought, rules, spread, started
from tests.bench.report import Row
from tests.support import postgres
from tests.support.recorded import session_row

PLAYERS = 64
SECONDS = 60
COMMITS_A_TICK = 4
SAVE_EVERY = 20 * RATE
TIMES = 3
OWNER = "bench.1"
KEY = 7


class Single(Catalogue):
    """One map and one ruleset, as they were made here."""

    def __init__(self, ruleset: Ruleset, world: World) -> None:
        self._rulesets = {("default", 1): ruleset}
        self._worlds = {"yard": world}


def run() -> list[Row]:
    with postgres.running() as server:
        return asyncio.run(measured(server.url()))


async def measured(url: str) -> list[Row]:
    connection = await asyncpg.connect(url)
    await migrate.migrate(connection, SCHEMA, migrations())
    await connection.close()
    database = await Database.connect(url, size=2, wait_s=10, command_s=60)
    journal = PostgresJournal(url, database, wait_s=10, command_s=60)
    catalogue = Single(rules(), spread(PLAYERS))
    archive = Archive(database, SessionStore(), journal, catalogue, limit=1, player_delay_s=0)
    try:
        session = await recorded(database, journal, catalogue)
        return await figures(archive, session)
    finally:
        await journal.close()
        await database.close()


async def figures(archive: Archive, session: Session) -> list[Row]:
    prover, played_s = Prover(archive), session.journal_time_us / 1e6
    case = f"{PLAYERS} players, {session.journal_sequence / played_s:,.0f} records a second"
    proof = await prover.verify(session.session_id)
    if proof.difference:
        raise AssertionError(proof.difference)
    proof_s, held_s = await watched(partial(prover.verify, session.session_id))
    shown_s, _ = await watched(partial(shown, archive, session))
    sought_s, _ = await watched(partial(sought, archive, session))
    return [
        Row(case=case, metric="verified", value=played_s / proof_s, unit="times real time"),
        Row(case=case, metric="shown again, frames made", value=played_s / shown_s, unit="times real time"),
        Row(case=case, metric="sought to the end", value=sought_s * 1000, unit="ms"),
        Row(case=case, metric="event loop held by a proof, at most", value=held_s * 1000, unit="ms"),
    ]


async def shown(archive: Archive, session: Session) -> None:
    async with archive.open(session) as playback:
        view = View(playback, ALL_SLOTS)
        while (tick := await playback.peek()) is not None:
            view.next(tick, await playback.next() or b"")


async def sought(archive: Archive, session: Session) -> None:
    async with archive.open(session, session.journal_tick) as playback:
        assert await playback.peek() == session.journal_tick


async def watched(work: Callable[[], Awaitable[object]]) -> tuple[float, float]:
    """Seconds of the quickest run, and the longest that the event loop was held in it."""
    best = (float("inf"), 0.0)
    for _ in range(TIMES):
        held = 0.0

        async def watch() -> None:
            nonlocal held
            while True:
                begin = time.perf_counter()
                await asyncio.sleep(0)
                held = max(held, time.perf_counter() - begin)
                await asyncio.sleep(0.0005)

        watching = asyncio.create_task(watch())
        begin = time.perf_counter()
        await work()
        best = min(best, (time.perf_counter() - begin, held))
        watching.cancel()
    return best


# -- the match ----------------------------------------------------------------------------------------


async def recorded(database: Database, journal: PostgresJournal, catalogue: Catalogue) -> Session:
    """Plays, commits, and returns the row."""
    session = session_row(catalogue, owner=OWNER, players=PLAYERS, rate=RATE, key=KEY)
    store = SessionStore()
    async with database.connection() as connection:
        await store.insert(connection, session)
    arena, now = started(PLAYERS)
    segments = [*cut(session, arena.take_journal(), 1)]
    for payload in fought(arena, now, SECONDS):
        segments += cut(session, payload, COMMITS_A_TICK, after=segments[-1].tick)
    replica, due = empty(PLAYERS), SAVE_EVERY
    for segment in segments:
        replica.replay(segment.payload)
        save = None
        if segment.tick >= due:
            save, due = Save(segment.last, segment.tick, replica.save()), segment.tick + SAVE_EVERY
        if await journal.commit(OWNER, [replace(segment, save=save)]):
            raise AssertionError("fenced")
    async with database.connection() as connection:
        found = await store.get(connection, session.session_id)
    assert found is not None
    return found


def cut(session: Session, payload: bytes, pieces: int, *, after: int = 0) -> list[Segment]:
    """About so many segments. `after`: the tick before them."""
    entries = index(payload)
    size = -(-len(entries) // pieces)
    found = []
    begin = 0
    for first in range(0, len(entries), size):
        some = entries[first : first + size]
        end = some[-1][5] + some[-1][6]
        part, begin = payload[begin:end], end
        steps = ticks(part)
        after = steps[-1][0] if steps else after
        found.append(Segment(session.session_id, 1, some[0][0], some[-1][0], after, some[-1][1], part))
    return found
