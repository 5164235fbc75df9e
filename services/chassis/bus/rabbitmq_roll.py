"""Who are the members of a group: each tells all of them, itself too, that it lives."""

import asyncio
import json
from collections import deque

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractExchange, AbstractIncomingMessage

from services.chassis import clock
from services.chassis.bus.port import PARTITIONS
from services.chassis.bus.rabbitmq_link import Link

_EXCHANGE = "arenamesh.members"


class Roll:
    """One member's view, for as long as its connection lasts. Who holds a partition RabbitMQ knows; this says
    who should. `changed`: members came or went."""

    def __init__(self, link: Link, key: str, member: str, lease_s: float) -> None:
        self._link = link
        self._key = key
        self._member = member
        self._lease_s = lease_s
        self._exchange: AbstractExchange | None = None
        self._others: dict[str, float] = {}
        self._calls: deque[float] = deque()
        self._heard_s = 0.0
        self.changed = asyncio.Event()

    async def join(self, channel: AbstractChannel) -> None:
        async with self._link.answering():
            self._exchange = await channel.declare_exchange(_EXCHANGE, durable=True)
            queue = await channel.declare_queue(exclusive=True)
            await queue.bind(self._exchange, self._key)
            await queue.consume(self._hear, no_ack=True)

    async def call(self) -> None:
        """Says that it lives; whoever is new answers."""
        self._calls.append(clock.monotonic_s())
        await self._tell(lives=True)

    async def leave(self) -> None:
        """Nobody knows of who has not joined yet."""
        if self._exchange is not None:
            await self._tell(lives=False)

    @property
    def lease_until(self) -> float:
        """When it was last certain that RabbitMQ has us as a member, and for so long after that."""
        return self._heard_s + self._lease_s

    def share(self) -> set[int]:
        """The partitions that it should hold."""
        now = clock.monotonic_s()
        self._others = {each: at for each, at in self._others.items() if now - at <= self._lease_s}
        members = sorted([*self._others, self._member])
        rank = members.index(self._member)
        return {partition for partition in range(PARTITIONS) if partition % len(members) == rank}

    async def _tell(self, *, lives: bool) -> None:
        assert self._exchange is not None
        async with self._link.answering():
            message = aio_pika.Message(json.dumps([self._member, lives]).encode())
            await self._exchange.publish(message, self._key)

    async def _hear(self, message: AbstractIncomingMessage) -> None:
        member, lives = json.loads(message.body)
        if member == self._member:
            if lives:
                self._heard_s = self._calls.popleft()
        elif not lives:
            self._others.pop(member, None)
            self.changed.set()
        else:
            if member not in self._others:
                self.changed.set()
            self._others[member] = clock.monotonic_s()
