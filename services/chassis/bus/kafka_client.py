"""The requests to Kafka that the bus makes, but those of a group's members."""

import asyncio
import logging
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import parse_qs, unquote, urlsplit

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code
from aiokafka.helpers import create_ssl_context

from services.chassis.bus import cancellation
from services.chassis.bus.port import PARTITIONS, Message
from services.chassis.errors import Unavailable
from services.chassis.settings import SettingsError

_log = structlog.get_logger()
# It tells of each attempt while Kafka is away.
logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
_RECONNECT_S = 0.25
_RETRY_MS = 50
_BATCH_BYTES = 512 * 1024
# The bus itself drops what every group has handled: time and size would drop what one still needs.
_KEPT = {"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"}
_ID = "id"
T = TypeVar("T")


def topic_name(topic: str) -> str:
    return f"arenamesh.{topic}"


def group_id(topic: str, group: str) -> str:
    """No topic has a slash: groups of a topic are found by their beginning."""
    return f"arenamesh/{topic}/{group}"


def options(url: str) -> dict[str, Any]:
    """Of a connection, from `kafka://[user:password@]host:port[,host:port][?mechanism=]`; `kafkas` is TLS."""
    scheme, address, _, query, _ = urlsplit(url)
    if scheme not in ("kafka", "kafkas") or not address:
        raise SettingsError("BUS_URL: Kafka is at kafka://host:port")
    credentials, _, servers = address.rpartition("@")
    user, _, password = credentials.partition(":")
    encrypted = scheme == "kafkas"
    found: dict[str, Any] = {
        "bootstrap_servers": servers.split(","),
        "retry_backoff_ms": _RETRY_MS,
        "security_protocol": ("SASL_" if user else "") + ("SSL" if encrypted else "PLAINTEXT"),
    }
    if encrypted:
        found["ssl_context"] = create_ssl_context()
    if user:
        found["sasl_mechanism"] = parse_qs(query).get("mechanism", ["PLAIN"])[0]
        found["sasl_plain_username"], found["sasl_plain_password"] = unquote(user), unquote(password)
    return found


@contextmanager
def answering() -> Iterator[None]:
    """What Kafka refuses for its own reasons (disk, no leader, too few replicas) is as good as no answer."""
    try:
        with cancellation.kept():
            yield
    except (KafkaError, OSError, TimeoutError) as error:
        raise Unavailable("The bus does not answer.", reason="BUS_UNAVAILABLE", retry_after_s=1.0) from error


@dataclass(frozen=True, slots=True)
class Appended:
    """A partition after something was appended: the offset of its end, and how many events it has."""

    end: int
    length: int


class Client:
    """A producer and what an operator does. Every method raises Unavailable (BUS_UNAVAILABLE) when Kafka does
    not answer."""

    def __init__(self, url: str, timeout_s: float) -> None:
        self.options = options(url)
        self.timeout_s = timeout_s
        self._admin: AIOKafkaAdminClient = None
        self._producer: AIOKafkaProducer = None
        # Asks for offsets only: one that reads would let questions wait behind its polls.
        self._asking: AIOKafkaConsumer = None
        self._opening: asyncio.Task[None] | None = None
        self._closed = False
        self._topics: set[str] = set()
        self._making = asyncio.Lock()

    # -- the connection -------------------------------------------------------------------------------

    async def _open(self) -> None:
        failure = ""
        # Without idempotence: with it a batch is sent until it arrives, long after it was given up.
        limits = {**self.options, "request_timeout_ms": int(self.timeout_s * 1000)}
        while not self._closed:
            self._admin = AIOKafkaAdminClient(**limits)
            self._producer = AIOKafkaProducer(
                **limits, acks="all", max_batch_size=_BATCH_BYTES, max_request_size=2 * _BATCH_BYTES
            )
            self._asking = AIOKafkaConsumer(**limits)
            try:
                await self._admin.start()
                await self._producer.start()
                await self._asking.start()
            except (KafkaError, OSError, TimeoutError) as error:
                if repr(error) != failure:
                    failure = repr(error)
                    _log.warning("Kafka is away", error=failure)
                await uninterrupted(self._stop())
            else:
                return
            await asyncio.sleep(_RECONNECT_S)

    async def _stop(self) -> None:
        await self._asking.stop()
        await self._producer.stop()
        await self._admin.close()

    async def _ready(self) -> None:
        if self._opening is None:
            self._opening = asyncio.create_task(self._open())
        if not self._opening.done():
            with answering():
                async with asyncio.timeout(self.timeout_s):
                    await asyncio.shield(self._opening)
        self._opening.result()

    async def close(self) -> None:
        self._closed = True
        if self._opening is None:
            return
        self._opening.cancel()
        await asyncio.wait({self._opening})
        if self._asking is not None:
            await self._stop()

    async def ping(self) -> None:
        await self._ready()
        with answering():
            async with asyncio.timeout(self.timeout_s):
                await self._admin.describe_topics([])

    # -- topics ---------------------------------------------------------------------------------------

    async def make(self, name: str, partitions: int = PARTITIONS, configs: Mapping[str, str] = _KEPT) -> None:
        """Makes a topic that is not there, with as many replicas as the broker says; an operator may have
        made it. Returns when it can be written to."""
        await self._ready()
        if name in self._topics:
            return
        with answering():
            async with asyncio.timeout(self.timeout_s), self._making:
                if name not in self._topics:
                    await self._make(name, partitions, configs)
                    self._topics.add(name)

    def forget(self, name: str) -> None:
        """It may have been deleted: it is made before it is used again."""
        self._topics.discard(name)

    async def _make(self, name: str, partitions: int, configs: Mapping[str, str]) -> None:
        wanted = NewTopic(name, partitions, -1, replica_assignments={}, topic_configs=dict(configs))
        answer = await self._admin.create_topics([wanted])
        error, text = answer.topic_errors[0][1:3]
        if error not in (0, TopicAlreadyExistsError.errno):
            raise for_code(error)(text)
        if error:
            (found,) = await self._admin.describe_topics([name])
            if found["error_code"]:
                raise for_code(found["error_code"])(name)
            if len(found["partitions"]) < partitions:
                _log.error("a topic of the bus has too few partitions", topic=name, needs=partitions)
                raise KafkaError(f"{name} needs {partitions} partitions")
        await self._asking.end_offsets(_ats(name, range(partitions)))  # waits for their leaders

    # -- publishing -----------------------------------------------------------------------------------

    async def append(self, name: str, partition: int, messages: Sequence[Message]) -> Appended:
        """To a topic that is made; in batches, each acknowledged before the next: should one be lost or
        refused, none comes before it."""
        waiting = list(messages)
        while True:
            batch = self._producer.create_batch()
            count = 0
            while count < len(waiting) and _added(batch, waiting[count]):
                count += 1
            del waiting[:count]
            first, start = await self._send(batch, name, partition)
            if not waiting:
                return Appended(first + count, first + count - start)

    async def put(self, name: str, key: str, value: bytes) -> None:
        """Into a topic of one partition that the caller has made."""
        batch = self._producer.create_batch()
        batch.append(timestamp=None, key=key.encode(), value=value)
        await self._send(batch, name, 0)

    async def _send(self, batch: Any, name: str, partition: int) -> tuple[int, int]:
        """The offsets of the first in the batch, and of the oldest in the partition."""
        try:
            with answering():
                async with asyncio.timeout(self.timeout_s):
                    sent = await self._producer.send_batch(batch, name, partition=partition)
                    taken = await finished(sent)
        except Unavailable:
            self.forget(name)
            raise
        return taken.offset, taken.log_start_offset

    # -- what is kept ---------------------------------------------------------------------------------

    async def committed(self, group: str, partitions: Sequence[TopicPartition]) -> dict[int, tuple[int, str]]:
        """The offset and the metadata of each partition for which the group has them."""
        await self._ready()
        with answering():
            async with asyncio.timeout(self.timeout_s):
                found = await self._admin.list_consumer_group_offsets(group, partitions=list(partitions))
        return {each.partition: (at.offset, at.metadata) for each, at in found.items() if at.offset >= 0}

    async def begins(self, name: str, partitions: Sequence[int]) -> dict[int, int]:
        """The offset of the oldest event of each."""
        await self._ready()
        with answering():
            async with asyncio.timeout(self.timeout_s):
                return _by_partition(await self._asking.beginning_offsets(_ats(name, partitions)))

    async def ends(self, name: str, partitions: Sequence[int]) -> dict[int, int]:
        """The offset of the next event of each."""
        await self._ready()
        with answering():
            async with asyncio.timeout(self.timeout_s):
                return _by_partition(await self._asking.end_offsets(_ats(name, partitions)))

    async def needed(self, topic: str, partition: int) -> int | None:
        """The oldest offset that some group needs. None: there is no group."""
        await self._ready()
        with answering():
            async with asyncio.timeout(self.timeout_s):
                groups = [each[0] for each in await self._admin.list_consumer_groups()]
        at = TopicPartition(topic_name(topic), partition)
        mine = [each for each in groups if each.startswith(group_id(topic, ""))]
        offsets = [(await self.committed(each, [at])).get(partition, (0, ""))[0] for each in mine]
        return min(offsets, default=None)

    async def drop(self, topic: str, partition: int, before: int) -> None:
        with answering():
            async with asyncio.timeout(self.timeout_s):
                await self._admin.delete_records(
                    {TopicPartition(topic_name(topic), partition): RecordsToDelete(before_offset=before)}
                )


def _ats(name: str, partitions: Sequence[int]) -> list[TopicPartition]:
    return [TopicPartition(name, partition) for partition in partitions]


def _by_partition(offsets: Mapping[TopicPartition, int]) -> dict[int, int]:
    return {at.partition: offset for at, offset in offsets.items()}


async def finished(work: "asyncio.Future[T]") -> T:
    """Its result. Whoever no longer waits leaves it to its end: what aiokafka shields would, when cancelled,
    complain of a failure that nobody heard of."""
    work.add_done_callback(_heard)
    await asyncio.wait({work})
    return work.result()


async def uninterrupted(work: Coroutine[Any, Any, None]) -> None:
    """To its end, whoever is cancelled meanwhile: half a client would be left."""
    task = asyncio.create_task(work)
    while not task.done():
        with suppress(asyncio.CancelledError):
            await asyncio.wait({task})
    task.result()


def _heard(work: "asyncio.Future[T]") -> None:
    if not work.cancelled():
        work.exception()


def _added(batch: Any, message: Message) -> bool:
    """False: the batch is full."""
    headers = [(_ID, message.id.encode())]
    key = message.subject.encode()
    return batch.append(timestamp=None, key=key, value=message.body, headers=headers) is not None


def unpacked(record: Any) -> Message | None:
    """None: the bus did not write it."""
    headers = dict(record.headers)
    if record.key is None or record.value is None or _ID not in headers:
        _log.error("not an event", topic=record.topic, partition=record.partition, offset=record.offset)
        return None
    return Message(headers[_ID].decode(), record.key.decode(), record.value)
