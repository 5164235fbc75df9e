"""Small documents on RabbitMQ, each the only message of a queue: who has it in hand may change it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from aio_pika.exceptions import DeliveryError

from services.chassis.bus.rabbitmq_link import SINGLE, Link, noted, published
from services.chassis.errors import Unavailable

# How much longer it may take until others are done with a cell.
_PATIENCE = 5
# RabbitMQ refuses messages for a queue that somebody else makes just now, and breaks when one consumes it.
_PAUSES_S = (0.05, 0.1, 0.2, 0.4, 0.0)

Document = dict[str, Any]
"""Of JSON. Empty: there is none."""


class Cell:
    """In hand. A change is a new message, and then the end of the old one: whoever is interrupted between
    the two leaves both, and the greater version holds."""

    def __init__(self, link: Link, channel: AbstractChannel, name: str) -> None:
        self.document: Document = {}
        self._link = link
        self._channel = channel
        self._name = name
        self._version = -1
        self._copies: asyncio.Queue[AbstractIncomingMessage] = asyncio.Queue()

    async def take(self) -> None:
        """Waits until nobody else has it."""
        async with self._link.answering():
            queue = await self._channel.declare_queue(self._name, durable=True, arguments=SINGLE)
            counts = queue.declaration_result
        if not counts.message_count and not counts.consumer_count:
            await noted()
            async with self._link.answering():
                await self._write({}, 0)
        async with self._link.answering():
            await queue.consume(self._copies.put)
        async with self._link.answering(_PATIENCE):
            self._look(await self._copies.get())
        async with self._link.answering():
            # After two more answers everything that there is has arrived: RabbitMQ gives the first one while
            # it has not handed out all that it has found.
            await queue.declare()
            await self._channel.set_qos(prefetch_count=0)
            for _ in range(self._copies.qsize()):
                self._look(await self._copies.get())

    async def set(self, document: Document) -> None:
        async with self._link.answering():
            await self._write(document, self._version + 1)
            self.document, self._version = document, self._version + 1
            for _ in range(self._copies.qsize()):
                copy = await self._copies.get()
                if _parsed(copy)[0] < self._version:
                    await copy.ack()
                else:
                    self._copies.put_nowait(copy)

    def _look(self, copy: AbstractIncomingMessage) -> None:
        version, document = _parsed(copy)
        if version > self._version:
            self._version, self.document = version, document
        self._copies.put_nowait(copy)

    async def _write(self, document: Document, version: int) -> None:
        await published(self._channel, "", self._name, json.dumps([version, document]).encode())


def _parsed(copy: AbstractIncomingMessage) -> tuple[int, Document]:
    version, document = json.loads(copy.body)
    return version, document


@asynccontextmanager
async def held(link: Link, name: str) -> AsyncIterator[Cell]:
    """A cell in hand. Raises Unavailable when RabbitMQ, or who has it, takes too long."""
    async with AsyncExitStack() as stack:
        for pause_s in _PAUSES_S:
            try:
                cell = Cell(link, await stack.enter_async_context(link.channel()), name)
                await cell.take()
                break
            except Unavailable as error:
                await stack.aclose()
                if not isinstance(error.__cause__, DeliveryError) or not pause_s:
                    raise
            await asyncio.sleep(pause_s)
        yield cell
