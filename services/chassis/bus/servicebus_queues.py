"""The requests to Azure Service Bus that the bus makes. A lane is a session."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import sha256
from itertools import count

from azure.core.exceptions import AzureError, ResourceExistsError, ResourceNotFoundError
from azure.servicebus import NEXT_AVAILABLE_SESSION, ServiceBusMessage, ServiceBusReceivedMessage
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver, ServiceBusSender
from azure.servicebus.aio.management import ServiceBusAdministrationClient
from azure.servicebus.exceptions import (
    MessageLockLostError,
    MessagingEntityNotFoundError,
    OperationTimeoutError,
    SessionLockLostError,
)

from services.chassis import clock
from services.chassis.bus import cancellation
from services.chassis.bus.queues import Received, Sent
from services.chassis.errors import Unavailable

SHORTEST_LOCK_S = 5
_PAGE = 100
_PAGE_BYTES = 200_000
# Long enough to be told of a session that waits.
_LOOK_S = 0.5
_OFTEN = 2_147_483_647
_SETTLED = "past handled"


@dataclass(slots=True)
class _Session:
    """A session in our hands, and of what was received from it what is not settled, by handle."""

    receiver: ServiceBusReceiver
    open: dict[str, ServiceBusReceivedMessage] = field(default_factory=dict)


class ServiceBusQueues:
    """See `queues.Queues`."""

    def __init__(self, url: str, *, timeout_s: float, keep_s: int) -> None:
        self.keep_s = keep_s
        self.readers = 4  # each has one session, and waits for its answers
        self._timeout_s = timeout_s
        # A retry inside the client would send again what may have been done, and hide that from us.
        self._client = ServiceBusClient.from_connection_string(url, retry_total=0)
        self._manager = ServiceBusAdministrationClient.from_connection_string(url, retry_total=0)
        self._made: set[str] = set()
        self._senders: dict[str, ServiceBusSender] = {}
        self._sessions: dict[str, _Session] = {}
        self._numbers = count(1)

    async def close(self) -> None:
        for session in {id(each): each for each in self._sessions.values()}.values():
            await session.receiver.close()
        for sender in self._senders.values():
            await sender.close()
        await self._client.close()
        await self._manager.close()

    @contextmanager
    def _answering(self, name: str = "") -> Iterator[None]:
        """What Service Bus refuses for its own reasons (throttling, credentials) is as good as no answer."""
        try:
            with cancellation.kept():
                yield
        except (AzureError, OSError, TimeoutError) as error:
            if isinstance(error, MessagingEntityNotFoundError | ResourceNotFoundError):
                self._made.discard(name)
            raise Unavailable(
                "The bus does not answer.", reason="BUS_UNAVAILABLE", retry_after_s=1.0
            ) from error

    # -- queues ---------------------------------------------------------------------------------------

    async def _make(self, name: str) -> None:
        if name in self._made:
            return
        with suppress(ResourceExistsError):
            await self._manager.create_queue(
                name,
                requires_session=name.endswith(".fifo"),
                lock_duration=timedelta(seconds=self.keep_s),
                # Who counts attempts is the member.
                max_delivery_count=_OFTEN,
            )
        self._made.add(name)

    async def names(self, prefix: str) -> list[str]:
        with self._answering():
            async with asyncio.timeout(self._timeout_s):
                found = [queue.name async for queue in self._manager.list_queues()]
        self._made.update(found)
        return sorted(name for name in found if name.startswith(prefix))

    async def drop(self, name: str) -> None:
        with self._answering(name):
            async with asyncio.timeout(self._timeout_s):
                await self._manager.delete_queue(name)
        self._made.discard(name)

    async def is_settled(self, name: str) -> bool:
        with self._answering(name):
            async with asyncio.timeout(self._timeout_s):
                await self._make(name)
                return (await self._manager.get_queue(name)).user_metadata == _SETTLED

    async def settle(self, name: str) -> None:
        with self._answering(name):
            async with asyncio.timeout(self._timeout_s):
                properties = await self._manager.get_queue(name)
                properties.user_metadata = _SETTLED
                await self._manager.update_queue(properties)

    async def length(self, name: str) -> int:
        with self._answering(name):
            async with asyncio.timeout(self._timeout_s):
                await self._make(name)
                found = await self._manager.get_queue_runtime_properties(name)
        return found.active_message_count or 0

    # -- texts ----------------------------------------------------------------------------------------

    async def send(self, name: str, texts: Sequence[Sent]) -> None:
        """In pages that are taken as a whole or not at all."""
        for page in _pages(texts, name.endswith(".fifo")):
            with self._answering(name):
                async with asyncio.timeout(self._timeout_s):
                    await self._make(name)
                    if name not in self._senders:
                        self._senders[name] = self._client.get_queue_sender(name)
                    await self._senders[name].send_messages(page)

    async def receive(self, name: str, count: int, wait_s: int = 0) -> tuple[float, list[Received]]:
        """Of one session, which is nobody else's until all of it is settled or given back."""
        waits_s = wait_s or _LOOK_S
        with self._answering(name):
            async with asyncio.timeout(self._timeout_s):
                await self._make(name)
            receiver = self._client.get_queue_receiver(
                name, session_id=NEXT_AVAILABLE_SESSION, max_wait_time=waits_s
            )
            session = None
            try:
                async with asyncio.timeout(2 * waits_s + self._timeout_s):
                    messages = await receiver.receive_messages(count, max_wait_time=waits_s)
                    begin_s = clock.monotonic_s()
                    if messages:
                        # Nobody knows when, meanwhile, the lock began.
                        await receiver.session.renew_lock()
                        session = _Session(receiver)
            except (OperationTimeoutError, SessionLockLostError):
                messages, begin_s = [], clock.monotonic_s()
            finally:
                if session is None:
                    await receiver.close()
        if session is None:
            return begin_s, []
        for message in messages:
            handle = str(next(self._numbers))
            self._sessions[handle] = session
            session.open[handle] = message
        return begin_s + self.keep_s, [_received(*each) for each in session.open.items()]

    async def keep(self, name: str, handles: Sequence[str]) -> set[str]:
        kept: set[str] = set()
        for session, ours in self._by_session(handles):
            with self._answering(name):
                try:
                    async with asyncio.timeout(self._timeout_s):
                        await session.receiver.session.renew_lock()
                    kept.update(ours)
                except SessionLockLostError:
                    await self._end(session)
        return kept

    async def give_back(self, name: str, handles: Sequence[str]) -> None:
        """Which ends the session: what comes after must not overtake."""
        for session, _ in self._by_session(handles):
            with self._answering(name):
                await self._end(session)

    async def delete(self, name: str, handles: Sequence[str]) -> None:
        for session, ours in self._by_session(handles):
            with self._answering(name):
                try:
                    async with asyncio.timeout(self._timeout_s):
                        for handle in ours:
                            await session.receiver.complete_message(session.open[handle])
                            del session.open[handle], self._sessions[handle]
                except (SessionLockLostError, MessageLockLostError):
                    await self._end(session)
                if not session.open:
                    await session.receiver.close()

    async def everything(self, name: str, until_s: float) -> list[Received]:
        """Looks without taking."""
        found: list[Received] = []
        await asyncio.sleep(max(0.0, until_s - clock.monotonic_s()))
        with self._answering(name):
            async with asyncio.timeout(self._timeout_s):
                await self._make(name)
            async with self._client.get_queue_receiver(name) as receiver:
                after = 0
                while True:
                    async with asyncio.timeout(self._timeout_s):
                        page = await receiver.peek_messages(_PAGE, sequence_number=after)
                    if not page:
                        return found
                    found += [_received("", each) for each in page]
                    after = found[-1].number + 1

    def _by_session(self, handles: Sequence[str]) -> list[tuple[_Session, list[str]]]:
        """Of those that are still ours."""
        found: dict[int, tuple[_Session, list[str]]] = {}
        for handle in handles:
            if session := self._sessions.get(handle):
                found.setdefault(id(session), (session, []))[1].append(handle)
        return list(found.values())

    async def _end(self, session: _Session) -> None:
        for handle in session.open:
            del self._sessions[handle]
        session.open = {}
        await session.receiver.close()


def _pages(texts: Sequence[Sent], sessions: bool) -> Iterator[list[ServiceBusMessage]]:
    page: list[ServiceBusMessage] = []
    size = 0
    for each in texts:
        if len(page) == _PAGE or (page and size + len(each.text) > _PAGE_BYTES):
            yield page
            page, size = [], 0
        session = sha256(each.lane.encode()).hexdigest() if sessions else None
        page.append(ServiceBusMessage(each.text, session_id=session, message_id=clock.new_id()))
        size += len(each.text)
    if page:
        yield page


def _received(handle: str, message: ServiceBusReceivedMessage) -> Received:
    return Received(
        id=str(message.message_id),
        handle=handle,
        number=message.sequence_number or 0,
        times=(message.delivery_count or 0) + 1,
        text=str(message),
    )
