"""A member of a group on a bus of queues: takes what is handed out, keeps it while in hand, deletes it.

The bus hands out a subject to one member at a time, in order, and counts how often.
"""

import asyncio
from collections import defaultdict
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Any

import structlog

from services.chassis import clock
from services.chassis.bus.lag import Lag
from services.chassis.bus.lanes import BusLimits, Consumer, Delivery, Lanes
from services.chassis.bus.port import Message
from services.chassis.bus.queue_cells import Cells, Document, Taken
from services.chassis.bus.queue_past import Past
from services.chassis.bus.queue_topics import Topics, group_queue
from services.chassis.bus.queues import PAGE, Received, slug, unpacked
from services.chassis.errors import Unavailable

_log = structlog.get_logger()
_POLL_S = 5
# Every request is paid for: what is handled meanwhile is deleted by the same one.
_GATHER_S = 0.01
_MOST_AGAIN = 32
_MOST_NOTES = 256
_Entry = tuple[Received, Message]


@dataclass(slots=True)
class _Hold:
    """Messages of a subject that are ours until `until_s` (monotonic), by handle; `open`: not handled yet."""

    number: int
    subject: str
    until_s: float
    handles: set[str]
    open: set[str] = field(default_factory=set)


class Member:
    """Whatever fails is tried again until `close`."""

    def __init__(
        self,
        topics: Topics,
        cells: Cells,
        consumer: Consumer,
        limits: BusLimits,
        *,
        lease_s: float,
    ) -> None:
        self._queues = topics.queues
        self._cells = cells
        self._queue = group_queue(consumer.topic, consumer.group)
        self._cell = f"{slug(consumer.topic)}_{slug(consumer.group)}"
        self._lease_s = lease_s
        self._keep_s = cells.keep_s
        self._past = Past(topics, cells, consumer, limits, lease_s=lease_s)
        self._lanes = Lanes(consumer, limits, self._holds)
        self._lag = Lag(consumer)
        self._numbers = count(1)
        self._held: dict[int, _Hold] = {}
        # The hold that a subject has, until its lane has ended.
        self._subjects: dict[str, _Hold] = {}
        self._done: list[tuple[_Hold, str]] = []
        self._any_done = asyncio.Event()
        self._flushing = asyncio.Lock()
        self._one_again = asyncio.Lock()
        self._again: set[asyncio.Task[None]] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = False
        for work in (self._read(), self._keep(), self._acknowledge(), self._watch()):
            self._spawn(work)

    async def close(self) -> None:
        """See `port.Subscription`."""
        self._closing = True
        tasks = [*self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        keeping = self._spawn(self._keep())
        await self._lanes.close()
        keeping.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._lag.tell(0)
        try:
            await self._flush()
            left = [handle for hold in self._held.values() for handle in hold.handles]
            await self._queues.give_back(self._queue, left)
        except Unavailable:
            _log.warning("left while the bus is away: what it had has to become visible", queue=self._queue)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # -- reading --------------------------------------------------------------------------------------

    async def _read(self) -> None:
        while True:
            try:
                await self._past.handle()
                break
            except Unavailable as error:
                await self._pause(error)
        for _ in range(self._queues.readers):
            self._spawn(self._read_on())

    async def _read_on(self) -> None:
        while True:
            try:
                await self._receive()
            except Unavailable as error:
                await self._pause(error)

    async def _pause(self, error: Unavailable) -> None:
        _log.warning("nothing to read from", queue=self._queue, error=repr(error.__cause__ or error))
        await asyncio.sleep(self._lease_s / 10)

    async def _receive(self) -> None:
        await self._lanes.until_room()
        while len(self._again) >= _MOST_AGAIN:
            await asyncio.wait(self._again, return_when=asyncio.FIRST_COMPLETED)
        count = min(PAGE, max(1, self._lanes.room // self._queues.readers))
        until_s, found = await self._queues.receive(self._queue, count, wait_s=_POLL_S)
        for subject, entries in _by_subject(found).items():
            # The lane of one that was lost may still run. What is not kept comes again.
            if subject not in self._subjects:
                self._take(subject, until_s, entries)

    def _take(self, subject: str, until_s: float, entries: Sequence[_Entry]) -> None:
        handles = {entry.handle for entry, _ in entries}
        hold = _Hold(next(self._numbers), subject, until_s, handles, set(handles))
        self._held[hold.number] = self._subjects[subject] = hold
        if any(entry.times > 1 for entry, _ in entries):
            task = self._spawn(self._handle_again(hold, entries))
            self._again.add(task)
            task.add_done_callback(self._again.discard)
        else:
            for entry, message in entries:
                self._hand(hold, entry, message)

    def _hand(self, hold: _Hold, entry: Received, message: Message, attempts: int = 0) -> asyncio.Event:
        """Gives the lanes a message. The event is set when the group is done with it."""
        done = asyncio.Event()

        def settled() -> None:
            hold.open.discard(entry.handle)
            self._done.append((hold, entry.handle))
            self._any_done.set()
            done.set()

        # For the lanes a hold is what a partition is on other buses: what may be lost as a whole.
        self._lanes.add(Delivery(message, hold.number, settled, attempts))
        return done

    async def _handle_again(self, hold: _Hold, entries: Sequence[_Entry]) -> None:
        """One message at a time, over all subjects, and deleted before the next. The bus counts for whatever
        was in hand when a member died; from the third time on what begins is noted, and only that counts."""
        for entry, message in entries:
            async with self._one_again:
                attempts = min(entry.times - 1, 1)
                try:
                    if entry.times > 2:
                        attempts += await self._cells.change(self._cell, partial(_note, entry.id))
                except Unavailable:
                    self._lose(hold)
                if not self._holds(hold.number):
                    return
                done = self._hand(hold, entry, message, attempts)
                while not done.is_set():
                    if hold.number not in self._held:
                        return
                    with suppress(TimeoutError):
                        async with asyncio.timeout(self._lease_s / 3):
                            await done.wait()
                with suppress(Unavailable):  # later, then
                    await self._flush()
                    if entry.times > 2:
                        await self._cells.change(self._cell, partial(_forget, entry.id))

    # -- what is in hand ------------------------------------------------------------------------------

    def _holds(self, number: int) -> bool:
        hold = self._held.get(number)
        return not self._closing and hold is not None and clock.monotonic_s() < hold.until_s

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(self._keep_s / 6)
            with suppress(Unavailable):
                await self._keep_old()

    async def _keep_old(self) -> None:
        begin = clock.monotonic_s()
        for hold in [hold for hold in self._held.values() if hold.until_s <= begin]:
            self._lose(hold)
        old = [hold for hold in self._held.values() if hold.until_s < begin + self._keep_s * 2 / 3]
        if not old:
            return
        kept = await self._queues.keep(self._queue, [each for hold in old for each in hold.handles])
        for hold in old:
            # Over its time, the lane has let go of it, and another member may have it.
            if hold.until_s <= clock.monotonic_s() or hold.handles - kept:
                self._lose(hold)
            else:
                hold.until_s = begin + self._keep_s

    def _lose(self, hold: _Hold) -> None:
        if self._held.pop(hold.number, None):
            self._spawn(self._let_go(hold))

    async def _let_go(self, hold: _Hold) -> None:
        await self._lanes.give_back({hold.number})
        self._subjects.pop(hold.subject, None)

    async def _acknowledge(self) -> None:
        while True:
            await self._any_done.wait()
            await asyncio.sleep(_GATHER_S)
            self._any_done.clear()
            try:
                await self._flush()
            except Unavailable:
                await asyncio.sleep(self._lease_s / 10)
                self._any_done.set()

    async def _flush(self) -> None:
        """Returns when everything that was handled before the call is deleted."""
        async with self._flushing:
            done = list(self._done)
            ended = {hold.number for hold, _ in done if not hold.open}
            await self._lanes.give_back(ended)
            for hold, handle in done:
                hold.handles.discard(handle)
                if hold.number in ended and self._subjects.get(hold.subject) is hold:
                    del self._subjects[hold.subject]  # the next ones may be handed out
            await self._queues.delete(self._queue, [handle for _, handle in done])
            del self._done[: len(done)]
            for number in ended:
                self._held.pop(number, None)

    async def _watch(self) -> None:
        """One member says how much is left to do."""
        cell: Taken | None = None
        try:
            while True:
                with suppress(Unavailable):
                    if cell is None or not await self._cells.keep(cell):
                        cell = await self._cells.take(f"{self._cell}_")
                    queued = await self._queues.length(self._queue) if cell else 0
                    self._lag.tell(queued + self._past.left)
                await asyncio.sleep(min(self._lease_s, self._keep_s / 2))
        finally:
            if cell is not None:
                with suppress(Unavailable):
                    await self._cells.free(cell)


def _by_subject(found: Sequence[Received]) -> dict[str, list[_Entry]]:
    subjects: dict[str, list[_Entry]] = defaultdict(list)
    for entry in found:
        message, _ = unpacked(entry.text)
        subjects[message.subject].append((entry, message))
    return subjects


def _note(entry_id: str, document: Document) -> int:
    """How often it had begun before."""
    notes: dict[str, int] = document.setdefault("notes", {})
    before = notes.pop(entry_id, 0)
    notes[entry_id] = before + 1
    while len(notes) > _MOST_NOTES:
        del notes[next(iter(notes))]
    return before


def _forget(entry_id: str, document: Document) -> None:
    document.get("notes", {}).pop(entry_id, None)
