"""Makes what was judged durable: one commit at a time for every match of the process.

The next commit starts when the last one returns and takes whatever was judged meanwhile, so a quiet worker
commits at once, a busy one commits more at a time, and nobody waits longer than two commits. Busy ones begin
at least BUSY_GAP_S apart: a commit costs what judging several frames does, and the replies it releases bring
the next frames anyway. A commit whose
outcome is unknown is repeated as it was until the store has said what became of it; what is judged in the
meantime waits behind it. Knows no database: pure asyncio over `JournalStore`.
"""

import asyncio
from collections.abc import Callable
from contextvars import Context
from dataclasses import replace
from typing import Protocol

import structlog

from services.chassis import clock
from services.chassis.errors import Unavailable
from services.chassis.listeners import tell
from services.chassis.metrics import (
    COMBAT_COMMIT_BYTES,
    COMBAT_COMMIT_RECORDS,
    COMBAT_COMMIT_SECONDS,
    COMBAT_COMMIT_SEGMENTS,
    COMBAT_DURABLE_WAIT_SECONDS,
    COMBAT_FENCED,
    COMBAT_JOURNAL_PENDING_BYTES,
    COMBAT_JOURNAL_STALLED,
)
from services.combat.ports import JournalStore, Segment
from services.combat.refusals import journal_unavailable, moved

_log = structlog.get_logger()
_FIRST_RETRY_S = 0.01
_LAST_RETRY_S = 0.25
BUSY_GAP_S = 0.002
BUSY_RECORDS = 8


class Journaled(Protocol):
    """A match, as far as it is remembered. Compared by identity."""

    @property
    def session_id(self) -> str: ...

    def take_segment(self) -> Segment | None:
        """Everything judged since the last call, with a save when one is due. None: nothing."""

    def committed(self, sequence: int) -> None:
        """Durable through here: whatever waited for it may be told."""


class Committer:
    """One a process. Every method belongs to the event loop, and none but `close` and `flush` waits.

    `flush_s`: how often the records that nobody waits for are taken along. `wait_s`: a commit that has had
    no answer for so long makes the committer *stalled*; so does more than `pending_bytes` that is taken and
    not committed. `on_stalled` should stop the judging, `on_recovered` may let it go on. `on_fenced` is told
    once of a match that is not this owner's any more; it is forgotten.
    """

    def __init__(
        self,
        store: JournalStore,
        owner: str,
        *,
        flush_s: float,
        wait_s: float,
        on_fenced: Callable[[Journaled], None],
        on_stalled: Callable[[], None],
        on_recovered: Callable[[], None],
        pending_bytes: int = 64 << 20,
    ) -> None:
        self._store = store
        self._owner = owner
        self._flush_s = flush_s
        self._wait_s = wait_s
        self._pending_limit = pending_bytes
        self._on_fenced = on_fenced
        self._on_stalled = on_stalled
        self._on_recovered = on_recovered
        # Dicts for their order: a set of objects would be in another one each run.
        self._known: dict[Journaled, None] = {}
        self._demanded: dict[Journaled, None] = {}
        self._demanded_at = 0.0
        self._backlog: dict[Journaled, Segment] = {}
        """Taken, not yet sent; at most one a match."""
        self._in_flight: dict[Journaled, Segment] = {}
        self._pending = 0
        self._waiters: dict[Journaled, list[tuple[int, asyncio.Future[None]]]] = {}
        self._awake: asyncio.Future[None] | None = None
        self._sweeping: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._closing = False
        self.stalled = False

    # -- life -------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begins to commit."""
        # Its own context: what it logs must not appear under whichever call came first.
        context = Context()
        loop = asyncio.get_running_loop()
        self._sweeping = loop.call_later(self._flush_s, self._sweep, context=context)
        self._task = loop.create_task(self._run(), context=context)

    async def close(self) -> None:
        """Commits what is left, in at most `wait_s`; whoever still waits in `flush` is told Unavailable."""
        if self._task is None:
            return
        self._closing = True
        if self._sweeping is not None:
            self._sweeping.cancel()
        for match in list(self._known):
            self._take(match)
        self._wake()
        try:
            async with asyncio.timeout(self._wait_s):
                await self._task
        except TimeoutError:
            _log.error("journal not committed at the end", sessions=len(self._backlog) + len(self._in_flight))
        finally:
            self._task.cancel()
            self._task = None
            for match in list(self._waiters):
                self._give_up(match, journal_unavailable())

    def add(self, match: Journaled) -> None:
        """From now on everything the match records is committed, every `flush_s` at the latest."""
        self._known[match] = None

    def remove(self, match: Journaled) -> None:
        """Forgets the match and whatever of it was not sent yet; `flush` first, to keep that."""
        self._known.pop(match, None)
        self._demanded.pop(match, None)
        dropped = self._backlog.pop(match, None)
        if dropped is not None:
            self._count(-_size(dropped))
        self._give_up(match, moved())

    # -- asking -----------------------------------------------------------------------------------

    def demand(self, match: Journaled) -> None:
        """A reply of the match waits: its records go with the next commit. Cheap; called per frame."""
        if match in self._demanded or match not in self._known:
            return
        if not self._demanded:
            self._demanded_at = clock.monotonic_s()
            self._wake()
        self._demanded[match] = None

    async def flush(self, match: Journaled) -> None:
        """Returns when everything that was judged so far is durable.

        Raises:
            Unavailable: JOURNAL_UNAVAILABLE, the store does not answer, it may or may not become durable;
                SESSION_MOVED, the match is not this owner's (any more).
        """
        if match not in self._known:
            raise moved()
        self._take(match)
        newest = self._backlog.get(match) or self._in_flight.get(match)
        if newest is None:
            return
        if self.stalled or self._task is None:
            raise journal_unavailable()
        durable: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.setdefault(match, []).append((newest.last, durable))
        self._wake()
        await durable

    # -- taking -----------------------------------------------------------------------------------

    def _sweep(self) -> None:
        """Every `flush_s`: takes what nobody asked for. Behind a commit that hangs this also shows how much
        memory the wait costs."""
        self._sweeping = asyncio.get_running_loop().call_later(self._flush_s, self._sweep)
        for match in list(self._known):
            self._take(match)
        if self._backlog:
            self._wake()

    def _take(self, match: Journaled) -> None:
        """Moves the match's new records to the backlog."""
        try:
            segment = match.take_segment()
        except Exception:
            # Its records are lost to memory; whoever owns it next finds it as the store knows it.
            _log.exception("segment not taken", session_id=match.session_id)
            self._fence(match)
            return
        if segment is None:
            return
        waiting = self._backlog.pop(match, None)
        if waiting is not None:
            self._count(-_size(waiting))
            segment = _joined(waiting, segment)
        self._backlog[match] = segment
        self._count(_size(segment))
        if self._pending > self._pending_limit:
            self._stall("journal_pending_bytes")

    def _count(self, size: int) -> None:
        self._pending += size
        COMBAT_JOURNAL_PENDING_BYTES.set(self._pending)

    # -- committing -------------------------------------------------------------------------------

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            since = self._demanded_at if self._demanded else 0.0
            for match in list(self._demanded):
                self._take(match)
            self._demanded.clear()
            if self._backlog:
                self._in_flight, self._backlog = self._backlog, {}
                next_at = loop.time() + BUSY_GAP_S
                records = await self._commit(since)
                early_s = next_at - loop.time()
                if records >= BUSY_RECORDS and early_s > 0 and not self._closing:
                    await asyncio.sleep(early_s)
            elif self._closing:
                return
            else:
                self._awake = loop.create_future()
                await self._awake
                self._awake = None

    def _wake(self) -> None:
        if self._awake is not None and not self._awake.done():
            self._awake.set_result(None)

    async def _commit(self, since: float) -> int:
        """Commits what is in flight, however often it must ask, and returns how many records that were.
        `since`: when somebody began to wait."""
        batch = self._in_flight
        segments = list(batch.values())
        begin = clock.monotonic_s()
        patience = asyncio.get_running_loop().call_later(self._wait_s, self._stall, "commit_wait_s")
        try:
            fenced = await self._insist(segments)
        finally:
            patience.cancel()
        now = clock.monotonic_s()
        COMBAT_COMMIT_SECONDS.observe(now - begin)
        COMBAT_COMMIT_SEGMENTS.observe(len(segments))
        records = sum(segment.last - segment.first + 1 for segment in segments)
        COMBAT_COMMIT_RECORDS.observe(records)
        size = sum(map(_size, segments))
        COMBAT_COMMIT_BYTES.observe(size)
        if since:
            COMBAT_DURABLE_WAIT_SECONDS.observe(now - since)
        self._count(-size)
        self._in_flight = {}
        for match, segment in batch.items():
            if match not in self._known:
                continue
            if segment.session_id in fenced:
                self._fence(match)
            else:
                self._release(match, segment.last)
        if self.stalled and self._pending <= self._pending_limit:
            self._recover()
        return records

    async def _insist(self, segments: list[Segment]) -> frozenset[str]:
        """Asks with the same segments until the store says what became of them."""
        pause_s = _FIRST_RETRY_S
        while True:
            try:
                return await self._store.commit(self._owner, segments)
            except Unavailable as error:
                _log.warning("commit without an answer", error=str(error), segments=len(segments))
            except Exception:
                # Not an answer either. Nothing that waits may be lost for it.
                _log.exception("commit failed", segments=len(segments))
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LAST_RETRY_S)

    # -- telling ----------------------------------------------------------------------------------

    def _release(self, match: Journaled, sequence: int) -> None:
        tell(match.committed, sequence)
        waiters = self._waiters.pop(match, None)
        if waiters is None:
            return
        for awaited, durable in waiters:
            if awaited <= sequence and not durable.done():
                durable.set_result(None)
        if later := [waiter for waiter in waiters if waiter[0] > sequence]:
            self._waiters[match] = later

    def _fence(self, match: Journaled) -> None:
        COMBAT_FENCED.inc()
        self.remove(match)
        tell(self._on_fenced, match)

    def _stall(self, limit: str) -> None:
        if self.stalled:
            return
        _log.error("journal stalled", limit=limit, pending_bytes=self._pending)
        self.stalled = True
        COMBAT_JOURNAL_STALLED.set(1)
        for match in list(self._waiters):
            self._give_up(match, journal_unavailable())
        tell(self._on_stalled)

    def _recover(self) -> None:
        _log.warning("journal recovered", pending_bytes=self._pending)
        self.stalled = False
        COMBAT_JOURNAL_STALLED.set(0)
        tell(self._on_recovered)

    def _give_up(self, match: Journaled, error: Unavailable) -> None:
        for _, durable in self._waiters.pop(match, ()):
            if not durable.done():
                durable.set_exception(error)


def _size(segment: Segment) -> int:
    return len(segment.payload) + (len(segment.save.data) if segment.save else 0)


def _joined(first: Segment, second: Segment) -> Segment:
    """Two runs of one match as one: JournalSegments merge when concatenated. Of two saves the newer stays."""
    return replace(
        second,
        first=first.first,
        payload=first.payload + second.payload,
        save=second.save or first.save,
    )
