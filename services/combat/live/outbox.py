"""What waits for one reader, in bounds, and the one writer that sends it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import grpc

from services.chassis import clock
from services.chassis.errors import DomainError, ResourceExhausted
from services.chassis.metrics import COMBAT_QUEUE_BYTES, COMBAT_STREAM_ENDS


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one reader. Over any of them its stream ends as too slow; over `pending_*` when it stays so for
    `slow_s`, because what we put in at once, after a commit that was late for one, is no fault of the
    reader's, or at once when it is `_BURST` times as much."""

    pending_bytes: int
    pending_messages: int
    slow_s: float
    write_timeout_s: float
    close_timeout_s: float


_BURST = 16


class Outbox:
    """Parts put in while a write is under way leave together with the next one.

    `write` sends a message. `newest`, when given, makes what is only worth sending at its newest (a
    snapshot): it is asked at the moment of writing, however often it became due. `join`: parts may be
    sent as one message, because messages of this stream merge when concatenated.

    Whoever finds `busy` false may `await flush()` itself, which saves a task switch on the hot path;
    everybody else calls `kick()`. `over` is done when the stream should return: with None, or the error
    to end with. The handler then calls `close()`: touching the call after that is forbidden, because
    grpc has released it. `reading`: whether frames of the stream may still be taken; the owner looks before
    each.
    """

    __slots__ = (
        "_bytes",
        "_due",
        "_ending",
        "_error",
        "_join",
        "_limits",
        "_loop",
        "_newest",
        "_notice",
        "_over_since",
        "_pending",
        "_since",
        "_task",
        "_write",
        "busy",
        "closed",
        "over",
        "reading",
    )

    def __init__(
        self,
        write: Callable[[bytes], Awaitable[None]],
        limits: Limits,
        *,
        slow_notice: bytes,
        newest: Callable[[], bytes] | None = None,
        join: bool,
    ) -> None:
        self._write = write
        self._limits = limits
        self._notice = slow_notice
        self._newest = newest
        self._join = join
        self._loop = asyncio.get_running_loop()
        self._pending: list[bytes] = []
        self._bytes = 0
        self._due = False
        self._since = 0.0
        self._over_since = 0.0
        self._ending = False
        self._error: Exception | None = None
        self._task: asyncio.Task[None] | None = None
        self.busy = False
        self.closed = False
        self.reading = True
        self.over: asyncio.Future[Exception | None] = self._loop.create_future()

    def put(self, part: bytes) -> None:
        """Adds a part that must not be lost. The caller then flushes or kicks."""
        if self._ending:
            return
        self._pending.append(part)
        self._bytes += len(part)
        if self._bytes > self._limits.pending_bytes or len(self._pending) > self._limits.pending_messages:
            self._judge(clock.monotonic_s())

    def due(self) -> None:
        """The newest state should be sent. The caller then flushes or kicks."""
        self._due = not self._ending

    def kick(self) -> None:
        """Sends what waits, in the background, unless a write is under way: that one goes on with it."""
        if not self.busy:
            self.busy = True
            self._task = self._loop.create_task(self.flush())

    async def flush(self) -> None:
        """Sends until nothing waits. Only one caller at a time: see `busy`."""
        self.busy = True
        try:
            while (self._pending or self._due) and not self.closed:
                message = self._take()
                self._since = clock.monotonic_s()
                await self._write(message)
        except grpc.aio.BaseError:
            # The stream ended under the write; its handler hears of it by itself.
            self.close()
        finally:
            self.busy = False
            self._since = 0.0
            if self._ending:
                self._finish()

    async def ahead(self, parts: AsyncIterator[bytes]) -> None:
        """Sends `parts` at the reader's pace, each as a message of its own, before anything that is put in
        meanwhile; then that. Nobody may be writing yet."""
        self.busy = True
        try:
            async for part in parts:
                self._since = clock.monotonic_s()
                await self._write(part)
                self._since = 0.0
        except grpc.aio.BaseError:
            self.close()
        finally:
            self.busy = False
        await self.flush()

    def check(self, now_s: float) -> None:
        """Ends the stream when a write has taken too long. Called each tick: cheaper than a timer a write."""
        if not self.busy or self._ending:
            return
        if 0 < self._since < now_s - self._limits.write_timeout_s:
            self._too_slow()
        elif self._over_since:
            self._judge(now_s)

    def end(self, error: DomainError | None, notice: bytes = b"") -> None:
        """Sends what waits and `notice`, if the reader takes it in time, then ends the stream."""
        if self._ending:
            return
        if notice:
            self._pending.append(notice)
        self._ending = True
        self.reading = False
        self._due = False
        self._error = error
        if error is not None:
            COMBAT_STREAM_ENDS.labels(error.reason).inc()
        self._loop.call_later(self._limits.close_timeout_s, self._finish)
        self.kick()

    def fail(self, error: Exception) -> None:
        """Ends the stream at once, for a fault of ours."""
        self._ending = True
        self.reading = False
        self._error = error
        self._finish()

    def close(self) -> None:
        """Nothing is written, or should be read, from now on."""
        self.closed = True
        self.reading = False
        self._ending = True
        self._finish()

    @property
    def _excess(self) -> float:
        """What waits, as a multiple of what may."""
        limits = self._limits
        return max(self._bytes / limits.pending_bytes, len(self._pending) / limits.pending_messages)

    def _judge(self, now_s: float) -> None:
        """Too much waits: for how long already?"""
        self._over_since = self._over_since or now_s
        if now_s - self._over_since >= self._limits.slow_s or self._excess > _BURST:
            self._too_slow()

    def _take(self) -> bytes:
        if not self._join:
            message = self._pending.pop(0)
            self._bytes -= len(message)
            if self._excess <= 1:
                self._over_since = 0.0
            return message
        self._over_since = 0.0
        parts = self._pending
        self._pending = []
        self._bytes = 0
        if self._due and self._newest is not None:
            self._due = False
            parts.append(self._newest())
        message = parts[0] if len(parts) == 1 else b"".join(parts)
        COMBAT_QUEUE_BYTES.observe(len(message))
        return message

    def _too_slow(self) -> None:
        self._pending.clear()
        self._bytes = 0
        self.end(
            ResourceExhausted("The reader fell too far behind.", reason="SLOW_READER", retry_after_s=1.0),
            self._notice,
        )

    def _finish(self) -> None:
        if not self.over.done():
            self.over.set_result(self._error)
