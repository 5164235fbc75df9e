"""Clients that go on while what they need is killed."""

from __future__ import annotations

import asyncio
import itertools
from asyncio.subprocess import Process
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import ClassVar, Generic, TypeVar

import grpc

from services.chassis.bus.port import Bus, Message
from services.chassis.errors import Unavailable
from tests.support.process import serving
from tests.support.refusals import info

PATIENT_S = 3.0
MAY_BE_TOLD = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
}
S = TypeVar("S")
"""What a client calls: stubs of one process."""
T = TypeVar("T")


@dataclass
class Storm(Generic[S]):
    """Clients that go on until they are told to stop, and ask again for whatever got no answer."""

    IMPATIENT_S: ClassVar[tuple[float, ...]] = (0.005, 0.015, 0.05)
    """About as long as an answer takes, on whatever machine."""
    processes: list[S]
    stopping: bool = False
    rounds: int = 0
    calls: int = 0
    refused: int = 0
    """Of those that waited."""
    _more: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def client(self, number: int) -> None:
        servers = itertools.cycle(self.processes[number % 2 :] + self.processes[: number % 2])
        for turn in itertools.count():
            if self.stopping:
                return
            await self.round(servers, number, turn)
            self.rounds += 1
            async with self._more:
                self._more.notify_all()

    async def round(self, servers: Iterator[S], number: int, turn: int) -> None:
        """What a client does over and over."""
        raise NotImplementedError

    async def asked(self, servers: Iterator[S], call: Callable[[S, float], Awaitable[T]]) -> T:
        """Some do not wait for their first answer: it is lost, whatever was done. `call`: of a process, with
        a time limit in seconds."""
        self.calls += 1
        impatient_s = self.IMPATIENT_S[self.calls // 3 % len(self.IMPATIENT_S)]
        timeout_s = PATIENT_S if self.calls % 3 else impatient_s
        while True:
            try:
                return await call(next(servers), timeout_s)
            except grpc.aio.AioRpcError as error:
                assert error.code() in MAY_BE_TOLD, (error, info(error))
                self.refused += timeout_s == PATIENT_S
                await asyncio.sleep(0.02)  # as a client does
            timeout_s = PATIENT_S

    async def told(self, bus: Bus, topic: str, message: Message, *, times: int = 1) -> None:
        """As a relay does: until the bus has taken it, in whatever fate of earlier attempts."""
        while True:
            try:
                return await bus.publish(topic, [message] * times)
            except Unavailable:
                self.refused += 1
                await asyncio.sleep(0.02)

    async def more(self, rounds: int) -> None:
        """Until so many more are acknowledged."""
        wanted = self.rounds + rounds
        async with self._more:
            await self._more.wait_for(lambda: self.rounds >= wanted)


async def two(
    running: AsyncExitStack, service: str, **variables: str
) -> tuple[Process, list[grpc.aio.Channel]]:
    """Two processes, until `running` ends: the first, to be killed, and channels to both."""
    enter = running.enter_async_context
    (first, one), (_, other) = await asyncio.gather(
        *(enter(serving(service=service, **variables)) for _ in range(2))
    )
    ports = [each["port"] for each in (one, other)]
    return first, [await enter(grpc.aio.insecure_channel(f"127.0.0.1:{port}")) for port in ports]
