"""WatchProgress: how a character stands, then every event of it, none left out and none twice.

A stream reads the event store from where it is, so it holds no queue, and cannot miss what it was not told.
What it is told is only that there may be more: by the ledger of this process, by others through Redis, and,
because both may fail, by a look at the versions of all watched characters every `poll_s`.
"""

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import grpc
import structlog
from arenamesh.progression.v1 import service_pb2
from redis.asyncio import Redis
from redis.exceptions import RedisError

from services.chassis import clock
from services.chassis.auth import Principal
from services.chassis.errors import DomainError, OutOfRange, ResourceExhausted, Unauthenticated, Unavailable
from services.chassis.method import Context
from services.chassis.metrics import PROGRESSION_WATCH_ENDS, PROGRESSION_WATCH_EVENTS, PROGRESSION_WATCHERS
from services.progression.batch import Recorded
from services.progression.cache import CHANGES
from services.progression.domain.character import Character, applied
from services.progression.domain.definition import Definitions
from services.progression.domain.standing import standing
from services.progression.history import History
from services.progression.reader import Reader
from services.progression.translate import history_event, progress

_log = structlog.get_logger()


class Watcher:
    """One stream. `version`: of the last event that it was told."""

    def __init__(self, character_id: str) -> None:
        self.character_id = character_id
        self.version = 0
        self.woken = asyncio.Event()


class Hub:
    """Who watches which character in this process, and what wakes them."""

    def __init__(self, redis: Redis, history: History, *, limit: int, poll_s: float) -> None:
        self._redis = redis
        self._history = history
        self._limit = limit
        self._poll_s = poll_s
        self._watchers: defaultdict[str, set[Watcher]] = defaultdict(set)
        self._count = 0
        self.draining = False

    @contextmanager
    def watching(self, character_id: str) -> Iterator[Watcher]:
        """Raises ResourceExhausted (TOO_MANY_WATCHERS), Unavailable (DRAINING)."""
        if self.draining:
            raise draining()
        if self._count >= self._limit:
            raise ResourceExhausted(
                "Too many streams watch here.",
                reason="TOO_MANY_WATCHERS",
                retry_after_s=1.0,
                elsewhere=True,
            )
        watcher = Watcher(character_id)
        self._watchers[character_id].add(watcher)
        self._set_count(self._count + 1)
        try:
            yield watcher
        finally:
            self._set_count(self._count - 1)
            self._watchers[character_id].discard(watcher)
            if not self._watchers[character_id]:
                del self._watchers[character_id]

    def _set_count(self, count: int) -> None:
        self._count = count
        PROGRESSION_WATCHERS.set(count)

    def drain(self) -> None:
        """Ends every stream, and takes no more."""
        self.draining = True
        for watchers in self._watchers.values():
            for watcher in watchers:
                watcher.woken.set()

    # -- what wakes them --------------------------------------------------------------------------

    def told(self, characters: Sequence[Character], _recorded: Sequence[Recorded]) -> None:
        """See `ledger.Listener`."""
        self._changed((character.character_id, character.version) for character in characters)

    def _changed(self, versions: Iterable[tuple[str, int]]) -> None:
        for character_id, version in versions:
            for watcher in self._watchers.get(character_id, ()):
                if watcher.version < version:
                    watcher.woken.set()

    async def poll(self) -> None:
        """For ever."""
        while True:
            await asyncio.sleep(self._poll_s)
            if self._watchers:
                with suppress(Unavailable):  # the next look finds as much
                    self._changed((await self._history.versions(list(self._watchers))).items())

    async def listen(self) -> None:
        """For ever: to what other processes committed."""
        while True:
            try:
                async for versions in self._heard():
                    self._changed(versions.items())
            except (RedisError, OSError, TimeoutError) as error:
                _log.info("changes elsewhere are looked for", error=repr(error))
            await asyncio.sleep(self._poll_s)

    async def _heard(self) -> AsyncIterator[dict[str, int]]:
        async with self._redis.pubsub() as subscription:
            await subscription.subscribe(CHANGES)
            while True:
                message = await subscription.get_message(ignore_subscribe_messages=True, timeout=self._poll_s)
                if message is not None:
                    yield json.loads(message["data"])


class Watch:
    """Opens streams. `batch`: events that one holds at once. `write_s`: how long one write may take."""

    def __init__(
        self,
        hub: Hub,
        reader: Reader,
        history: History,
        definitions: Definitions,
        *,
        batch: int,
        write_s: float,
    ) -> None:
        self._hub = hub
        self._reader = reader
        self._history = history
        self._definitions = definitions
        self._batch = batch
        self._write_s = write_s

    async def serve(
        self, request: service_pb2.WatchProgressRequest, context: Context, caller: Principal
    ) -> None:
        """Runs one stream until it is ended, or nobody reads it any more.

        Raises:
            DomainError: why it was refused, or ended by the server.
        """
        try:
            with self._hub.watching(request.character_id) as watcher:
                await self._run(request, context, caller, watcher)
        except DomainError as error:
            PROGRESSION_WATCH_ENDS.labels(error.reason).inc()
            raise

    async def _run(
        self,
        request: service_pb2.WatchProgressRequest,
        context: Context,
        caller: Principal,
        watcher: Watcher,
    ) -> None:
        character = await self._reader.character(request.character_id, caller)
        if request.HasField("after_version"):
            if request.after_version > character.version:
                # It was told by a process that Redis has not heard of yet.
                character = await self._reader.stored(request.character_id, caller)
            watcher.version = _started(request.after_version, character)
            watcher.woken.set()
        else:
            watcher.version = character.version
            await self._write(context, service_pb2.WatchProgressResponse(progress=self._progress(character)))
        while True:
            await _woken(watcher, caller)
            while found := await self._history.after(character.character_id, watcher.version, self._batch):
                for recorded in found:
                    # One that was read with the character already is told with how it stood when read.
                    if recorded.version > character.version:
                        character = applied(character, character.character_id, recorded.event, recorded.at)
                    await self._tell(context, recorded, character)
                    watcher.version = recorded.version
                    self._check(caller)
            self._check(caller)

    def _check(self, caller: Principal) -> None:
        if self._hub.draining:
            raise draining()
        if caller.expires_at <= clock.unix_s():
            raise Unauthenticated("The token has expired.", reason="TOKEN_EXPIRED")

    def _progress(self, character: Character) -> Any:
        definition = self._definitions.of(character)
        return progress(character, standing(definition, character))

    async def _tell(self, context: Context, recorded: Recorded, character: Character) -> None:
        await self._write(
            context,
            service_pb2.WatchProgressResponse(
                event=history_event(recorded), progress=self._progress(character)
            ),
        )
        PROGRESSION_WATCH_EVENTS.inc()

    async def _write(self, context: Context, answer: service_pb2.WatchProgressResponse) -> None:
        """Raises ResourceExhausted (SLOW_READER)."""
        writing = asyncio.ensure_future(context.write(answer.SerializeToString()))
        writing.add_done_callback(_heard_of)
        # A write that is under way must not be cancelled: the end of the call ends it.
        done, _ = await asyncio.wait({writing}, timeout=self._write_s)
        if not done:
            raise ResourceExhausted(
                "The reader does not take what it is sent.", reason="SLOW_READER", retry_after_s=1.0
            )
        with suppress(grpc.aio.BaseError):  # the stream ended under it: the runtime cancels this handler
            writing.result()


def draining() -> Unavailable:
    return Unavailable(
        "This process is stopping; go on elsewhere with after_version.",
        reason="DRAINING",
        retry_after_s=0.2,
        elsewhere=True,
    )


def _started(after_version: int, character: Character) -> int:
    if after_version > character.version:
        raise OutOfRange(
            f"after_version: the character is at version {character.version}.",
            reason="VERSION_AHEAD",
            metadata={"version": str(character.version)},
        )
    return after_version


async def _woken(watcher: Watcher, caller: Principal) -> None:
    """There may be more, or the token's time is over."""
    with suppress(TimeoutError):
        async with asyncio.timeout(max(0, caller.expires_at - clock.unix_s())):
            await watcher.woken.wait()
    watcher.woken.clear()


def _heard_of(writing: "asyncio.Future[None]") -> None:
    if not writing.cancelled():
        writing.exception()
