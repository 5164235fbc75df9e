"""A member of one of Kafka's groups: its consumer, the partitions that it holds, what it has fetched of them,
and how far it commits the group to be.

Kafka divides a group anew when each member has given back all that it held (aiokafka knows no other way). So
`revoked` waits until nothing of it is in anybody's hands. Who is silent for a session is left out, and can
commit nothing after that.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, InvalidSessionTimeoutError, KafkaError

from services.chassis.bus.kafka_client import Client, answering, finished, uninterrupted, unpacked
from services.chassis.bus.kafka_progress import Progress
from services.chassis.bus.log import Entry
from services.chassis.bus.port import Message
from services.chassis.errors import Unavailable

_log = structlog.get_logger()
_RECONNECT_S = 0.25
_POLL_S = 0.25
# Events of one partition that wait in memory to be read.
_AHEAD = 64
# The least that a broker grants unless it is told otherwise (group.min.session.timeout.ms).
_SESSION_S = 6.0
# How long a group waits for what a member does at the moment, before it leaves that member out.
_REBALANCE_S = 60.0
_LAST_COMMIT_S = 0.05
_NEVER_MS = 2**31 - 1


class Fenced(Exception):
    """The group was divided without this member."""


@dataclass(slots=True)
class Held:
    """One that this member holds. `number`: of this holding; an entry of another one means nothing here."""

    number: int
    progress: Progress | None = None
    fetched: dict[int, Message | None] = field(default_factory=dict)
    next: int = 0
    handed_out: set[int] = field(default_factory=set)
    rewound: bool = False

    @property
    def known(self) -> Progress:
        """Once it is loaded."""
        assert self.progress is not None
        return self.progress

    def take(self, records: Sequence[Any]) -> None:
        for record in records:
            if record.offset < self.next:
                self.rewound = True  # the topic was deleted and made again, or has lost its end
                return
            self.next = record.offset + 1
            if self.progress is None or self.progress.wants(record.offset):
                self.fetched[record.offset] = unpacked(record)

    def unread(self, count: int) -> list[int]:
        return [offset for offset in self.fetched if self.known.unread(offset)][:count]

    def hand_out(self, offsets: Iterable[int]) -> None:
        for offset in offsets:
            self.known.hand_out(offset)
            self.handed_out.add(offset)

    def take_back(self) -> None:
        """What is not done: its next holder reads it as if it were new."""
        for offset in self.handed_out:
            self.known.take_back(offset)
        self.handed_out.clear()

    def finish(self, entry_ids: Iterable[bytes]) -> None:
        done = [offset for number, offset in map(parsed, entry_ids) if number == self.number]
        self.known.finish(done)
        self.handed_out.difference_update(done)

    def entry(self, offset: int, message: Message | None) -> Entry:
        return Entry(b"%d.%d" % (self.number, offset), message)


def parsed(entry_id: bytes) -> tuple[int, int]:
    number, _, offset = entry_id.partition(b".")
    return int(number), int(offset)


class _Rebalances(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is not typed
    def __init__(self, group: "Group") -> None:
        self._group = group

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        await self._group.revoked()

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        await self._group.assigned(each.partition for each in assigned)


class Group:
    """`held`: by number of the partition. `revoking`: all of it has to be given back. `divided` is set when
    either changes, `changed` told when `held` does, or what was fetched of it."""

    def __init__(self, client: Client, topic: str, group: str, session_s: float) -> None:
        self._client = client
        self._session_s = session_s
        self._consumer: AIOKafkaConsumer = None
        self._fetching: asyncio.Task[None] | None = None
        self._assigned: set[int] = set()
        self._number = 0
        self._gone = False
        self._left = False
        self._commit_under_way: asyncio.Task[None] | None = None
        self.topic = topic
        self.id = group
        self.held: dict[int, Held] = {}
        self.revoking = False
        self.divided = asyncio.Event()
        self.changed = asyncio.Condition()

    def join(self) -> None:
        """Goes on until `leave`; may be called again."""
        if self._fetching is None:
            self._fetching = asyncio.create_task(self._fetch())

    def leaving(self) -> None:
        """What is given back from now on is not taken anew."""
        self._left = True
        self._assigned.clear()

    async def leave(self) -> None:
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.wait({self._fetching})

    async def _fetch(self) -> None:
        """Keeps a consumer. One that fails is replaced, and what it held is gone."""
        failure = ""
        while not self._left:
            consumer = self._consumer = self._made()
            try:
                await self._client.make(self.topic)
                await consumer.start()
                failure = ""
                while not self._left:
                    await self._fetch_some(consumer)
            except (KafkaError, OSError, TimeoutError, Unavailable) as error:
                if isinstance(error, InvalidSessionTimeoutError):
                    self._session_s = max(self._session_s, _SESSION_S)
                if repr(error) != failure:
                    failure = repr(error)
                    _log.warning("not in the group", group=self.id, error=failure)
                self._client.forget(self.topic)
            finally:
                await self._lose()
                await uninterrupted(self._stop(consumer))
            await asyncio.sleep(_RECONNECT_S)

    def _made(self) -> AIOKafkaConsumer:
        consumer = AIOKafkaConsumer(
            **self._client.options,
            group_id=self.id,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            request_timeout_ms=int(2000 * self._client.timeout_s),
            fetch_max_wait_ms=int(1000 * _POLL_S),
            session_timeout_ms=int(1000 * self._session_s),
            heartbeat_interval_ms=int(200 * self._session_s),
            rebalance_timeout_ms=int(1000 * _REBALANCE_S),
            max_poll_interval_ms=_NEVER_MS,
        )
        consumer.subscribe([self.topic], listener=_Rebalances(self))
        return consumer

    async def _stop(self, consumer: AIOKafkaConsumer) -> None:
        try:
            await consumer.stop()
        except (KafkaError, OSError) as error:
            _log.warning("left without a word", group=self.id, error=repr(error))
        if self._commit_under_way:  # fails now, and would be tried again for ever
            await asyncio.wait({self._commit_under_way}, timeout=_LAST_COMMIT_S)
            self._commit_under_way.cancel()
            self._commit_under_way = None

    async def _fetch_some(self, consumer: AIOKafkaConsumer) -> None:
        async with self.changed:
            await self.changed.wait_for(lambda: self._wanted() or self._gone)
        if self._gone:
            raise KafkaError("the topic was deleted")
        found = await consumer.getmany(*self._wanted(), timeout_ms=int(1000 * _POLL_S), max_records=_AHEAD)
        for at, records in found.items():
            if at.partition in self.held:
                self.held[at.partition].take(records)
        if found:
            await self.tell()

    def _wanted(self) -> list[TopicPartition]:
        return [self.at(each) for each, held in self.held.items() if len(held.fetched) < _AHEAD]

    def at(self, partition: int) -> TopicPartition:
        return TopicPartition(self.topic, partition)

    async def tell(self) -> None:
        async with self.changed:
            self.changed.notify_all()

    async def assigned(self, partitions: Iterable[int]) -> None:
        self._assigned = set(partitions)
        self.held = {each: self.begun() for each in self._assigned}
        self.revoking = False
        # aiokafka would look for it again in some minutes.
        self._gone = not self._assigned and not self._consumer.partitions_for_topic(self.topic)
        self.divided.set()
        await self.tell()

    def begun(self, progress: Progress | None = None) -> Held:
        self._number += 1
        return Held(self._number, progress, next=progress.needed if progress else 0)

    async def revoked(self) -> None:
        """Returns when the member has given back all that it held."""
        self.revoking = True
        self._assigned.clear()
        self.divided.set()
        async with self.changed:
            await self.changed.wait_for(lambda: not self.held)

    async def _lose(self) -> None:
        self._assigned.clear()
        self.held.clear()
        self._gone = False
        self.divided.set()
        await self.tell()

    async def give_back(self, partitions: Iterable[int]) -> None:
        for each in set(partitions) & self.held.keys():
            del self.held[each]
            if each in self._assigned:  # because the lease ran out: it is taken anew
                self.held[each] = self.begun()
        await self.tell()

    def take(self, loaded: Mapping[int, Held]) -> None:
        """Fetches from there on. Raises Unavailable unless all of it is held."""
        with answering():
            for each, held in loaded.items():
                self._consumer.seek(self.at(each), held.next)
        self.held.update(loaded)

    async def commit(self, partitions: Mapping[int, Held]) -> None:
        """Raises Fenced; Unavailable."""
        if not partitions:
            return
        offsets = {
            self.at(each): (held.known.needed, held.known.metadata()) for each, held in partitions.items()
        }
        try:
            with answering():
                async with asyncio.timeout(self._client.timeout_s):
                    if self._commit_under_way:
                        await asyncio.wait({self._commit_under_way})  # an older one never comes after this
                    self._commit_under_way = asyncio.create_task(self._consumer.commit(offsets))
                    await finished(self._commit_under_way)
        except Unavailable as error:
            if isinstance(error.__cause__, CommitFailedError | IllegalStateError):
                raise Fenced from error
            raise
