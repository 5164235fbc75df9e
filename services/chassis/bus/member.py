"""A member of a group, on a bus that keeps a log for each partition."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

import structlog

from services.chassis import clock
from services.chassis.bus.lag import Lag
from services.chassis.bus.lanes import BusLimits, Consumer, Delivery, Lanes
from services.chassis.bus.log import Entry, GroupLost, Log
from services.chassis.bus.port import PARTITIONS
from services.chassis.errors import Unavailable

_log = structlog.get_logger()
_BLOCK_S = 0.25
_PENDING_PAGE = 100
_SWEEP_LEASES = 10


class Member:
    """Holds leases of partitions and reads them. Whatever fails is tried again until `close`."""

    def __init__(self, log: Log, consumer: Consumer, limits: BusLimits, lease_s: float) -> None:
        self._log = log
        self._group = consumer.group
        self._lease_s = lease_s
        self._id = clock.new_id()
        self._shared = log.shared(consumer.topic, consumer.group)
        self._keys = [log.key(consumer.topic, partition) for partition in range(PARTITIONS)]
        self._lanes = Lanes(consumer, limits, self._holds)
        self._lag = Lag(consumer)
        self._lease_until = 0.0
        self._held: set[int] = set()
        self._giving_back: set[int] = set()
        # Of the held: what was pending there is dealt with, new entries may be read.
        self._ready: set[int] = set()
        self._any_ready = asyncio.Event()
        self._reading = asyncio.Lock()
        self._taking_over = asyncio.Lock()
        self._recoveries: dict[int, asyncio.Task[None]] = {}
        # Read and not yet acknowledged; of these, handled.
        self._in_hand: dict[int, set[bytes]] = defaultdict(set)
        self._done: dict[int, list[bytes]] = defaultdict(list)
        # How often an entry was handed out to this member and given back: nobody died of it then.
        self._given_back: dict[int, Counter[bytes]] = defaultdict(Counter)
        self._any_done = asyncio.Event()
        self._flushing = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        for work in (self._beat(), self._read(), self._sweep(), self._acknowledge(), self._watch()):
            self._spawn(work)

    async def close(self) -> None:
        """See `port.Subscription`."""
        self._held.clear()
        async with self._reading:  # what a read brings now stays pending, and is not lost with its answer
            tasks = [*self._tasks]
            for task in tasks:
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._lanes.close()
        self._lag.tell(0)
        try:
            await self._flush()
            await self._log.leave(self._shared, self._id)
        except Unavailable:
            _log.warning("left while the bus is away: the lease has to run out", group=self._group)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # -- leases ---------------------------------------------------------------------------------------

    def _holds(self, partition: int) -> bool:
        return partition in self._held and clock.monotonic_s() < self._lease_until

    async def _beat(self) -> None:
        while True:
            begin = clock.monotonic_s()
            try:
                held, share = await self._log.beat(self._shared, self._id, self._lease_s)
            except Unavailable:
                await asyncio.sleep(self._lease_s / 10)
                continue
            # Over the lease, by the time of the answer, the lanes have let go of what they had, and another
            # member may have read on: everything is taken anew.
            kept = self._held & share if clock.monotonic_s() < self._lease_until else set()
            self._lease_until = begin + self._lease_s
            lost = (self._held - kept) | (held - share - self._giving_back)
            if lost:
                self._held -= lost
                self._giving_back |= lost
                self._spawn(self._give_back(lost))
            for partition in share - self._held - self._giving_back:
                self._held.add(partition)
                self._recover(partition)
            if self._ready:
                self._any_ready.set()  # the reader may have found the old lease to be over
            await self._log.rest(self._lease_s / 3)

    async def _give_back(self, partitions: set[int]) -> None:
        """Lets running handlers finish first: a subject is never in two hands."""
        self._ready -= partitions
        for partition in partitions:
            if partition in self._recoveries:
                self._recoveries[partition].cancel()
        with suppress(Unavailable):  # at a later beat they are still there, and are given back again
            async with self._reading:
                pass
            await self._lanes.give_back(partitions)
            await self._flush()
            await self._log.release(self._shared, self._id, sorted(partitions))
        # Not when the member is closed meanwhile: it acknowledges then what is done.
        for partition in partitions:
            self._given_back[partition].update(self._in_hand[partition])
            self._in_hand[partition].clear()
            self._done[partition].clear()
        self._giving_back -= partitions

    # -- reading --------------------------------------------------------------------------------------

    async def _read(self) -> None:
        while True:
            await self._lanes.until_room()
            await self._any_ready.wait()
            partitions = sorted(filter(self._holds, self._ready))
            try:
                async with self._reading:
                    looked = await self._read_some(partitions)
                if looked is None:  # another member has them; the next beat will say so
                    await asyncio.sleep(self._lease_s / 10)
                elif looked:
                    await self._log.wait(looked, _BLOCK_S)
            except (Unavailable, GroupLost) as error:
                _log.warning("nothing to read from", group=self._group, error=repr(error))
                # An answer that did not arrive leaves entries pending that nobody has.
                for partition in partitions:
                    self._recover(partition)
                await asyncio.sleep(self._lease_s / 10)

    async def _read_some(self, partitions: list[int]) -> dict[str, bytes] | None:
        """Hands over what is new. When that is nothing: how far it looked, by key; None: not ours."""
        if not partitions:
            self._any_ready.clear()
            return {}
        count = max(1, self._lanes.room // len(partitions))
        keys = {partition: self._keys[partition] for partition in partitions}
        found = await self._log.read(self._shared, self._id, self._group, keys, count)
        for partition, (_, entries) in found.items():
            for entry in entries:
                self._hand(partition, entry)
        if not found:
            return None
        if any(entries for _, entries in found.values()):
            return {}
        return {self._keys[partition]: looked for partition, (looked, _) in found.items()}

    def _hand(self, partition: int, entry: Entry, attempts: int = 0) -> asyncio.Event:
        """Gives the lanes an entry. The event is set when the group is done with it."""
        done = asyncio.Event()

        def settled() -> None:
            self._done[partition].append(entry.id)
            self._any_done.set()
            done.set()

        if partition in self._held and entry.id not in self._in_hand[partition]:
            self._in_hand[partition].add(entry.id)
            if entry.message is None:
                settled()
            else:
                self._lanes.add(Delivery(entry.message, partition, settled, attempts))
        return done

    # -- what is pending ------------------------------------------------------------------------------

    def _recover(self, partition: int) -> None:
        """Deals with what is pending there and in nobody's hands, before anything new is read."""
        self._ready.discard(partition)
        if partition in self._held and partition not in self._recoveries:
            task = self._recoveries[partition] = self._spawn(self._recovering(partition))
            task.add_done_callback(lambda _: self._recoveries.pop(partition))

    async def _recovering(self, partition: int) -> None:
        while True:
            async with self._reading:
                pass  # what is being read just now is in hand after this
            try:
                await self._log.create_group(self._keys[partition], self._group, self._id)
                await self._take_over(partition)
            except (Unavailable, GroupLost):
                await asyncio.sleep(self._lease_s / 10)
                continue
            self._ready.add(partition)
            self._any_ready.set()
            return

    async def _take_over(self, partition: int) -> None:
        """One entry at a time, over all partitions, and acknowledged before the next: should it be the end of
        this process too, only it is counted against."""
        key, after = self._keys[partition], b""
        while page := await self._log.pending(key, self._group, after, _PENDING_PAGE):
            for entry_id, handed_out in page:
                after = entry_id
                if entry_id in self._in_hand[partition]:
                    continue
                async with self._taking_over:
                    entry = await self._log.claim(key, self._group, entry_id)
                    died = handed_out - self._given_back[partition][entry_id]
                    await self._hand(partition, entry, max(0, died - 1)).wait()
                    await self._flush()
        self._given_back[partition].clear()

    async def _sweep(self) -> None:
        """A second look: whatever left something pending behind our back, it is found."""
        while True:
            await asyncio.sleep(_SWEEP_LEASES * self._lease_s)
            for partition in list(self._ready):
                self._recover(partition)

    async def _watch(self) -> None:
        """Says how much is left to do."""
        while True:
            await asyncio.sleep(self._lease_s)
            # What is being given back is nobody else's yet.
            mine = self._giving_back.union(filter(self._holds, self._held))
            with suppress(Unavailable):  # what was true last is as good as anything
                self._lag.tell(await self._log.lag([self._keys[each] for each in mine], self._group))

    # -- acknowledging --------------------------------------------------------------------------------

    async def _acknowledge(self) -> None:
        while True:
            await self._any_done.wait()
            self._any_done.clear()
            try:
                await self._flush()
            except Unavailable:
                await asyncio.sleep(self._lease_s / 10)
                self._any_done.set()

    async def _flush(self) -> None:
        """Returns when everything that was handled before the call is acknowledged."""
        async with self._flushing:
            for partition in [partition for partition, ids in self._done.items() if ids]:
                ids = list(self._done[partition])
                await self._log.acknowledge(self._keys[partition], self._group, ids)
                del self._done[partition][: len(ids)]
                self._in_hand[partition] -= set(ids)
