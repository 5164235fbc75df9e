"""The matches of this worker: how one comes here, stands still, goes elsewhere and ends.

Knows no database and no gRPC: everything that remembers is behind `ports`.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping
from contextvars import Context
from dataclasses import replace
from typing import Any, TypeVar

import structlog
from arenamesh.combat.v1 import event_pb2, play_pb2

from services.chassis import clock
from services.chassis.errors import DomainError, ResourceExhausted, Unavailable
from services.combat.catalogue import Catalogue
from services.combat.committer import Committer, Journaled
from services.combat.domain import session as rules
from services.combat.domain.session import Session, SessionStatus
from services.combat.match import Match
from services.combat.ownership import Ownership, not_here
from services.combat.ports import JournalStore, OwnershipStore
from services.combat.recovery import Recovery
from services.combat.settings import CombatSettings

_log = structlog.get_logger()
_MOVING_AT_ONCE = 8  # matches of a stopping worker: they share a commit, and only they stand still for it
T = TypeVar("T")


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
        self._live: dict[str, Match] = {}
        self._opening: dict[str, asyncio.Task[Match]] = {}
        self._moving: dict[Match, None] = {}
        self._gone: Counter[str] = Counter()
        self._tasks: dict[asyncio.Task[None], None] = {}
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
        await self._save(self._live.values())
        turns = asyncio.Semaphore(_MOVING_AT_ONCE)

        async def in_turn(match: Match) -> None:
            async with turns:
                await self._hand_over(match)

        await asyncio.gather(*map(in_turn, self._live.values()))
        if unfinished := [*self._tasks, *self._opening.values()]:
            await asyncio.wait(unfinished, timeout=self._settings.commit_wait_s)
        for match in list(self._live.values()):
            match.suspend()
            match.disconnect(draining(), play_pb2.NOTICE_KIND_DRAINING, "DRAINING")
        await self.committer.close()
        await self.ownership.stop()
        for task in self._tasks:
            task.cancel()

    def totals(self) -> Mapping[str, int]:
        """The arenas' counters, summed over all that ever lived here; `sessions` and `players` now."""
        totals = Counter(self._gone)
        for match in self._live.values():
            totals.update(match.arena.counters)
        totals["sessions"] = len(self._live)
        totals["players"] = sum(match.arena.players for match in self._live.values())
        return totals

    def counts(self) -> dict[str, int]:
        """Seats taken, by session."""
        return {session_id: match.arena.players for session_id, match in self._live.items()}

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
        if self._live.get(match.session_id) is not match or match.suspended:
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
        return self.adopt(Match(session, arena, self._settings, self.committer, self._on_over), taken=True)

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
        here = self._live.setdefault(match.session_id, match)
        if here is not match:
            return here
        # What was counted before the match came here is not this process's.
        self._gone.subtract(match.arena.counters)
        if taken:
            match.taken_s = clock.monotonic_s()
        self.committer.add(match)
        if self._draining:
            self._later(self._hand_over(match))
        if self.committer.stalled:
            return match
        match.resume()
        if match.arena.ended:
            self._on_over(match, True)
        elif rules.is_complete(match.session, match.arena.players):
            self._later(self.begin(match))
        return match

    def new(self, session: Session) -> Match:
        """One in which nothing has happened yet; to be adopted."""
        arena = self.recovery.arena(session)
        return Match(session, arena, self._settings, self.committer, self._on_over)

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
            if match.suspended and match not in self._moving:
                match.resume()

    def fenced(self, match: Journaled) -> None:
        """Somebody else has the match: what it remembers beyond the journal never happened."""
        assert isinstance(match, Match)
        _log.warning("session moved away", session_id=match.session_id, epoch=match.session.epoch)
        match.suspend()
        self._forget(match)
        match.disconnect(moved(), play_pb2.NOTICE_KIND_MOVED, "MOVED")

    async def _check(self) -> None:
        known = list(self._live.values())
        held = await self._store.held(self.ownership.owner)
        for match in known:
            if (
                held.get(match.session_id) != match.session.epoch
                and self._live.get(match.session_id) is match
            ):
                self.fenced(match)

    # -- going elsewhere --------------------------------------------------------------------------

    def _asked(self, session_id: str) -> None:
        match = self._live.get(session_id)
        if match is None:
            self._later(self._free(session_id))
            return
        if match in self._moving:
            return
        if clock.monotonic_s() - match.taken_s >= self._settings.residence_s or self._draining:
            self._later(self._move(match))

    async def _move(self, match: Match) -> None:
        await self._save([match])
        await self._hand_over(match)

    async def _save(self, matches: Collection[Match]) -> None:
        """Asks for saves while the matches are played on: the record of the next tick takes each along. The
        next owner has little to judge again then, which is most of the pause."""
        for match in matches:
            match.ask_save()
        await asyncio.sleep(max((1 / match.session.tick_rate_hz for match in matches), default=0))

    async def _free(self, session_id: str) -> None:
        """Frees a session that is this worker's by its row only: the answer to a claim or a release was
        lost. Nobody else can take it while this worker lives."""
        epoch = (await self._store.held(self.ownership.owner)).get(session_id)
        if epoch is not None and session_id not in self._live and session_id not in self._opening:
            await self._store.release(session_id, self.ownership.owner, epoch)

    async def _hand_over(self, match: Match) -> None:
        """Stands still, lets go, and sends everybody to the next owner. Without an answer from the store it
        goes on here: when it was let go all the same, the next commit is fenced."""
        async with match.lifecycle:
            if match.suspended or match.arena.ended or self._live.get(match.session_id) is not match:
                return
            self._moving[match] = None
            match.suspend()
            try:
                await self.committer.flush(match)
                session = match.session
                await self._store.release(session.session_id, session.owner, session.epoch)
            except Exception as error:
                _log.warning("not handed over", session_id=match.session_id, error=repr(error))
                if self._live.get(match.session_id) is match:
                    unsaid = journal_unavailable()
                    match.disconnect(unsaid, play_pb2.NOTICE_KIND_UNSPECIFIED, unsaid.reason)
                    if not self.committer.stalled:
                        match.resume()
                return
            finally:
                del self._moving[match]
            self._forget(match)
            match.disconnect(moved(), play_pb2.NOTICE_KIND_MOVED, "MOVED")
        _log.info("session handed over", session_id=match.session_id)

    # -- the end ----------------------------------------------------------------------------------

    async def finish(self, match: Match, over: Session, write: Callable[[Session], Awaitable[T]]) -> T:
        """What the ended arena judged becomes durable, `write` makes its row `over`, and then everybody is
        told. The caller holds the match's lifecycle. When it fails, `finish_later`.

        Raises:
            Unavailable: unknown whether the row is over.
        """
        await self.committer.flush(match)
        now = match.current
        over = replace(over, player_count=now.player_count, journal_sequence=now.journal_sequence)
        written = await write(over)
        match.session = over
        self._forget(match)
        reason = event_pb2.EndReason.Name(match.arena.ended)
        match.disconnect(None, play_pb2.NOTICE_KIND_SESSION_ENDED, reason)
        _log.info("session over", session_id=match.session_id, status=over.status)
        return written

    def finish_later(
        self, match: Match, over: Session, write: Callable[[Session], Awaitable[object]]
    ) -> None:
        """`finish`, until it is done."""

        async def insist() -> None:
            while self._live.get(match.session_id) is match:
                try:
                    async with match.lifecycle:
                        if self._live.get(match.session_id) is match:
                            await self.finish(match, over, write)
                except Exception as error:
                    _log.warning("end not written yet", session_id=match.session_id, error=repr(error))
                    await asyncio.sleep(self._settings.persist_seconds)

        self._later(insist())

    def _on_over(self, match: Match, orderly: bool) -> None:
        """The arena has ended, or failed."""
        if orderly:
            over = rules.ended(match.session, clock.now())
        else:
            match.suspend()
            failed = Unavailable("The session failed and was ended.", reason="SESSION_FAILED")
            match.disconnect(failed, play_pb2.NOTICE_KIND_SESSION_ENDED, "SESSION_FAILED")
            over = rules.transition(match.session, SessionStatus.ABORTED, clock.now())
        self.finish_later(match, over, lambda session: self.write(match, session))

    def _forget(self, match: Match) -> None:
        if self._live.get(match.session_id) is match:
            del self._live[match.session_id]
            self._gone.update(match.arena.counters)
        self.committer.remove(match)

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(self._logged(work), context=Context())
        self._tasks[task] = None
        task.add_done_callback(lambda done: self._tasks.pop(done, None))

    async def _logged(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except DomainError as error:
            _log.warning("put off", reason=error.reason)
        except Exception:
            _log.exception("background work failed")


def draining() -> Unavailable:
    return Unavailable("The worker is stopping.", reason="DRAINING", retry_after_s=0.1, elsewhere=True)


def moved() -> Unavailable:
    return Unavailable("The session is played elsewhere.", reason="SESSION_MOVED", retry_after_s=0.1)


def journal_unavailable() -> Unavailable:
    return Unavailable("The journal does not answer.", reason="JOURNAL_UNAVAILABLE", retry_after_s=0.5)
