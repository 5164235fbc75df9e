"""A member of a group on RabbitMQ, for as long as its connection lasts."""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack, suppress

import structlog
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage

from services.chassis import clock
from services.chassis.bus.lag import Lag
from services.chassis.bus.lanes import Delivery, Lanes
from services.chassis.bus.packing import unpacked
from services.chassis.bus.rabbitmq_cells import Cell, held
from services.chassis.bus.rabbitmq_link import Gone, Link
from services.chassis.bus.rabbitmq_past import END
from services.chassis.bus.rabbitmq_roll import Roll
from services.chassis.bus.rabbitmq_topics import Group, Topics
from services.chassis.bus.tasks import until_one_ends
from services.chassis.errors import Unavailable

_log = structlog.get_logger()
_Arrived = asyncio.Queue[AbstractIncomingMessage | None]


class Session:
    """Consumes the queues of its share, each on a channel of its own. RabbitMQ gives a queue to one consumer
    at a time; what a channel had in hand at its end comes first, in its order, to whoever is next.

    `prefetch`: messages of a partition in hand. `past`: partitions whose past the group has not handled."""

    def __init__(
        self,
        link: Link,
        topics: Topics,
        group: Group,
        *,
        lanes: Lanes,
        lag: Lag,
        lease_s: float,
        prefetch: int,
        past: set[int],
    ) -> None:
        self._link = link
        self._topics = topics
        self._group = group
        self._lanes = lanes
        self._lag = lag
        self._lease_s = lease_s
        self._prefetch = prefetch
        self._past = past
        self._roll = Roll(link, f"{group.topic} {group.name}", clock.new_id(), lease_s)
        self._held: set[int] = set()
        self._serving: dict[int, asyncio.Task[None]] = {}
        self._giving_back: dict[int, asyncio.Task[None]] = {}
        self._taking_over = asyncio.Lock()
        # Arrived, and not yet acknowledged; of these, handled.
        self._in_hand: Counter[int] = Counter()
        self._done: asyncio.Queue[tuple[int, AbstractIncomingMessage]] = asyncio.Queue()
        self._acknowledged = asyncio.Condition()

    async def run(self) -> None:
        """Until it is cancelled, or raises Unavailable."""
        try:
            async with self._link.channel() as channel:
                await self._roll.join(channel)
                await until_one_ends(self._lost(), self._divide(), self._acknowledge(), self._watch())
        finally:
            self.end()
            tasks = [*self._serving.values(), *self._giving_back.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def holds(self, partition: int) -> bool:
        return partition in self._held

    async def certain(self, partition: int) -> bool:
        """Waits until it is certain that RabbitMQ has not given the partition to somebody else, as it does
        when we were held up for long. False: it has."""
        while self.holds(partition) and clock.monotonic_s() > self._roll.lease_until:  # noqa: ASYNC110  # rare
            await asyncio.sleep(self._lease_s / 10)
        return self.holds(partition)

    def end(self) -> None:
        """Begins nothing more."""
        self._held.clear()

    async def leave(self) -> None:
        """What is handled is acknowledged, and the others know."""
        async with self._link.answering():
            await self._done.join()
        await self._roll.leave()

    async def _lost(self) -> None:
        await self._link.lost()
        raise Unavailable("The connection is lost.", reason="BUS_UNAVAILABLE")

    # -- whose partitions -----------------------------------------------------------------------------

    async def _divide(self) -> None:
        await self._roll.call()
        await asyncio.sleep(self._lease_s / 30)  # who is there answers
        while True:
            share = self._roll.share()
            for partition in share - self._serving.keys() - self._giving_back.keys():
                task = self._serving[partition] = asyncio.create_task(self._serve(partition))
                task.add_done_callback(lambda _: self._roll.changed.set())
            for partition in self._serving.keys() - share:
                giving = self._give_back(partition, self._serving.pop(partition))
                self._giving_back[partition] = asyncio.create_task(giving)
            self._roll.changed.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._lease_s / 3):
                    await self._roll.changed.wait()
            for task in [*self._serving.values(), *self._giving_back.values()]:
                if task.done():
                    task.result()
            await self._roll.call()

    async def _give_back(self, partition: int, serving: asyncio.Task[None]) -> None:
        """Lets running handlers finish first: a subject is never in two hands."""
        self._held.discard(partition)
        try:
            await self._lanes.give_back({partition})
            await self._done.join()
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)
        self._in_hand[partition] = 0
        del self._giving_back[partition]

    # -- consuming ------------------------------------------------------------------------------------

    async def _serve(self, partition: int) -> None:
        async with self._link.channel(prefetch=self._prefetch) as channel:
            if partition in self._past:
                await self._consume(channel, self._group.past(partition), partition)
                await self._topics.past_handled(self._group, partition)
                self._past.discard(partition)
            try:
                await self._consume(channel, self._group.queue(partition), partition)
            except Gone:
                await self._topics.forget(self._group)
                raise
        raise Unavailable("The queue is gone.", reason="BUS_UNAVAILABLE")

    async def _consume(self, channel: AbstractChannel, name: str, partition: int) -> None:
        """Until its end, or that of the queue."""
        arrived: _Arrived = asyncio.Queue()

        async def arrive(message: AbstractIncomingMessage) -> None:
            self._in_hand[partition] += 1
            arrived.put_nowait(message)

        async with self._link.answering():
            below = await channel.get_underlay_channel()
            below.on_consumer_cancel_callbacks.add(lambda _: arrived.put_nowait(None))
            channel.close_callbacks.add(lambda *_: arrived.put_nowait(None))
            await (await channel.get_queue(name, ensure=False)).consume(arrive)
        self._held.add(partition)
        async with AsyncExitStack() as stack:
            deaths: Cell | None = None
            while (message := await arrived.get()) is not None and message.type != END:
                if not message.redelivered:
                    self._hand(partition, message)
                    continue
                if deaths is None:
                    cell = held(self._link, self._group.deaths(partition))
                    deaths = await stack.enter_async_context(cell)
                await self._alone(partition, message, deaths)
            if message is not None:
                async with self._acknowledged:
                    await self._acknowledged.wait_for(lambda: self._in_hand[partition] == 1)
                self._in_hand[partition] = 0

    def _hand(self, partition: int, message: AbstractIncomingMessage, attempts: int = 0) -> asyncio.Event:
        """Gives the lanes a message. The event is set when the group is done with it."""
        done = asyncio.Event()

        def settled() -> None:
            self._done.put_nowait((partition, message))
            done.set()

        if self.holds(partition):
            self._lanes.add(Delivery(unpacked(message.body), partition, settled, attempts))
        return done

    async def _alone(self, partition: int, message: AbstractIncomingMessage, deaths: Cell) -> None:
        """What somebody had in hand who is gone: one at a time, over all partitions. Should it be the end of
        this process too, only it is counted against."""
        event_id = unpacked(message.body).id
        async with self._taking_over:
            attempts = deaths.document.get(event_id, 0)
            await deaths.set({event_id: attempts + 1})
            done = self._hand(partition, message, attempts)
            try:
                await done.wait()
            finally:
                with suppress(Unavailable):
                    await deaths.set({} if done.is_set() else {event_id: attempts})

    async def _acknowledge(self) -> None:
        while True:
            partition, message = await self._done.get()
            async with self._link.answering():
                await message.ack()
            self._in_hand[partition] -= 1
            self._done.task_done()
            async with self._acknowledged:
                self._acknowledged.notify_all()

    async def _watch(self) -> None:
        """Says how much is left to do."""
        while True:
            await asyncio.sleep(self._lease_s)
            with suppress(Gone):  # a past that was handled just now
                mine = [*self._serving, *self._giving_back]
                async with self._link.channel() as channel:
                    self._lag.tell(sum([await self._left(channel, each) for each in mine]))

    async def _left(self, channel: AbstractChannel, partition: int) -> int:
        """Who has nothing in hand is done, or waits for another member to give the partition back."""
        if not self._in_hand[partition]:
            return 0
        left = self._in_hand[partition] + await self._link.waiting(channel, self._group.queue(partition))
        if partition in self._past:
            left += await self._link.waiting(channel, self._group.past(partition)) - 1
        return left
