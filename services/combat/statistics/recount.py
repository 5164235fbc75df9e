"""Statistics counted again from the journal, without telling anybody anything twice."""

import structlog

from services.chassis import clock
from services.chassis.db import Connection, Database
from services.chassis.errors import DataLoss, NotFound
from services.combat.catalogue import Catalogue
from services.combat.domain.session import Session, not_found
from services.combat.ports import JournalStore, Segment
from services.combat.statistics.events import Story, StoryError
from services.combat.statistics.memory import Seat
from services.combat.statistics.store import Checkpoint, StatisticsStore
from services.combat.store import SessionStore

_log = structlog.get_logger()
_SESSIONS_AT_ONCE = 500


async def read_whole(journal: JournalStore, session_id: str, after: int, limit: int) -> list[Segment]:
    """`JournalStore.read`, which refuses a batch with damage in it: what is before the damage comes one at a
    time. Raises DataLoss when the first one is damaged."""
    try:
        return await journal.read(session_id, after, limit)
    except DataLoss:
        return await journal.read(session_id, after, 1)


class Recount:
    """A session's Story from its first record on."""

    def __init__(
        self, database: Database, journal: JournalStore, catalogue: Catalogue, segments: int
    ) -> None:
        """`segments`: read at once."""
        self._database = database
        self._journal = journal
        self._catalogue = catalogue
        self._segments = segments
        self._sessions = SessionStore()
        self._store = StatisticsStore()

    async def story(self, session: Session, checkpoint: Checkpoint) -> Story:
        """What a checkpoint saved. Told again when it is of another build, up to where it was.

        Raises:
            StoryError, DataLoss: it cannot be told.
            Unavailable: the database does not answer.
        """
        try:
            return self._begun(session, checkpoint)
        except StoryError as error:
            if not checkpoint.tally:
                raise
            _log.warning("counting again", session_id=session.session_id, error=str(error))
        story = self._begun(session, Checkpoint())
        await self._go_on(session, story, checkpoint.sequence)
        return story

    async def rebuild(self, session_id: str) -> int:
        """Writes the rows of a session anew, as of its checkpoint, and lets it be counted on if it was
        parked; returns how many records were counted. The projector may go on meanwhile.

        Raises:
            NotFound: SESSION_NOT_FOUND.
            StoryError, DataLoss: it cannot be told; its rows stay as they were.
            Unavailable: the database does not answer.
        """
        async with self._database.connection() as connection:
            session = await self._sessions.get(connection, session_id)
        if session is None:
            raise not_found(session_id)
        story = self._begun(session, Checkpoint())
        seats: dict[tuple[int, int], Seat] = {}
        while True:
            async with self._database.connection() as connection:
                checkpoint = await self._store.load(connection, session_id)
            seats |= await self._go_on(session, story, checkpoint.sequence)
            if await self._write(session_id, story, list(seats.values())):
                return story.sequence

    async def rebuild_all(self) -> int:
        """`rebuild` of every session that was ever counted; returns how many. One that cannot be told is
        logged, and keeps its rows."""
        rebuilt, after = 0, ""
        while True:
            async with self._database.connection() as connection:
                ids = await self._store.counted(connection, after, _SESSIONS_AT_ONCE)
            if not ids:
                return rebuilt
            for session_id in ids:
                try:
                    await self.rebuild(session_id)
                    rebuilt += 1
                except (StoryError, DataLoss, NotFound) as error:
                    _log.error("cannot be counted again", session_id=session_id, error=str(error))
            after = ids[-1]

    def _begun(self, session: Session, checkpoint: Checkpoint) -> Story:
        try:
            ruleset = self._catalogue.ruleset(session.ruleset_name, session.ruleset_version)
        except KeyError as error:
            name = f"{session.ruleset_name}-{session.ruleset_version}"
            raise StoryError(f"its ruleset {name} is not known") from error
        try:
            return Story(session, ruleset, checkpoint.tally, checkpoint.story)
        except (ValueError, LookupError, TypeError) as error:
            raise StoryError(f"its checkpoint cannot be read: {error!r}") from error

    async def _go_on(self, session: Session, story: Story, through: int) -> dict[tuple[int, int], Seat]:
        """Feeds the records up to `through`, where a segment ends; returns the seats taken or freed."""
        seats: dict[tuple[int, int], Seat] = {}
        while story.sequence < through:
            segments = await read_whole(self._journal, session.session_id, story.sequence, self._segments)
            payload = b"".join(segment.payload for segment in segments if segment.last <= through)
            if not payload:
                raise StoryError(f"the journal does not go on from record {story.sequence} to {through}")
            story.feed(payload)
            story.take_events()  # they were told when these records were counted first
            seats |= {(seat.slot, seat.since): seat for seat in story.take_seats()}
        return seats

    async def _write(self, session_id: str, story: Story, seats: list[Seat]) -> bool:
        """False: the checkpoint has moved on."""
        tally, memory = story.save()
        checkpoint = Checkpoint(story.sequence, story.time_us, tally, memory)

        async def write(connection: Connection) -> bool:
            if not await self._store.move(
                connection, session_id, old=story.sequence, new=checkpoint, now=clock.now()
            ):
                return False
            await self._store.clear(connection, session_id)
            await self._store.put(connection, session_id, story.players(), seats)
            return True

        return await self._database.transaction(write)
