"""The requests to NATS JetStream that the bus makes."""

import asyncio
import json
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error
from nats.js.api import DiscardPolicy, Header, RetentionPolicy, StorageType, StreamConfig
from nats.js.client import JetStreamContext
from nats.js.errors import APIError, BadRequestError, NoStreamResponseError, NotFoundError

from services.chassis import clock
from services.chassis.bus import cancellation
from services.chassis.bus.packing import packed, unpacked
from services.chassis.bus.port import Message
from services.chassis.errors import Unavailable

_log = structlog.get_logger()
_STREAM = "arenamesh"
_SUBJECTS = "arenamesh.>"
_HINTS = "arenamesh-hint."
_OLDEST = (2, 11)
_RECONNECT_S = 0.25
_NAME_IN_USE = 10058
_WRONG_LAST = (10071, 10164)


@dataclass(slots=True)
class _Batch:
    """Messages on their way as the answer to one request."""

    done: asyncio.Future[int]
    messages: list[tuple[int, Message]] = field(default_factory=list)


class Stream:
    """A connection and the stream, made when it is not there. Every method raises Unavailable
    (BUS_UNAVAILABLE) when NATS does not answer."""

    def __init__(self, url: str, timeout_s: float) -> None:
        self._url = url
        self._timeout_s = timeout_s
        self._nats = Client()
        self._requests = JetStreamContext(self._nats, timeout=timeout_s)
        self._opening: asyncio.Task[None] | None = None
        self._usable = asyncio.Event()
        self._failure = ""
        self._inbox = ""
        self._batches: dict[str, _Batch] = {}
        self._numbers = iter(range(1, 1 << 62))
        # How often something new was told of, by key of a partition.
        self.hints: dict[str, int] = defaultdict(int)
        self.hinted = asyncio.Condition()

    # -- the connection -------------------------------------------------------------------------------

    async def _open(self) -> None:
        while True:
            try:
                await self._nats.connect(
                    self._url.split(","),
                    error_cb=self._failed,
                    disconnected_cb=self._disconnected,
                    reconnected_cb=self._reconnected,
                    max_reconnect_attempts=-1,
                    reconnect_time_wait=_RECONNECT_S,  # type: ignore[arg-type]  # it only sleeps that long
                    ping_interval=max(1, int(self._timeout_s)),
                    connect_timeout=max(1, int(self._timeout_s)),
                )
                break
            except (Error, OSError, TimeoutError) as error:
                await self._failed(error)
                await asyncio.sleep(_RECONNECT_S)
        version = self._nats.connected_server_version
        if (version.major, version.minor) < _OLDEST:
            _log.error("this NATS is too old for the bus", version=str(version))
            return
        self._inbox = self._nats.new_inbox()
        await self._nats.subscribe(f"{self._inbox}.*", cb=self._answered)
        await self._nats.subscribe(f"{_HINTS}>", cb=self._told)
        while not self._usable.is_set():
            with suppress(Unavailable):
                await self._make()
                self._usable.set()
                return
            await asyncio.sleep(_RECONNECT_S)

    async def _failed(self, error: Exception) -> None:
        """Once for each fault, however often it is tried again."""
        if repr(error) != self._failure:
            self._failure = repr(error)
            _log.warning("NATS is away", error=self._failure)

    async def _disconnected(self) -> None:
        self._usable.clear()

    async def _reconnected(self) -> None:
        self._failure = ""
        self._usable.set()

    async def close(self) -> None:
        if self._opening:
            while not self._opening.done():  # the client may lose a cancellation
                self._opening.cancel()
                await asyncio.wait({self._opening}, timeout=_RECONNECT_S)
            await self._nats.close()

    async def _ready(self) -> None:
        """Nothing is left with the client for later: it would send it long after it was given up."""
        if self._opening is None:
            self._opening = asyncio.create_task(self._open())
        with _answering():
            async with asyncio.timeout(self._timeout_s):
                await self._usable.wait()

    async def ping(self) -> None:
        await self._ready()
        with _answering():
            await self._requests.account_info()

    async def _make(self) -> None:
        """Numbers begin with the time, so one that is made anew never has those of the last. An operator may
        have made it, with replicas."""
        config = StreamConfig(
            name=_STREAM,
            subjects=[_SUBJECTS],
            retention=RetentionPolicy.LIMITS,
            storage=StorageType.FILE,
            discard=DiscardPolicy.NEW,
            first_seq=int(clock.now().timestamp() * 1_000_000),
            allow_rollup_hdrs=True,
            allow_direct=True,
        )
        with _answering():
            try:
                await self._requests.add_stream(config)
            except BadRequestError as error:
                if error.err_code != _NAME_IN_USE:
                    raise

    # -- publishing -----------------------------------------------------------------------------------

    async def append(self, key: str, message: Message) -> None:
        await self._ready()
        await self._publish(key, packed(message))

    async def hint(self, key: str) -> None:
        """Tells readers that there is something new."""
        with _answering():
            await self._nats.publish(_HINTS + key)

    async def replace(self, subject: str, body: bytes, revision: int) -> int | None:
        """Makes it the only message of the subject. None: the last one is not of that revision (0: none)."""
        await self._ready()
        headers = {
            Header.EXPECTED_LAST_SUBJECT_SEQUENCE.value: str(revision),
            Header.ROLLUP.value: "sub",
        }
        try:
            return await self._publish(subject, body, headers)
        except _Refused:
            return None

    async def _publish(self, subject: str, body: bytes, headers: dict[str, str] | None = None) -> int:
        with _answering():
            try:
                return (await self._requests.publish(subject, body, headers=headers)).seq
            except NoStreamResponseError:
                await self._make()
                raise
            except APIError as error:
                if error.err_code in _WRONG_LAST:
                    raise _Refused from error
                raise

    async def lengths(self, subjects: str) -> dict[str, int]:
        """How many messages each of the subjects has that fit."""
        await self._ready()
        with _answering():
            try:
                info = await self._requests.stream_info(_STREAM, subjects_filter=subjects)
            except NotFoundError:
                await self._make()
                return {}
        return info.state.subjects or {}

    async def purge(self, subject: str, *, before: int | None = None, keep: int | None = None) -> None:
        await self._ready()
        with _answering():
            await self._requests.purge_stream(_STREAM, subject=subject, seq=before, keep=keep)

    # -- reading --------------------------------------------------------------------------------------

    async def last(self, subject: str) -> tuple[int, bytes]:
        """The last message of a subject, of the leader: its number, and itself. (0, b""): there is none."""
        await self._ready()
        with _answering():
            try:
                found = await self._requests.get_last_msg(_STREAM, subject)
            except NotFoundError:
                return 0, b""
        return found.seq or 0, found.data or b""

    async def message(self, key: str, number: int) -> Message | None:
        """None: it is gone."""
        found, _ = await self.batch(key, number, 1)
        return found[0][1] if found and found[0][0] == number else None

    async def batch(self, key: str, start: int, count: int) -> tuple[list[tuple[int, Message]], int]:
        """The next messages with their numbers, and how many there are after those. A replica may know less
        than its leader, but has no gaps."""
        await self._ready()
        token = str(next(self._numbers))
        waiting = self._batches[token] = _Batch(asyncio.get_running_loop().create_future())
        request = json.dumps({"seq": start, "next_by_subj": key, "batch": count}).encode()
        try:
            with _answering():
                await self._nats.publish(
                    f"$JS.API.DIRECT.GET.{_STREAM}", request, reply=f"{self._inbox}.{token}"
                )
                async with asyncio.timeout(self._timeout_s):
                    return waiting.messages, await waiting.done
        finally:
            del self._batches[token]

    async def _answered(self, message: Msg) -> None:
        batch = self._batches.get(message.subject.rpartition(".")[2])
        if batch is None or batch.done.done():
            return
        headers = message.headers or {}
        status = headers.get(Header.STATUS.value)
        if status is None:
            batch.messages.append((int(headers["Nats-Sequence"]), unpacked(message.data)))
        elif status in ("204", "404"):  # the end of the batch; nothing to begin with
            batch.done.set_result(int(headers.get("Nats-Num-Pending", 0)))
        else:
            batch.done.set_exception(Error(f"status {status}"))

    async def _told(self, message: Msg) -> None:
        self.hints[message.subject.removeprefix(_HINTS)] += 1
        async with self.hinted:
            self.hinted.notify_all()


class _Refused(Exception):
    """Somebody else was faster."""


@contextmanager
def _answering() -> Iterator[None]:
    """What NATS refuses for its own reasons (disk, no leader) is as good as no answer."""
    try:
        with cancellation.kept():
            yield
    except (Error, OSError, TimeoutError) as error:
        raise Unavailable("The bus does not answer.", reason="BUS_UNAVAILABLE", retry_after_s=1.0) from error
