"""What a member reads of its partitions on Kafka, and what the group remembers of that.

Nothing is handed out before it is committed as such: so it is known what a member had that dies, and whoever
is no longer in the group takes nothing.
"""

import asyncio
import copy
from collections.abc import Mapping, Sequence
from contextlib import suppress

from services.chassis.bus.kafka_client import Client, answering, group_id, topic_name
from services.chassis.bus.kafka_group import Fenced, Group, Held, parsed
from services.chassis.bus.kafka_progress import Progress
from services.chassis.bus.log import Entry, GroupLost
from services.chassis.errors import Unavailable


class KafkaLog:
    """See `log.Log`; of one member."""

    def __init__(self, client: Client, topic: str, group: str, lease_s: float) -> None:
        self._client = client
        self._group = Group(client, topic_name(topic), group_id(topic, group), lease_s)
        self._loading = asyncio.Lock()
        self._committing = asyncio.Lock()

    def key(self, topic: str, partition: int) -> str:
        return str(partition)

    def shared(self, topic: str, group: str) -> str:
        return ""

    # -- how far the group is -------------------------------------------------------------------------

    async def create_group(self, key: str, group: str, member: str) -> None:
        async with self._loading, self._committing:
            held = self._group.held.get(int(key))
            if held is None:
                raise _not_held()
            if held.progress is None or held.rewound:
                await self._load()

    async def _load(self) -> None:
        """For all partitions at once; of a new group from the oldest event on, which is committed."""
        partitions = [
            each for each, held in self._group.held.items() if held.progress is None or held.rewound
        ]
        known = await self._client.committed(self._group.id, [self._group.at(each) for each in partitions])
        begins = await self._client.begins(self._group.topic, partitions)
        ends = await self._client.ends(self._group.topic, partitions)
        loaded = {}
        for each in partitions:
            progress = Progress.parse(*known[each]) if each in known else Progress(begins[each])
            if progress.read > ends[each] or self._group.held[each].rewound:
                progress = Progress(begins[each])  # it was of a log that is gone
            progress.skip_to(begins[each])
            loaded[each] = self._group.begun(progress)
        if not self._group.held.keys() >= loaded.keys():
            raise _not_held()
        self._group.take(loaded)
        try:
            await self._group.commit(loaded)
        except Fenced:
            raise _not_held() from None

    # -- reading --------------------------------------------------------------------------------------

    async def read(
        self, shared: str, member: str, group: str, keys: Mapping[int, str], count: int
    ) -> dict[int, tuple[bytes, list[Entry]]]:
        async with self._committing:
            mine = {each: held for each in keys if (held := self._group.held.get(each)) and held.progress}
            if any(held.rewound for held in mine.values()):
                raise GroupLost
            found = {each: offsets for each, held in mine.items() if (offsets := held.unread(count))}
            if found and not await self._hand_out({each: mine[each] for each in found}, found):
                return {}
            answer = {
                each: (
                    b"%d" % held.next,
                    [held.entry(offset, held.fetched.pop(offset)) for offset in found.get(each, ())],
                )
                for each, held in mine.items()
            }
        await self._group.tell()
        return answer

    async def _hand_out(self, partitions: Mapping[int, Held], offsets: Mapping[int, Sequence[int]]) -> bool:
        """Counts it first. False: another member has them."""
        before = {each: copy.deepcopy((held.progress, held.handed_out)) for each, held in partitions.items()}
        for each, held in partitions.items():
            held.hand_out(offsets[each])
        try:
            await self._group.commit(partitions)
        except (Fenced, Unavailable, asyncio.CancelledError) as error:
            for each, held in partitions.items():
                held.progress, held.handed_out = before[each]
            if isinstance(error, Fenced):
                return False
            raise
        return True

    async def wait(self, looked: Mapping[str, bytes], block_s: float) -> None:
        def more() -> bool:
            return any(
                int(key) not in self._group.held or self._group.held[int(key)].next != int(before)
                for key, before in looked.items()
            )

        with suppress(TimeoutError):
            async with asyncio.timeout(block_s), self._group.changed:
                await self._group.changed.wait_for(more)

    async def pending(self, key: str, group: str, after: bytes, count: int) -> list[tuple[bytes, int]]:
        held = self._holding(key)
        behind = parsed(after)[1] if after else -1
        pending = [(offset, times) for offset, times in held.known.pending() if offset > behind]
        return [(held.entry(offset, None).id, times) for offset, times in pending[:count]]

    async def claim(self, key: str, group: str, entry_id: bytes) -> Entry:
        held, (number, offset) = self._holding(key), parsed(entry_id)
        if held.number != number:
            raise GroupLost
        with answering():
            async with asyncio.timeout(self._client.timeout_s), self._group.changed:
                await self._group.changed.wait_for(
                    lambda: offset in held.fetched or held.next > offset or held.rewound
                )
        if held.rewound:
            raise GroupLost
        async with self._committing:
            if not await self._hand_out({int(key): held}, {int(key): [offset]}):
                raise _not_held()
        return held.entry(offset, held.fetched.pop(offset, None))

    def _holding(self, key: str) -> Held:
        held = self._group.held.get(int(key))
        if held is None:
            raise _not_held()
        if held.progress is None or held.rewound:
            raise GroupLost
        return held

    async def acknowledge(self, key: str, group: str, entry_ids: Sequence[bytes]) -> None:
        async with self._committing:
            held = self._group.held.get(int(key))
            if held is None or held.progress is None:
                return  # it comes again, where it is held now
            held.finish(entry_ids)
            with suppress(Fenced):
                await self._group.commit({int(key): held})

    async def lag(self, keys: Sequence[str], group: str) -> int:
        held = {each: at for each in map(int, keys) if (at := self._group.held.get(each)) and at.progress}
        ends = await self._client.ends(self._group.topic, list(held))
        return sum(len(at.known.open) + max(0, ends[each] - at.known.read) for each, at in held.items())

    # -- sharing --------------------------------------------------------------------------------------

    async def beat(self, shared: str, member: str, lease_s: float) -> tuple[set[int], set[int]]:
        """A commit that is taken says that the member still counts."""
        self._group.join()
        self._group.divided.clear()
        if not self._group.revoking:
            async with self._committing:
                known = [(each, held) for each, held in self._group.held.items() if held.progress]
                try:
                    await self._group.commit(dict(known[:1]))
                except Fenced:
                    raise _not_held() from None
        return set(self._group.held), set() if self._group.revoking else set(self._group.held)

    async def rest(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._group.divided.wait()

    async def release(self, shared: str, member: str, partitions: Sequence[int]) -> None:
        async with self._committing:
            held = {each: self._group.held[each] for each in partitions if each in self._group.held}
            known = {each: one for each, one in held.items() if one.progress}
            for one in known.values():
                one.take_back()
            with suppress(Fenced, Unavailable):
                await self._group.commit(known)
            await self._group.give_back(held)

    async def leave(self, shared: str, member: str) -> None:
        self._group.leaving()
        await self.release(shared, member, list(self._group.held))
        await self._group.leave()


def _not_held() -> Unavailable:
    return Unavailable("Another member has it.", reason="BUS_UNAVAILABLE", retry_after_s=1.0)
