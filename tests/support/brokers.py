"""The servers of buses by kind: each is real, listens on this machine only, and is started when asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from typing import Protocol

import pytest

from tests.support import kafka as kafka_server
from tests.support import nats as nats_server
from tests.support import rabbitmq as rabbitmq_server
from tests.support import redis as redis_server
from tests.support import sqs as sqs_server


class Broker(Protocol):
    """A server that runs. What it acknowledged, it has after `kill` and `start`, if it is DURABLE."""

    @property
    def url(self) -> str:
        """Stays the same."""

    def start(self) -> None:
        """Returns when it answers."""

    def kill(self) -> None:
        """As kill -9 does."""

    def pause(self) -> None:
        """Connections stay, nobody answers."""

    def resume(self) -> None: ...

    def mend(self) -> None:
        """Returns when it answers, whatever was done to it."""


# One that cannot be had on this machine skips the test, and says what is missing.
_SERVERS: Mapping[str, Callable[[], AbstractContextManager[Broker]]] = {
    "kafka": kafka_server.server,
    "nats": nats_server.server,
    "rabbitmq": rabbitmq_server.server,
    "redis": partial(redis_server.server, durable=True),
    "sqs": sqs_server.server,
}

# The parameter of a test for each kind; those of one kind share a server, hence a process of the tests.
KINDS = [pytest.param(kind, marks=pytest.mark.xdist_group(f"bus {kind}")) for kind in _SERVERS]


# Those whose server of the tests forgets nothing when it is killed, and is quick: only they are held to what
# takes a new start or many events.
DURABLE = [kind for kind in KINDS if kind.values != ("sqs",)]

# Those whose server takes long to start again when it has much.
_SLOW = ("rabbitmq",)


class Brokers:
    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._started: dict[str, Broker] = {}

    def of(self, kind: str) -> Broker:
        return self._running(kind, kind)

    def killable(self, kind: str) -> Broker:
        """One that starts again soon: with little from other tests, where that would take long."""
        return self._running(f"{kind} to be killed" if kind in _SLOW else kind, kind)

    def _running(self, name: str, kind: str) -> Broker:
        if name not in self._started:
            self._started[name] = self._stack.enter_context(_SERVERS[kind]())
        return self._started[name]


@contextmanager
def running() -> Iterator[Brokers]:
    """Ends at the end what it started."""
    with ExitStack() as stack:
        yield Brokers(stack)
