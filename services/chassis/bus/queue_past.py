"""What was published before a group came: one member of the group goes through it, before any of them
takes something new."""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from services.chassis import clock
from services.chassis.bus.lanes import BusLimits, Consumer, Delivery, Lanes
from services.chassis.bus.port import Message
from services.chassis.bus.queue_cells import Cells, Taken
from services.chassis.bus.queue_topics import Place, Topics, group_queue
from services.chassis.bus.queues import slug
from services.chassis.errors import Unavailable


class Past:
    """`left`: how many events are still to be handled."""

    def __init__(
        self,
        topics: Topics,
        cells: Cells,
        consumer: Consumer,
        limits: BusLimits,
        lease_s: float,
    ) -> None:
        self._topics = topics
        self._cells = cells
        self._topic = consumer.topic
        self._group = consumer.group
        self._window = 4 * limits.in_flight
        self._queue = group_queue(consumer.topic, consumer.group)
        self._cell = f"{slug(consumer.topic)}_{slug(consumer.group)}"
        self._lease_s = lease_s
        self._lanes = Lanes(consumer, limits, self._holds)
        # The document of the group is ours while we go through it.
        self._ours: Taken | None = None
        self._settled = asyncio.Event()
        # What is not handled, and in order, from the first of these on; behind that, what is handled.
        self._left: dict[Place, Message] = {}
        self._order: deque[Place] = deque()
        self._done: set[Place] = set()

    @property
    def left(self) -> int:
        return len(self._left)

    def _holds(self, _partition: int) -> bool:
        return self._ours is not None and self._ours.ours

    async def handle(self) -> None:
        """Returns when the group is done with it, whoever did it."""
        begin = None
        while not await self._topics.is_settled(self._queue):  # which makes it
            begin = begin or clock.monotonic_s()
            self._ours = await self._cells.take(self._cell)
            if self._ours is None:
                await asyncio.sleep(self._lease_s / 3)
                continue
            keeping = asyncio.create_task(self._keep(self._ours))
            try:
                if await self._go_through(self._ours, await self._read(begin)):
                    await self._topics.settle(self._queue)
            finally:
                await self._end(keeping)

    async def _end(self, keeping: asyncio.Task[None]) -> None:
        """Running handlers finish before somebody else begins, where this one has ended."""
        ours, self._ours = self._ours, None
        await self._lanes.close()
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        if ours is not None and ours.ours:
            with suppress(Unavailable):
                if ours.written and self._left:
                    ours.document = {"at": self._order[0], "done": sorted(self._done)}
                    await self._cells.write(ours)
                await self._cells.free(ours)
        self._left.clear()

    async def _keep(self, taken: Taken) -> None:
        while taken.ours:
            await asyncio.sleep(self._cells.keep_s / 3)
            with suppress(Unavailable):
                await self._cells.keep(taken)

    async def _read(self, since_s: float) -> list[tuple[Place, Message]]:
        """One group of the topic at a time: who reads a segment hides it from the others."""
        while (reading := await self._cells.take(f"{slug(self._topic)}_", wait_s=1)) is None:
            pass
        keeping = asyncio.create_task(self._keep(reading))
        try:
            return await self._topics.past(self._topic, self._group, since_s)
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
            with suppress(Unavailable):  # a cancellation must not get lost in it
                await self._cells.free(reading)

    async def _go_through(self, ours: Taken, past: list[tuple[Place, Message]]) -> bool:
        """False: it is not ours any more. After somebody died of it each event is written down before it is
        begun, and ends before the next: it must not take others along."""
        document = ours.document
        at = tuple(document.get("at", ()))
        self._done = {(at_us, entry_id) for at_us, entry_id in document.get("done", ())}
        self._left = {place: each for place, each in past if place >= at and place not in self._done}
        careful = document.get("tries", 0) > 0
        self._order = deque(self._left)
        if self._left:
            document["tries"] = document.get("tries", 0) + 1
            await self._cells.write(ours)
        for place, message in list(self._left.items()):
            await self._until(self._near)
            attempts = 0
            if careful:
                attempts = document.get("times", 0) if at == place else 0
                document.update(at=place, times=attempts + 1)
                await self._cells.write(ours)
            if not ours.ours:
                return False
            self._lanes.add(Delivery(message, 0, partial(self._settle, place), attempts))
            if careful:
                await self._until(partial(self._handled, place))
        await self._until(lambda: not self._left)
        return ours.ours

    def _near(self) -> bool:
        """Not far behind one that is stuck: what is handled there has to be remembered."""
        return self._lanes.room > 0 and len(self._done) < self._window

    def _handled(self, place: Place) -> bool:
        return place not in self._left

    def _settle(self, place: Place) -> None:
        del self._left[place]
        self._done.add(place)
        while self._order and self._order[0] in self._done:
            self._done.discard(self._order.popleft())
        self._settled.set()

    async def _until(self, done: Callable[[], bool]) -> None:
        """Or until it is not ours any more."""
        while not done() and self._holds(0):
            self._settled.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._lease_s / 3):
                    await self._settled.wait()
