"""What a bus promises, whichever product it is.

- Every group of a topic gets every message at least once; members of a group share them.
- Messages of one subject reach a group in the order they were published, one at a time.
- A message whose handler failed is handled again, with growing pauses, and is a dead letter after
  `max_attempts`. Meanwhile only its own subject waits.
- What is published again is handed out again: a bus that dropped it as a duplicate would drop the replay of
  a dead letter. Its id is for inboxes.
- A group that is new to a topic begins with the oldest message that the bus still has.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol
from zlib import crc32

from services.chassis.errors import Unavailable

# A subject always goes through the same one of these; a group's members divide them among each other. Another
# number would send a subject's next message past its last: change it only with every topic empty.
PARTITIONS = 16


def partition_of(subject: str) -> int:
    return crc32(subject.encode()) % PARTITIONS


def full(**where: str) -> Unavailable:
    """BUS_FULL: there is no room until a group that lags behind has handled something."""
    return Unavailable(
        "A group of the topic lags behind.", reason="BUS_FULL", metadata=where, retry_after_s=1.0
    )


@dataclass(frozen=True, slots=True)
class Message:
    """`id`: of the event, unique for ever. `subject`: the key of order. `body`: an Envelope, serialised."""

    id: str
    subject: str
    body: bytes


Handler = Callable[[Message], Awaitable[None]]
"""Returns when the effect is durable (its transaction has committed). `Unavailable` and `ResourceExhausted`
say "not now": such a message is tried again for as long as it takes. Anything else counts as an attempt."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that a group could not handle. `error` is of the last attempt."""

    group: str
    topic: str
    message: Message
    error: str
    attempts: int


DeadLetterSink = Callable[[DeadLetter], Awaitable[None]]
"""Returns when the letter is durable; the group then goes on without the message."""


class Subscription(Protocol):
    """One member of a group."""

    async def close(self) -> None:
        """Takes nothing new, lets running handlers finish, gives the rest back to the group."""


class Bus(Protocol):
    """A connected bus."""

    async def publish(self, topic: str, messages: Sequence[Message]) -> None:
        """Returns when the bus has taken them all.

        Raises:
            Unavailable: BUS_UNAVAILABLE or BUS_FULL. Some of them may have been taken; publish all again.
        """

    async def mark(self, name: str, position: str, expected: str | None) -> bool:
        """Remembers `position` under a name, in the same fate as what was published before it: a bus that
        forgets those forgets this too. False: the mark was not `expected`, and stays. Raises as `publish`."""

    async def marked(self, name: str) -> str | None:
        """The last position marked under a name, as far as the bus remembers. Raises as `publish`."""

    async def subscribe(
        self, topic: str, group: str, handler: Handler, dead_letters: DeadLetterSink
    ) -> Subscription:
        """Joins a group. The bus may be away: the member then begins when it is back."""

    async def ping(self) -> None:
        """Raises Unavailable unless the bus answers."""

    async def close(self) -> None:
        """Closes subscriptions, then the connection."""
