"""A match judged again from its journal, tick by tick."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeVar

from native.arena import Arena
from native.journal import index, ticks
from services.chassis import clock
from services.chassis.errors import DataLoss
from services.combat.domain.session import Session
from services.combat.ports import JournalStore, Segment

T = TypeVar("T")
SLICE_S = 0.002
_BYTES_A_TURN = 65_536
# A segment is one record when little happens, and thousands when much does.
_BYTES_A_READ = 1 << 18
_SEGMENTS_A_READ = range(16, 1025)


class Slices:
    """What everybody who judges again in this process may take of the event loop: SLICE_S in one go, then
    as long a rest for the matches that are played."""

    def __init__(self) -> None:
        self._spent_s = 0.0
        self._resting = asyncio.Lock()

    async def run(self, work: Callable[[], T]) -> T:
        """Does the work, which must be short, when it is its turn."""
        while self._spent_s >= SLICE_S:
            async with self._resting:
                if self._spent_s >= SLICE_S:
                    await asyncio.sleep(self._spent_s)
                    self._spent_s = 0.0
        began_s = clock.monotonic_s()
        try:
            return work()
        finally:
            self._spent_s += clock.monotonic_s() - began_s


class Pages:
    """The segments of a session behind a sequence, in order, about 256 KiB at a time."""

    def __init__(self, journal: JournalStore, session_id: str, after: int) -> None:
        self._journal = journal
        self._session_id = session_id
        self._after = after
        self._limit = 64

    async def next(self) -> list[Segment]:
        """The next ones; empty: there are no more, or not yet.

        Raises:
            DataLoss: JOURNAL_DAMAGED.
            Unavailable: the journal cannot be read now.
        """
        page = await self._journal.read(self._session_id, self._after, self._limit)
        if page:
            self._after = page[-1].last
            size = sum(len(segment.payload) for segment in page) // len(page)
            few, many = _SEGMENTS_A_READ[0], _SEGMENTS_A_READ[-1]
            self._limit = min(max(_BYTES_A_READ // max(size, 1), few), many)
        return page


class Playback:
    """A match to look at, as far as its journal is committed. One owner calls it."""

    def __init__(self, session: Session, arena: Arena, journal: JournalStore, slices: Slices) -> None:
        """`arena`: new or restored; `session`: the row as it was then."""
        self.session = session
        self.arena = arena
        self._pages = Pages(journal, session.session_id, arena.sequence)
        self._slices = slices
        # Records of segments read and not judged yet: those of the steps, and what follows the last of them.
        self._records = b""
        self._begin = 0
        self._steps: deque[tuple[int, int]] = deque()
        self._unread: deque[bytes] = deque()

    async def peek(self) -> int | None:
        """The tick that is next. None: it is not recorded, or not yet.

        Raises:
            DataLoss: JOURNAL_DAMAGED.
            Unavailable: the journal cannot be read now.
        """
        while not self._steps:
            if not self._unread:
                page = await self._pages.next()
                if not page:
                    return None
                # A save may lie inside of the first one.
                self._unread.append(behind(page[0], self.arena.sequence))
                self._unread.extend(segment.payload for segment in page[1:])
            self._records = self._records[self._begin :] + self._unread.popleft()
            self._begin = 0
            self._steps.extend(await self._judged(lambda: ticks(self._records)))
        return self._steps[0][0]

    async def next(self, *, events: bool = True) -> bytes | None:
        """Steps to the next tick. Its events (field 7 of PlayResponse; b'' unless wanted); None as `peek`."""
        if await self.peek() is None:
            return None
        _, end = self._steps.popleft()
        await self._feed(end, events)
        return self.arena.take_events()

    async def seek(self, tick: int) -> None:
        """Steps up to the tick before `tick`, as far as it is recorded."""
        while (upcoming := await self.peek()) is not None and upcoming < tick:
            await self.next(events=False)

    async def finish(self) -> bytes:
        """What is recorded after the last tick, and its events.

        Raises:
            DataLoss: JOURNAL_DAMAGED, as `peek`, and when records are missing.
        """
        while await self.next(events=False) is not None:
            pass
        await self._feed(len(self._records), True)
        if self.arena.sequence < self.session.journal_sequence:
            raise DataLoss(
                f"The journal of session {self.session.session_id} ends with record {self.arena.sequence}.",
                reason="JOURNAL_DAMAGED",
                metadata={"session_id": self.session.session_id, "sequence": str(self.arena.sequence)},
            )
        return self.arena.take_events()

    async def _feed(self, end: int, events: bool) -> None:
        run, self._begin = self._records[self._begin : end], end
        for piece in pieces(run):
            await self._judged(partial(self.arena.replay, piece, events=events))

    async def _judged(self, work: Callable[[], T]) -> T:
        try:
            return await self._slices.run(work)
        except ValueError as error:
            raise DataLoss(
                f"The journal does not judge to what it says: {error}.",
                reason="JOURNAL_DAMAGED",
                metadata={"session_id": self.session.session_id},
            ) from error


def behind(segment: Segment, sequence: int) -> bytes:
    """The records of a segment after `sequence`."""
    if segment.first > sequence:
        return segment.payload
    ends = (offset + size for known, *_, offset, size in index(segment.payload) if known == sequence)
    return segment.payload[next(ends) :]


def pieces(segment: bytes) -> Iterator[bytes]:
    """A segment as runs of records, each short enough for one turn."""
    begin = 0
    if len(segment) > _BYTES_A_TURN:
        for *_, offset, size in index(segment):
            if offset + size - begin >= _BYTES_A_TURN:
                yield segment[begin : offset + size]
                begin = offset + size
    if begin < len(segment):
        yield segment[begin:]
