"""The bus on NATS JetStream (2.11 or later): one stream with a subject for each partition of a topic.

A member of a group reads only partitions that it holds, so a subject is never in two hands. See `member.py`
for reading, `nats_log.py` for what a group remembers, `nats_stream.py` for the requests.
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence

from services.chassis.bus.lanes import BusLimits, Consumer
from services.chassis.bus.member import Member
from services.chassis.bus.nats_cells import Cells, Document
from services.chassis.bus.nats_log import NatsLog, needed_from, pending_cell
from services.chassis.bus.nats_stream import Stream
from services.chassis.bus.port import DeadLetterSink, Handler, Message, Subscription, full, partition_of
from services.chassis.bus.tasks import together


class NatsBus:
    """See `port.Bus`. `url`: of one or several servers of a cluster, with commas."""

    def __init__(self, url: str, limits: BusLimits, *, timeout_s: float, lease_s: float) -> None:
        self._limits = limits
        self._lease_s = lease_s
        self._stream = Stream(url, timeout_s)
        self._cells = Cells(self._stream)
        self._log = NatsLog(self._stream, self._cells)
        self._members: list[Member] = []

    async def publish(self, topic: str, messages: Sequence[Message]) -> None:
        if not messages:
            return
        parts: dict[str, list[Message]] = defaultdict(list)
        for message in messages:
            parts[self._log.key(topic, partition_of(message.subject))].append(message)
        lengths = await self._stream.lengths(self._log.key(topic, "*"))
        for key in parts:
            if lengths.get(key, 0) >= self._limits.stream_length:
                await self._trim(key)
        await together([self._append(key, part) for key, part in parts.items()])

    async def _append(self, key: str, messages: list[Message]) -> None:
        """One after the other: should one be refused or lost, none comes before it."""
        for message in messages:
            await self._stream.append(key, message)
        await self._stream.hint(key)

    async def _trim(self, key: str) -> None:
        """Drops what every group has handled; without a group, all but the newest half."""
        cells = await self._stream.lengths(pending_cell(key, "*"))
        if cells:
            groups = [await self._cells.read(cell) for cell in cells]
            await self._stream.purge(key, before=min(map(needed_from, groups)))
        else:
            await self._stream.purge(key, keep=self._limits.stream_length // 2)
        left = (await self._stream.lengths(key)).get(key, 0)
        if left >= self._limits.stream_length:
            raise full(stream=key)

    async def mark(self, name: str, position: str, expected: str | None) -> bool:
        def replace(document: Document) -> bool:
            if document.get("position") != expected:
                return False
            document["position"] = position
            return True

        return await self._cells.change(f"arenamesh.mark.{name}", replace, fresh=True)

    async def marked(self, name: str) -> str | None:
        document = await self._cells.read(f"arenamesh.mark.{name}")
        return document.get("position")

    async def subscribe(
        self, topic: str, group: str, handler: Handler, dead_letters: DeadLetterSink
    ) -> Subscription:
        consumer = Consumer(topic, group, handler, dead_letters)
        member = Member(self._log, consumer, self._limits, self._lease_s)
        self._members.append(member)
        return member

    async def ping(self) -> None:
        await self._stream.ping()

    async def close(self) -> None:
        await asyncio.gather(*(member.close() for member in self._members))
        await self._stream.close()
