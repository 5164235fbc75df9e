"""The bus on Redis Streams (6.2 or later): a stream for each partition of a topic.

A member of a group reads only partitions that it holds, so a subject is never in two hands. See
`member.py` for reading, `redis_streams.py` for the commands.
"""

import asyncio
from collections.abc import Sequence

from services.chassis.bus.lanes import BusLimits, Consumer
from services.chassis.bus.member import Member
from services.chassis.bus.port import DeadLetterSink, Handler, Message, Subscription, full, partition_of
from services.chassis.bus.redis_streams import Streams, stream_key


class RedisBus:
    """See `port.Bus`."""

    def __init__(self, url: str, limits: BusLimits, *, timeout_s: float, lease_s: float) -> None:
        self._limits = limits
        self._lease_s = lease_s
        self._streams = Streams(url, timeout_s)
        self._members: list[Member] = []
        # Streams that were found over their length.
        self._over: set[str] = set()

    async def publish(self, topic: str, messages: Sequence[Message]) -> None:
        if not messages:
            return
        entries = [(stream_key(topic, partition_of(message.subject)), message) for message in messages]
        for key in self._over.intersection(key for key, _ in entries):
            if await self._streams.trim(key, self._limits.stream_length) >= self._limits.stream_length:
                raise full(stream=key)
            self._over.discard(key)
        for key, length in (await self._streams.add(entries)).items():
            if length >= self._limits.stream_length:
                self._over.add(key)

    async def mark(self, name: str, position: str, expected: str | None) -> bool:
        return await self._streams.replace(f"arenamesh:mark:{name}", expected, position)

    async def marked(self, name: str) -> str | None:
        return await self._streams.get(f"arenamesh:mark:{name}")

    async def subscribe(
        self, topic: str, group: str, handler: Handler, dead_letters: DeadLetterSink
    ) -> Subscription:
        consumer = Consumer(topic, group, handler, dead_letters)
        member = Member(self._streams, consumer, self._limits, self._lease_s)
        self._members.append(member)
        return member

    async def ping(self) -> None:
        await self._streams.ping()

    async def close(self) -> None:
        await asyncio.gather(*(member.close() for member in self._members))
        await self._streams.close()
