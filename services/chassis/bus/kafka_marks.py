"""Marks on Kafka: the newest of each name in a compacted topic.

Kafka cannot compare and set, but every reader sees its log in the same order: a record says which mark it
replaces, and counts only where that is the mark. Who appended one reads on until there, and knows. Compaction
keeps the newest record of a name, which can be one that did not count, of two that marked at once: then it is
the mark. That is as true of a relay, which marks what it has published, and rare: a relay runs alone.
"""

import asyncio
import json
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from services.chassis import clock
from services.chassis.bus.kafka_client import Client, answering

_TOPIC = "arenamesh.marks"
_PARTITION = TopicPartition(_TOPIC, 0)
_COMPACTED = {"cleanup.policy": "compact", "segment.bytes": str(1024 * 1024)}


class Marks:
    """Every method raises Unavailable (BUS_UNAVAILABLE) when Kafka does not answer."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._consumer: AIOKafkaConsumer = None
        self._reading = asyncio.Lock()
        self._next = 0
        self._marks: dict[str, str] = {}
        # Of what was appended here and not yet read: whether it counted.
        self._counted: dict[str, bool] = {}

    async def marked(self, name: str) -> str | None:
        async with self._reading:
            await self._catch_up()
            return self._marks.get(name)

    async def mark(self, name: str, position: str, expected: str | None) -> bool:
        async with self._reading:
            await self._catch_up()
            if self._marks.get(name) != expected:
                return False
            token = clock.new_id()
            await self._client.put(_TOPIC, name, json.dumps([expected, position, token]).encode())
            await self._catch_up(token)
            return self._counted.pop(token)

    async def close(self) -> None:
        if self._consumer is not None:
            await self._consumer.stop()

    async def _catch_up(self, token: str | None = None) -> None:
        """Reads to the end of what is there, and `token`."""
        await self._client.make(_TOPIC, 1, _COMPACTED)
        ends = await self._client.ends(_TOPIC, [0])
        with answering():
            async with asyncio.timeout(self._client.timeout_s):
                if self._consumer is None:
                    await self._open()
                if ends[0] < self._next:  # it was deleted and made again
                    await self._begin()
                while self._next < ends[0] or (token and token not in self._counted):
                    found = await self._consumer.getmany(timeout_ms=int(self._client.timeout_s * 1000))
                    for record in found.get(_PARTITION, ()):
                        self._read(record, token)

    async def _open(self) -> None:
        consumer = AIOKafkaConsumer(
            **self._client.options,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            request_timeout_ms=int(self._client.timeout_s * 1000),
        )
        try:
            consumer.assign([_PARTITION])
            await consumer.start()
        except BaseException:
            await consumer.stop()
            raise
        self._consumer = consumer

    async def _begin(self) -> None:
        self._next = 0
        self._marks.clear()
        await self._consumer.seek_to_beginning(_PARTITION)

    def _read(self, record: Any, token: str | None) -> None:
        name = record.key.decode()
        expected, position, by = json.loads(record.value)
        counts = self._marks.get(name, expected) == expected
        if counts:
            self._marks[name] = position
        if by == token:
            self._counted[by] = counts
        self._next = record.offset + 1
