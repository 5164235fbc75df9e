"""Every change of an entry goes through here: commands that wait are committed together.

Who may change an entry first is settled by its row's lock; who creates it, stores the answer to a key or
notes an event first, by what is unique. A transaction that loses is run again from the start, and then sees
what the other one did. What was committed goes to Redis before anybody has the answer.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from services.chassis import clock
from services.chassis.db import Connection, Database
from services.chassis.group_commit import GroupCommit, outcome
from services.chassis.listeners import tell
from services.chassis.metrics import LEADERBOARD_COMMITS
from services.chassis.write_through import WriteThrough
from services.leaderboard.batch import Batch, Command, Key
from services.leaderboard.catalogue_store import CatalogueStore
from services.leaderboard.domain.board import Catalogue
from services.leaderboard.domain.order import micros
from services.leaderboard.domain.places import Place
from services.leaderboard.domain.scoring import Entry
from services.leaderboard.store import Asked, EntryStore

Listener = Callable[[Mapping[Place, int]], None]
"""Told after each commit, and after Redis, of the places whose entries changed, with when they did, in
microseconds since 1970. Must not wait."""


class Projection(Protocol):
    """Where the entries go after each commit, such as `Standings`."""

    dirty: set[Place]

    async def write(self, entries: Sequence[Entry], catalogue: Catalogue) -> None: ...


class Committer:
    """One a process. Every method belongs to the event loop.

    `database`: a dedicated one, since every answer waits for it: no other traffic should take its connection.
    `worker`: name of this process's slot. `batch`: commands that one transaction takes at most; fewer when
    they have more than four scores on average. `waiting`: commands that may wait for one.
    """

    def __init__(
        self,
        database: Database,
        catalogue: CatalogueStore,
        projection: Projection,
        *,
        worker: str,
        batch: int = 256,
        waiting: int = 4096,
    ) -> None:
        self._database = database
        self._catalogue = catalogue
        self._projection = projection
        self._worker = worker
        self._store = EntryStore()
        self._through = WriteThrough[Entry](self._project)
        self._unprojected: dict[Key, int] = {}
        """Committed and not in Redis yet; with the revision."""
        self._commits = GroupCommit(
            self._persist, batch=batch, waiting=waiting, metrics=LEADERBOARD_COMMITS, size=_size
        )
        self.listeners: list[Listener] = []

    def start(self) -> None:
        """Begins to commit."""
        self._commits.start()

    async def close(self) -> None:
        """Commits what waits, and takes no more."""
        await self._commits.close()
        await self._through.flushed()

    async def run(self, command: Command) -> bytes:
        """The command's answer; durable when it returns, and what Redis shows, unless it is away.

        Raises:
            DomainError: what the command decided. Nothing of it happened.
            FailedPrecondition: IDEMPOTENCY_KEY_REUSED.
            Overloaded, Unavailable: see `GroupCommit.run`.
        """
        answer = await self._commits.run(command)
        await self._through.flushed()
        return answer

    # -- committing -------------------------------------------------------------------------------

    async def _persist(self, commands: Sequence[Command]) -> list[bytes | Exception]:
        outcomes, entries = await self._database.transaction(
            lambda connection: self._transact(connection, commands)
        )
        if entries:
            for key, entry in entries.items():
                self._unprojected[key] = entry.revision
            self._through.told({_id(key): entry for key, entry in entries.items()})
        return outcomes

    async def _transact(
        self, connection: Connection, commands: Sequence[Command]
    ) -> tuple[list[bytes | Exception], Mapping[Key, Entry]]:
        batch, catalogue, loaded = await self._load(connection, commands)
        outcomes = [outcome(batch.run, command) for command in commands]
        waiting = {Key(place, "") for place in self._projection.dirty}
        waiting |= self._unprojected.keys() | batch.changes.entries.keys()
        statement = self._store.writing(batch.changes, catalogue.boards, self._worker, sorted(waiting))
        if statement is not None:
            await connection.execute(statement.text, *statement.arguments)
        return outcomes, batch.changes.entries | {key: loaded[key] for key in batch.repeated}

    async def _load(
        self, connection: Connection, commands: Sequence[Command]
    ) -> tuple[Batch, Catalogue, Mapping[Key, Entry]]:
        """Locks and loads what the commands need. Everything is looked up after the locks: whoever repeats a
        command waits for the first one there."""
        catalogue = self._catalogue.known
        while True:
            loaded, revision = await self._store.load(connection, Asked.by(commands, catalogue, clock.now()))
            newer = await self._catalogue.at_least(connection, revision)
            if newer is catalogue:
                return Batch(loaded, catalogue, clock.now()), catalogue, loaded.entries
            catalogue = newer

    # -- telling ----------------------------------------------------------------------------------

    async def _project(self, entries: Mapping[str, Entry]) -> None:
        try:
            await self._projection.write(list(entries.values()), self._catalogue.known)
        finally:
            for entry in entries.values():
                key = Key(entry.place, entry.player)
                if self._unprojected.get(key) == entry.revision:
                    del self._unprojected[key]
        self._tell({entry.place for entry in entries.values()})

    def _tell(self, places: set[Place]) -> None:
        at = micros(clock.now())
        for listener in self.listeners:
            tell(listener, dict.fromkeys(places, at))


def _id(key: Key) -> str:
    return "/".join((*key.place, key.player))


def _size(command: Command) -> int:
    return max(1, len(command.scores))
