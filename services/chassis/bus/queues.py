"""What the bus needs of a product that has queues and hands out messages itself."""

import json
import re
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from services.chassis.bus.port import Message

# As many are received at once, at most.
PAGE = 10


@dataclass(frozen=True, slots=True)
class Sent:
    """A text on its way into a queue. FIFO hands out those of one `lane` in their order, in one hand."""

    lane: str
    text: str


@dataclass(frozen=True, slots=True)
class Received:
    """A text that is nobody else's for as long as it was asked for. `number`: grows within a FIFO queue;
    `times`: how often it was handed out; `sent_s`: when it was sent, where that is asked for."""

    id: str
    handle: str
    number: int
    times: int
    text: str
    sent_s: float = 0.0


def slug(name: str) -> str:
    """As every product takes it in the name of a queue; `_` is ours."""
    return re.sub(r"[^A-Za-z0-9-]", "-", name)


class Queues(Protocol):
    """A connection. Every method raises Unavailable (BUS_UNAVAILABLE) when the product does not answer. A
    queue is made when it is first used; one whose name ends in `.fifo` keeps the order of its lanes."""

    keep_s: int
    """For how long something is ours that was received, unless it is kept for longer."""
    readers: int
    """How many may wait for something at once."""

    async def close(self) -> None: ...

    async def names(self, prefix: str) -> list[str]:
        """Of the queues that are there, sorted."""

    async def drop(self, name: str) -> None: ...

    async def is_settled(self, name: str) -> bool:
        """What `settle` said of a queue; it lasts as long as the queue."""

    async def settle(self, name: str) -> None: ...

    async def length(self, name: str) -> int:
        """Of what waits and what is in somebody's hands, as far as the product knows."""

    async def send(self, name: str, texts: Sequence[Sent]) -> None:
        """In order within each lane."""

    async def receive(self, name: str, count: int, wait_s: int = 0) -> tuple[float, list[Received]]:
        """Until when (monotonic) they are ours, and what there is; `wait_s`: until there is something."""

    async def keep(self, name: str, handles: Sequence[str]) -> set[str]:
        """Keeps what was received for longer, from now on. Those that are still ours."""

    async def give_back(self, name: str, handles: Sequence[str]) -> None: ...

    async def delete(self, name: str, handles: Sequence[str]) -> None:
        """Of those that are not ours any more, somebody else takes care."""

    async def everything(self, name: str, until_s: float) -> list[Received]:
        """What a plain queue has, and gets until then (monotonic), and still has afterwards. Only one at a
        time may ask."""


def packed(message: Message, *more: int | str) -> str:
    """As text that is never empty."""
    line = json.dumps([message.id, message.subject, *more]).encode()
    return b64encode(line + b"\n" + message.body).decode()


def unpacked(text: str) -> tuple[Message, list[Any]]:
    """And what else was packed with it."""
    line, _, body = b64decode(text).partition(b"\n")
    event_id, subject, *more = json.loads(line)
    return Message(event_id, subject, body), more
