"""The journal as evidence: one record with its explanation, and verdicts page by page."""

import math
from bisect import bisect_right
from dataclasses import dataclass
from functools import partial
from operator import itemgetter

from arenamesh.combat.v1 import journal_pb2

from native.journal import index, ticks
from services.chassis.errors import NotFound
from services.combat.domain.session import Session
from services.combat.ports import Segment
from services.combat.replay.archive import Archive, Seating
from services.combat.replay.teller import Teller

_COMMAND = 7
_RECORDS_A_TURN = 500
# With the record that goes over it, well under what clients take as one message.
_PAGE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Filter:
    """Which verdicts. '' and 0: all of them."""

    player_id: str = ""
    outcome: int = 0
    every_record: bool = False
    """Also those that are of no command."""


@dataclass(frozen=True, slots=True)
class Page:
    records: list[journal_pb2.JournalRecord]
    last: int
    """Of the last record that was looked at."""
    more: bool


class Evidence:
    """`scan`: records that one page of a list may look at. Over it: a shorter page, and a token for more."""

    def __init__(self, archive: Archive, *, scan: int) -> None:
        self._archive = archive
        self._scan = scan

    async def get(self, session_id: str, sequence: int) -> tuple[journal_pb2.JournalRecord, str]:
        """A record of any kind, and what it says in words.

        Raises:
            NotFound: SESSION_NOT_FOUND, RECORD_NOT_FOUND.
            FailedPrecondition: CONTENT_CHANGED.
        """
        session = await self._archive.session(session_id)
        page = await self._archive.journal.read(session_id, sequence - 1, 1)
        entries = index(page[0].payload) if page else []
        found = [(offset, size) for known, *_, offset, size in entries if known == sequence]
        if not found:
            raise NotFound(
                f"The journal has no record {sequence}: it ends at {session.journal_sequence}.",
                reason="RECORD_NOT_FOUND",
                metadata={"session_id": session_id, "sequence": str(sequence)},
            )
        ((offset, size),) = found
        record = journal_pb2.JournalRecord.FromString(page[0].payload[offset : offset + size])
        seating = await self._seating(session, page[0], sequence - 1)
        _show_ray(record)
        return record, Teller(self._archive.ruleset(session), seating.players).tell(record)

    async def list(self, session_id: str, wanted: Filter, after: int, size: int) -> Page:
        """The wanted records after `after`, in order, at most `size` of them.

        Raises:
            NotFound: SESSION_NOT_FOUND.
            FailedPrecondition: CONTENT_CHANGED.
        """
        session = await self._archive.session(session_id)
        page = _Page(wanted, after, size)
        begin, seating = after, None
        async for segment in self._archive.segments(session_id, after):
            if wanted.player_id and seating is None:
                seating = await self._seating(session, segment, after)
            while page.last < segment.last and not page.full:
                await self._archive.slices.run(partial(page.read, segment, seating))
            if page.full or page.last - begin >= self._scan:
                break
        return Page(page.records, page.last, page.last < session.journal_sequence)

    async def _seating(self, session: Session, segment: Segment, through: int) -> Seating:
        """Who sat where after the record `through`, which is in or right before the segment."""
        steps = ticks(segment.payload)
        # A save of an earlier tick than the one that runs when the segment begins is of an earlier record.
        tick = steps[0][0] - 1 if steps else segment.tick
        seating = await self._archive.seating(session, tick - 1)
        async for each in self._archive.segments(session.session_id, seating.sequence):
            if each.first > through:
                break
            await self._archive.slices.run(partial(seating.read, each, through))
        return seating


class _Page:
    """A page that is being filled."""

    def __init__(self, wanted: Filter, after: int, size: int) -> None:
        self.records: list[journal_pb2.JournalRecord] = []
        self.last = after
        self._wanted = wanted
        self._size = size
        self._bytes = 0

    @property
    def full(self) -> bool:
        return len(self.records) >= self._size or self._bytes >= _PAGE_BYTES

    def read(self, segment: Segment, seating: Seating | None) -> None:
        """Looks at the next records of the segment, as many as one turn allows."""
        entries = index(segment.payload)
        begin = bisect_right(entries, self.last, key=itemgetter(0))
        for sequence, _, kind, slot, _, offset, size in entries[begin : begin + _RECORDS_A_TURN]:
            if self.full:
                return
            self.last = sequence
            data = segment.payload[offset : offset + size]
            if seating is not None:
                seating.note(sequence, kind, slot, data)
                if seating.players.get(slot) != self._wanted.player_id:
                    continue
            if kind == _COMMAND or self._wanted.every_record:
                record = journal_pb2.JournalRecord.FromString(data)
                outcome = self._wanted.outcome
                if not outcome or record.command.verdict.outcome == outcome:
                    self.records.append(record)
                    self._bytes += size


def _show_ray(record: journal_pb2.JournalRecord) -> None:
    """As the judge takes it from the shot, so a journal need not hold it."""
    if record.command.HasField("evidence"):
        shot = record.command.command.shot
        x, y, z = shot.direction_x, shot.direction_y, shot.direction_z
        length = math.sqrt(x * x + y * y + z * z)
        origin = shot.origin_x, shot.origin_y, shot.origin_z
        record.command.evidence.ray.extend([*origin, x / length, y / length, z / length])
