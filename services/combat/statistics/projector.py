"""Counts the journals: statistics, seats and integration events, each record once.

A step takes what is committed of one session after its checkpoint, folds it into the saved Story, and writes
what came of it together with the new checkpoint, in one transaction that fails unless the checkpoint is
where it was read. So a projector may die at any moment, and another may work at the same time: nothing is
counted or told twice, and nothing is left out.
"""

import asyncio
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta

import asyncpg
import structlog

from services.chassis import clock
from services.chassis.db import Connection, Database
from services.chassis.errors import DataLoss, Unavailable
from services.chassis.metrics import (
    COMBAT_EVENTS,
    COMBAT_PROJECTED,
    COMBAT_PROJECTION_LAG,
    COMBAT_PROJECTION_LAG_SECONDS,
    COMBAT_PROJECTION_PARKED,
)
from services.chassis.outbox import Outbox
from services.combat.catalogue import Catalogue
from services.combat.domain.session import Session
from services.combat.domain.statistics import PlayerStats
from services.combat.ports import JournalStore, Segment
from services.combat.statistics.events import Story, StoryError, Told
from services.combat.statistics.recount import Recount, read_whole
from services.combat.statistics.store import Checkpoint, StatisticsStore
from services.combat.store import SessionStore

_log = structlog.get_logger()
# Faults of one session's records, or of what came of them: the other sessions have nothing to do with them.
_UNCOUNTABLE = (DataLoss, StoryError, asyncpg.DataError, asyncpg.IntegrityConstraintViolationError)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectionLimits:
    """See the settings of the same names, after `projection_`."""

    poll_s: float
    sessions: int
    parallel: int
    share: float
    rest_s: float
    segments: int
    size: int
    """`projection_bytes`."""
    retry_s: float


class Projector:
    """Of every session there is."""

    def __init__(
        self,
        database: Database,
        journal: JournalStore,
        catalogue: Catalogue,
        outbox: Outbox,
        limits: ProjectionLimits,
    ) -> None:
        self._database = database
        self._journal = journal
        self._recount = Recount(database, journal, catalogue, limits.segments)
        self._outbox = outbox
        self._limits = limits
        self._sessions = SessionStore()
        self._store = StatisticsStore()
        self._left = 0
        """Records that the last turn left."""

    async def run(self) -> None:
        """For ever, every `poll_s`: many records at a time cost less than a few often. Turn after turn only
        while more is left than a turn counts."""
        while True:
            counted, self._left = 0, 0
            try:
                counted = await self.turn()
            except (Unavailable, asyncpg.PostgresError) as error:
                _log.warning("cannot count", error=repr(error))
            if self._left <= counted:
                await asyncio.sleep(self._limits.poll_s)

    async def turn(self) -> int:
        """One step of each session that has records to count; returns how many were counted.

        Raises:
            Unavailable: the database does not answer.
        """
        retry_before = clock.now() - timedelta(seconds=self._limits.retry_s)
        async with self._database.connection() as connection:
            pending = await self._store.pending(connection, retry_before, self._limits.sessions)
        counted = await self._steps(pending)
        async with self._database.connection() as connection:
            await self._store.finish(connection)
            lag = await self._store.lag(connection)
        self._left = lag.records
        COMBAT_PROJECTION_LAG.set(lag.records)
        COMBAT_PROJECTION_LAG_SECONDS.set(lag.time_us / 1e6)
        COMBAT_PROJECTION_PARKED.set(lag.parked)
        return counted

    async def _steps(self, pending: list[str]) -> int:
        """While one waits for the database another is folded."""
        rest = iter(pending)

        async def some() -> int:
            return sum([await self._paced(session_id) for session_id in rest])

        tasks = [asyncio.create_task(some()) for _ in range(self._limits.parallel)]
        try:
            return sum(await asyncio.gather(*tasks))
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _paced(self, session_id: str) -> int:
        """A step, and the rest that belongs to it."""
        begin_s = clock.monotonic_s()
        counted = await self.step(session_id)
        took_s = clock.monotonic_s() - begin_s
        await asyncio.sleep(min(took_s * (1 / self._limits.share - 1), self._limits.rest_s))
        return counted

    async def step(self, session_id: str) -> int:
        """Counts the next segments of a session; returns how many records. A session that cannot be counted
        is parked: its row says why, and it is tried again after `retry_s`.

        Raises:
            Unavailable: the database does not answer.
        """
        async with self._database.connection() as connection:
            session = await self._sessions.get(connection, session_id)
            checkpoint = await self._store.load(connection, session_id)
            segments = await self._store.fitting(
                connection,
                session_id,
                after=checkpoint.sequence,
                segments=self._limits.segments,
                size=self._limits.size,
            )
        assert session is not None
        try:
            return await self._step(session, checkpoint, segments)
        except _UNCOUNTABLE as error:
            _log.error("session cannot be counted", session_id=session_id, error=str(error))
            async with self._database.connection() as connection:
                await self._store.park(
                    connection, session_id, sequence=checkpoint.sequence, error=str(error), now=clock.now()
                )
            return 0

    async def _step(self, session: Session, checkpoint: Checkpoint, limit: int) -> int:
        segments = await self._read(session, checkpoint.sequence, limit)
        if not segments:
            return 0
        story = await self._recount.story(session, checkpoint)
        before = {player.player_id: player for player in story.players()}
        story.feed(b"".join(segment.payload for segment in segments))
        changed = [player for player in story.players() if before.get(player.player_id) != player]
        events = story.take_events()
        if not await self._write(session.session_id, checkpoint.sequence, story, changed, events):
            _log.info("somebody else counted it", session_id=session.session_id)
            return 0
        for type_, count in Counter(told.envelope.type for told in events).items():
            COMBAT_EVENTS.labels(type_).inc(count)
        COMBAT_PROJECTED.inc(story.sequence - checkpoint.sequence)
        return story.sequence - checkpoint.sequence

    async def _read(self, session: Session, after: int, limit: int) -> list[Segment]:
        """What the session's row already told of: a later segment may say what the row as it was read does
        not, such as that the match began."""
        segments = await read_whole(self._journal, session.session_id, after, limit)
        return [segment for segment in segments if segment.last <= session.journal_sequence]

    async def _write(
        self, session_id: str, old: int, story: Story, players: list[PlayerStats], events: list[Told]
    ) -> bool:
        """False: the checkpoint was moved by somebody else, and nothing was written."""
        tally, memory = story.save()
        checkpoint = Checkpoint(story.sequence, story.time_us, tally, memory)
        seats = story.take_seats()
        now = clock.now()

        async def write(connection: Connection) -> bool:
            # First: whoever speaks of this session waits for this row, which keeps its events in order.
            if not await self._store.move(connection, session_id, old=old, new=checkpoint, now=now):
                return False
            await self._store.put(connection, session_id, players, seats)
            for topic in sorted({told.topic for told in events}):
                said = [told.envelope for told in events if told.topic == topic]
                await self._outbox.put(connection, topic, said)
            return True

        return await self._database.transaction(write)
