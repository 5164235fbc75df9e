"""The bus on RabbitMQ (3.10 or later): a quorum queue for each partition of a topic and group.

RabbitMQ gives a queue to one consumer at a time, so a subject is never in two hands. See `rabbitmq_topics.py`
for what there is, `rabbitmq_session.py` for consuming, `rabbitmq_cells.py` for what is remembered.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from services.chassis import clock
from services.chassis.bus.lanes import BusLimits, Consumer
from services.chassis.bus.packing import packed
from services.chassis.bus.port import DeadLetterSink, Handler, Message, Subscription, full, partition_of
from services.chassis.bus.rabbitmq_cells import held
from services.chassis.bus.rabbitmq_link import Gone, Link
from services.chassis.bus.rabbitmq_member import RabbitMember
from services.chassis.bus.rabbitmq_topics import Group, Topics, exchange
from services.chassis.bus.tasks import together
from services.chassis.errors import Unavailable

# How long what was seen last is believed: the length of a queue, as long as there is room; a mark that nobody
# else ought to change.
_BELIEVED_S = 1.0


@dataclass(slots=True)
class _Room:
    """How many messages a partition of a topic may still take before its queues are looked at again."""

    left: int
    until: float


class RabbitBus:
    """See `port.Bus`. `url`: of one or several servers of a cluster, with commas."""

    def __init__(self, url: str, limits: BusLimits, *, timeout_s: float, lease_s: float) -> None:
        self._limits = limits
        self._lease_s = lease_s
        self._place = url, timeout_s, lease_s
        self._link = Link(*self._place)
        self._topics = Topics(self._link, limits.stream_length)
        self._members: list[RabbitMember] = []
        self._rooms: dict[tuple[str, int], _Room] = {}
        self._lost: set[str] = set()
        self._marks: dict[str, tuple[str | None, float]] = {}

    async def publish(self, topic: str, messages: Sequence[Message]) -> None:
        if not messages:
            return
        parts: dict[int, list[Message]] = defaultdict(list)
        for message in messages:
            parts[partition_of(message.subject)].append(message)
        await self._make_room(topic, parts)
        try:
            await together([self._append(topic, partition, part) for partition, part in parts.items()])
        except Gone:
            self._lost.add(topic)
            raise

    async def _append(self, topic: str, partition: int, messages: list[Message]) -> None:
        """One after the other: should one be refused or lost, none comes before it."""
        for message in messages:
            self._rooms[topic, partition].left -= 1
            await self._link.publish(exchange(topic), str(partition), packed(message))

    async def _make_room(self, topic: str, parts: Mapping[int, Sequence[Message]]) -> None:
        """Raises Unavailable (BUS_FULL) when a group has as much to do in one of the partitions as it may."""
        now = clock.monotonic_s()
        for partition in parts:
            room = self._rooms.get((topic, partition))
            if topic in self._lost or room is None or room.left <= 0 or room.until < now:
                break
        else:
            return
        groups = await self._topics.publishable(topic, parts.keys(), anew=topic in self._lost)
        self._lost.discard(topic)
        waiting = Counter[int]()
        for group in groups:
            waiting |= await self._waiting(group, parts.keys())
        for partition in parts:
            left = self._limits.stream_length - waiting[partition]
            if left <= 0:
                raise full(topic=topic, partition=str(partition))
            self._rooms[topic, partition] = _Room(left, now + _BELIEVED_S)

    async def _waiting(self, group: Group, partitions: Collection[int]) -> Counter[int]:
        try:
            async with self._link.channel() as channel:
                return Counter(
                    {each: await self._link.waiting(channel, group.queue(each)) for each in partitions}
                )
        except Gone:
            await self._topics.forget(group)
            return Counter()

    async def mark(self, name: str, position: str, expected: str | None) -> bool:
        self._marks.pop(name, None)
        async with held(self._link, f"arenamesh.mark.{name}") as cell:
            if cell.document.get("position") != expected:
                return False
            await cell.set({"position": position})
        self._marks[name] = position, clock.monotonic_s() + _BELIEVED_S
        return True

    async def marked(self, name: str) -> str | None:
        position, until = self._marks.get(name, (None, 0.0))
        if until < clock.monotonic_s():
            async with held(self._link, f"arenamesh.mark.{name}") as cell:
                position = cell.document.get("position")
            self._marks[name] = position, clock.monotonic_s() + _BELIEVED_S
        return position

    async def subscribe(
        self, topic: str, group: str, handler: Handler, dead_letters: DeadLetterSink
    ) -> Subscription:
        with suppress(Unavailable):  # then it is made when the bus is back
            await self._topics.joined(Group(topic, group))
        consumer = Consumer(topic, group, handler, dead_letters)
        member = RabbitMember(Link(*self._place), self._topics, consumer, self._limits, self._lease_s)
        self._members.append(member)
        return member

    async def ping(self) -> None:
        async with self._link.channel():
            pass

    async def close(self) -> None:
        await asyncio.gather(*(member.close() for member in self._members))
        await self._link.close()
