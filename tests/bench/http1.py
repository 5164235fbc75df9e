"""REST calls over one HTTP/1.1 connection, with as little work as possible for each.

As `unary.Channel` for gRPC: `call` may be called at any time. A connection carries one call at a time, so the
others wait for it; a client that has many in flight has many connections.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Any, Self

from tests.bench.http2 import StreamEnded
from tests.bench.unary import DEADLINE_EXCEEDED, OK, RESOURCE_EXHAUSTED, UNAVAILABLE, Done

_UNKNOWN = 2
# As the edge translates them; what is not here is no answer that a bench expects.
_CODES = {200: OK, 202: OK, 429: RESOURCE_EXHAUSTED, 503: UNAVAILABLE, 504: DEADLINE_EXCEEDED}


class Web(asyncio.Protocol):
    """One that is lost is opened again, as a web client does; the call on it is told UNAVAILABLE. `ended`
    fails with StreamEnded when that is refused, or with whatever was raised by who took an answer."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._transport: asyncio.Transport
        self._arrived = b""
        self._done: Done | None = None
        self._waiting: deque[tuple[bytes, Done]] = deque()
        self.ended: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    @classmethod
    async def open(cls, target: str) -> Self:
        """To `host:port`."""
        web = cls(target)
        await web._connect()
        return web

    async def _connect(self) -> None:
        host, port = self._target.rsplit(":", 1)
        await asyncio.get_running_loop().create_connection(lambda: self, host, int(port))

    def close(self) -> None:
        if not self.ended.cancel() and not self.ended.cancelled():
            self.ended.exception()  # known to whoever asked; nobody else has to hear of it
        self._transport.close()

    def call(self, path: str, message: bytes, done: Done, headers: Iterable[tuple[str, str]] = ()) -> None:
        """Posts JSON. `done`: as `unary.Channel` has it, with the gRPC code that the status stands for."""
        named = "".join(f"{name}: {value}\r\n" for name, value in headers)
        request = (
            f"POST {path} HTTP/1.1\r\nhost: {self._target}\r\ncontent-type: application/json\r\n"
            f"{named}content-length: {len(message)}\r\n\r\n"
        ).encode() + message
        if self._done is None:
            self._done = done
            self._transport.write(request)
        else:
            self._waiting.append((request, done))

    # -- asyncio.Protocol -------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ended.done():
            self._reopening = asyncio.ensure_future(self._reopen())

    async def _reopen(self) -> None:
        self._arrived = b""
        try:
            await self._connect()
        except OSError as error:
            self._end(StreamEnded(f"the connection was lost: {error}"))
            return
        done = self._next()
        if done is not None:
            done(UNAVAILABLE, b"the connection was lost")

    def data_received(self, data: bytes) -> None:
        self._arrived += data
        try:
            self._take()
        except Exception as error:
            self._end(error)

    def _take(self) -> None:
        head, found, rest = self._arrived.partition(b"\r\n\r\n")
        if not found:
            return
        length = _length(head)
        if len(rest) < length:
            return
        if len(rest) > length or self._done is None:
            raise StreamEnded(f"more than an answer arrived: {rest[length:]!r}")
        self._arrived = b""
        done = self._next()
        assert done is not None
        code = _CODES.get(int(head[9:12]), _UNKNOWN)
        done(code, rest if code == OK else head + rest)

    def _next(self) -> Done | None:
        """Sends what waits; who waited for the one before."""
        done, self._done = self._done, None
        if self._waiting:
            request, self._done = self._waiting.popleft()
            self._transport.write(request)
        return done

    def _end(self, error: Exception) -> None:
        if not self.ended.done():
            self.ended.set_exception(error)


def _length(head: bytes) -> int:
    """Of the body. Raises StreamEnded: it is not told."""
    at = head.lower().find(b"\r\ncontent-length: ")
    if at < 0:
        raise StreamEnded(f"an answer without its length: {head!r}")
    return int(head[at + 18 :].partition(b"\r\n")[0])
