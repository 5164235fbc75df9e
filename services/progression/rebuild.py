"""The projections made anew from the events, while the service goes on.

Characters are taken in order, some at a time, under the lock that changes of them take too: nobody sees one
half made. The statistics are counted in one snapshot, in which they must agree with the characters; what they
are off by is then added, which needs no lock because changes only add to them too.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from services.chassis import sql
from services.chassis.db import Connection, Database
from services.chassis.errors import DataLoss
from services.progression.batch import Recorded
from services.progression.domain.character import Character, applied
from services.progression.domain.definition import Definitions
from services.progression.domain.events import ATTRIBUTES
from services.progression.projection import Columns, Row, Statistics, levels
from services.progression.schema import SQL
from services.progression.store import ProgressionStore, recorded

Progress = Callable[[int, int], None]
"""Told how many characters are done, of how many."""
TABLES: dict[str, Callable[[Row], Sequence[Columns]]] = {
    "characters": lambda row: [row.characters()],
    "paragon": lambda row: [row.paragon()],
    "prestige": lambda row: [row.prestige()],
    "mastery": lambda row: list(row.mastery()),
    "rewards": lambda row: list(row.rewards()),
}
_AT_ONCE = 200
_FETCH = 1000


@dataclass
class Rebuilt:
    """`characters`: how many there are. `differed`: by table, the characters whose rows were not what the
    events say; `statistics`: the buckets that were off."""

    characters: int = 0
    differed: dict[str, list[str]] = field(default_factory=lambda: {name: [] for name in TABLES})
    statistics: int = 0

    @property
    def same(self) -> bool:
        return not self.statistics and not any(self.differed.values())


async def rebuild(database: Database, definitions: Definitions, progress: Progress) -> Rebuilt:
    """Every projection as the events say. Caches of characters must be dropped when something differed.

    Raises:
        DataLoss: EVENTS_MISSING, the events of a character have a gap; EVENT_SCHEMA_UNKNOWN.
        FailedPrecondition: DEFINITION_NOT_INSTALLED.
    """
    return await _Rebuild(database, definitions).run(progress)


class _Rebuild:
    def __init__(self, database: Database, definitions: Definitions) -> None:
        self._database = database
        self._definitions = definitions
        self._store = ProgressionStore()
        self._sql = sql.load(SQL / "rebuild.sql")

    async def run(self, progress: Progress) -> Rebuilt:
        done = Rebuilt()
        async with self._database.connection() as connection:
            all_ = await connection.fetchval(self._sql["count"])
        last = ""
        while ids := await self._next(last):
            found = await self._database.transaction(partial(self._redo, ids=ids))
            done.characters += found.characters
            for name, differed in found.differed.items():
                done.differed[name] += differed
            last = ids[-1]
            progress(done.characters, max(all_, done.characters))
        done.statistics = await self._recount()
        return done

    async def _next(self, after: str) -> list[str]:
        async with self._database.connection() as connection:
            return [row["id"] for row in await connection.fetch(self._sql["next_ids"], after, _AT_ONCE)]

    async def _redo(self, connection: Connection, ids: Sequence[str]) -> Rebuilt:
        await self._store.lock(connection, ids)
        rows = [row async for row in self._folded(connection, ids)]
        found = Rebuilt(len(rows))
        for name, columns_of in TABLES.items():
            wanted = {columns for row in rows for columns in columns_of(row)}
            held = {tuple(row) for row in await connection.fetch(self._sql[name], list(ids))}
            found.differed[name] = wrong = sorted({str(columns[0]) for columns in wanted ^ held})
            if wrong:
                await connection.execute(self._sql[f"delete_{name}"], wrong)
            if anew := sorted(columns for columns in wanted if columns[0] in set(wrong)):
                text, arguments = self._store.put(f"put_{name}", anew)
                await connection.execute(text, *arguments)
        return found

    async def _folded(self, connection: Connection, ids: Sequence[str]) -> AsyncIterator[Row]:
        """What the events of each of them make, in order; nothing for who has none."""
        character: Character | None = None
        first = last = datetime.min
        async for stored in connection.cursor(self._sql["events"], list(ids), prefetch=_FETCH):
            event = recorded(stored)
            if character is not None and character.character_id != event.character_id:
                yield self._row(character, first, last)
                character = None
            if character is None:
                first = event.at
            last = event.at
            character = _followed(character, event)
        if character is not None:
            yield self._row(character, first, last)

    def _row(self, character: Character, first: datetime, last: datetime) -> Row:
        return Row(character, levels(self._definitions.of(character), character), first, last)

    async def _recount(self) -> int:
        """Puts the statistics right; returns how many buckets were off."""
        off = Statistics()
        async with (
            self._database.connection() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            async for row in connection.cursor(self._sql["paragon_of_all"], prefetch=_FETCH):
                points = (row[name] for name in ATTRIBUTES)
                off.count(row["character_id"], row["level"], int(row["experience"]), points)
            for shard, bucket, *sums in await connection.fetch(self._sql["statistics"]):
                off.add((shard, bucket), tuple(map(int, sums)), -1)
        wrong = off.columns()

        async def correct(connection: Connection) -> None:
            if wrong:
                text, arguments = self._store.put("add_statistics", wrong)
                await connection.execute(text, *arguments)
            await connection.execute(self._sql["delete_empty_statistics"])

        await self._database.transaction(correct)
        return len(wrong)


def _followed(character: Character | None, event: Recorded) -> Character:
    """The character after its next event."""
    version = 0 if character is None else character.version
    if event.version != version + 1:
        raise DataLoss(
            f"character {event.character_id} has no event {version + 1}",
            reason="EVENTS_MISSING",
            metadata={"character_id": event.character_id, "version": str(version + 1)},
        )
    return applied(character, event.character_id, event.event, event.at)
