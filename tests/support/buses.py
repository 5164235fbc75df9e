"""Buses for the tests, by kind, with short times; and handlers that remember."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import replace
from importlib import import_module

from services.chassis.bus import driver
from services.chassis.bus.inmem import InMemoryBus
from services.chassis.bus.lanes import BusLimits
from services.chassis.bus.port import Bus, DeadLetter, Message

LIMITS = BusLimits(
    in_flight=64, max_attempts=3, backoff_s=0.01, max_backoff_s=0.05, close_s=1.0, stream_length=10_000
)
# On a full machine everything may stand still for a while, and whoever does for a lease counts as dead.
LEASE_S = 0.9
# Servers that take their time when they have just started, on a busy machine.
_TIMEOUT_S = {"kafka": 2.0, "rabbitmq": 2.0}


def make(kind: str, url: str, *, lease_s: float = LEASE_S, **limits: float) -> Bus:
    """`url`: of the server; `inmem` has none."""
    chosen = replace(LIMITS, **limits)  # type: ignore[arg-type]  # each is of the right kind by its name
    if kind == "inmem":
        return InMemoryBus(chosen)
    if kind == "rabbitmq":
        link = import_module("services.chassis.bus.rabbitmq_link")
        link.NOTED_S = 0.0  # type: ignore[attr-defined]  # instead, the server is killed so much later
    return driver(kind)(url, chosen, timeout_s=_TIMEOUT_S.get(kind, 1.0), lease_s=lease_s)


def message(subject: str, number: int) -> Message:
    return Message(f"{subject}/{number}", subject, f"body of {number}".encode())


def some(count: int, subjects: int, start: int = 0) -> list[Message]:
    return [message(f"s{number % subjects}", number) for number in range(start, start + count)]


class Recorder:
    """A handler and a sink of dead letters."""

    def __init__(self) -> None:
        self.seen: list[Message] = []
        self.letters: list[DeadLetter] = []
        self._changed = asyncio.Condition()

    async def handle(self, message: Message) -> None:
        self.seen.append(message)
        await self.notice()

    async def bury(self, letter: DeadLetter) -> None:
        self.letters.append(letter)
        await self.notice()

    async def notice(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    @property
    def ids(self) -> set[str]:
        return {message.id for message in self.seen}

    async def until(self, messages: list[Message], within_s: float = 60.0) -> None:
        """Until each was handled at least once."""
        wanted = {message.id for message in messages}
        async with asyncio.timeout(within_s), self._changed:
            await self._changed.wait_for(lambda: wanted <= self.ids)

    async def until_letters(self, count: int, within_s: float = 60.0) -> None:
        async with asyncio.timeout(within_s), self._changed:
            await self._changed.wait_for(lambda: len(self.letters) >= count)

    def first_arrivals(self) -> dict[str, list[int]]:
        """Per subject, the numbers in the order in which each was first handled."""
        found: dict[str, list[int]] = defaultdict(list)
        for message in self.seen:
            number = int(message.id.split("/")[1])
            if number not in found[message.subject]:
                found[message.subject].append(number)
        return found

    def assert_in_order(self) -> None:
        for subject, numbers in self.first_arrivals().items():
            assert numbers == sorted(numbers), subject
