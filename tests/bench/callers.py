"""Clients that make unary calls, in a closed loop or at a rate, and how long their answers took."""

from __future__ import annotations

import asyncio
import gc
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple, Protocol

from tests.bench.unary import DEADLINE_EXCEEDED, OK, RESOURCE_EXHAUSTED, UNAVAILABLE, Done

# What a client does not give up on: it asks again, with the same key.
NOT_NOW = (DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, UNAVAILABLE)
PAUSE_S = 0.1
# After the end of a round, until everything is answered.
PATIENCE_S = 60.0


class Connection(Protocol):
    """What calls are made over: `unary.Channel`, `http1.Web`."""

    ended: asyncio.Future[Any]

    def call(
        self, path: str, message: bytes, done: Done, headers: Sequence[tuple[str, str]] = ()
    ) -> None: ...


class Request(NamedTuple):
    """`settle` is called with the answer, once, when it is OK. `headers`: of this call only."""

    path: str
    message: bytes
    settle: Callable[[bytes], None]
    headers: Sequence[tuple[str, str]] = ()


Make = Callable[[], Request | None]
"""The next request; None: there is none."""


@dataclass
class Round:
    """What one round came to. `took`: until the last answer. `latencies`: of all calls, until they were OK.
    Both in seconds. `again`: how often a call was told to come again later."""

    took: float = 0.0
    again: int = 0
    latencies: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        return len(self.latencies) / self.took


class Callers:
    """Makes the calls of one round over `channels`, which it takes in turn."""

    def __init__(self, channels: Sequence[Connection], make: Make, seconds: float) -> None:
        self._channels = channels
        self._make = make
        self._seconds = seconds
        self._until = 0.0
        self._round = Round()
        self._open = 0
        """Clients, or calls, that the round waits for."""
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def closed(self, clients: int) -> Round:
        """Each of `clients` makes a call as soon as the one before is answered."""
        self._open = clients

        def begin() -> None:
            for number in range(clients):
                self._next(self._channels[number % len(self._channels)])

        return await self._run(begin)

    async def at_rate(self, rate: float, seed: int = 1) -> Round:
        """So many calls a second at random times, whether answers come or not. The wait for an answer begins
        when its call is due, also when it is made later."""
        chance = random.Random(seed)
        loop = asyncio.get_running_loop()
        made, due = 0, 0.0

        def go_on() -> None:
            nonlocal made, due
            while due <= (now := time.perf_counter()) and due < self._until:
                request = self._make()
                if request is None:
                    due = self._until
                    break
                self._open += 1
                self._send(self._channels[made % len(self._channels)], request, due, self._close)
                made += 1
                due += chance.expovariate(rate)
            if due < self._until:
                loop.call_later(due - now, go_on)
            else:
                self._close()  # it counted itself

        def begin() -> None:
            nonlocal due
            due = time.perf_counter() + chance.expovariate(rate)
            self._open = 1
            go_on()

        return await self._run(begin)

    async def _run(self, begin: Callable[[], None]) -> Round:
        # A collection takes tens of milliseconds here, which would count as the server's.
        gc.collect()
        gc.disable()
        try:
            began = time.perf_counter()
            self._until = began + self._seconds
            begin()
            await asyncio.wait(
                {self._over, *(channel.ended for channel in self._channels)},
                timeout=self._seconds + PATIENCE_S,
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            gc.enable()
        self._round.took = time.perf_counter() - began
        for channel in self._channels:
            if channel.ended.done():
                channel.ended.result()
        if not self._over.done():
            raise RuntimeError(f"{self._open:,} calls are unanswered {PATIENCE_S:.0f} s after the end")
        return self._round

    def _next(self, channel: Connection) -> None:
        now = time.perf_counter()
        request = self._make() if now < self._until else None
        if request is None:
            self._close()
        else:
            self._send(channel, request, now, partial(self._next, channel))

    def _close(self) -> None:
        self._open -= 1
        if not self._open:
            self._over.set_result(None)

    def _send(self, channel: Connection, request: Request, since: float, then: Callable[[], None]) -> None:
        def done(code: int, answer: bytes) -> None:
            now = time.perf_counter()
            if code == OK:
                self._round.latencies.append(now - since)
                request.settle(answer)
                then()
            elif code in NOT_NOW:
                self._round.again += 1
                again = partial(self._send, channel, request, since, then)
                asyncio.get_running_loop().call_later(PAUSE_S, again)
            else:
                raise RuntimeError(f"{request.path} was answered with status {code}: {answer!r}")

        channel.call(request.path, request.message, done, request.headers)
