"""A bus of queues: one for each group of a topic. The product itself gives a subject to one member at a time.

See `queue_topics.py` for publishing, `queue_member.py` and `queue_past.py` for reading, `queue_cells.py` for
what is remembered; `queues.py` is what a product has to have.
"""

import asyncio
import math
from collections.abc import Sequence

from services.chassis import clock
from services.chassis.bus.lanes import BusLimits, Consumer
from services.chassis.bus.port import DeadLetterSink, Handler, Message, Subscription
from services.chassis.bus.queue_cells import Cells, Document
from services.chassis.bus.queue_member import Member
from services.chassis.bus.queue_topics import Topics
from services.chassis.bus.queues import Queues, slug


class QueueBus:
    """See `port.Bus`."""

    def __init__(self, queues: Queues, limits: BusLimits, *, lease_s: float) -> None:
        self._limits = limits
        self._lease_s = lease_s
        self._queues = queues
        self._cells = Cells(queues)
        self._topics = Topics(queues, limits.stream_length, lease_s)
        self._marks: dict[str, tuple[float, str]] = {}
        self._members: list[Member] = []

    async def publish(self, topic: str, messages: Sequence[Message]) -> None:
        if messages:
            await self._topics.publish(topic, messages)

    async def mark(self, name: str, position: str, expected: str | None) -> bool:
        def replace(document: Document) -> bool:
            if document.get("position") != expected:
                return False
            document["position"] = position
            return True

        self._marks.pop(name, None)
        if not await self._cells.change(_cell(name), replace):
            return False
        self._marks[name] = clock.monotonic_s(), position
        return True

    async def marked(self, name: str) -> str | None:
        """Not asked for each time: every request is paid for."""
        at_s, known = self._marks.get(name, (-math.inf, ""))
        if clock.monotonic_s() - at_s < self._lease_s:
            return known
        position: str | None = await self._cells.change(
            _cell(name), lambda document: document.get("position")
        )
        if position is not None:
            self._marks[name] = clock.monotonic_s(), position
        return position

    async def subscribe(
        self, topic: str, group: str, handler: Handler, dead_letters: DeadLetterSink
    ) -> Subscription:
        consumer = Consumer(topic, group, handler, dead_letters)
        member = Member(self._topics, self._cells, consumer, self._limits, lease_s=self._lease_s)
        self._members.append(member)
        return member

    async def ping(self) -> None:
        await self._queues.names("arenamesh")

    async def close(self) -> None:
        await asyncio.gather(*(member.close() for member in self._members))
        await self._queues.close()


def _cell(name: str) -> str:
    return f"_mark_{slug(name)}"
