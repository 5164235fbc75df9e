"""The bus on Kafka (2.4 or later): a topic with a partition for each of ours.

Members of a group divide the partitions by Kafka's own groups, so a subject is never in two hands. See
`member.py` and `kafka_log.py` for reading, `kafka_group.py` for the group, `kafka_client.py` for the rest.
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence

from services.chassis.bus.kafka_client import Appended, Client, topic_name
from services.chassis.bus.kafka_log import KafkaLog
from services.chassis.bus.kafka_marks import Marks
from services.chassis.bus.lanes import BusLimits, Consumer
from services.chassis.bus.member import Member
from services.chassis.bus.port import DeadLetterSink, Handler, Message, Subscription, full, partition_of


class KafkaBus:
    """See `port.Bus`. `url`: see `kafka_client.options`."""

    def __init__(self, url: str, limits: BusLimits, *, timeout_s: float, lease_s: float) -> None:
        self._limits = limits
        self._lease_s = lease_s
        self._client = Client(url, timeout_s)
        self._marks = Marks(self._client)
        self._members: list[Member] = []
        # Partitions of topics that were found over their length.
        self._over: dict[tuple[str, int], Appended] = {}

    async def publish(self, topic: str, messages: Sequence[Message]) -> None:
        parts: dict[int, list[Message]] = defaultdict(list)
        for message in messages:
            parts[partition_of(message.subject)].append(message)
        for partition in parts:
            if (topic, partition) in self._over:
                await self._trim(topic, partition)
        await self._client.make(topic_name(topic))
        outcomes = await asyncio.gather(
            *(self._append(topic, partition, part) for partition, part in parts.items()),
            return_exceptions=True,
        )
        for outcome in outcomes:
            if outcome is not None:
                raise outcome

    async def _append(self, topic: str, partition: int, messages: Sequence[Message]) -> None:
        appended = await self._client.append(topic_name(topic), partition, messages)
        if appended.length >= self._limits.stream_length:
            self._over[topic, partition] = appended

    async def _trim(self, topic: str, partition: int) -> None:
        """Drops what every group has handled; without a group, all but the newest half."""
        over = self._over[topic, partition]
        needed = await self._client.needed(topic, partition)
        if needed is None:
            needed = over.end - self._limits.stream_length // 2
        if needed > over.end - over.length:
            await self._client.drop(topic, partition, needed)
        if over.end - needed >= self._limits.stream_length:
            raise full(topic=topic_name(topic), partition=str(partition))
        self._over.pop((topic, partition), None)

    async def mark(self, name: str, position: str, expected: str | None) -> bool:
        return await self._marks.mark(name, position, expected)

    async def marked(self, name: str) -> str | None:
        return await self._marks.marked(name)

    async def subscribe(
        self, topic: str, group: str, handler: Handler, dead_letters: DeadLetterSink
    ) -> Subscription:
        consumer = Consumer(topic, group, handler, dead_letters)
        log = KafkaLog(self._client, topic, group, self._lease_s)
        member = Member(log, consumer, self._limits, self._lease_s)
        self._members.append(member)
        return member

    async def ping(self) -> None:
        await self._client.ping()

    async def close(self) -> None:
        await asyncio.gather(*(member.close() for member in self._members))
        await self._marks.close()
        await self._client.close()
