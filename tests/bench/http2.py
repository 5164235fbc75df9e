"""gRPC over one HTTP/2 connection, with as little work as possible for each message.

A load generator that shares the machine with what it measures should cost less than it. This one knows what
the benches need of RFC 9113 and no more: headers without compression, flow control in both directions, pings
and settings answered. `Call` is one stream for as long as its connection lives; many short calls over a
connection are `unary.Channel`.
"""

from __future__ import annotations

import asyncio
import struct
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Any

DATA, HEADERS, RESET, SETTINGS, PING, GOAWAY, WINDOW = 0, 1, 3, 4, 6, 7, 8
ACK, END_STREAM, END_HEADERS, PADDED = 1, 1, 4, 8
TABLE_SIZE, INITIAL_WINDOW = 1, 4  # the settings' numbers
STREAM = 1
FRAME_BYTES = 16384
DEFAULT_WINDOW = 65535
# What may arrive before we say that we took it.
RECEIVE_WINDOW = 1 << 24
_HEAD = struct.Struct(">HBBBL")


class StreamEnded(Exception):
    """The server ended the stream or the connection."""


class Connection(asyncio.Protocol, ABC):
    """What a connection does, whatever its streams are for. `ended` fails with StreamEnded, or with whatever
    was raised by who took a frame."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport
        self._arrived = b""
        self._taken = 0
        self._window = DEFAULT_WINDOW
        """Bytes that may be sent over all streams."""
        self._first_window = DEFAULT_WINDOW
        """Bytes that may be sent over a new stream."""
        self.ended: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def connect(self, target: str) -> None:
        """To `host:port`. Every block of headers is to be readable without those before it."""
        host, port = target.rsplit(":", 1)
        await asyncio.get_running_loop().create_connection(lambda: self, host, int(port))
        self._transport.write(
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
            + frame(SETTINGS, 0, 0, struct.pack(">HLHL", TABLE_SIZE, 0, INITIAL_WINDOW, RECEIVE_WINDOW))
            + frame(WINDOW, 0, 0, struct.pack(">L", RECEIVE_WINDOW - DEFAULT_WINDOW))
        )

    def close(self) -> None:
        if not self.ended.cancel() and not self.ended.cancelled():
            self.ended.exception()  # known to whoever asked; nobody else has to hear of it
        self._transport.close()

    # -- for whoever knows the streams ------------------------------------------------------------

    @abstractmethod
    def _take_stream(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        """DATA without its padding, HEADERS, or RESET."""

    @abstractmethod
    def _widened(self, stream: int, more: int) -> None:
        """`stream` may send so much more; 0: the connection's window, or a new stream's, has changed."""

    # -- asyncio.Protocol -------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(StreamEnded(f"the connection was lost: {exc}"))

    def data_received(self, data: bytes) -> None:
        data = self._arrived + data if self._arrived else data
        at, size = 0, len(data)
        try:
            while size - at >= 9:
                upper, lower, kind, flags, stream = _HEAD.unpack_from(data, at)
                end = at + 9 + (upper << 8 | lower)
                if end > size:
                    break
                self._take(kind, flags, stream, data[at + 9 : end])
                at = end
        except Exception as error:
            self._end(error)
        self._arrived = data[at:]

    # -- frames -----------------------------------------------------------------------------------

    def _take(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == DATA:
            self._taken += len(payload)
            if self._taken > RECEIVE_WINDOW // 2:
                widened = struct.pack(">L", self._taken)
                self._transport.write(frame(WINDOW, 0, 0, widened) + frame(WINDOW, 0, stream, widened))
                self._taken = 0
            if flags & PADDED:
                payload = payload[1 : len(payload) - payload[0]]
            self._take_stream(kind, flags, stream, payload)
        elif kind in (HEADERS, RESET):
            self._take_stream(kind, flags, stream, payload)
        elif kind == WINDOW:
            more = int.from_bytes(payload)
            if not stream:
                self._window += more
            self._widened(stream, more)
        elif kind == SETTINGS and not flags & ACK:
            for number, value in struct.iter_unpack(">HL", payload):
                if number == INITIAL_WINDOW:
                    self._first_window = value
            self._transport.write(frame(SETTINGS, ACK, 0, b""))
            self._widened(0, 0)
        elif kind == PING and not flags & ACK:
            self._transport.write(frame(PING, ACK, 0, payload))
        elif kind == GOAWAY:
            raise StreamEnded(f"the server leaves: {payload!r}")

    def _end(self, error: Exception) -> None:
        if not self.ended.done():
            self.ended.set_exception(error)


class Call(Connection):
    """One stream. `on_message` is called with each message as it arrives; its headers are not read."""

    def __init__(self, on_message: Callable[[bytes], None]) -> None:
        super().__init__()
        self._on_message = on_message
        self._body = bytearray()
        self._waiting = bytearray()
        self._sent = 0
        self._granted = 0
        """Bytes that the stream may send beyond a new one's."""

    @classmethod
    async def open(
        cls, target: str, path: str, metadata: Iterable[tuple[str, str]], on_message: Callable[[bytes], None]
    ) -> Call:
        """Connects and sends the request's headers."""
        call = cls(on_message)
        await call.connect(target)
        headers = [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", target)]
        headers += [("te", "trailers"), ("content-type", "application/grpc"), *metadata]
        # Literals that no table remembers (RFC 7541, 6.2.2).
        block = b"".join(b"\0" + text(name) + text(value) for name, value in headers)
        call._transport.write(frame(HEADERS, END_HEADERS, STREAM, block))
        return call

    def send(self, message: bytes) -> None:
        self._waiting += struct.pack(">xL", len(message)) + message
        self._pump()

    def _take_stream(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == RESET:
            raise StreamEnded(f"the server reset the stream: {payload!r}")
        if kind == DATA:
            self._take_data(payload)
        if flags & END_STREAM:
            raise StreamEnded(f"the server ended the stream: {payload!r}")

    def _take_data(self, data: bytes) -> None:
        body = self._body
        body += data
        at = 0
        while len(body) - at >= 5:
            length = int.from_bytes(body[at + 1 : at + 5])
            if len(body) - at < 5 + length:
                break
            self._on_message(bytes(body[at + 5 : at + 5 + length]))
            at += 5 + length
        del body[:at]

    def _widened(self, stream: int, more: int) -> None:
        if stream:
            self._granted += more
        self._pump()

    def _pump(self) -> None:
        """Sends what flow control lets through."""
        while self._waiting:
            allowed = self._first_window + self._granted - self._sent
            size = min(len(self._waiting), allowed, self._window, FRAME_BYTES)
            if size <= 0:
                return
            self._sent += size
            self._window -= size
            self._transport.write(frame(DATA, 0, STREAM, self._waiting[:size]))
            del self._waiting[:size]


def frame(kind: int, flags: int, stream: int, payload: bytes | bytearray) -> bytes:
    return _HEAD.pack(len(payload) >> 8, len(payload) & 255, kind, flags, stream) + payload


def text(string: str) -> bytes:
    """A string of a header without Huffman coding; its length has a prefix of 7 bits."""
    encoded = string.encode()
    length, prefix = len(encoded), bytearray()
    if length < 127:
        return bytes([length]) + encoded
    length -= 127
    prefix.append(127)
    while length > 127:
        prefix.append(length & 127 | 128)
        length >>= 7
    prefix.append(length)
    return bytes(prefix) + encoded
