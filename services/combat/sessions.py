"""The sessions of this worker: their life in the database and in memory, kept in step.

A change of status is written first and then happens in the arena, under the match's lock. Only an end
that the arena found by itself happens first and is written until it is.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

import structlog
from arenamesh.combat.v1 import event_pb2, play_pb2

from native.arena import Arena
from services.chassis import clock
from services.chassis.db import Connection, Database
from services.chassis.errors import (
    AlreadyExists,
    DomainError,
    FailedPrecondition,
    NotFound,
    ResourceExhausted,
    Unavailable,
)
from services.chassis.idempotency import Idempotency, IdempotencyKey
from services.chassis.metrics import COMBAT_SESSIONS_CREATED
from services.combat.catalogue import Catalogue
from services.combat.domain import session as rules
from services.combat.domain.session import Change, Draft, Session, SessionStatus, SessionType
from services.combat.match import Match
from services.combat.settings import CombatSettings
from services.combat.store import SCHEMA, SessionStore

_log = structlog.get_logger()
Encode = Callable[[Session], bytes]


class Sessions:
    """Everything that RPCs do to sessions. `encode` makes the stored answer of an idempotent call."""

    def __init__(
        self, database: Database, store: SessionStore, catalogue: Catalogue, settings: CombatSettings
    ) -> None:
        self._database = database
        self._store = store
        self._catalogue = catalogue
        self._settings = settings
        self._idempotency = Idempotency(SCHEMA)
        self._matches: dict[str, Match] = {}
        self._counts: dict[str, int] = {}
        self._gone: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._keeping: asyncio.Task[None] | None = None

    # -- the worker's life ------------------------------------------------------------------------

    async def start(self) -> None:
        """Ends what an earlier process of this name left behind: its arenas died with it."""
        orphans = await self._database.transaction(
            lambda connection: self._store.abort_orphans(connection, self._owner, clock.now())
        )
        if orphans:
            _log.warning("aborted orphaned sessions", count=orphans)
        self._keeping = asyncio.create_task(self._keep())

    async def drain(self) -> None:
        """Ends every match: the arenas cannot outlive the process."""
        if self._keeping is not None:
            self._keeping.cancel()
        error = Unavailable("The worker is stopping.", reason="DRAINING", retry_after_s=1.0)
        for match in self._matches.values():
            match.close(error, play_pb2.NOTICE_KIND_DRAINING, "DRAINING")
            self._forget(match)
        self._matches.clear()
        try:
            await self._database.transaction(
                lambda connection: self._store.abort_orphans(connection, self._owner, clock.now())
            )
        except Exception:
            # Whatever it is, it must not keep the process from stopping.
            _log.exception("sessions stay open in the database until the next start")
        for task in self._tasks:
            task.cancel()

    async def _keep(self) -> None:
        """Writes changed player counts, and now and then forgets old idempotency keys."""
        keep = timedelta(hours=self._settings.idempotency_hours)
        purged_s = 0.0
        while True:
            await asyncio.sleep(self._settings.persist_seconds)
            try:
                await self._save_counts()
                if clock.monotonic_s() - purged_s > 60:
                    purged_s = clock.monotonic_s()
                    async with self._database.connection() as connection:
                        await self._idempotency.purge(connection, keep)
            except DomainError as error:
                _log.warning("housekeeping failed", reason=error.reason)

    async def _save_counts(self) -> None:
        counts = {key: match.session.player_count for key, match in self._matches.items()}
        changed = {key: count for key, count in counts.items() if self._counts.get(key) != count}
        if changed:
            async with self._database.connection() as connection:
                await self._store.set_counts(connection, self._owner, changed)
        self._counts = counts

    def totals(self) -> Mapping[str, int]:
        """The arenas' counters, summed over all that ever lived here; `sessions` and `players` now."""
        totals = Counter(self._gone)
        for match in self._matches.values():
            totals.update(match.arena.counters)
        totals["sessions"] = len(self._matches)
        totals["players"] = sum(match.arena.players for match in self._matches.values())
        return totals

    # -- reading ----------------------------------------------------------------------------------

    async def get(self, session_id: str) -> Session:
        """Raises NotFound (SESSION_NOT_FOUND)."""
        match = self._matches.get(session_id)
        if match is not None:
            return match.session
        async with self._database.connection() as connection:
            session = await self._store.get(connection, session_id)
        if session is None:
            raise NotFound(
                "There is no such session.", reason="SESSION_NOT_FOUND", metadata={"session_id": session_id}
            )
        return session

    async def list(
        self,
        *,
        status: SessionStatus | None,
        type_: SessionType | None,
        after: tuple[datetime, str] | None,
        limit: int,
    ) -> list[Session]:
        """Newest first; those of this worker as they are now."""
        async with self._database.connection() as connection:
            rows = await self._store.list(connection, status=status, type_=type_, after=after, limit=limit)
        return [
            replace(row, player_count=match.session.player_count)
            if (match := self._matches.get(row.session_id))
            else row
            for row in rows
        ]

    async def match(self, session_id: str) -> Match:
        """The live match, which must be played here.

        Raises:
            NotFound: SESSION_NOT_FOUND.
            FailedPrecondition: SESSION_OVER.
            Unavailable: SESSION_NOT_HERE, another worker plays it.
        """
        match = self._matches.get(session_id)
        if match is not None:
            return match
        session = await self.get(session_id)
        if session.live and session.owner != self._owner:
            raise Unavailable(
                "Another worker plays this session.",
                reason="SESSION_NOT_HERE",
                metadata={"session_id": session_id, "owner": session.owner},
                retry_after_s=0.2,
            )
        if session.live:
            # Ended here a moment ago; the row follows.
            session = replace(session, status=SessionStatus.ENDED)
        raise rules.over(session)

    # -- changing ---------------------------------------------------------------------------------

    async def create(
        self, draft: Draft, session_id: str, key: IdempotencyKey | None, encode: Encode
    ) -> bytes:
        """A new session, played here.

        Raises:
            InvalidArgument: see `domain.session.create`.
            AlreadyExists: SESSION_EXISTS.
            ResourceExhausted: TOO_MANY_SESSIONS.
        """
        session = rules.create(
            draft,
            self._catalogue,
            session_id=session_id,
            owner=self._owner,
            arena_key=clock.secret_key64(),
            now=clock.now(),
        )

        async def work(connection: Connection) -> tuple[bytes, bool]:
            return await self._idempotency.run(connection, key, lambda: insert(connection))

        made: list[Match] = []

        async def insert(connection: Connection) -> bytes:
            if len(self._matches) >= self._settings.max_sessions:
                raise ResourceExhausted(
                    f"This worker plays {self._settings.max_sessions} sessions already.",
                    reason="TOO_MANY_SESSIONS",
                    retry_after_s=5.0,
                )
            if not await self._store.insert(connection, session):
                raise AlreadyExists(
                    "There is a session of this id.",
                    reason="SESSION_EXISTS",
                    metadata={"session_id": session_id},
                )
            made[:] = [Match(session, self._arena(session), self._settings, self._on_over)]
            return encode(session)

        answer, stored = await self._database.transaction(work)
        if not stored:
            self._matches[session_id] = made[0]
            COMBAT_SESSIONS_CREATED.labels(session.type).inc()
            _log.info("session created", session_id=session_id, type=session.type)
        return answer

    async def update(
        self, session_id: str, change: Change, key: IdempotencyKey | None, encode: Encode
    ) -> bytes:
        """See `domain.session.update`. Also raises FailedPrecondition (SEATS_TAKEN)."""
        return await self._change(
            session_id, key, encode, lambda session: rules.update(session, change, clock.now())
        )

    async def end(self, session_id: str, key: IdempotencyKey | None, encode: Encode) -> bytes:
        """See `domain.session.end`."""
        return await self._change(session_id, key, encode, lambda session: rules.end(session, clock.now()))

    async def join(self, session_id: str, player_id: str, team: int) -> tuple[Match, int]:
        """The match and the player's seat; begins the match when it was the last player needed."""
        match = await self.match(session_id)
        slot = match.join(player_id, team)
        if not match.session.started_at and 0 < match.session.min_players <= match.arena.players:
            await self._activate(match)
        return match, slot

    async def leave(self, session_id: str, player_id: str, reason: event_pb2.LeaveReason) -> None:
        """Raises FailedPrecondition (NOT_JOINED)."""
        (await self.match(session_id)).leave(player_id, reason)

    async def _activate(self, match: Match) -> None:
        async with match.lifecycle:
            if match.session.status is not SessionStatus.WAITING:
                return
            session = rules.transition(match.session, SessionStatus.ACTIVE, clock.now())
            await self._database.transaction(lambda connection: self._save(connection, session))
            self._apply(match, session)

    async def _change(
        self, session_id: str, key: IdempotencyKey | None, encode: Encode, step: Callable[[Session], Session]
    ) -> bytes:
        """Reads, decides, writes and then does it, so that a repeat of the call finds its stored answer."""
        match = self._matches.get(session_id)
        changed: list[Session] = []

        async def work(connection: Connection) -> tuple[bytes, bool]:
            return await self._idempotency.run(connection, key, lambda: decide(connection))

        async def decide(connection: Connection) -> bytes:
            if match is None:
                raise _ElsewhereError
            session = step(match.session)
            if session.max_players != match.session.max_players and (match.arena.players or match.connected):
                raise FailedPrecondition(
                    "max_players can change only while nobody is seated or connected.", reason="SEATS_TAKEN"
                )
            await self._save(connection, session)
            changed[:] = [session]
            return encode(session)

        try:
            if match is None:
                answer, _ = await self._database.transaction(work)
                return answer
            async with match.lifecycle:
                answer, stored = await self._database.transaction(work)
                if not stored:
                    self._apply(match, changed[0])
                return answer
        except _ElsewhereError:
            await self.match(session_id)  # raises why
            raise

    async def _save(self, connection: Connection, session: Session) -> None:
        if not await self._store.update(connection, session):
            raise rules.over(replace(session, status=SessionStatus.ABORTED))

    def _apply(self, match: Match, session: Session) -> None:
        """What was written happens, unless the arena ended during the write."""
        before, now = match.session, replace(session, player_count=match.arena.players)
        match.session = now
        if self._matches.get(now.session_id) is not match:
            return
        if now.max_players != before.max_players:
            match.arena = self._arena(now)
        if now.status is before.status:
            return
        if now.status is SessionStatus.ACTIVE:
            match.start()
        else:
            del self._matches[now.session_id]
            match.end(event_pb2.END_REASON_REQUESTED)
            self._forget(match)
        _log.info("session changed", session_id=now.session_id, status=now.status)

    # -- ends that the arena found ----------------------------------------------------------------

    def _on_over(self, match: Match, orderly: bool) -> None:
        """The arena has ended, or failed: tell everybody now, and write it down."""
        if self._matches.pop(match.session.session_id, None) is None:
            return
        began = match.session.status is SessionStatus.ACTIVE
        status = SessionStatus.ENDED if orderly and began else SessionStatus.ABORTED
        if orderly:
            name = event_pb2.EndReason.Name(match.arena.ended)
            match.close(None, play_pb2.NOTICE_KIND_SESSION_ENDED, name)
        else:
            error = Unavailable("The session failed and was ended.", reason="SESSION_FAILED")
            match.close(error, play_pb2.NOTICE_KIND_SESSION_ENDED, "SESSION_FAILED")
        self._forget(match)
        task = asyncio.create_task(self._record_end(match, status))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _record_end(self, match: Match, status: SessionStatus) -> None:
        now = clock.now()
        async with match.lifecycle:
            if not match.session.live:
                return  # an EndSession was being written when the arena ended
            session = rules.transition(match.session, status, now)
            match.session = session
            while True:
                try:
                    await self._database.transaction(
                        lambda connection: self._store.update(connection, session)
                    )
                except DomainError as error:
                    _log.warning("end not written yet", session_id=session.session_id, reason=error.reason)
                    await asyncio.sleep(self._settings.persist_seconds)
                else:
                    _log.info("session over", session_id=session.session_id, status=status)
                    return

    def _forget(self, match: Match) -> None:
        self._gone.update(match.arena.counters)

    def _arena(self, session: Session) -> Arena:
        return Arena(
            self._catalogue.ruleset(session.ruleset_name, session.ruleset_version),
            self._catalogue.world(session.map_id),
            key=session.arena_key,
            mode=session.game_mode,
            max_players=session.max_players,
            tick_rate=session.tick_rate_hz,
            journal=False,
        )

    @property
    def _owner(self) -> str:
        return self._settings.worker_name


class _ElsewhereError(Exception):
    """The session is not played here; the transaction must not keep the key."""
