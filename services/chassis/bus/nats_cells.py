"""Small documents in the stream, each the last message of a subject, changed by compare and set."""

import asyncio
import json
from collections import defaultdict
from collections.abc import Callable
from typing import Any, TypeVar

from services.chassis.bus.nats_stream import Stream

T = TypeVar("T")
Document = dict[str, Any]
"""Of JSON. Empty: there is none."""


class Cells:
    """Remembers what it last saw of each: while nobody else changes it, a change is one request."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._known: dict[str, tuple[int, bytes]] = {}
        self._locks: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def read(self, subject: str) -> Document:
        """As it is now."""
        self._known.pop(subject, None)
        return _parsed((await self._latest(subject))[1])

    async def known(self, subject: str) -> Document:
        """As it was last seen: whatever is decided by it, `change` looks again."""
        return _parsed((await self._latest(subject))[1])

    async def change(self, subject: str, change: Callable[[Document], T], *, fresh: bool = False) -> T:
        """Sets what `change` makes of it, which may be called several times. What it leaves as it is, is not
        written: with `fresh` even that is true of now."""
        async with self._locks[subject]:
            if fresh:
                self._known.pop(subject, None)
            while True:
                revision, body = await self._latest(subject)
                document = _parsed(body)
                result = change(document)
                changed = json.dumps(document, separators=(",", ":")).encode()
                if document == _parsed(body):
                    return result
                # Whether it arrives or not, what was known is old.
                del self._known[subject]
                if (written := await self._stream.replace(subject, changed, revision)) is not None:
                    self._known[subject] = (written, changed)
                    return result

    async def _latest(self, subject: str) -> tuple[int, bytes]:
        if subject not in self._known:
            self._known[subject] = await self._stream.last(subject)
        return self._known[subject]


def _parsed(body: bytes) -> Document:
    document: Document = json.loads(body or b"{}")
    return document
