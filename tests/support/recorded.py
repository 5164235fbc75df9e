"""Matches played in this process and committed to PostgreSQL as a worker would, without a worker."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import asyncpg
from arenamesh.combat.v1 import event_pb2, journal_pb2

from native.journal import index, ticks
from services.chassis import clock
from services.chassis.db import Database
from services.combat.catalogue import Catalogue, load_catalogue
from services.combat.domain.session import Session, SessionStatus, SessionType
from services.combat.durability.journal_store import PostgresJournal
from services.combat.ports import Save, Segment
from services.combat.store import SessionStore
from tests.support.arenas import DATA, KEY, RATE
from tests.support.random_match import PLAYERS, RandomMatch

OWNER = "recorder.1"


def session_row(
    catalogue: Catalogue, *, owner: str, players: int, rate: int, key: int, spectator_delay_s: int = 0
) -> Session:
    """Of a match that has just begun on the default map, with every seat taken."""
    return Session(
        session_id=clock.new_id(),
        name="recorded",
        type=SessionType.TOURNAMENT,
        status=SessionStatus.ACTIVE,
        max_players=players,
        min_players=1,
        map_id="yard",
        game_mode="deathmatch",
        ruleset_name="default",
        ruleset_version=1,
        tick_rate_hz=rate,
        spectator_delay_s=spectator_delay_s,
        created_at=clock.now(),
        started_at=clock.now(),
        ended_at=None,
        player_count=players,
        owner=owner,
        epoch=1,
        arena_key=key,
        ruleset_hash=catalogue.ruleset_hash("default", 1),
        map_hash=catalogue.map_hash("yard"),
    )


class Recording:
    """A random match on the default map, cut into segments as it is played."""

    def __init__(self, seed: int, catalogue: Catalogue, *, delay_s: int = 0) -> None:
        self.match = RandomMatch(
            seed,
            catalogue.ruleset("default", 1),
            world=catalogue.world("yard"),
            mode="deathmatch",
        )
        self.segments: list[Segment] = []
        """Not committed yet."""
        self.records: list[journal_pb2.JournalRecord] = []
        self.session = session_row(
            catalogue, owner=OWNER, players=PLAYERS, rate=RATE, key=KEY, spectator_delay_s=delay_s
        )
        self._tick = 0

    def play(self, count: int, *, save: bool = False) -> None:
        """So many ticks; `save`: with the whole arena at the end of them."""
        self.match.segments.clear()
        self.match.play(count)
        for payload in self.match.segments:
            self._cut(payload)
        if save:
            arena = self.match.arena
            saved = Save(arena.sequence, arena.tick, arena.save())
            self.segments[-1] = replace(self.segments[-1], save=saved)

    def end(self) -> None:
        self.match.arena.end(self.match.now, event_pb2.END_REASON_REQUESTED)
        self._cut(self.match.arena.take_journal())
        self.session = replace(self.session, status=SessionStatus.ENDED, ended_at=clock.now())

    def _cut(self, payload: bytes) -> None:
        if not payload:
            return
        entries = index(payload)
        self._tick = ticks(payload)[-1][0] if ticks(payload) else self._tick
        self.segments.append(
            Segment(
                session_id=self.session.session_id,
                epoch=self.session.epoch,
                first=entries[0][0],
                last=entries[-1][0],
                tick=self._tick,
                time_us=entries[-1][1],
                payload=payload,
            )
        )
        self.records += journal_pb2.JournalSegment.FromString(payload).records


class Recorder:
    """Writes recordings to one database."""

    def __init__(self, database: Database, journal: PostgresJournal) -> None:
        self.database = database
        self.journal = journal
        self.catalogue = load_catalogue(DATA)
        self._store = SessionStore()
        self._known: set[str] = set()

    async def commit(self, recording: Recording) -> str:
        """What was played since the last call; the session's id."""
        session = recording.session
        if session.session_id not in self._known:
            self._known.add(session.session_id)
            live = replace(session, status=SessionStatus.ACTIVE, ended_at=None)
            async with self.database.connection() as connection:
                assert await self._store.insert(connection, live)
        for segment in recording.segments:
            assert await self.journal.commit(OWNER, [segment]) == frozenset()
        recording.segments.clear()
        if not session.live:
            async with self.database.connection() as connection:
                assert await self._store.update(connection, session)
        return session.session_id

    async def finished(self, seed: int, count: int, *, save_every: int = 0) -> Recording:
        """A whole match of `count` ticks, committed."""
        recording = Recording(seed, self.catalogue)
        step = save_every or count
        for _ in range(0, count, step):
            recording.play(step, save=bool(save_every))
        recording.end()
        await self.commit(recording)
        return recording

    async def execute(self, statement: str, *arguments: object) -> str:
        """For tests that tamper."""
        async with self.database.connection() as connection:
            done: str = await connection.execute(statement, *arguments)
        return done


@asynccontextmanager
async def recorder(database_url: str) -> AsyncIterator[Recorder]:
    database = await Database.connect(database_url, size=2, wait_s=5, command_s=10)
    journal = PostgresJournal(database_url, database, wait_s=5, command_s=10)
    presence = await asyncpg.connect(database_url)
    # A worker that lives, so that nobody takes its sessions.
    await presence.execute(
        "INSERT INTO gameplay.combat_workers (id, name, backend_pid, backend_start, heartbeat_at) "
        "SELECT $1, $1, pid, backend_start, now() + interval '1 hour' "
        "FROM pg_stat_activity WHERE pid = pg_backend_pid()",
        OWNER,
    )
    try:
        yield Recorder(database, journal)
    finally:
        await presence.close()
        await journal.close()
        await database.close()
