"""What groups remember on NATS: who holds which partition, and what of it was read and not acknowledged.

All of it is in the stream of the messages themselves, hence in their fate: a server that comes back without
its last second has forgotten the acknowledgement of what it forgot.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from services.chassis import clock
from services.chassis.bus.log import Entry, GroupLost
from services.chassis.bus.nats_cells import Cells, Document
from services.chassis.bus.nats_stream import Stream
from services.chassis.bus.port import PARTITIONS, Message

# How often a partition is looked at of which nothing new was told: what tells of it may get lost.
_LOOK_S = 1.0


def pending_cell(key: str, group: str) -> str:
    """Where a group remembers of a partition: `read`, the number of its newest entry that was read; `open`,
    how often those were handed out that are not acknowledged; `holder`, the member that may read on."""
    return f"arenamesh.pending.{key.removeprefix('arenamesh.topic.')}.{group}"


def needed_from(document: Document) -> int:
    """The number of the oldest entry that the group needs."""
    return min(map(int, document.get("open", ())), default=document.get("read", 0) + 1)


@dataclass(slots=True)
class _Watched:
    """The members of a group as this process saw them: beats, and since when it is that many."""

    at: float = 0.0
    beats: dict[str, tuple[int, float]] = field(default_factory=dict)


class NatsLog:
    """See `log.Log`."""

    def __init__(self, stream: Stream, cells: Cells) -> None:
        self._stream = stream
        self._cells = cells
        self._watched: dict[str, _Watched] = {}
        # Of a group's partitions: the hints there were, and when, as nothing more was found.
        self._nothing: dict[str, tuple[int, float]] = {}

    def key(self, topic: str, partition: int | str) -> str:
        return f"arenamesh.topic.{topic}.{partition}"

    def shared(self, topic: str, group: str) -> str:
        return f"arenamesh.group.{topic}.{group}"

    # -- reading --------------------------------------------------------------------------------------

    async def create_group(self, key: str, group: str, member: str) -> None:
        def hold(document: Document) -> None:
            document.setdefault("read", 0)
            document.setdefault("open", {})
            document["holder"] = member

        cell = pending_cell(key, group)
        self._nothing.pop(cell, None)
        await self._cells.change(cell, hold, fresh=True)

    async def read(
        self, shared: str, member: str, group: str, keys: Mapping[int, str], count: int
    ) -> dict[int, tuple[bytes, list[Entry]]]:
        found = await asyncio.gather(
            *(self._read(key, group, member, count) for key in keys.values()), return_exceptions=True
        )
        answers: dict[int, tuple[bytes, list[Entry]]] = {}
        for partition, each in zip(keys, found, strict=True):
            if isinstance(each, BaseException):
                raise each
            if each is not None:
                answers[partition] = each
        return answers

    async def _read(self, key: str, group: str, member: str, count: int) -> tuple[bytes, list[Entry]] | None:
        """None: another member has it."""
        cell, hints, now = pending_cell(key, group), self._stream.hints[key], clock.monotonic_s()
        known = await self._cells.known(cell)
        if not known:
            raise GroupLost
        if known["holder"] != member:
            return None
        looked = str(hints).encode()
        before, at = self._nothing.get(cell, (-1, 0.0))
        if before == hints and now - at < _LOOK_S:
            return looked, []
        messages, more = await self._stream.batch(key, known["read"] + 1, count)
        if more == 0:
            self._nothing[cell] = (hints, now)
        if not messages:
            return looked, []
        taken = await self._take(cell, member, messages)
        return None if taken is None else (looked, taken)

    async def _take(
        self, cell: str, member: str, messages: Sequence[tuple[int, Message]]
    ) -> list[Entry] | None:
        """Those that nobody has read. Who was held up for longer than its lease takes nothing that belongs to
        the next holder: None."""

        def take(document: Document) -> list[Entry] | None:
            if not document:
                raise GroupLost
            if document["holder"] != member:
                return None
            new = [(number, message) for number, message in messages if number > document["read"]]
            for number, _ in new:
                document["open"][str(number)] = 1
                document["read"] = number
            return [Entry(str(number).encode(), message) for number, message in new]

        return await self._cells.change(cell, take)

    async def wait(self, looked: Mapping[str, bytes], block_s: float) -> None:
        def told() -> bool:
            return any(self._stream.hints[key] != int(before) for key, before in looked.items())

        try:
            async with asyncio.timeout(block_s), self._stream.hinted:
                await self._stream.hinted.wait_for(told)
        except TimeoutError:
            pass

    async def pending(self, key: str, group: str, after: bytes, count: int) -> list[tuple[bytes, int]]:
        document = await self._cells.read(pending_cell(key, group))
        if not document:
            raise GroupLost
        entries = sorted((int(number), times) for number, times in document["open"].items())
        return [
            (str(number).encode(), times) for number, times in entries if not after or number > int(after)
        ][:count]

    async def claim(self, key: str, group: str, entry_id: bytes) -> Entry:
        def count(document: Document) -> None:
            if not document:
                raise GroupLost
            if entry_id.decode() in document["open"]:
                document["open"][entry_id.decode()] += 1

        await self._cells.change(pending_cell(key, group), count)
        return Entry(entry_id, await self._stream.message(key, int(entry_id)))

    async def acknowledge(self, key: str, group: str, entry_ids: Sequence[bytes]) -> None:
        def drop(document: Document) -> None:
            for entry_id in entry_ids:
                document.get("open", {}).pop(entry_id.decode(), None)

        await self._cells.change(pending_cell(key, group), drop)

    async def lag(self, keys: Sequence[str], group: str) -> int:
        return sum([await self._behind(key, group) for key in keys])

    async def _behind(self, key: str, group: str) -> int:
        document = await self._cells.known(pending_cell(key, group))
        if not document:
            return 0
        messages, more = await self._stream.batch(key, document["read"] + 1, 1)
        return len(document["open"]) + len(messages) + more

    # -- sharing --------------------------------------------------------------------------------------

    async def beat(self, shared: str, member: str, lease_s: float) -> tuple[set[int], set[int]]:
        """A member lives for as long as its beats go on, by the clock of whoever looks. So a lease begins for
        others no sooner than for itself, and no two clocks are compared."""
        watched, now = self._watched.setdefault(shared, _Watched()), clock.monotonic_s()
        if now - watched.at > lease_s:
            watched.beats.clear()  # we were away ourselves, and cannot tell who else was
        watched.at = now

        def divide(document: Document) -> tuple[set[int], set[int]]:
            members: dict[str, int] = document.setdefault("members", {})
            holders: dict[str, str] = document.setdefault("holders", {})
            for each in [each for each in members if each != member]:
                beats, since = watched.beats.get(each, (-1, now))
                if beats != members[each]:
                    watched.beats[each] = (members[each], now)
                elif now - since > lease_s:
                    del members[each]
            members[member] = members.get(member, 0) + 1
            rank, alive = sorted(members).index(member), len(members)
            share = {partition for partition in range(PARTITIONS) if partition % alive == rank}
            for partition in share:
                if holders.get(str(partition)) not in members:
                    holders[str(partition)] = member
            held = {int(partition) for partition, holder in holders.items() if holder == member}
            return held, held & share

        return await self._cells.change(shared, divide)

    async def rest(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def release(self, shared: str, member: str, partitions: Sequence[int]) -> None:
        def free(document: Document) -> None:
            holders: dict[str, str] = document.get("holders", {})
            for partition in map(str, partitions):
                if holders.get(partition) == member:
                    del holders[partition]

        await self._cells.change(shared, free)

    async def leave(self, shared: str, member: str) -> None:
        def go(document: Document) -> None:
            document.get("members", {}).pop(member, None)

        await self._cells.change(shared, go)
