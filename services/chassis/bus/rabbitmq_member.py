"""A member of a group on RabbitMQ."""

import asyncio
from contextlib import suppress
from dataclasses import replace

import structlog

from services.chassis.bus.lag import Lag
from services.chassis.bus.lanes import BusLimits, Consumer, Lanes
from services.chassis.bus.port import PARTITIONS, Message, partition_of
from services.chassis.bus.rabbitmq_link import Link
from services.chassis.bus.rabbitmq_session import Session
from services.chassis.bus.rabbitmq_topics import Group, Topics
from services.chassis.errors import Unavailable

_log = structlog.get_logger()


class RabbitMember:
    """Has one session after the other until `close`. `link`: its own."""

    def __init__(
        self, link: Link, topics: Topics, consumer: Consumer, limits: BusLimits, lease_s: float
    ) -> None:
        self._link = link
        self._topics = topics
        self._consumer = consumer
        self._group = Group(consumer.topic, consumer.group)
        self._lease_s = lease_s
        self._prefetch = max(1, limits.in_flight // PARTITIONS)
        self._lanes = Lanes(replace(consumer, handler=self._handle), limits, self._holds)
        self._lag = Lag(consumer)
        self._session: Session | None = None
        self._closing = False
        self._away = False
        self._task = asyncio.create_task(self._run(), name=f"{consumer.group} of {consumer.topic}")

    async def close(self) -> None:
        """See `port.Subscription`."""
        self._closing = True
        await self._lanes.close()
        if self._session is not None:
            with suppress(Unavailable):
                await self._session.leave()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self._link.close()
        self._lag.tell(0)

    def _holds(self, partition: int) -> bool:
        return not self._closing and self._session is not None and self._session.holds(partition)

    async def _handle(self, message: Message) -> None:
        session = self._session
        if session is None or not await session.certain(partition_of(message.subject)):
            raise Unavailable("The partition is lost.", reason="BUS_UNAVAILABLE")
        await self._consumer.handler(message)

    async def _run(self) -> None:
        while True:
            try:
                await self._connected()
            except Unavailable as error:
                if not self._away:  # once for each fault, however often it is tried again
                    _log.warning("nothing to read from", group=self._group.name, error=str(error))
                self._away = True
            # What is running may finish before the same subject is in hand again.
            await self._lanes.give_back(range(PARTITIONS))
            await asyncio.sleep(self._lease_s / 10)

    async def _connected(self) -> None:
        past = await self._topics.joined(self._group)
        self._away = False
        self._session = Session(
            self._link,
            self._topics,
            self._group,
            lanes=self._lanes,
            lag=self._lag,
            lease_s=self._lease_s,
            prefetch=self._prefetch,
            past=past,
        )
        try:
            await self._session.run()
        finally:
            self._session.end()
            await self._link.close()
