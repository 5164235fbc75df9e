"""VerifyReplay: a match judged again from its first record, and everything compared."""

from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from arenamesh.combat.v1 import journal_pb2
from google.protobuf.message import DecodeError

from native.differences import ReplayError
from native.journal import index
from services.chassis import clock
from services.chassis.errors import DataLoss
from services.combat.domain.session import Session, SessionStatus
from services.combat.ports import Segment
from services.combat.replay.archive import Archive
from services.combat.replay.playback import pieces
from services.combat.replay.teller import Teller

_TICK = 6


@dataclass(frozen=True, slots=True)
class Proof:
    """What came of it: how much was the same, and the first thing that was not."""

    records: int
    checkpoints: int
    played_us: int
    took_us: int
    sequence: int = 0
    """Of the first record that differs; 0: none."""
    difference: str = ""


class _DiffersError(Exception):
    def __init__(self, sequence: int, text: str) -> None:
        super().__init__(text)
        self.sequence = sequence


class Prover:
    """Never starts from a save: what is not judged again is not proved."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive

    async def verify(self, session_id: str) -> Proof:
        """Judges what is committed of the session.

        Raises:
            NotFound: SESSION_NOT_FOUND.
            FailedPrecondition: CONTENT_CHANGED.
            ResourceExhausted: TOO_MANY_PLAYBACKS.
        """
        began_us = clock.monotonic_us()
        session = await self._archive.session(session_id)
        sequence, text = 0, ""
        with self._archive.place():
            trial = _Trial(session, self._archive)
            try:
                async for segment in self._archive.segments(session_id, 0):
                    await trial.hear(segment)
                trial.conclude()
            except _DiffersError as differs:
                sequence, text = differs.sequence, str(differs)
            except DataLoss as damage:
                sequence, text = int(damage.metadata["sequence"]), damage.text
        return Proof(
            records=trial.records,
            checkpoints=trial.checkpoints,
            played_us=trial.played_us,
            took_us=clock.monotonic_us() - began_us,
            sequence=sequence,
            difference=text,
        )


class _Trial:
    def __init__(self, session: Session, archive: Archive) -> None:
        self.checkpoints = 0
        self._session = session
        self._archive = archive
        self._arena = archive.arena(session)
        self._epoch = 0

    @property
    def records(self) -> int:
        return self._arena.sequence

    @property
    def played_us(self) -> int:
        return self._arena.now_us

    async def hear(self, segment: Segment) -> None:
        """The next segment must go on where the last ended, and judge to what is written in it."""
        expected = self.records + 1
        if segment.first != expected:
            raise _DiffersError(
                expected,
                f"Record {expected} should follow, but the next segment begins with {segment.first}.",
            )
        if segment.epoch < self._epoch:
            raise _DiffersError(
                expected,
                f"The segment from record {expected} on was written in epoch {segment.epoch}, after one of "
                f"epoch {self._epoch}: by a worker that no longer owned the session.",
            )
        self._epoch = segment.epoch
        try:
            for piece in pieces(segment.payload):
                self.checkpoints += await self._archive.slices.run(partial(self._judge, piece))
        except ReplayError as error:
            raise _DiffersError(error.sequence, self._told(error)) from error
        said = (segment.last, segment.tick, segment.time_us)
        found = (self._arena.sequence, self._arena.tick, self._arena.now_us)
        if said != found:
            raise _DiffersError(
                segment.last,
                f"The segment should end with record {said[0]} at tick {said[1]}, {said[2]} us; it ends with "
                f"record {found[0]} at tick {found[1]}, {found[2]} us.",
            )

    def conclude(self) -> None:
        """Nothing may be missing at the end. A match that goes on may have more by now."""
        session = self._session
        if self.records < session.journal_sequence:
            raise _DiffersError(
                self.records + 1,
                f"The journal ends with record {self.records}; {session.journal_sequence} were committed.",
            )
        if session.live:
            return
        if self.records > session.journal_sequence:
            raise _DiffersError(
                session.journal_sequence + 1,
                f"The journal goes on to record {self.records}; {session.journal_sequence} were committed.",
            )
        if session.status is SessionStatus.ENDED and not self._arena.ended:
            raise _DiffersError(
                self.records + 1, "The session has ended, but its journal does not say that the match did."
            )

    def _told(self, error: ReplayError) -> str:
        """What differs, and both sides of it in words where there are two."""
        said = f"{str(error).capitalize()}."
        names = ((slot, self._arena.player(slot)) for slot in range(self._session.max_players))
        teller = Teller(self._archive.ruleset(self._session), {slot: name for slot, name in names if name})
        for side, data in (("recorded", error.recorded), ("judged again", error.judged)):
            if data and error.judged:
                with suppress(DecodeError):
                    record = journal_pb2.JournalRecord.FromString(data)
                    said += f" As {side}: {teller.tell(record)}"
        return said

    def _judge(self, piece: bytes) -> int:
        """Returns how many checkpoints were in it."""
        self._arena.replay(piece)
        return sum(
            1
            for _, _, kind, _, _, offset, size in index(piece)
            if kind == _TICK
            and journal_pb2.JournalRecord.FromString(piece[offset : offset + size]).tick.state_hash
        )
