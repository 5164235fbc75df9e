"""Sends what waits in the outbox to the bus: in order, nothing left out, at least once.

One process relays for a schema at a time (`singleton.py`); the others stand by.
"""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Self

import structlog

from services.chassis import clock
from services.chassis.bus.port import Bus, Message
from services.chassis.db import Connection, Database
from services.chassis.errors import Unavailable
from services.chassis.metrics import OUTBOX_OLDEST_SECONDS, OUTBOX_RELAYED, OUTBOX_WAITING
from services.chassis.outbox import START, Outbox, Position, Row
from services.chassis.settings import Settings
from services.chassis.singleton import Singleton

_log = structlog.get_logger()
_WATCH_S = 1.0
_PURGE_S = 60.0
_PURGE_ROWS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayLimits:
    """See the settings of the same names, after `outbox_`."""

    batch: int
    poll_s: float
    backoff_s: float
    keep: timedelta

    @classmethod
    def of(cls, settings: Settings) -> Self:
        return cls(
            batch=settings.outbox_batch,
            poll_s=settings.outbox_poll_s,
            backoff_s=settings.outbox_backoff_s,
            keep=timedelta(hours=settings.outbox_keep_hours),
        )


class Relay:
    """The relay of one outbox: the work of a `Singleton`. Should two ever send at once, each event still
    comes in its place first; what comes a second time may come late."""

    def __init__(self, database: Database, outbox: Outbox, bus: Bus, limits: RelayLimits) -> None:
        self._database = database
        self._outbox = outbox
        self._bus = bus
        self._limits = limits
        self._woken = asyncio.Event()
        self._waiting = OUTBOX_WAITING.labels(outbox.schema)
        self._oldest = OUTBOX_OLDEST_SECONDS.labels(outbox.schema)
        self._relayed = OUTBOX_RELAYED.labels(outbox.schema)

    def wake(self) -> None:
        """Something was committed just now. Without it the next poll finds it."""
        self._woken.set()

    async def run(self) -> None:
        """Until cancelled. While the bus or the database is away, events wait."""
        pause_s, adopted = self._limits.poll_s, False
        watching = asyncio.create_task(self._watch())
        try:
            while True:
                try:
                    if not adopted:
                        adopted = await self._adopt()
                    if await self._send() < self._limits.batch:
                        await self._pause()
                    pause_s = self._limits.poll_s
                except Unavailable as error:
                    _log.warning("events wait", schema=self._outbox.schema, reason=error.reason)
                    await asyncio.sleep(clock.jittered(pause_s))
                    pause_s = min(2 * pause_s, self._limits.backoff_s)
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            self._waiting.set(0)
            self._oldest.set(0)

    async def _adopt(self) -> bool:
        async with self._database.connection() as connection:
            if await self._outbox.adopt(connection):
                _log.warning("the outbox comes from another database cluster: all of it is sent again")
        return True

    async def _send(self) -> int:
        """Sends one batch; returns how many."""
        self._woken.clear()
        marked = await self._marked()
        async with self._database.connection() as connection:
            checkpoint = await self._remembered(connection, Position.parse(marked))
            rows = await self._outbox.read(connection, checkpoint, self._limits.batch)
        if not rows:
            return 0
        for topic, messages in _by_topic(rows).items():
            await self._bus.publish(topic, messages)
        last = rows[-1].position
        if await self._bus.mark(self._outbox.schema, str(last), marked):
            async with self._database.connection() as connection:
                if await self._outbox.move(connection, checkpoint, last):
                    self._relayed.inc(len(rows))
        return len(rows)

    async def _marked(self) -> str:
        """How far the bus remembers. One that knows nothing is marked first: should it forget while a batch
        is on its way, the mark after it is refused."""
        marked = await self._bus.marked(self._outbox.schema)
        if marked is None:
            marked = str(START)
            await self._bus.mark(self._outbox.schema, marked, None)
        return marked

    async def _remembered(self, connection: Connection, known: Position) -> Position:
        """The checkpoint, set back when the bus has forgotten something that it had taken."""
        checkpoint = await self._outbox.checkpoint(connection)
        if known >= checkpoint or not await self._outbox.move(connection, checkpoint, known):
            return checkpoint
        _log.warning("the bus forgot what it had taken: sent again", since=str(known))
        return known

    async def _watch(self) -> None:
        """Says how much waits, and forgets what was sent long ago."""
        purge_at_s = clock.monotonic_s()
        while True:
            try:
                async with self._database.connection() as connection:
                    checkpoint = await self._outbox.checkpoint(connection)
                    count, oldest_s = await self._outbox.waiting(connection, checkpoint)
                    self._waiting.set(count)
                    self._oldest.set(oldest_s)
                    if clock.monotonic_s() >= purge_at_s:
                        gone = await self._outbox.purge(connection, self._limits.keep, _PURGE_ROWS)
                        if gone < _PURGE_ROWS:
                            purge_at_s = clock.monotonic_s() + _PURGE_S
            except Unavailable as error:
                _log.warning("the outbox is not watched", schema=self._outbox.schema, reason=error.reason)
            await asyncio.sleep(_WATCH_S)

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(self._limits.poll_s):
                await self._woken.wait()
        except TimeoutError:
            pass


async def relay(database: Database, schema: str, bus: Bus, settings: Settings) -> None:
    """For ever: sends a schema's outbox, whenever no other process does."""
    relays = Relay(database, Outbox(schema), bus, RelayLimits.of(settings))
    await Singleton.of(settings, f"relay {schema}").run(relays.run)


def _by_topic(rows: list[Row]) -> dict[str, list[Message]]:
    topics: dict[str, list[Message]] = {}
    for row in rows:
        topics.setdefault(row.topic, []).append(row.message)
    return topics
