"""What RPCs do to sessions: the row in the database and the match in memory, kept in step.

A session begins in its row first and then in the arena; it ends in the arena first, whose last record is
made durable, and then in the row. A crash between leaves what the next owner repairs.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import datetime

import structlog
from arenamesh.combat.v1 import event_pb2

from services.chassis import clock
from services.chassis.db import Connection, Database
from services.chassis.errors import AlreadyExists, DomainError, FailedPrecondition, NotFound
from services.chassis.idempotency import Idempotency, IdempotencyKey
from services.chassis.metrics import COMBAT_SESSIONS_CREATED
from services.combat.catalogue import Catalogue
from services.combat.domain import session as rules
from services.combat.domain.session import Change, Draft, Session, SessionStatus, SessionType
from services.combat.live.match import Match
from services.combat.live.matches import Matches
from services.combat.refusals import moved
from services.combat.schema import SCHEMA
from services.combat.settings import CombatSettings
from services.combat.store import SessionStore

_log = structlog.get_logger()
Encode = Callable[[Session], bytes]


class Sessions:
    """Everything that RPCs do to sessions. `encode` makes the stored answer of an idempotent call."""

    def __init__(
        self,
        database: Database,
        store: SessionStore,
        matches: Matches,
        catalogue: Catalogue,
        settings: CombatSettings,
    ) -> None:
        self._database = database
        self._store = store
        self._matches = matches
        self._catalogue = catalogue
        self._settings = settings
        self._idempotency = Idempotency(SCHEMA)
        self._counts: Mapping[str, int] = {}
        self._keeping: asyncio.Task[None] | None = None

    # -- housekeeping -----------------------------------------------------------------------------

    def start(self) -> None:
        self._keeping = asyncio.create_task(self._keep())

    def stop(self) -> None:
        if self._keeping is not None:
            self._keeping.cancel()

    async def _keep(self) -> None:
        """Writes changed player counts."""
        while True:
            await asyncio.sleep(self._settings.persist_seconds)
            try:
                await self._save_counts()
            except DomainError as error:
                _log.warning("player counts are not written", reason=error.reason)

    async def _save_counts(self) -> None:
        counts = self._matches.counts()
        changed = {key: count for key, count in counts.items() if self._counts.get(key) != count}
        if changed:
            async with self._database.connection() as connection:
                await self._store.set_counts(connection, self._owner, changed)
        self._counts = counts

    # -- reading ----------------------------------------------------------------------------------

    async def get(self, session_id: str) -> Session:
        """Raises NotFound (SESSION_NOT_FOUND)."""
        match = self._matches.known(session_id)
        if match is not None:
            return match.current
        async with self._database.connection() as connection:
            session = await self._store.get(connection, session_id)
        if session is None:
            raise rules.not_found(session_id)
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
            replace(row, player_count=match.arena.players)
            if (match := self._matches.known(row.session_id))
            else row
            for row in rows
        ]

    async def match(self, session_id: str) -> Match:
        """The live match, played here from now on. See `Matches.open`."""
        return await self._matches.open(session_id)

    # -- seats ------------------------------------------------------------------------------------

    async def join(self, session_id: str, player_id: str, team: int) -> tuple[Match, int]:
        """The match and the player's seat, which is durable; begins the match when it was the last player
        needed."""
        match = await self._matches.open(session_id)
        async with match.lifecycle:
            self._matches.check(match)
            slot = match.join(player_id, team)
        if rules.is_complete(match.session, match.arena.players):
            await self._matches.begin(match)
        await match.durable()
        return match, slot

    async def leave(self, session_id: str, player_id: str, reason: event_pb2.LeaveReason) -> None:
        """The seat is free, and that is durable. Raises FailedPrecondition (NOT_JOINED)."""
        match = await self._matches.open(session_id)
        match.leave(player_id, reason)
        await match.durable()

    # -- changing ---------------------------------------------------------------------------------

    async def create(
        self, draft: Draft, session_id: str, key: IdempotencyKey | None, encode: Encode
    ) -> bytes:
        """A new session, played here.

        Raises:
            InvalidArgument: see `domain.session.create`.
            AlreadyExists: SESSION_EXISTS.
            ResourceExhausted: TOO_MANY_SESSIONS.
            Unavailable: see `Matches.refuse`.
        """
        self._matches.refuse()
        session = rules.create(
            draft,
            self._catalogue,
            session_id=session_id,
            owner=self._owner,
            arena_key=clock.secret_key64(),
            now=clock.now(),
        )
        made: list[Match] = []

        async def insert(connection: Connection) -> bytes:
            self._matches.check_room()
            if not await self._store.insert(connection, session):
                raise AlreadyExists(
                    "There is a session of this id.",
                    reason="SESSION_EXISTS",
                    metadata={"session_id": session_id},
                )
            made[:] = [self._matches.new(session)]
            return encode(session)

        answer, stored = await self._idempotent(key, insert)
        if not stored:
            self._matches.adopt(made[0])
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

    async def _change(
        self, session_id: str, key: IdempotencyKey | None, encode: Encode, step: Callable[[Session], Session]
    ) -> bytes:
        """Decides under the match's lock, so that a repeat of the call finds its stored answer."""
        try:
            match = await self._matches.open(session_id)
            async with match.lifecycle:
                self._matches.check(match)
                if key is not None and (stored := await self._stored(key)) is not None:
                    return stored
                session = step(match.current)
                if session.live:
                    return await self._alter(match, session, key, encode)
                return await self._end(match, session, key, encode)
        except (NotFound, FailedPrecondition):
            # What is over or gone may be so because of this very call.
            if key is not None and (stored := await self._stored(key)) is not None:
                return stored
            raise

    async def _alter(
        self, match: Match, session: Session, key: IdempotencyKey | None, encode: Encode
    ) -> bytes:
        """Row first, and then it happens."""
        resized = session.max_players != match.session.max_players
        if resized and (match.arena.sequence or match.connected):
            raise FailedPrecondition(
                "max_players can change only while nothing has happened and nobody is connected.",
                reason="SEATS_TAKEN",
            )
        answer, stored = await self._idempotent(key, self._saving(match, session, encode))
        if not stored:
            match.session = session
            if resized:
                match.rebuild(self._matches.recovery.arena(session))
            if session.status is SessionStatus.ACTIVE and not match.arena.active:
                match.start()
            _log.info("session changed", session_id=session.session_id, status=session.status)
        return answer

    async def _end(self, match: Match, session: Session, key: IdempotencyKey | None, encode: Encode) -> bytes:
        """Arena first: nothing more is judged, whatever becomes of this call."""
        aborted = session.status is SessionStatus.ABORTED
        match.end(event_pb2.END_REASON_ABORTED if aborted else event_pb2.END_REASON_REQUESTED)

        async def write(over: Session) -> bytes:
            answer, _ = await self._idempotent(key, self._saving(match, over, encode))
            return answer

        try:
            return await self._matches.ending.finish(match, session, write)
        except BaseException:
            self._matches.ending.finish_later(match, session, write)
            raise

    def _saving(
        self, match: Match, session: Session, encode: Encode
    ) -> Callable[[Connection], Awaitable[bytes]]:
        async def save(connection: Connection) -> bytes:
            if not await self._store.update(connection, session):
                self._matches.fenced(match)
                raise moved()
            return encode(session)

        return save

    async def _idempotent(
        self, key: IdempotencyKey | None, work: Callable[[Connection], Awaitable[bytes]]
    ) -> tuple[bytes, bool]:
        return await self._database.transaction(
            lambda connection: self._idempotency.run(connection, key, lambda: work(connection))
        )

    async def _stored(self, key: IdempotencyKey) -> bytes | None:
        """The answer of this very call when it was given before."""

        async def nothing(_connection: Connection) -> bytes:
            raise _NotStoredError

        try:
            answer, _ = await self._idempotent(key, nothing)
        except _NotStoredError:
            return None
        return answer

    @property
    def _owner(self) -> str:
        return self._matches.ownership.owner


class _NotStoredError(Exception):
    """The call is new; the transaction must not keep its key."""
