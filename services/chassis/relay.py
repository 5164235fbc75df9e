"""Sends what waits in the outbox to the bus: in order, nothing left out, at least once.

One relay works for a schema at a time, by an advisory lock on a connection of its own; the others stand by.
The lock goes with the connection, so a relay that died or hangs is replaced.
"""

import asyncio
from dataclasses import dataclass
from datetime import timedelta

import asyncpg
import structlog

from services.chassis import clock
from services.chassis.bus.port import Bus, Message
from services.chassis.errors import Unavailable
from services.chassis.metrics import OUTBOX_OLDEST_SECONDS, OUTBOX_RELAYED, OUTBOX_WAITING
from services.chassis.outbox import START, Outbox, Position, Row

_log = structlog.get_logger()
# A relay that has not said anything for this long has its connection, and so its lock, taken by the server.
_SILENT_S = 10
_OBSERVE_S = 1.0
_PURGE_S = 60.0
_PURGE_ROWS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayLimits:
    """See the settings of the same names, after `outbox_`."""

    batch: int
    poll_s: float
    backoff_s: float
    keep: timedelta


class Relay:
    """The relay of one outbox. `start`, then `close`; in between it heals itself."""

    def __init__(self, url: str, outbox: Outbox, bus: Bus, limits: RelayLimits) -> None:
        self._url = url
        self._outbox = outbox
        self._bus = bus
        self._limits = limits
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._waiting = OUTBOX_WAITING.labels(outbox.schema)
        self._oldest = OUTBOX_OLDEST_SECONDS.labels(outbox.schema)
        self._relayed = OUTBOX_RELAYED.labels(outbox.schema)

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name=f"relay {self._outbox.schema}")

    def wake(self) -> None:
        """Something was committed just now. Without it the next poll finds it."""
        self._woken.set()

    async def close(self) -> None:
        """Stops where it is; what was sent and not noted is sent again by the next relay."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        """Connects again after every fault."""
        while True:
            try:
                await self._connected()
            except Exception:
                # Nobody awaits this task: a fault that is not of the connection must be heard as well.
                _log.exception("relay interrupted", schema=self._outbox.schema)
            await asyncio.sleep(self._limits.backoff_s)

    async def _connected(self) -> None:
        connection = await asyncpg.connect(
            self._url,
            timeout=_SILENT_S,
            command_timeout=_SILENT_S,
            server_settings={
                "application_name": f"relay {self._outbox.schema}",
                "idle_session_timeout": f"{_SILENT_S}s",
                "tcp_keepalives_idle": f"{_SILENT_S}",
                "tcp_keepalives_interval": "1",
                "tcp_keepalives_count": "3",
            },
        )
        try:
            lock = "SELECT pg_try_advisory_lock(hashtext($1))"
            # The query keeps a standby's session from counting as silent.
            while not await connection.fetchval(lock, f"relay {self._outbox.schema}"):  # noqa: ASYNC110
                await asyncio.sleep(self._limits.backoff_s)
            await self._working(connection)
        finally:
            self._waiting.set(0)
            self._oldest.set(0)
            connection.terminate()

    async def _working(self, connection: asyncpg.Connection) -> None:
        """With the lock held."""
        _log.info("relay at work", schema=self._outbox.schema)
        if await self._outbox.adopt(connection):
            _log.warning("the outbox comes from another database cluster: all of it is sent again")
        observe_at = purge_at = clock.monotonic_s()
        backoff_s = self._limits.poll_s
        while True:
            now = clock.monotonic_s()
            if now >= observe_at:
                observe_at = now + _OBSERVE_S
                await self._observe(connection)
            if now >= purge_at:
                full = await self._outbox.purge(connection, self._limits.keep, _PURGE_ROWS) == _PURGE_ROWS
                purge_at = now if full else now + _PURGE_S
            self._woken.clear()
            try:
                if await self._send(connection) < self._limits.batch:
                    await self._pause()
                backoff_s = self._limits.poll_s
            except Unavailable as error:
                _log.warning("the bus is away: events wait", schema=self._outbox.schema, error=repr(error))
                await asyncio.sleep(backoff_s)
                backoff_s = min(2 * backoff_s, self._limits.backoff_s)

    async def _send(self, connection: asyncpg.Connection) -> int:
        """Sends one batch; returns how many."""
        checkpoint = await self._remembered(connection)
        rows = await self._outbox.read(connection, checkpoint, self._limits.batch)
        if not rows:
            return 0
        for topic, messages in _by_topic(rows).items():
            await self._bus.publish(topic, messages)
        last = rows[-1].position
        await self._bus.mark(self._outbox.schema, str(last))
        if await self._outbox.move(connection, checkpoint, last):
            self._relayed.inc(len(rows))
        return len(rows)

    async def _remembered(self, connection: asyncpg.Connection) -> Position:
        """The checkpoint, set back when the bus has forgotten something that it had taken."""
        checkpoint = await self._outbox.checkpoint(connection)
        if checkpoint == START:
            return checkpoint
        text = await self._bus.marked(self._outbox.schema)
        marked = START if text is None else Position.parse(text)
        if marked >= checkpoint or not await self._outbox.move(connection, checkpoint, marked):
            return checkpoint
        _log.warning("the bus forgot what it had taken: sent again", since=str(marked))
        return marked

    async def _observe(self, connection: asyncpg.Connection) -> None:
        count, oldest_s = await self._outbox.waiting(connection, await self._outbox.checkpoint(connection))
        self._waiting.set(count)
        self._oldest.set(oldest_s)

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(self._limits.poll_s):
                await self._woken.wait()
        except TimeoutError:
            pass


def _by_topic(rows: list[Row]) -> dict[str, list[Message]]:
    topics: dict[str, list[Message]] = {}
    for row in rows:
        topics.setdefault(row.topic, []).append(row.message)
    return topics
