"""What there is on RabbitMQ for a topic, and how it comes into being.

An exchange, to which events are published under the number of their partition. Bound to it, for each
partition, a stream with the newest of all events, for groups to come; and for each partition and group a
queue with what the group has not handled. A cell says which of these there are.
"""

import asyncio
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from aio_pika.abc import AbstractChannel

from services.chassis.bus.port import PARTITIONS
from services.chassis.bus.rabbitmq_cells import Document, held
from services.chassis.bus.rabbitmq_link import SINGLE, Link, noted
from services.chassis.bus.rabbitmq_past import copied
from services.chassis.bus.tasks import together

# What a history may take: so much for each of `stream_length` events.
_EVENT_BYTES = 1024
_SEGMENTS = 4
# How long an event may be on its way into a history, when the queue of a new group has just missed it.
_ON_ITS_WAY_S = 0.05


def exchange(topic: str) -> str:
    return f"arenamesh.topic.{topic}"


def _history(topic: str, partition: int) -> str:
    return f"arenamesh.history.{topic}.{partition}"


@dataclass(frozen=True, slots=True)
class Group:
    """Names of what a group has."""

    topic: str
    name: str

    @property
    def making(self) -> str:
        """A cell: who has it in hand makes the group."""
        return f"arenamesh.making.{self.topic}.{self.name}"

    def queue(self, partition: int) -> str:
        """What it has not handled."""
        return f"arenamesh.group.{self.topic}.{self.name}.{partition}"

    def past(self, partition: int) -> str:
        """What it found when it was new, to be handled first; it ends with a message of the type `END`."""
        return f"arenamesh.past.{self.topic}.{self.name}.{partition}"

    def deaths(self, partition: int) -> str:
        """A cell: how often members died while they handled an event alone, by its id."""
        return f"arenamesh.deaths.{self.topic}.{self.name}.{partition}"


def _cell(topic: str) -> str:
    """`history`: partitions that have one. `groups`: of each, partitions whose past is not yet handled."""
    return f"arenamesh.groups.{topic}"


class Topics:
    """`stream_length`: how many events a group finds, at most, when it is new."""

    def __init__(self, link: Link, stream_length: int) -> None:
        self._link = link
        self._stream_length = stream_length

    async def publishable(self, topic: str, partitions: Collection[int], *, anew: bool) -> list[Group]:
        """Makes what is missing, with `anew` whatever the cell says; answers the groups of the topic."""
        async with held(self._link, _cell(topic)) as cell:
            document = cell.document
        if missing := set(partitions) - set([] if anew else document.get("history", ())):
            await self._keep(topic, missing)
            async with held(self._link, _cell(topic)) as cell:
                kept = sorted({*cell.document.get("history", ()), *missing})
                await cell.set({**cell.document, "history": kept})
                document = cell.document
        return [Group(topic, name) for name in document.get("groups", {})]

    async def joined(self, group: Group) -> set[int]:
        """Makes the group if it is not there; answers the partitions whose past is not yet handled."""
        found = await self._pasts(group)
        if found is None:
            async with held(self._link, group.making):
                found = await self._pasts(group)
                if found is None:
                    found = await self._make(group)
        return set(found)

    async def past_handled(self, group: Group, partition: int) -> None:
        async with held(self._link, _cell(group.topic)) as cell:
            groups: Document = cell.document.get("groups", {})
            left = [each for each in groups.get(group.name, ()) if each != partition]
            await cell.set({**cell.document, "groups": {**groups, group.name: left}})
        async with self._link.channel() as channel:
            await self._delete(channel, [group.past(partition)])

    async def forget(self, group: Group) -> None:
        """Deletes what is left of a group when somebody has deleted one of its queues: the others would fill
        up."""
        async with held(self._link, _cell(group.topic)) as cell, self._link.channel() as channel:
            for name in (group.queue, group.past, group.deaths):
                await self._delete(channel, map(name, range(PARTITIONS)))
            groups: Document = cell.document.get("groups", {})
            left = {name: each for name, each in groups.items() if name != group.name}
            await cell.set({**cell.document, "groups": left})

    # -- making ---------------------------------------------------------------------------------------

    async def _keep(self, topic: str, partitions: Iterable[int]) -> None:
        """Streams are of no use for groups: they drop what is old, whoever needs it."""
        most = self._stream_length * _EVENT_BYTES
        arguments = {
            "x-queue-type": "stream",
            "x-max-length-bytes": most,
            "x-stream-max-segment-size-bytes": most // _SEGMENTS,
        }
        async with self._link.channel() as channel:
            await self._exchange(channel, topic)
            names = {partition: _history(topic, partition) for partition in partitions}
            await self._bound(channel, topic, names, arguments)

    async def _pasts(self, group: Group) -> list[int] | None:
        async with held(self._link, _cell(group.topic)) as cell:
            found: list[int] | None = cell.document.get("groups", {}).get(group.name)
        return found

    async def _make(self, group: Group) -> list[int]:
        """Answers the partitions that have a past. What was published before the queues were bound is in a
        history that the cell tells of after that."""
        async with self._link.channel() as channel:
            await self._exchange(channel, group.topic)
            names = {partition: group.queue(partition) for partition in range(PARTITIONS)}
            await self._bound(channel, group.topic, names, SINGLE)
        async with held(self._link, _cell(group.topic)) as cell:
            kept = cell.document.get("history", ())
        found = await self._past(group, kept)
        async with held(self._link, _cell(group.topic)) as cell:
            groups = {**cell.document.get("groups", {}), group.name: found}
            await cell.set({**cell.document, "groups": groups})
        return found

    async def _past(self, group: Group, kept: Collection[int]) -> list[int]:
        """Answers the partitions that have one."""
        if kept:
            await asyncio.sleep(_ON_ITS_WAY_S)
        found: list[int] = []

        async def copy(partition: int) -> None:
            """What comes from now on is in the group's own queue: should it be in both, it comes twice."""
            ends = _history(group.topic, partition), group.past(partition)
            if await copied(self._link, *ends, self._stream_length):
                found.append(partition)

        await together([copy(partition) for partition in kept])
        if found:
            await noted()
        return sorted(found)

    async def _exchange(self, channel: AbstractChannel, topic: str) -> None:
        async with self._link.answering():
            await channel.declare_exchange(exchange(topic), durable=True)

    async def _bound(
        self, channel: AbstractChannel, topic: str, names: Mapping[int, str], arguments: Document
    ) -> None:
        for name in names.values():
            async with self._link.answering():
                await channel.declare_queue(name, durable=True, arguments=arguments)
        await noted()
        for partition, name in names.items():
            async with self._link.answering():
                made = await channel.get_queue(name, ensure=False)
                await made.bind(exchange(topic), str(partition))

    async def _delete(self, channel: AbstractChannel, names: Iterable[str]) -> None:
        for name in names:
            async with self._link.answering():
                await channel.queue_delete(name)
