"""What a topic is on a bus of queues: one for each group, and segments of what was published before one came.

An event goes to the newest segment first, then to the queues of the groups. Nobody takes anything from a
segment for good: a group that is new reads them all. The oldest segment goes when a new one begins.
"""

import asyncio
import itertools
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from services.chassis import clock
from services.chassis.bus.port import Message, full
from services.chassis.bus.queues import Queues, Received, Sent, packed, slug, unpacked
from services.chassis.errors import Unavailable

_SEGMENTS = 2
Place = tuple[int, str]
"""Of an event in what was published before: when, in microseconds, and what the bus calls it."""


def group_queue(topic: str, group: str) -> str:
    return f"{_groups(topic)}{slug(group)}.fifo"


def _groups(topic: str) -> str:
    return f"arenamesh-group_{slug(topic)}_"


def _segments(topic: str) -> str:
    return f"arenamesh-past_{slug(topic)}_"


@dataclass(slots=True)
class _Topic:
    """As it was seen at `at_s`; lengths by queue, with what was sent since."""

    at_s: float
    groups: dict[str, int]
    segments: list[str]
    length: int


class Topics:
    """`length`: of a topic, as of each group's queue. `known_s`: how often publishers look for new groups;
    what is published that long after one came, and more, is in its own queue."""

    def __init__(self, queues: Queues, length: int, known_s: float) -> None:
        self.queues = queues
        self._length = length
        self._known_s = known_s
        self._settled_s = 2.5 * known_s
        self._last = 0
        self._settled: set[str] = set()
        self._topics: dict[str, _Topic] = {}
        self._publishing: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    # -- publishing -----------------------------------------------------------------------------------

    async def publish(self, topic: str, messages: Sequence[Message]) -> None:
        try:
            async with self._publishing[topic]:
                await self._publish(topic, messages)
        except Unavailable:
            self._topics.pop(topic, None)  # a queue may have gone
            raise

    async def _publish(self, topic: str, messages: Sequence[Message]) -> None:
        seen = await self._known(topic, self._known_s / 2)
        await self._refuse_if_full(topic, seen)
        if seen.length >= self._length // _SEGMENTS:
            await self._begin_segment(topic, seen)
        past = [Sent(each.subject, packed(each, self._next(), *seen.groups)) for each in messages]
        await self.queues.send(seen.segments[-1], past)
        seen.length += len(past)
        # A group that came since is seen now, unless it is going to find them in the segment.
        seen = await self._known(topic, 2 * self._known_s)
        live = [Sent(each.subject, packed(each)) for each in messages]
        await asyncio.gather(*(self.queues.send(group, live) for group in seen.groups))
        for group in seen.groups:
            seen.groups[group] += len(live)

    async def _refuse_if_full(self, topic: str, seen: _Topic) -> None:
        for group, length in seen.groups.items():
            if length >= self._length:
                seen.groups[group] = await self.queues.length(group)
                if seen.groups[group] >= self._length:
                    raise full(queue=group)

    def _next(self) -> int:
        """Who publishes to a topic is one at a time, so its clock gives the order."""
        self._last = max(self._last + 1, int(clock.now().timestamp() * 1_000_000))
        return self._last

    async def _begin_segment(self, topic: str, seen: _Topic) -> None:
        number = int(seen.segments[-1].rpartition("_")[2]) + 1
        while len(seen.segments) >= _SEGMENTS:
            for group in seen.groups:
                if not await self.is_settled(group):
                    raise full(queue=group)  # it still needs them
            await self.queues.drop(seen.segments.pop(0))
        seen.segments.append(f"{_segments(topic)}{number:09d}")
        seen.length = 0

    async def settle(self, group: str) -> None:
        """The group of that queue needs nothing that was before."""
        await self.queues.settle(group)
        self._settled.add(group)

    async def is_settled(self, group: str) -> bool:
        if group not in self._settled and await self.queues.is_settled(group):
            self._settled.add(group)
        return group in self._settled

    async def _known(self, topic: str, since_s: float) -> _Topic:
        seen = self._topics.get(topic)
        if seen is None or clock.monotonic_s() - seen.at_s > since_s:
            self._topics[topic] = seen = await self._look(topic)
        return seen

    async def _look(self, topic: str) -> _Topic:
        at_s = clock.monotonic_s()
        groups, segments = await asyncio.gather(self.queues.names(_groups(topic)), self._segments_of(topic))
        lengths = await asyncio.gather(*map(self.queues.length, [*groups, segments[-1]]))
        return _Topic(at_s, dict(zip(groups, lengths, strict=False)), segments, lengths[-1])

    async def _segments_of(self, topic: str) -> list[str]:
        return await self.queues.names(_segments(topic)) or [f"{_segments(topic)}{1:09d}"]

    # -- what was published before --------------------------------------------------------------------

    async def past(self, topic: str, group: str, since_s: float) -> list[tuple[Place, Message]]:
        """What the group's own queue does not have, in order, when the group came at `since_s` (monotonic).
        Only one at a time may ask, for the whole topic."""
        until_s = since_s + self._settled_s
        entries: dict[str, list[Received]] = {}
        while new := set(await self._segments_of(topic)) - entries.keys():
            pages = await asyncio.gather(*(self.queues.everything(each, until_s) for each in new))
            entries |= dict(zip(new, pages, strict=True))
        found: list[tuple[Place, Message]] = []
        for entry in itertools.chain(*entries.values()):
            message, (at, *groups) = unpacked(entry.text)
            if group_queue(topic, group) not in groups:
                found.append(((at, entry.id), message))
        return sorted(found, key=lambda each: each[0])
