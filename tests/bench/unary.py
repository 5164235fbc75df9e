"""Many unary calls over one connection, and what came of them.

Request headers are sent as every client sends them: whole the first time, afterwards as numbers in the table
that the server keeps for the connection. The server's own are asked for without a table, so that a call's
status can be read from its last block alone.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Self

from tests.bench.http2 import (
    DATA,
    END_HEADERS,
    END_STREAM,
    FRAME_BYTES,
    HEADERS,
    RESET,
    Connection,
    StreamEnded,
    frame,
    text,
)

OK, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, UNAVAILABLE = 0, 4, 8, 14
_CODES = 17
# RFC 7541: `:method: POST` and `:scheme: http`; an entry that is to be remembered; entry number 62 is the
# newest remembered one.
_POST_HTTP = b"\x83\x86"
_REMEMBER = b"\x40"
_NEWEST = 62
_HUFFMAN = {
    "g": "100110", "r": "101100", "p": "101011", "c": "00100", "-": "010110", "s": "01000", "t": "01001",
    "a": "00011", "u": "101101", "0": "00000", "1": "00001", "2": "00010", "3": "011001", "4": "011010",
    "5": "011011", "6": "011100", "7": "011101", "8": "011110", "9": "011111",
}  # fmt: skip

Done = Callable[[int, bytes], None]
"""Takes the status code, and the answer; or the last headers as they came, unless the code is OK."""


def huffman(string: str) -> bytes:
    """A string of a header, in Huffman coding (RFC 7541, 5.2)."""
    bits = "".join(_HUFFMAN[letter] for letter in string)
    bits += "1" * (-len(bits) % 8)
    coded = bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits), 8))
    return bytes([128 | len(coded)]) + coded


# A status as a server may write it; an exact one is no prefix of another, since lengths come first.
_STATUS = {
    name("grpc-status") + value(str(code)): code
    for code in range(_CODES)
    for name in (text, huffman)
    for value in (text, huffman)
}


def status_of(block: bytes) -> int:
    """The `grpc-status` of a block of headers.

    Raises:
        StreamEnded: it has none.
    """
    for written, code in _STATUS.items():
        if written in block:
            return code
    raise StreamEnded(f"a call ended without a status: {block!r}")


@dataclass(slots=True)
class _Open:
    done: Done
    body: bytearray = field(default_factory=bytearray)


class Channel(Connection):
    """`call` may be called at any time; calls of one channel do not wait for each other."""

    def __init__(self, target: str, metadata: Iterable[tuple[str, str]]) -> None:
        super().__init__()
        self._fields = (
            (":authority", target),
            ("te", "trailers"),
            ("content-type", "application/grpc"),
            *metadata,
        )
        self._remembered: dict[tuple[str, str], int] = {}
        self._blocks: dict[str, bytes] = {}
        self._next = 1
        self._open: dict[int, _Open] = {}
        self._waiting: deque[tuple[str, bytes, Done, Iterable[tuple[str, str]]]] = deque()

    @classmethod
    async def open(cls, target: str, metadata: Iterable[tuple[str, str]]) -> Self:
        channel = cls(target, metadata)
        await channel.connect(target)
        return channel

    def call(self, path: str, message: bytes, done: Done, headers: Iterable[tuple[str, str]] = ()) -> None:
        """Sends now, or as soon as the connection's window lets it through. `headers`: of this call only,
        which nobody remembers."""
        size = len(message) + 5
        if size > self._first_window:
            raise ValueError(f"a message of {size:,} bytes needs more than a stream's first window")
        if self._waiting or size > self._window:
            self._waiting.append((path, message, done, headers))
            return
        stream, self._next = self._next, self._next + 2
        self._window -= size
        self._open[stream] = _Open(done)
        data = struct.pack(">xL", len(message)) + message
        block = self._blocks.get(path) or self._block(path)
        for name, value in headers:
            block += b"\0" + text(name) + text(value)
        sent = frame(HEADERS, END_HEADERS, stream, block)
        while len(data) > FRAME_BYTES:
            sent += frame(DATA, 0, stream, data[:FRAME_BYTES])
            data = data[FRAME_BYTES:]
        self._transport.write(sent + frame(DATA, END_STREAM, stream, data))

    def _block(self, path: str) -> bytes:
        """Headers of a call. What the server does not know yet, it is told to remember."""
        told = len(self._remembered)
        block = _POST_HTTP
        for header in ((":path", path), *self._fields):
            number = self._remembered.get(header)
            if number is None:
                self._remembered[header] = len(self._remembered)
                block += _REMEMBER + text(header[0]) + text(header[1])
            else:
                block += bytes([128 | _NEWEST + len(self._remembered) - 1 - number])
        if told == len(self._remembered):
            self._blocks[path] = block
        else:
            self._blocks.clear()  # every number has moved
        return block

    def _take_stream(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        call = self._open.get(stream)
        if call is None:
            return
        if kind == RESET:
            raise StreamEnded(f"the server reset a call: {payload!r}")
        if kind == DATA:
            call.body += payload
        if flags & END_STREAM:
            if kind != HEADERS or not flags & END_HEADERS:
                raise StreamEnded("a call ended without trailers")
            del self._open[stream]
            code = status_of(payload)
            call.done(code, bytes(call.body[5:]) if code == OK else payload)

    def _widened(self, stream: int, more: int) -> None:
        waiting, self._waiting = self._waiting, deque()
        for each in waiting:
            self.call(*each)
