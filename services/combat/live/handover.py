"""How a match goes to another worker: one that asked for it, or any, because this one stops."""

import asyncio
from collections.abc import Collection

import structlog
from arenamesh.combat.v1 import play_pb2

from services.chassis import clock
from services.combat.durability.committer import Committer
from services.combat.live.chores import Chores
from services.combat.live.match import Match
from services.combat.live.roster import Roster
from services.combat.ports import OwnershipStore
from services.combat.refusals import journal_unavailable, moved

_log = structlog.get_logger()
_AT_ONCE = 8  # matches of a stopping worker: they share a commit, and only they stand still for it


class Handover:
    """`opening`: sessions that are on their way here. `residence_s`: how long a match that was taken over
    stays, whoever asks. `moving`: matches that stand still for it."""

    def __init__(
        self,
        roster: Roster,
        store: OwnershipStore,
        owner: str,
        committer: Committer,
        chores: Chores,
        *,
        opening: Collection[str],
        residence_s: float,
    ) -> None:
        self._roster = roster
        self._store = store
        self._owner = owner
        self._committer = committer
        self._chores = chores
        self._opening = opening
        self._residence_s = residence_s
        self._leaving = False
        self.moving: dict[Match, None] = {}

    def asked(self, session_id: str) -> None:
        """Another worker wants the session."""
        match = self._roster.live.get(session_id)
        if match is None:
            self._chores.begin(self._free(session_id))
            return
        if match in self.moving:
            return
        if self._leaving or clock.monotonic_s() - match.taken_s >= self._residence_s:
            self._chores.begin(self._move(match))

    async def leave(self) -> None:
        """Hands every match over, and from now on whatever is asked for, at once."""
        self._leaving = True
        live = self._roster.live
        await _save(live.values())
        turns = asyncio.Semaphore(_AT_ONCE)

        async def in_turn(match: Match) -> None:
            async with turns:
                await self.hand_over(match)

        await asyncio.gather(*map(in_turn, live.values()))

    async def _move(self, match: Match) -> None:
        await _save([match])
        await self.hand_over(match)

    async def _free(self, session_id: str) -> None:
        """Frees a session that is this worker's by its row only: the answer to a claim or a release was
        lost. Nobody else can take it while this worker lives."""
        epoch = (await self._store.held(self._owner)).get(session_id)
        if epoch is not None and session_id not in self._roster.live and session_id not in self._opening:
            await self._store.release(session_id, self._owner, epoch)

    async def hand_over(self, match: Match) -> None:
        """Stands still, lets go, and sends everybody to the next owner. Without an answer from the store it
        goes on here: when it was let go all the same, the next commit is fenced."""
        async with match.lifecycle:
            if match.suspended or match.arena.ended or not self._roster.has(match):
                return
            self.moving[match] = None
            match.suspend()
            try:
                await self._committer.flush(match)
                session = match.session
                await self._store.release(session.session_id, session.owner, session.epoch)
            except Exception as error:
                _log.warning("not handed over", session_id=match.session_id, error=repr(error))
                self._stay(match)
                return
            finally:
                del self.moving[match]
            self._roster.remove(match)
            match.disconnect(moved(), play_pb2.NOTICE_KIND_MOVED, "MOVED")
        _log.info("session handed over", session_id=match.session_id)

    def _stay(self, match: Match) -> None:
        if self._roster.has(match):
            unsaid = journal_unavailable()
            match.disconnect(unsaid, play_pb2.NOTICE_KIND_UNSPECIFIED, unsaid.reason)
            if not self._committer.stalled:
                match.resume()


async def _save(matches: Collection[Match]) -> None:
    """Asks for saves while the matches are played on: the record of the next tick takes each along. The next
    owner has little to judge again then, which is most of the pause."""
    for match in matches:
        match.ask_save()
    await asyncio.sleep(max((1 / match.session.tick_rate_hz for match in matches), default=0))
