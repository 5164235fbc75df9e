"""How a member of a group handles what it was given; the same for every driver.

Messages of a subject go one by one, in a lane of their own; lanes run side by side. A lane that waits to try
its message again holds up nobody else.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass

import structlog

from services.chassis.bus.port import DeadLetter, DeadLetterSink, Handler, Message
from services.chassis.errors import ResourceExhausted, Unavailable
from services.chassis.metrics import BUS_HANDLED, BUS_HANDLING_SECONDS

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class BusLimits:
    """See the settings of the same names, after `bus_`."""

    in_flight: int
    max_attempts: int
    backoff_s: float
    max_backoff_s: float
    close_s: float
    stream_length: int


@dataclass(frozen=True, slots=True)
class Consumer:
    """What `subscribe` was told."""

    topic: str
    group: str
    handler: Handler
    dead_letters: DeadLetterSink


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message in a member's hands. `attempts`: that began before, here or in a member that died.
    `settled` is called when the group is done with it; never, when it was given back."""

    message: Message
    partition: int
    settled: Callable[[], None]
    attempts: int = 0


@dataclass(slots=True)
class _Lane:
    """The messages of one subject; the first is being handled."""

    partition: int
    deliveries: deque[Delivery]
    task: asyncio.Task[None] | None = None


class Lanes:
    """`holds`: whether the member may still begin a message of a partition."""

    def __init__(self, consumer: Consumer, limits: BusLimits, holds: Callable[[int], bool]) -> None:
        self._consumer = consumer
        self._limits = limits
        self._holds = holds
        self._lanes: dict[str, _Lane] = {}
        self._in_hand = 0
        self._changed = asyncio.Condition()

    @property
    def room(self) -> int:
        """How many more messages fit."""
        return self._limits.in_flight - self._in_hand

    async def until_room(self) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: self.room > 0)

    def add(self, delivery: Delivery) -> None:
        """Behind the others of its subject."""
        subject = delivery.message.subject
        self._in_hand += 1
        if subject in self._lanes:
            self._lanes[subject].deliveries.append(delivery)
            return
        lane = self._lanes[subject] = _Lane(delivery.partition, deque([delivery]))
        lane.task = asyncio.create_task(self._run(subject, lane), name=f"{self._consumer.group}: {subject}")

    async def give_back(self, partitions: Collection[int]) -> None:
        """Begins nothing more of partitions that are no longer held, and lets what runs finish."""
        async with self._changed:
            self._changed.notify_all()
            await self._changed.wait_for(
                lambda: not any(lane.partition in partitions for lane in self._lanes.values())
            )

    async def close(self) -> None:
        """Lets running handlers finish, up to `close_s`, then cancels them. `holds` says no by now."""
        async with self._changed:
            self._changed.notify_all()
        tasks = {lane.task for lane in self._lanes.values() if lane.task is not None}
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=self._limits.close_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _run(self, subject: str, lane: _Lane) -> None:
        try:
            while lane.deliveries and await self._finished(lane.deliveries[0]):
                lane.deliveries.popleft().settled()
                self._in_hand -= 1
                async with self._changed:
                    self._changed.notify_all()
        finally:
            del self._lanes[subject]
            self._in_hand -= len(lane.deliveries)
            async with self._changed:
                self._changed.notify_all()

    async def _finished(self, delivery: Delivery) -> bool:
        """Handles one message until it is done or dead. False: its partition went away before."""
        attempts, backoff_s = delivery.attempts, self._limits.backoff_s
        error = f"consumers died of it {attempts} times"
        while self._holds(delivery.partition):
            if attempts < self._limits.max_attempts:
                failure = await self._handled(delivery.message)
                if failure is None:
                    return True
                if not isinstance(failure, Unavailable | ResourceExhausted):
                    attempts, error = attempts + 1, f"{type(failure).__name__}: {failure}"
            if attempts >= self._limits.max_attempts and await self._buried(
                DeadLetter(self._consumer.group, self._consumer.topic, delivery.message, error, attempts)
            ):
                return True
            await self._pause(delivery.partition, backoff_s)
            backoff_s = min(2 * backoff_s, self._limits.max_backoff_s)
        return False

    async def _handled(self, message: Message) -> Exception | None:
        with BUS_HANDLING_SECONDS.labels(self._consumer.topic, self._consumer.group).time():
            try:
                await self._consumer.handler(message)
            except Exception as error:
                BUS_HANDLED.labels(self._consumer.topic, self._consumer.group, "failed").inc()
                _log.warning(
                    "event not handled", group=self._consumer.group, event_id=message.id, exc_info=True
                )
                return error
        BUS_HANDLED.labels(self._consumer.topic, self._consumer.group, "handled").inc()
        return None

    async def _buried(self, letter: DeadLetter) -> bool:
        try:
            await self._consumer.dead_letters(letter)
        except Exception:
            _log.exception("dead letter not kept", group=self._consumer.group, event_id=letter.message.id)
            return False
        BUS_HANDLED.labels(self._consumer.topic, self._consumer.group, "dead").inc()
        _log.error("dead letter", group=self._consumer.group, event_id=letter.message.id, error=letter.error)
        return True

    async def _pause(self, partition: int, seconds: float) -> None:
        """Shorter when the partition goes away."""
        try:
            async with asyncio.timeout(seconds), self._changed:
                await self._changed.wait_for(lambda: not self._holds(partition))
        except TimeoutError:
            pass
