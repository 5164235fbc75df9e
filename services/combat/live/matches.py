"""The matches of this worker: how one comes here, stands still, goes elsewhere and ends.

Knows no database and no gRPC: everything that remembers is behind `ports`.
"""

import asyncio
from collections.abc import Mapping
from contextvars import Context

import structlog
from arenamesh.combat.v1 import play_pb2

from native.arena import Arena
from services.chassis import clock
from services.chassis.errors import DomainError, ResourceExhausted, Unavailable
from services.combat.catalogue import Catalogue
from services.combat.domain import session as rules
from services.combat.domain.session import Session, SessionStatus
from services.combat.durability.committer import Committer, Journaled
from services.combat.durability.recovery import Recovery
from services.combat.live.chores import Chores
from services.combat.live.ending import Ending
from services.combat.live.handover import Handover
from services.combat.live.match import Match
from services.combat.live.ownership import Ownership
from services.combat.live.roster import Roster
from services.combat.ports import JournalStore, OwnershipStore
from services.combat.refusals import draining, journal_unavailable, moved, not_here
from services.combat.settings import CombatSettings

_log = structlog.get_logger()


class Matches:
    """Every live match by session id, also while it stands still or its end is being written."""

    def __init__(
        self,
        ownership: OwnershipStore,
        journal: JournalStore,
        catalogue: Catalogue,
        settings: CombatSettings,
    ) -> None:
        self._store = ownership
        self._settings = settings
        self.recovery = Recovery(journal, catalogue, settings)
        self.ownership = Ownership(
            ownership,
            settings.worker_name,
            heartbeat_s=settings.heartbeat_s,
            lease_s=settings.lease_s,
            handover_wait_s=settings.handover_wait_s,
            asked=self._asked,
            check=self._check,
        )
        self.committer = Committer(
            journal,
            self.ownership.owner,
            flush_s=settings.flush_seconds,
            wait_s=settings.commit_wait_s,
            pending_bytes=settings.journal_pending_bytes,
            on_fenced=self.fenced,
            on_stalled=self._stalled,
            on_recovered=self._recovered,
        )
        self._roster = Roster(self.committer)
        self._live = self._roster.live
        self._opening: dict[str, asyncio.Task[Match]] = {}
        self._chores = Chores()
        self._handover = Handover(
            self._roster,
            ownership,
            self.ownership.owner,
            self.committer,
            self._chores,
            opening=self._opening.keys(),
            residence_s=settings.residence_s,
        )
        self.ending = Ending(
            self._roster, self.committer, self._chores, self.write, again_s=settings.persist_seconds
        )
        self._draining = False

    # -- the worker's life ------------------------------------------------------------------------

    async def start(self) -> None:
        """Raises Unavailable when the worker cannot make itself known."""
        await self.ownership.start()
        self.committer.start()

    async def drain(self) -> None:
        """Hands every match over and says goodbye. Again: nothing."""
        if self._draining:
            return
        self._draining = True
        await self._handover.leave()
        if unfinished := [*self._chores.tasks, *self._opening.values()]:
            await asyncio.wait(unfinished, timeout=self._settings.commit_wait_s)
        for match in list(self._live.values()):
            match.suspend()
            match.disconnect(draining(), play_pb2.NOTICE_KIND_DRAINING, "DRAINING")
        await self.committer.close()
        await self.ownership.stop()
        self._chores.cancel()

    def totals(self) -> Mapping[str, int]:
        """The arenas' counters, summed over all that ever lived here; `sessions` and `players` now."""
        return self._roster.totals()

    def counts(self) -> dict[str, int]:
        """Seats taken, by session."""
        return self._roster.counts()

    # -- which match ------------------------------------------------------------------------------

    def refuse(self) -> None:
        """Raises Unavailable when nothing may begin here: DRAINING, JOURNAL_UNAVAILABLE, OWNERSHIP_UNSURE."""
        if self._draining:
            raise draining()
        if self.committer.stalled:
            raise journal_unavailable()
        if not self.ownership.sure:
            raise Unavailable(
                "The worker has to find out first which sessions are its own.",
                reason="OWNERSHIP_UNSURE",
                retry_after_s=self._settings.heartbeat_s,
                elsewhere=True,
            )

    def check_room(self) -> None:
        """Raises ResourceExhausted (TOO_MANY_SESSIONS)."""
        if len(self._live) >= self._settings.max_sessions:
            raise ResourceExhausted(
                f"This worker plays {self._settings.max_sessions} sessions already.",
                reason="TOO_MANY_SESSIONS",
                retry_after_s=5.0,
                elsewhere=True,
            )

    def known(self, session_id: str) -> Match | None:
        """The match when it is here and surely so, in whatever state."""
        return self._live.get(session_id) if self.ownership.sure else None

    def check(self, match: Match) -> None:
        """Whether something may happen in the match: to be asked again after each wait.

        Raises:
            FailedPrecondition: SESSION_OVER.
            Unavailable: as `refuse`; SESSION_NOT_HERE; SESSION_ENDING, it is over and that is not durable.
        """
        self.refuse()
        if match.arena.ended:
            if match.arena.barrier > match.durable_through:
                raise Unavailable("The session is ending.", reason="SESSION_ENDING", retry_after_s=0.1)
            # Its row follows in a moment.
            raise rules.over(rules.ended(match.session, clock.now()))
        if match.suspended or not self._roster.has(match):
            raise not_here(match.session_id, "")

    async def open(self, session_id: str) -> Match:
        """The match, taken over from wherever it was when it is not here.

        Raises:
            NotFound: SESSION_NOT_FOUND.
            FailedPrecondition: SESSION_OVER, CONTENT_CHANGED.
            DataLoss: JOURNAL_DAMAGED.
            ResourceExhausted: TOO_MANY_SESSIONS.
            Unavailable: as `refuse`; SESSION_NOT_HERE, DATABASE_UNAVAILABLE.
        """
        match = self._live.get(session_id)
        if match is None:
            self.refuse()
            match = await self.take(session_id, ask=True)
        self.check(match)
        return match

    async def take(self, session_id: str, *, ask: bool = False) -> Match:
        """The match, taken over when nobody has it, or with `ask` from whoever has. One attempt at a time,
        whoever wants it."""
        task = self._opening.get(session_id)
        if task is not None and ask:
            # It may be one that does not ask.
            await asyncio.wait({task})
            if session_id in self._live:
                return self._live[session_id]
            task = self._opening.get(session_id)
        if task is None:
            work = self._take_over(session_id, ask=ask)
            task = asyncio.get_running_loop().create_task(work, context=Context())
            self._opening[session_id] = task
            task.add_done_callback(lambda done: self._opened(session_id, done))
        return await asyncio.shield(task)

    def _opened(self, session_id: str, task: "asyncio.Task[Match]") -> None:
        del self._opening[session_id]
        if not task.cancelled():
            task.exception()  # whoever waited has it; they may all be gone

    async def _take_over(self, session_id: str, *, ask: bool) -> Match:
        self.check_room()
        begin_s = clock.monotonic_s()
        session = await self.ownership.acquire(session_id, ask=ask)
        try:
            arena = await self.recovery.restore(session)
            self.refuse()
        except BaseException:
            await self._let_go(session)
            raise
        _log.info(
            "session taken over",
            session_id=session_id,
            epoch=session.epoch,
            sequence=arena.sequence,
            seconds=round(clock.monotonic_s() - begin_s, 4),
        )
        return self.adopt(self._match(session, arena), taken=True)

    async def _let_go(self, session: Session) -> None:
        try:
            await self._store.release(session.session_id, session.owner, session.epoch)
        except DomainError as error:
            # The next call for it finds it here, and tries again.
            _log.warning("session not let go", session_id=session.session_id, reason=error.reason)

    def adopt(self, match: Match, *, taken: bool = False) -> Match:
        """The match is played here from now on; whatever a crash left between its row and its arena is
        repaired. `taken` over: then it stays for `residence_s`. Returns the match that is here already when
        there is one."""
        here = self._roster.add(match)
        if here is not match:
            return here
        if taken:
            match.taken_s = clock.monotonic_s()
        if self._draining:
            self._chores.begin(self._handover.hand_over(match))
        if self.committer.stalled:
            return match
        match.resume()
        if match.arena.ended:
            self.ending.ended(match, orderly=True)
        elif rules.is_complete(match.session, match.arena.players):
            self._chores.begin(self.begin(match))
        return match

    def new(self, session: Session) -> Match:
        """One in which nothing has happened yet; to be adopted."""
        return self._match(session, self.recovery.arena(session))

    def _match(self, session: Session, arena: Arena) -> Match:
        return Match(session, arena, self._settings, self.committer, self.ending.ended)

    async def begin(self, match: Match) -> None:
        """WAITING becomes ACTIVE, once. Row first: a restore starts the arena of an ACTIVE row."""
        async with match.lifecycle:
            if match.session.status is not SessionStatus.WAITING:
                return
            self.check(match)
            session = rules.transition(match.current, SessionStatus.ACTIVE, clock.now())
            await self.write(match, session)
            match.session = session
            match.start()

    async def write(self, match: Match, session: Session) -> None:
        """Raises Unavailable (SESSION_MOVED) when the row is not this worker's any more."""
        if not await self._store.write(session):
            self.fenced(match)
            raise moved()

    # -- standing still ---------------------------------------------------------------------------

    def _stalled(self) -> None:
        for match in list(self._live.values()):
            match.suspend()
            match.disconnect(journal_unavailable(), play_pb2.NOTICE_KIND_UNSPECIFIED, "JOURNAL_UNAVAILABLE")

    def _recovered(self) -> None:
        for match in list(self._live.values()):
            if match.suspended and match not in self._handover.moving:
                match.resume()

    def fenced(self, match: Journaled) -> None:
        """Somebody else has the match: what it remembers beyond the journal never happened."""
        assert isinstance(match, Match)
        _log.warning("session moved away", session_id=match.session_id, epoch=match.session.epoch)
        match.suspend()
        self._roster.remove(match)
        match.disconnect(moved(), play_pb2.NOTICE_KIND_MOVED, "MOVED")

    async def _check(self) -> None:
        known = list(self._live.values())
        held = await self._store.held(self.ownership.owner)
        for match in known:
            if held.get(match.session_id) != match.session.epoch and self._roster.has(match):
                self.fenced(match)

    def _asked(self, session_id: str) -> None:
        self._handover.asked(session_id)
