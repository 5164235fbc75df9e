"""A bus inside one process: for tests, and for programs that are alone. It forgets everything at the end."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from services.chassis.bus.lag import Lag
from services.chassis.bus.lanes import BusLimits, Consumer, Delivery, Lanes
from services.chassis.bus.port import (
    PARTITIONS,
    DeadLetterSink,
    Handler,
    Message,
    Subscription,
    full,
    partition_of,
)


@dataclass(slots=True)
class _Log:
    """One partition of a topic; `messages[0]` has the offset `first`."""

    messages: list[Message] = field(default_factory=list)
    first: int = 0

    @property
    def end(self) -> int:
        return self.first + len(self.messages)


class _Group:
    """What the members of a group share: who has which partition, and how far it is: what comes next,
    and what is done past that."""

    def __init__(self, logs: list[_Log]) -> None:
        self.logs = logs
        self.members: list[_Member] = []
        self.holders: dict[int, _Member] = {}
        self.next = [log.first for log in logs]
        self.done: list[set[int]] = [set() for _ in logs]

    def settle(self, partition: int, offset: int) -> None:
        done = self.done[partition]
        done.add(offset)
        while self.next[partition] in done:
            done.remove(self.next[partition])
            self.next[partition] += 1

    def lag(self, partition: int) -> int:
        return self.logs[partition].end - self.next[partition] - len(self.done[partition])

    def wake(self) -> None:
        for member in self.members:
            member.woken.set()


class _Member:
    """A subscription."""

    def __init__(self, consumer: Consumer, group: _Group, limits: BusLimits) -> None:
        self._group = group
        self._mine: set[int] = set()
        self._lanes = Lanes(consumer, limits, self._mine.__contains__)
        self._cursor: dict[int, int] = {}
        self._lag = Lag(consumer)
        self.woken = asyncio.Event()
        group.members.append(self)
        group.wake()
        self._task = asyncio.create_task(self._run(), name=f"{consumer.group} of {consumer.topic}")

    async def close(self) -> None:
        if self not in self._group.members:
            return
        self._mine.clear()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self._lanes.close()
        self._tell_lag()
        self._group.members.remove(self)
        for partition in [p for p, holder in self._group.holders.items() if holder is self]:
            del self._group.holders[partition]
        self._group.wake()

    async def _run(self) -> None:
        while True:
            self.woken.clear()
            await self._divide()
            self._tell_lag()
            if not self._fetch():
                await self.woken.wait()
            else:
                await self._lanes.until_room()

    async def _divide(self) -> None:
        """Gives back what is another member's share, takes what is free of its own."""
        group = self._group
        rank, count = group.members.index(self), len(group.members)
        share = {partition for partition in range(PARTITIONS) if partition % count == rank}
        lost = self._mine - share
        if lost:
            self._mine -= lost
            await self._lanes.give_back(lost)
            for partition in lost:
                del group.holders[partition]
            group.wake()
        for partition in share - self._mine:
            if group.holders.setdefault(partition, self) is self:
                self._mine.add(partition)
                self._cursor[partition] = group.next[partition]

    def _fetch(self) -> bool:
        """Hands over what fits. False: there is nothing."""
        for partition in self._mine:
            log = self._group.logs[partition]
            while self._lanes.room > 0 and self._cursor[partition] < log.end:
                offset = self._cursor[partition]
                self._cursor[partition] += 1
                if offset not in self._group.done[partition]:
                    self._lanes.add(self._delivery(partition, offset))
        return any(self._cursor[p] < self._group.logs[p].end for p in self._mine)

    def _delivery(self, partition: int, offset: int) -> Delivery:
        log = self._group.logs[partition]

        def settled() -> None:
            self._group.settle(partition, offset)
            self._tell_lag()

        return Delivery(log.messages[offset - log.first], partition, settled)

    def _tell_lag(self) -> None:
        self._lag.tell(sum(map(self._group.lag, self._mine)))


class InMemoryBus:
    """See `port.Bus`."""

    def __init__(self, limits: BusLimits) -> None:
        self._limits = limits
        self._topics: dict[str, list[_Log]] = {}
        self._groups: dict[tuple[str, str], _Group] = {}
        self._marks: dict[str, str] = {}
        self._members: list[_Member] = []

    async def publish(self, topic: str, messages: Sequence[Message]) -> None:
        logs = self._logs(topic)
        groups = [group for (of, _), group in self._groups.items() if of == topic]
        for message in messages:
            partition = partition_of(message.subject)
            self._make_room(logs[partition], [group.next[partition] for group in groups])
            logs[partition].messages.append(message)
        for group in groups:
            group.wake()

    async def mark(self, name: str, position: str, expected: str | None) -> bool:
        if self._marks.get(name) != expected:
            return False
        self._marks[name] = position
        return True

    async def marked(self, name: str) -> str | None:
        return self._marks.get(name)

    async def subscribe(
        self, topic: str, group: str, handler: Handler, dead_letters: DeadLetterSink
    ) -> Subscription:
        shared = self._groups.setdefault((topic, group), _Group(self._logs(topic)))
        member = _Member(Consumer(topic, group, handler, dead_letters), shared, self._limits)
        self._members.append(member)
        return member

    async def ping(self) -> None:
        return None

    async def close(self) -> None:
        await asyncio.gather(*(member.close() for member in self._members))

    def _logs(self, topic: str) -> list[_Log]:
        return self._topics.setdefault(topic, [_Log() for _ in range(PARTITIONS)])

    def _make_room(self, log: _Log, next_offsets: list[int]) -> None:
        over = len(log.messages) + 1 - self._limits.stream_length
        if over <= 0:
            return
        free = min(next_offsets, default=log.end) - log.first
        if free < over:
            raise full()
        del log.messages[:over]
        log.first += over
