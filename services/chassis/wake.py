"""Streams that wait for something of an id to change, and what wakes them.

A stream reads what it tells from where it is kept, so it holds no queue, and cannot miss what it was not told
of. What wakes it only says that there may be more: by what this process committed, by others through Redis,
and, because both may fail, by a look at the versions of everything that is watched every `poll_s`.
"""

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress

import grpc
import structlog
from google.protobuf.message import Message
from prometheus_client import Gauge
from redis.asyncio import Redis
from redis.exceptions import RedisError

from services.chassis import clock
from services.chassis.auth import Principal
from services.chassis.errors import ResourceExhausted, Unauthenticated, Unavailable
from services.chassis.method import Context

_log = structlog.get_logger()


class Watcher:
    """One stream. `version`: of the last change that it was told."""

    def __init__(self, id_: str) -> None:
        self.id = id_
        self.version = 0
        self.woken = asyncio.Event()

    async def wait(self, caller: Principal | None) -> None:
        """There may be more, or the token's time is over. Without a caller there is no token."""
        left_s = None if caller is None else max(0, caller.expires_at - clock.unix_s())
        with suppress(TimeoutError):
            async with asyncio.timeout(left_s):
                await self.woken.wait()
        self.woken.clear()


class Hub:
    """Who watches what in this process. `channel`: where other processes publish versions by id, as JSON.
    `versions`: how far each of these ids is. `limit`: streams at once, `each`: of one id. `streams`: counts
    them."""

    def __init__(
        self,
        redis: Redis,
        *,
        channel: str,
        versions: Callable[[list[str]], Awaitable[Mapping[str, int]]],
        limit: int,
        poll_s: float,
        streams: Gauge,
        each: int | None = None,
    ) -> None:
        self._redis = redis
        self._channel = channel
        self._versions = versions
        self._limit = limit
        self._each = each
        self._poll_s = poll_s
        self._streams = streams
        self._watchers: defaultdict[str, set[Watcher]] = defaultdict(set)
        self._count = 0
        self._draining = False

    @contextmanager
    def watching(self, id_: str) -> Iterator[Watcher]:
        """Raises ResourceExhausted (TOO_MANY_WATCHERS, TOO_MANY_STREAMS), Unavailable (DRAINING)."""
        self._admit(id_)
        watcher = Watcher(id_)
        self._watchers[id_].add(watcher)
        self._set_count(self._count + 1)
        try:
            yield watcher
        finally:
            self._set_count(self._count - 1)
            self._watchers[id_].discard(watcher)
            if not self._watchers[id_]:
                del self._watchers[id_]

    def _admit(self, id_: str) -> None:
        if self._draining:
            raise _draining()
        if self._count >= self._limit:
            raise ResourceExhausted(
                "Too many streams watch here.",
                reason="TOO_MANY_WATCHERS",
                retry_after_s=1.0,
                elsewhere=True,
            )
        if self._each is not None and len(self._watchers.get(id_, ())) >= self._each:
            raise ResourceExhausted(
                f"More than {self._each} streams would watch the same.",
                reason="TOO_MANY_STREAMS",
                metadata={"limit": str(self._each)},
            )

    def _set_count(self, count: int) -> None:
        self._count = count
        self._streams.set(count)

    def check(self, caller: Principal | None) -> None:
        """Whether a stream of `caller` may go on. Raises Unavailable (DRAINING), Unauthenticated
        (TOKEN_EXPIRED)."""
        if self._draining:
            raise _draining()
        if caller is not None and caller.expires_at <= clock.unix_s():
            raise Unauthenticated("The token has expired.", reason="TOKEN_EXPIRED")

    def drain(self) -> None:
        """Ends every stream, and takes no more."""
        self._draining = True
        for watchers in self._watchers.values():
            for watcher in watchers:
                watcher.woken.set()

    # -- what wakes them --------------------------------------------------------------------------

    def told(self, versions: Mapping[str, int]) -> None:
        """Of what changed, by id."""
        for id_, version in versions.items():
            for watcher in self._watchers.get(id_, ()):
                if watcher.version < version:
                    watcher.woken.set()

    async def poll(self) -> None:
        """For ever."""
        while True:
            await asyncio.sleep(self._poll_s)
            if self._watchers:
                with suppress(Unavailable):  # the next look finds as much
                    self.told(await self._versions(list(self._watchers)))

    async def listen(self) -> None:
        """For ever: to what other processes committed."""
        while True:
            try:
                async for versions in self._heard():
                    self.told(versions)
            except (RedisError, OSError, TimeoutError) as error:
                _log.info("changes elsewhere are looked for", error=repr(error))
            await asyncio.sleep(self._poll_s)

    async def _heard(self) -> AsyncIterator[dict[str, int]]:
        async with self._redis.pubsub() as subscription:
            await subscription.subscribe(self._channel)
            while True:
                message = await subscription.get_message(ignore_subscribe_messages=True, timeout=self._poll_s)
                if message is not None:
                    yield json.loads(message["data"])


async def write(context: Context, answer: Message, within_s: float) -> None:
    """Writes to a stream's reader. Raises ResourceExhausted (SLOW_READER)."""
    writing = asyncio.ensure_future(context.write(answer.SerializeToString()))
    writing.add_done_callback(_heard_of)
    # A write that is under way must not be cancelled: the end of the call ends it.
    done, _ = await asyncio.wait({writing}, timeout=within_s)
    if not done:
        raise ResourceExhausted(
            "The reader does not take what it is sent.", reason="SLOW_READER", retry_after_s=1.0
        )
    with suppress(grpc.aio.BaseError):  # the stream ended under it: the runtime cancels this handler
        writing.result()


def _heard_of(writing: "asyncio.Future[None]") -> None:
    if not writing.cancelled():
        writing.exception()


def _draining() -> Unavailable:
    return Unavailable(
        "This process is stopping; go on elsewhere after what you have.",
        reason="DRAINING",
        retry_after_s=0.2,
        elsewhere=True,
    )
