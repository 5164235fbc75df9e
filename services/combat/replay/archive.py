"""Matches of the past and the committed part of running ones, read from what the journal keeps.

Any worker may read any session: nothing here asks who plays it.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial

import structlog
from arenamesh.combat.v1 import journal_pb2

from native.arena import Arena
from native.journal import index
from native.ruleset import Ruleset
from services.chassis.auth import Principal, Role
from services.chassis.db import Database
from services.chassis.errors import NotFound, PermissionDenied, ResourceExhausted
from services.combat.catalogue import Catalogue
from services.combat.domain import session as rules
from services.combat.domain.session import Session
from services.combat.ports import JournalStore, Segment
from services.combat.replay.playback import Pages, Playback, Slices
from services.combat.store import SessionStore

_log = structlog.get_logger()
_JOIN, _LEAVE = 3, 4


class Seating:
    """Who sits where, told from joins and leaves alone."""

    def __init__(self, sequence: int, players: dict[int, str]) -> None:
        self.sequence = sequence
        """Of the last record read."""
        self.players = players

    def read(self, segment: Segment, through: int | None = None) -> None:
        """The records after `sequence`, up to `through`."""
        for sequence, _, kind, slot, _, offset, size in index(segment.payload):
            if through is not None and sequence > through:
                return
            if sequence > self.sequence:
                self.note(sequence, kind, slot, segment.payload[offset : offset + size])

    def note(self, sequence: int, kind: int, slot: int, record: bytes) -> None:
        """The next record; `kind` and `slot` as `native.journal.index` gives them."""
        self.sequence = sequence
        if kind == _JOIN:
            self.players[slot] = journal_pb2.JournalRecord.FromString(record).join.player_id
        elif kind == _LEAVE:
            self.players.pop(slot, None)


class Archive:
    """`limit`: playbacks open at once in this worker. `player_delay_s`: least spectator delay of a session
    with which its own players may watch it while it runs."""

    def __init__(
        self,
        database: Database,
        sessions: SessionStore,
        journal: JournalStore,
        catalogue: Catalogue,
        *,
        limit: int,
        player_delay_s: int,
    ) -> None:
        self.journal = journal
        self.slices = Slices()
        self._database = database
        self._sessions = sessions
        self._catalogue = catalogue
        self._limit = limit
        self._player_delay_s = player_delay_s
        self._open = 0

    async def session(self, session_id: str) -> Session:
        """The row as it is now. Raises NotFound (SESSION_NOT_FOUND)."""
        async with self._database.connection() as connection:
            session = await self._sessions.get(connection, session_id)
        if session is None:
            raise NotFound(
                "There is no such session.", reason="SESSION_NOT_FOUND", metadata={"session_id": session_id}
            )
        return session

    def arena(self, session: Session) -> Arena:
        """A new arena of the session's making.

        Raises:
            FailedPrecondition: CONTENT_CHANGED, its ruleset or map is not what it was created with.
        """
        rules.check_content(session, self._catalogue)
        return self._catalogue.arena(session, journal=False)

    def ruleset(self, session: Session) -> Ruleset:
        """Raises FailedPrecondition (CONTENT_CHANGED)."""
        rules.check_content(session, self._catalogue)
        return self._catalogue.ruleset(session.ruleset_name, session.ruleset_version)

    @asynccontextmanager
    async def open(self, session: Session, tick: int = 0) -> AsyncIterator[Playback]:
        """The match, with `tick` as its next step, or the first one that there is.

        Raises:
            ResourceExhausted: TOO_MANY_PLAYBACKS.
            FailedPrecondition: CONTENT_CHANGED.
            DataLoss: JOURNAL_DAMAGED.
        """
        with self.place():
            arena = self.arena(session)
            if tick > 1:
                await self._restore(arena, session.session_id, tick - 1)
            playback = Playback(session, arena, self.journal, self.slices)
            await playback.seek(tick)
            yield playback

    @contextmanager
    def place(self) -> Iterator[None]:
        """For one match judged again. Raises ResourceExhausted (TOO_MANY_PLAYBACKS)."""
        if self._open >= self._limit:
            raise ResourceExhausted(
                f"This worker judges {self._limit} matches again already.",
                reason="TOO_MANY_PLAYBACKS",
                retry_after_s=1.0,
            )
        self._open += 1
        try:
            yield
        finally:
            self._open -= 1

    async def _restore(self, arena: Arena, session_id: str, tick: int | None) -> None:
        """Puts the newest save not after `tick` into the arena, if there is one that this build can read."""
        save = await self.journal.save_before(session_id, tick)
        if save is None:
            return
        try:
            arena.restore(save.data)
        except ValueError as error:
            _log.warning("save not usable", session_id=session_id, sequence=save.sequence, error=str(error))

    # -- who sees what ----------------------------------------------------------------------------

    async def seating(self, session: Session, tick: int | None = None) -> Seating:
        """Who sat where when the newest save not after `tick` was made; without one, at the very start."""
        arena = self.arena(session)
        if tick is None or tick > 0:
            await self._restore(arena, session.session_id, tick)
        seats = range(session.max_players)
        return Seating(arena.sequence, {slot: player for slot in seats if (player := arena.player(slot))})

    async def segments(self, session_id: str, after: int) -> AsyncIterator[Segment]:
        """Every segment with records after `after`, in order, as far as they are committed now."""
        pages = Pages(self.journal, session_id, after)
        while page := await pages.next():
            for segment in page:
                yield segment

    async def permit(self, session: Session, caller: Principal) -> str:
        """Whom the match must not be shown any more as soon as it has a seat; '': nobody.

        Raises:
            PermissionDenied: PLAYER_OF_MATCH, the caller plays in it, and could use what it would see.
        """
        harmless = not session.live or session.spectator_delay_s >= self._player_delay_s
        if caller.role is not Role.PLAYER or harmless:
            return ""
        seating = await self.seating(session)
        async for segment in self.segments(session.session_id, seating.sequence):
            await self.slices.run(partial(seating.read, segment))
        if caller.subject in seating.players.values():
            raise player_of_match()
        return caller.subject


def player_of_match() -> PermissionDenied:
    return PermissionDenied("A player of the match may not spectate it live.", reason="PLAYER_OF_MATCH")
