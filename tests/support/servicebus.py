"""Objects that behave as those of Azure's SDK, on a namespace in memory: sessions, locks that expire,
redelivery. No server of Service Bus can be had here."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest
from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.servicebus import ServiceBusMessage
from azure.servicebus.exceptions import (
    MessagingEntityNotFoundError,
    OperationTimeoutError,
    ServiceBusConnectionError,
    SessionLockLostError,
)

from services.chassis.bus import servicebus_queues


@dataclass(eq=False, slots=True)
class _Stored:
    message_id: str
    session_id: str | None
    sequence_number: int
    text: str
    delivery_count: int = 0

    def __str__(self) -> str:
        return self.text


@dataclass(slots=True)
class _Lock:
    holder: FakeReceiver
    until: float


@dataclass(slots=True)
class _Queue:
    name: str
    requires_session: bool
    lock_s: float
    messages: list[_Stored] = field(default_factory=list)
    locks: dict[str, _Lock] = field(default_factory=dict)
    user_metadata: str | None = None
    numbers: count[int] = field(default_factory=lambda: count(1))
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    def expire(self) -> None:
        """What was received under a lock that is over was delivered once more."""
        for session_id, lock in list(self.locks.items()):
            if lock.until <= time.monotonic():
                for message in lock.holder.received:
                    message.delivery_count += 1
                del self.locks[session_id]

    def free_session(self) -> str | None:
        self.expire()
        for message in self.messages:
            if message.session_id not in self.locks:
                return message.session_id
        return None


class Namespace:
    """Queues by name."""

    def __init__(self) -> None:
        self.queues: dict[str, _Queue] = {}
        self.cuts = 0

    async def cut(self) -> None:
        """Nobody who is connected now is heard again, and the time of what they had is over."""
        self.cuts += 1
        for queue in self.queues.values():
            async with queue.changed:
                for lock in queue.locks.values():
                    lock.until = 0.0
                queue.expire()
                queue.changed.notify_all()


class _Line:
    """A connection, as long as it is not cut."""

    def __init__(self, namespace: Namespace) -> None:
        self._namespace = namespace
        self._cuts = namespace.cuts

    def queue(self, name: str) -> _Queue:
        self.must_stand()
        if name not in self._namespace.queues:
            raise MessagingEntityNotFoundError(message=f"no {name}")
        return self._namespace.queues[name]

    def must_stand(self) -> None:
        if self._namespace.cuts != self._cuts:
            raise ServiceBusConnectionError(message="cut")


class FakeReceiver:
    def __init__(self, line: _Line, queue: _Queue, session_id: object, max_wait_time: float | None) -> None:
        self._line = line
        self._queue = queue
        self._wants_session = session_id is not None
        self._wait_s = max_wait_time or 60.0
        self._session_id: str | None = None
        self.received: list[_Stored] = []
        self.session = self

    async def __aenter__(self) -> FakeReceiver:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.close()

    async def receive_messages(
        self, max_message_count: int, max_wait_time: float | None = None
    ) -> list[_Stored]:
        queue = self._queue
        assert self._wants_session and queue.requires_session
        async with queue.changed:
            if self._session_id is None:
                await self._accept()
            self._must_hold()
            taken = set(map(id, self.received))
            waiting = [
                each
                for each in queue.messages
                if each.session_id == self._session_id and id(each) not in taken
            ]
            self.received += waiting[:max_message_count]
            return waiting[:max_message_count]

    async def _accept(self) -> None:
        queue = self._queue
        end = time.monotonic() + self._wait_s
        while (found := queue.free_session()) is None:
            left = min([lock.until for lock in queue.locks.values()] + [end]) - time.monotonic()
            self._line.must_stand()
            if end <= time.monotonic():
                raise OperationTimeoutError(message="no session")
            try:
                async with asyncio.timeout(max(0.001, left)):
                    await queue.changed.wait()
            except TimeoutError:
                continue
        self._session_id = found
        queue.locks[found] = _Lock(self, time.monotonic() + queue.lock_s)

    def _must_hold(self) -> None:
        self._line.must_stand()
        self._queue.expire()
        lock = self._queue.locks.get(self._session_id or "")
        if lock is None or lock.holder is not self:
            raise SessionLockLostError(message="the lock is over")

    async def renew_lock(self) -> datetime:
        await asyncio.sleep(0)
        self._must_hold()
        assert self._session_id is not None
        self._queue.locks[self._session_id].until = time.monotonic() + self._queue.lock_s
        return datetime.now(UTC) + timedelta(seconds=self._queue.lock_s)

    async def complete_message(self, message: _Stored) -> None:
        await asyncio.sleep(0)
        self._must_hold()
        self.received.remove(message)
        self._queue.messages.remove(message)

    async def peek_messages(self, max_message_count: int, *, sequence_number: int = 0) -> list[_Stored]:
        await asyncio.sleep(0)
        found = [each for each in self._queue.messages if each.sequence_number >= sequence_number]
        return found[:max_message_count]

    async def close(self) -> None:
        """Gives the session back: nothing counts as delivered."""
        async with self._queue.changed:
            self._queue.expire()
            lock = self._queue.locks.get(self._session_id or "")
            if lock is not None and lock.holder is self:
                del self._queue.locks[self._session_id or ""]
            self._queue.changed.notify_all()


class FakeSender:
    def __init__(self, line: _Line, queue: _Queue) -> None:
        self._line = line
        self._queue = queue

    async def send_messages(self, messages: list[ServiceBusMessage]) -> None:
        self._line.must_stand()
        queue = self._queue
        async with queue.changed:
            for each in messages:
                assert (each.session_id is not None) == queue.requires_session
                stored = _Stored(str(each.message_id), each.session_id, next(queue.numbers), str(each))
                queue.messages.append(stored)
            queue.changed.notify_all()

    async def close(self) -> None: ...


class FakeClient:
    def __init__(self, namespace: Namespace) -> None:
        self._line = _Line(namespace)

    def get_queue_sender(self, name: str) -> FakeSender:
        return FakeSender(self._line, self._line.queue(name))

    def get_queue_receiver(
        self, name: str, *, session_id: object = None, max_wait_time: float | None = None
    ) -> FakeReceiver:
        return FakeReceiver(self._line, self._line.queue(name), session_id, max_wait_time)

    async def close(self) -> None: ...


class FakeManager:
    def __init__(self, namespace: Namespace) -> None:
        self._namespace = namespace
        self._line = _Line(namespace)

    async def create_queue(
        self, name: str, *, requires_session: bool, lock_duration: timedelta, max_delivery_count: int
    ) -> None:
        await asyncio.sleep(0)
        assert max_delivery_count > 1_000
        if name in self._namespace.queues:
            raise ResourceExistsError(name)
        self._namespace.queues[name] = _Queue(name, requires_session, lock_duration.total_seconds())

    async def list_queues(self) -> AsyncIterator[Any]:
        await asyncio.sleep(0)
        self._line.must_stand()
        for name in list(self._namespace.queues):
            yield SimpleNamespace(name=name)

    async def delete_queue(self, name: str) -> None:
        await asyncio.sleep(0)
        del self._namespace.queues[name]

    async def get_queue(self, name: str) -> Any:
        await asyncio.sleep(0)
        self._line.must_stand()
        if name not in self._namespace.queues:
            raise ResourceNotFoundError(name)
        return SimpleNamespace(name=name, user_metadata=self._namespace.queues[name].user_metadata)

    async def update_queue(self, properties: Any) -> None:
        await asyncio.sleep(0)
        self._line.queue(properties.name).user_metadata = properties.user_metadata

    async def get_queue_runtime_properties(self, name: str) -> Any:
        await asyncio.sleep(0)
        return SimpleNamespace(active_message_count=len(self._line.queue(name).messages))

    async def close(self) -> None: ...


def pretend(monkeypatch: pytest.MonkeyPatch) -> Namespace:
    """From now on the driver meets a namespace in memory, whatever the address."""
    namespace = Namespace()
    for name, made in (("ServiceBusClient", FakeClient), ("ServiceBusAdministrationClient", FakeManager)):
        fake = SimpleNamespace(from_connection_string=lambda _url, retry_total, made=made: made(namespace))
        monkeypatch.setattr(servicebus_queues, name, fake)
    return namespace
