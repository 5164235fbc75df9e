"""What a group finds when it is new: the newest events of a stream, copied into a queue of its own."""

import asyncio

from aio_pika.abc import AbstractChannel, AbstractIncomingMessage

from services.chassis import clock
from services.chassis.bus.rabbitmq_link import SINGLE, Link, published

_PAGE = 200
_FENCE = "fence"
END = "end"
"""The type of the last message of the copies."""

_Arrived = asyncio.Queue[AbstractIncomingMessage]


async def copied(link: Link, stream: str, copies: str, most: int) -> bool:
    """All that is in the stream now, or the newest `most`. False: there is nothing."""
    fence = clock.new_id().encode()
    await link.publish("", stream, fence, type_=_FENCE)
    start = max(0, await _newest(link, stream) - most)
    async with link.channel() as sink, link.channel(prefetch=_PAGE) as source:
        arrived = await _read(link, source, stream, start)
        page, more = await _page(link, arrived, fence)
        if not page and not more:
            return False
        async with link.answering():
            await sink.queue_delete(copies)  # of an attempt that was interrupted
            await sink.declare_queue(copies, durable=True, arguments=SINGLE)
        while page or more:
            async with link.answering():
                await asyncio.gather(*(published(sink, "", copies, body) for body in page))
            page, more = await _page(link, arrived, fence) if more else ([], False)
        async with link.answering():
            await published(sink, "", copies, b"", type_=END)
    return True


async def _newest(link: Link, stream: str) -> int:
    """The number of an event at the end; there is one."""
    async with link.channel(prefetch=1) as channel:
        arrived = await _read(link, channel, stream, "last")
        async with link.answering():
            message = await arrived.get()
    return int(str(message.headers["x-stream-offset"]))


async def _read(link: Link, channel: AbstractChannel, stream: str, start: int | str) -> _Arrived:
    arrived = _Arrived()
    async with link.answering():
        queue = await channel.get_queue(stream, ensure=False)
        await queue.consume(arrived.put, arguments={"x-stream-offset": start})
    return arrived


async def _page(link: Link, arrived: _Arrived, fence: bytes) -> tuple[list[bytes], bool]:
    """Some more, and whether it goes on behind them."""
    page: list[bytes] = []
    async with link.answering():
        while not page or not arrived.empty():
            message = await arrived.get()
            if message.type != _FENCE:
                page.append(message.body)
            elif message.body == fence:
                return page, False
            await message.ack()
    return page, True
