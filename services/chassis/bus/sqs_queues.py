"""The requests to Amazon SQS that the bus makes."""

import asyncio
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager, suppress
from hashlib import sha256
from typing import Any
from urllib.parse import unquote, urlsplit

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from botocore.exceptions import BotoCoreError, ClientError

from services.chassis import clock
from services.chassis.bus import cancellation
from services.chassis.bus.queues import PAGE, Received, Sent
from services.chassis.errors import Unavailable

_READERS = 8
_CLOCKS_S = 1.0
_PAGE_BYTES = 200_000
# A queue keeps what it has for as long as SQS can.
_PLAIN = {"MessageRetentionPeriod": "1209600"}
_FIFO = {
    **_PLAIN,
    "FifoQueue": "true",
    "DeduplicationScope": "messageGroup",
    "FifoThroughputLimit": "perMessageGroupId",
}
_REGION = re.compile(r"sqs\.([a-z0-9-]+)\.")
# A retry inside the client would send again what may have been done, and hide that from us.
_CONFIG = AioConfig(retries={"total_max_attempts": 1}, max_pool_connections=64)
_GONE = re.compile("NonExistentQueue|QueueDoesNotExist")
# Of a group's queue: it is no new group any more.
_SETTLED = {"past": "handled"}
_LENGTHS = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")


class SqsQueues:
    """See `queues.Queues`. `url`: see `SqsBus`."""

    def __init__(self, url: str, *, timeout_s: float, keep_s: int) -> None:
        self.keep_s = keep_s
        self.readers = 1
        parts = urlsplit(url)
        region = _REGION.search(parts.hostname or "")
        at = f"{parts.hostname}:{parts.port}" if parts.port else parts.hostname
        self._options: dict[str, Any] = {
            "endpoint_url": f"{parts.scheme}://{at}",
            "region_name": region[1] if region else "us-east-1",
        }
        if parts.username:  # otherwise they are found where AWS keeps them
            self._options["aws_access_key_id"] = unquote(parts.username)
            self._options["aws_secret_access_key"] = unquote(parts.password or "")
        self._timeout_s = timeout_s
        self._stack = AsyncExitStack()
        self._opening = asyncio.Lock()
        self._client: object = None
        self._urls: dict[str, str] = {}

    async def close(self) -> None:
        await self._stack.aclose()

    async def _ask(self, operation: str, wait_s: int = 0, **parameters: Any) -> dict[str, Any]:
        async with asyncio.timeout(self._timeout_s + wait_s):
            async with self._opening:
                if self._client is None:
                    made = get_session().create_client("sqs", config=_CONFIG, **self._options)
                    self._client = await self._stack.enter_async_context(made)
            answer: dict[str, Any] = await getattr(self._client, operation)(**parameters)
        return answer

    async def _of(self, name: str, operation: str, wait_s: int = 0, **parameters: Any) -> dict[str, Any]:
        """What SQS refuses for its own reasons (throttling, credentials) is as good as no answer."""
        with self._answering(name):
            if name not in self._urls:
                attributes = _FIFO if name.endswith(".fifo") else _PLAIN
                made = await self._ask("create_queue", QueueName=name, Attributes=attributes)
                self._urls[name] = made["QueueUrl"]
            return await self._ask(operation, wait_s, QueueUrl=self._urls[name], **parameters)

    @contextmanager
    def _answering(self, name: str) -> Iterator[None]:
        try:
            with cancellation.kept():
                yield
        except (BotoCoreError, ClientError, OSError, TimeoutError) as error:
            if isinstance(error, ClientError) and _GONE.search(str(error)):
                self._urls.pop(name, None)
            raise Unavailable(
                "The bus does not answer.", reason="BUS_UNAVAILABLE", retry_after_s=1.0
            ) from error

    # -- queues ---------------------------------------------------------------------------------------

    async def names(self, prefix: str) -> list[str]:
        """Of the queues that are there, sorted."""
        with self._answering(""):
            answer = await self._ask("list_queues", QueueNamePrefix=prefix, MaxResults=1000)
        urls = {url.rpartition("/")[2]: url for url in answer.get("QueueUrls") or ()}
        self._urls.update(urls)
        return sorted(urls)

    async def drop(self, name: str) -> None:
        await self._of(name, "delete_queue")
        self._urls.pop(name, None)

    async def is_settled(self, name: str) -> bool:
        tags = (await self._of(name, "list_queue_tags")).get("Tags") or {}
        return _SETTLED.items() <= tags.items()

    async def settle(self, name: str) -> None:
        await self._of(name, "tag_queue", Tags=_SETTLED)

    async def length(self, name: str) -> int:
        """Of what waits and what is in somebody's hands, as far as SQS knows."""
        found = await self._of(name, "get_queue_attributes", AttributeNames=_LENGTHS)
        return sum(int(found["Attributes"][each]) for each in _LENGTHS)

    # -- texts ----------------------------------------------------------------------------------------

    async def send(self, name: str, texts: Sequence[Sent]) -> None:
        """In order within each lane: SQS may refuse one of a page alone, so a page has one of a lane."""
        fifo = name.endswith(".fifo")
        for page in _pages(texts):
            entries = [
                {"Id": str(number), "MessageBody": each.text, **(_in_order(each.lane) if fifo else {})}
                for number, each in enumerate(page)
            ]
            if (await self._of(name, "send_message_batch", Entries=entries)).get("Failed"):
                raise Unavailable("The bus refused events.", reason="BUS_UNAVAILABLE", retry_after_s=1.0)

    async def receive(self, name: str, count: int, wait_s: int = 0) -> tuple[float, list[Received]]:
        begin_s = clock.monotonic_s()
        found = await self._receive(name, count, wait_s, self.keep_s)
        if found and clock.monotonic_s() > begin_s + self.keep_s / 3:
            # Nobody knows when, meanwhile, they were handed out.
            begin_s = clock.monotonic_s()
            if len(await self.keep(name, [each.handle for each in found])) < len(found):
                found = []  # they come again
        return begin_s + self.keep_s, found

    async def _receive(self, name: str, count: int, wait_s: int, keep_s: int) -> list[Received]:
        answer = await self._of(
            name,
            "receive_message",
            wait_s,
            MaxNumberOfMessages=min(count, PAGE),
            WaitTimeSeconds=wait_s,
            VisibilityTimeout=keep_s,
            AttributeNames=["ApproximateReceiveCount", "SequenceNumber", "SentTimestamp"],
        )
        return [_received(each) for each in answer.get("Messages") or ()]

    async def keep(self, name: str, handles: Sequence[str]) -> set[str]:
        return await self._keep(name, handles, self.keep_s)

    async def give_back(self, name: str, handles: Sequence[str]) -> None:
        await self._keep(name, handles, 0)

    async def _keep(self, name: str, handles: Sequence[str], keep_s: int) -> set[str]:
        kept: set[str] = set()
        for page in _tens(handles):
            entries = [
                {"Id": str(number), "ReceiptHandle": handle, "VisibilityTimeout": keep_s}
                for number, handle in enumerate(page)
            ]
            answer = await self._of(name, "change_message_visibility_batch", Entries=entries)
            kept.update(page[int(each["Id"])] for each in answer.get("Successful") or ())
        return kept

    async def delete(self, name: str, handles: Sequence[str]) -> None:
        """Of those that are not ours any more, somebody else takes care."""
        for page in _tens(handles):
            entries = [{"Id": str(number), "ReceiptHandle": handle} for number, handle in enumerate(page)]
            await self._of(name, "delete_message_batch", Entries=entries)

    async def everything(self, name: str, until_s: float) -> list[Received]:
        """Receives all of it, then gives it back. What was in the hands of one who died comes again when its
        time is over."""
        found: dict[str, Received] = {}
        more = True
        # Sent after that, it is nobody's past; clocks may differ a little. Without it there would be no end.
        late_s = clock.now().timestamp() + max(0.0, until_s - clock.monotonic_s()) + _CLOCKS_S
        try:
            while more or clock.monotonic_s() < until_s or len(found) < await self._hidden(name):
                while await self._read_page(name, found, late_s):
                    await asyncio.gather(*(self._read_page(name, found, late_s) for _ in range(_READERS)))
                # Only who waits is answered by all of SQS.
                more = await self._read_page(name, found, late_s, wait_s=1)
        finally:
            handles = [each.handle for each in found.values()]
            shares = [handles[start::_READERS] for start in range(_READERS)]
            with suppress(Unavailable):
                await asyncio.gather(*(self.give_back(name, share) for share in shares))
        return list(found.values())

    async def _read_page(self, name: str, found: dict[str, Received], late_s: float, wait_s: int = 0) -> bool:
        """Whether there was anything new that was not sent late."""
        page = await self._receive(name, PAGE, wait_s, 10 * self.keep_s)
        fresh = {each.id: each for each in page if each.id not in found}
        found.update(fresh)
        return any(each.sent_s < late_s for each in fresh.values())

    async def _hidden(self, name: str) -> int:
        """How many are in somebody's hands."""
        found = await self._of(name, "get_queue_attributes", AttributeNames=_LENGTHS[1:])
        return int(found["Attributes"][_LENGTHS[1]])


def _in_order(lane: str) -> dict[str, str]:
    """Never a duplicate for SQS: see README."""
    return {
        "MessageGroupId": sha256(lane.encode()).hexdigest(),
        "MessageDeduplicationId": clock.new_id(),
    }


def _pages(texts: Sequence[Sent]) -> Iterator[list[Sent]]:
    waiting = list(texts)
    while waiting:
        page: list[Sent] = []
        later: list[Sent] = []
        lanes: set[str] = set()
        size = 0
        for each in waiting:
            size += len(each.text)
            if each.lane in lanes or len(page) == PAGE or (page and size > _PAGE_BYTES):
                later.append(each)
            else:
                page.append(each)
            lanes.add(each.lane)
        yield page
        waiting = later


def _tens(handles: Sequence[str]) -> Iterator[Sequence[str]]:
    return (handles[begin : begin + PAGE] for begin in range(0, len(handles), PAGE))


def _received(found: Mapping[str, Any]) -> Received:
    attributes = found["Attributes"]
    return Received(
        id=found["MessageId"],
        handle=found["ReceiptHandle"],
        number=int(attributes.get("SequenceNumber", 0)),
        times=int(attributes["ApproximateReceiveCount"]),
        text=found["Body"],
        sent_s=int(attributes["SentTimestamp"]) / 1000,
    )
