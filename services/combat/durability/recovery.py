"""A session's arena as its journal has it: the newest usable save, and the records behind it judged again."""

import asyncio

import structlog

from native.arena import Arena
from native.journal import index
from services.chassis import clock
from services.chassis.errors import DataLoss
from services.combat.catalogue import Catalogue
from services.combat.domain import session as rules
from services.combat.domain.session import Session
from services.combat.ports import JournalStore, Save
from services.combat.settings import CombatSettings

_log = structlog.get_logger()
_PAGE = 256  # segments read at a time; a busy worker writes a hundred a second
_SLICE_S = 0.004  # of judging, then other matches go on for a moment
_SAVES = 2  # tried before everything is judged again from the start


class Recovery:
    """Makes arenas: new ones, and those of sessions that were played before."""

    def __init__(self, journal: JournalStore, catalogue: Catalogue, settings: CombatSettings) -> None:
        self._journal = journal
        self._catalogue = catalogue
        self._volatile = tuple(sorted(settings.volatile_commands))

    def arena(self, session: Session) -> Arena:
        """One in which nothing has happened yet."""
        return self._catalogue.arena(session, volatile_kinds=self._volatile)

    async def restore(self, session: Session) -> Arena:
        """Right after the session's last committed record; nobody may commit to it meanwhile.

        Raises:
            FailedPrecondition: CONTENT_CHANGED, its map or ruleset is not here as it was.
            DataLoss: JOURNAL_DAMAGED, records are missing or judge to something else.
            Unavailable: the journal does not answer.
        """
        rules.check_content(session, self._catalogue)
        arena = await self._saved(session)
        began_s = clock.monotonic_s()
        while arena.sequence < session.journal_sequence:
            segments = await self._journal.read(session.session_id, arena.sequence, _PAGE)
            if not segments:
                raise _damaged(session, f"the records after {arena.sequence} are missing")
            for segment in segments:
                payload = segment.payload
                if segment.first <= arena.sequence:
                    payload = _behind(payload, arena.sequence)
                try:
                    arena.replay(payload)
                except ValueError as error:
                    raise _damaged(session, str(error)) from error
                if clock.monotonic_s() - began_s > _SLICE_S:
                    await asyncio.sleep(0)
                    began_s = clock.monotonic_s()
        return arena

    async def _saved(self, session: Session) -> Arena:
        """The newest usable save; without one, nothing has happened yet."""
        arena = self.arena(session)
        tick: int | None = None
        for _ in range(_SAVES):
            save: Save | None = await self._journal.save_before(session.session_id, tick)
            if save is None:
                break
            try:
                arena.restore(save.data)
            except ValueError as error:
                _log.warning("save not usable", session_id=session.session_id, error=str(error))
                tick = save.tick - 1
            else:
                break
        return arena


def _behind(payload: bytes, sequence: int) -> bytes:
    """The records of a segment after one of them."""
    end = next(offset + size for known, *_, offset, size in index(payload) if known == sequence)
    return payload[end:]


def _damaged(session: Session, how: str) -> DataLoss:
    return DataLoss(
        f"The journal of session {session.session_id} cannot be judged again: {how}.",
        reason="JOURNAL_DAMAGED",
        metadata={"session_id": session.session_id},
    )
