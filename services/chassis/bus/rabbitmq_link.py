"""A connection to RabbitMQ, and the few requests that the bus makes on it."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import (
    AMQPError,
    ChannelNotFoundEntity,
    PublishError,
)
from yarl import URL

from services.chassis.bus import cancellation
from services.chassis.errors import Unavailable

_CLOSE_S = 1.0

# A queue on a majority of the cluster's nodes, with what it took on disk. What is given back keeps its place
# however often: without a limit some versions put it at the end, others drop it after twenty times.
_QUORUM: dict[str, Any] = {"x-queue-type": "quorum", "x-delivery-limit": 2**31 - 1}
# Of several consumers the first gets everything, until it goes.
SINGLE: dict[str, Any] = {**_QUORUM, "x-single-active-consumer": True}

# RabbitMQ answers that a queue is made, and notes where it is half a second later: killed in between, it
# has lost the queue and what was in it. So nothing is put into one before.
NOTED_S = 1.0

# It tells of every attempt to connect with a traceback; the bus tells that it is away.
logging.getLogger("aiormq").setLevel(logging.CRITICAL)


# What the client raises when the connection is lost; besides these, a plain Exception.
_LOST = (AMQPError, OSError, RuntimeError)


class Gone(Unavailable):
    """What was asked for is not there."""


class Link:
    """Made when it is first used, and made again after it was lost. What RabbitMQ does not answer in time
    raises Unavailable (BUS_UNAVAILABLE) and ends the connection: the client keeps what it could not send, and
    would send it long after it was given up."""

    def __init__(self, url: str, timeout_s: float, lease_s: float) -> None:
        # RabbitMQ takes a client for dead that is silent for two of these.
        heartbeat = max(1, int(lease_s / 2))
        self._urls = [URL(each).update_query(heartbeat=heartbeat) for each in url.split(",")]
        self._timeout_s = timeout_s
        self._connection: AbstractConnection | None = None
        self._publisher: AbstractChannel | None = None
        self._lost = asyncio.Event()
        self._opening = asyncio.Lock()
        self._closing: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        self._drop()
        while self._closing:
            await asyncio.wait(self._closing)

    async def lost(self) -> None:
        """Returns when the connection that there is now is lost."""
        await self._lost.wait()

    @asynccontextmanager
    async def answering(self, times: int = 1) -> AsyncIterator[None]:
        """What is inside is done in time, or fails. `times`: as long, when others have to finish first."""
        task = asyncio.current_task()
        before = task.cancelling() if task else 0
        try:
            with cancellation.kept():
                async with asyncio.timeout(self._timeout_s * times):
                    yield
        except asyncio.CancelledError as error:
            if task and task.cancelling() > before:
                raise
            raise _away() from error  # the client cancels whoever waits on a connection that is lost
        except (ChannelNotFoundEntity, PublishError) as error:
            raise Gone(str(error), reason="BUS_UNAVAILABLE", retry_after_s=1.0) from error
        except TimeoutError as error:
            self._drop()
            raise _away() from error
        except Exception as error:
            if not isinstance(error, _LOST) and type(error) is not Exception:
                raise
            raise _away() from error

    @asynccontextmanager
    async def channel(self, *, prefetch: int = 0) -> AsyncIterator[AbstractChannel]:
        """One of its own. With its end RabbitMQ takes back what was not acknowledged."""
        async with self.answering():
            channel = await (await self._connected()).channel(on_return_raises=True)
            if prefetch:
                await channel.set_qos(prefetch_count=prefetch)
        try:
            yield channel
        finally:
            await self._close(channel)

    async def publish(self, exchange: str, key: str, body: bytes, *, type_: str | None = None) -> None:
        """Returns when it is in every queue that is bound, on disk. Raises Unavailable when there is none."""
        async with self.answering():
            channel = await self._publishing()
            await published(channel, exchange, key, body, type_=type_)

    async def waiting(self, channel: AbstractChannel, queue: str) -> int:
        """Messages of a queue that are in nobody's hands. Raises Gone."""
        async with self.answering():
            found = await channel.declare_queue(queue, passive=True)
        return found.declaration_result.message_count or 0

    async def _connected(self) -> AbstractConnection:
        async with self._opening:
            if self._connection is None or self._lost.is_set():
                self._drop()
                self._connection = await self._connect()
                self._lost = lost = asyncio.Event()
                self._connection.close_callbacks.add(lambda *_: lost.set())
            return self._connection

    async def _connect(self) -> AbstractConnection:
        """To the first server that answers."""
        for url in self._urls[:-1]:
            with suppress(AMQPError, OSError):
                return await self._open(url)
        return await self._open(self._urls[-1])

    async def _open(self, url: URL) -> AbstractConnection:
        """What came to nothing is closed: the client would do it when it is collected, which may be when no
        loop runs any more."""
        connection = aio_pika.Connection(url)
        try:
            await connection.connect()
        except BaseException:
            self._start_closing(connection)
            raise
        return connection

    async def _publishing(self) -> AbstractChannel:
        connection = await self._connected()
        async with self._opening:
            if self._publisher is None or self._publisher.is_closed:
                self._publisher = await connection.channel(on_return_raises=True)
            return self._publisher

    def _drop(self) -> None:
        self._lost.set()
        connection, self._connection, self._publisher = self._connection, None, None
        if connection is not None:
            self._start_closing(connection)

    def _start_closing(self, ended: AbstractConnection | AbstractChannel) -> asyncio.Task[None]:
        task = asyncio.create_task(_closed(ended))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
        return task

    async def _close(self, channel: AbstractChannel) -> None:
        """To its end, though the caller be cancelled: what the channel has in hand nobody else gets."""
        await asyncio.shield(self._start_closing(channel))


async def noted() -> None:
    """Waits until RabbitMQ will find again what it has made just now."""
    await asyncio.sleep(NOTED_S)


async def published(
    channel: AbstractChannel, exchange: str, key: str, body: bytes, *, type_: str | None = None
) -> None:
    """Of the answer of RabbitMQ alone: see `Link.publish`."""
    to = await channel.get_exchange(exchange, ensure=False) if exchange else channel.default_exchange
    message = aio_pika.Message(body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT, type=type_)
    await to.publish(message, key)


async def _closed(ended: AbstractConnection | AbstractChannel) -> None:
    with suppress(Exception, asyncio.CancelledError):
        async with asyncio.timeout(_CLOSE_S):
            await ended.close()


def _away() -> Unavailable:
    return Unavailable("The bus does not answer.", reason="BUS_UNAVAILABLE", retry_after_s=1.0)
