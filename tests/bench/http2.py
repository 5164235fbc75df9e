"""One gRPC stream over one HTTP/2 connection, with as little work as possible for each message.

A load generator that shares the machine with what it measures should cost less than it. This one knows what
the bench needs of RFC 9113 and no more: one request on the connection, headers written without compression,
flow control in both directions, pings and settings answered. What the server's headers say is not read.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Iterable
from typing import Any

DATA, HEADERS, RESET, SETTINGS, PING, GOAWAY, WINDOW = 0, 1, 3, 4, 6, 7, 8
ACK, END_STREAM, END_HEADERS, PADDED = 1, 1, 4, 8
INITIAL_WINDOW = 4  # the setting's number
STREAM = 1
FRAME_BYTES = 16384
DEFAULT_WINDOW = 65535
# What may arrive before we say that we took it.
RECEIVE_WINDOW = 1 << 24


class StreamEnded(Exception):
    """The server ended the stream or the connection."""


class Call(asyncio.Protocol):
    """`on_message` is called with each message as it arrives. `ended` fails with StreamEnded, or whatever
    `on_message` raised."""

    def __init__(self, on_message: Callable[[bytes], None]) -> None:
        self._on_message = on_message
        self._transport: asyncio.Transport
        self._arrived = bytearray()
        self._body = bytearray()
        self._waiting = bytearray()
        self._initial = DEFAULT_WINDOW
        self._stream_window = DEFAULT_WINDOW
        self._connection_window = DEFAULT_WINDOW
        self._taken = 0
        self.ended: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    @classmethod
    async def open(
        cls, target: str, path: str, metadata: Iterable[tuple[str, str]], on_message: Callable[[bytes], None]
    ) -> Call:
        """Connects to `host:port` and sends the request's headers."""
        host, port = target.rsplit(":", 1)
        call = cls(on_message)
        await asyncio.get_running_loop().create_connection(lambda: call, host, int(port))
        headers = [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", target)]
        headers += [("te", "trailers"), ("content-type", "application/grpc"), *metadata]
        call._transport.write(
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
            + _frame(SETTINGS, 0, 0, struct.pack(">HL", INITIAL_WINDOW, RECEIVE_WINDOW))
            + _frame(WINDOW, 0, 0, struct.pack(">L", RECEIVE_WINDOW - DEFAULT_WINDOW))
            + _frame(HEADERS, END_HEADERS, STREAM, b"".join(map(_literal, headers)))
        )
        return call

    def send(self, message: bytes) -> None:
        self._waiting += struct.pack(">xL", len(message)) + message
        self._pump()

    def close(self) -> None:
        if not self.ended.cancel() and not self.ended.cancelled():
            self.ended.exception()  # known to whoever asked; nobody else has to hear of it
        self._transport.close()

    # -- asyncio.Protocol -------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(StreamEnded(f"the connection was lost: {exc}"))

    def data_received(self, data: bytes) -> None:
        arrived = self._arrived
        arrived += data
        at = 0
        try:
            while len(arrived) - at >= 9:
                length = int.from_bytes(arrived[at : at + 3])
                if len(arrived) - at < 9 + length:
                    break
                kind, flags = arrived[at + 3], arrived[at + 4]
                stream = int.from_bytes(arrived[at + 5 : at + 9])
                self._take(kind, flags, stream, arrived[at + 9 : at + 9 + length])
                at += 9 + length
        except Exception as error:
            self._end(error)
        del arrived[:at]

    # -- frames -----------------------------------------------------------------------------------

    def _take(self, kind: int, flags: int, stream: int, payload: bytearray) -> None:
        if kind == DATA:
            self._take_data(
                payload[1 : len(payload) - payload[0]] if flags & PADDED else payload, len(payload)
            )
        elif kind == WINDOW:
            self._widen(stream, int.from_bytes(payload))
        elif kind == SETTINGS and not flags & ACK:
            for number, value in struct.iter_unpack(">HL", payload):
                if number == INITIAL_WINDOW:
                    self._stream_window += value - self._initial
                    self._initial = value
            self._transport.write(_frame(SETTINGS, ACK, 0, b""))
            self._pump()
        elif kind == PING and not flags & ACK:
            self._transport.write(_frame(PING, ACK, 0, payload))
        elif kind in (RESET, GOAWAY):
            raise StreamEnded(f"frame {kind}: {bytes(payload)!r}")
        if kind in (DATA, HEADERS) and flags & END_STREAM:
            raise StreamEnded(f"the server ended the stream: {bytes(payload)!r}")

    def _take_data(self, data: bytearray, size: int) -> None:
        self._taken += size
        if self._taken > RECEIVE_WINDOW // 2:
            widened = struct.pack(">L", self._taken)
            self._transport.write(_frame(WINDOW, 0, 0, widened) + _frame(WINDOW, 0, STREAM, widened))
            self._taken = 0
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

    def _widen(self, stream: int, more: int) -> None:
        if stream:
            self._stream_window += more
        else:
            self._connection_window += more
        self._pump()

    def _pump(self) -> None:
        """Sends what flow control lets through."""
        while self._waiting:
            size = min(len(self._waiting), self._stream_window, self._connection_window, FRAME_BYTES)
            if size <= 0:
                return
            self._stream_window -= size
            self._connection_window -= size
            self._transport.write(_frame(DATA, 0, STREAM, self._waiting[:size]))
            del self._waiting[:size]

    def _end(self, error: Exception) -> None:
        if not self.ended.done():
            self.ended.set_exception(error)


def _frame(kind: int, flags: int, stream: int, payload: bytes | bytearray) -> bytes:
    return struct.pack(">HBBBL", len(payload) >> 8, len(payload) & 255, kind, flags, stream) + payload


def _literal(header: tuple[str, str]) -> bytes:
    """A header field that no table remembers (RFC 7541, 6.2.2)."""
    return b"\0" + b"".join(_text(part.encode()) for part in header)


def _text(text: bytes) -> bytes:
    """A string without Huffman coding; its length has a prefix of 7 bits."""
    length, prefix = len(text), bytearray()
    if length < 127:
        return bytes([length]) + text
    length -= 127
    prefix.append(127)
    while length > 127:
        prefix.append(length & 127 | 128)
        length >>= 7
    prefix.append(length)
    return bytes(prefix) + text
