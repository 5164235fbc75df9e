"""How a match ends: durable first, then its row, then everybody is told."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

import structlog
from arenamesh.combat.v1 import event_pb2, play_pb2

from services.chassis import clock
from services.chassis.errors import Unavailable
from services.combat.domain import session as rules
from services.combat.domain.session import Session, SessionStatus
from services.combat.durability.committer import Committer
from services.combat.live.chores import Chores
from services.combat.live.match import Match
from services.combat.live.roster import Roster

_log = structlog.get_logger()
T = TypeVar("T")


class Ending:
    """`write`: makes a row what it is given. `again_s`: the pause before what failed is tried again."""

    def __init__(
        self,
        roster: Roster,
        committer: Committer,
        chores: Chores,
        write: Callable[[Match, Session], Awaitable[None]],
        *,
        again_s: float,
    ) -> None:
        self._roster = roster
        self._committer = committer
        self._chores = chores
        self._write = write
        self._again_s = again_s

    async def finish(self, match: Match, over: Session, write: Callable[[Session], Awaitable[T]]) -> T:
        """What the ended arena judged becomes durable, `write` makes its row `over`, and then everybody is
        told. The caller holds the match's lifecycle. When it fails, `finish_later`.

        Raises:
            Unavailable: unknown whether the row is over.
        """
        await self._committer.flush(match)
        now = match.current
        over = replace(over, player_count=now.player_count, journal_sequence=now.journal_sequence)
        written = await write(over)
        match.session = over
        self._roster.remove(match)
        reason = event_pb2.EndReason.Name(match.arena.ended)
        match.disconnect(None, play_pb2.NOTICE_KIND_SESSION_ENDED, reason)
        _log.info("session over", session_id=match.session_id, status=over.status)
        return written

    def finish_later(
        self, match: Match, over: Session, write: Callable[[Session], Awaitable[object]]
    ) -> None:
        """`finish`, until it is done."""

        async def insist() -> None:
            while self._roster.has(match):
                try:
                    async with match.lifecycle:
                        if self._roster.has(match):
                            await self.finish(match, over, write)
                except Exception as error:
                    _log.warning("end not written yet", session_id=match.session_id, error=repr(error))
                    await asyncio.sleep(self._again_s)

        self._chores.begin(insist())

    def ended(self, match: Match, orderly: bool) -> None:
        """The arena has ended, or failed."""
        if orderly:
            over = rules.ended(match.session, clock.now())
        else:
            match.suspend()
            failed = Unavailable("The session failed and was ended.", reason="SESSION_FAILED")
            match.disconnect(failed, play_pb2.NOTICE_KIND_SESSION_ENDED, "SESSION_FAILED")
            over = rules.transition(match.session, SessionStatus.ABORTED, clock.now())
        self.finish_later(match, over, lambda session: self._write(match, session))
