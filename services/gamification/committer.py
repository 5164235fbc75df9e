"""Every change of a player goes through here: commands that wait are committed together.

Who may change a player first is settled by its row's lock; who creates it, stores the answer to a key or
notes an event first, by what is unique. A transaction that loses is run again from the start, and then sees
what the other one did. So nothing is claimed before it is done, and nothing has to be given back.
"""

from collections.abc import Callable, Mapping, Sequence

from services.chassis import clock
from services.chassis.db import Connection, Database
from services.chassis.group_commit import GroupCommit, outcome
from services.chassis.listeners import tell
from services.chassis.metrics import GAMIFICATION_COMMITS, GAMIFICATION_PLAYERS
from services.gamification.batch import Batch, Command
from services.gamification.definitions_store import DefinitionsStore
from services.gamification.memory import Memory
from services.gamification.store import Asked, PlayerStore

Listener = Callable[[Mapping[str, int], Mapping[str, int]], None]
"""Told after each commit, before anybody has an answer of it: sequence of the newest notification, of
players that were notified; and version, of players that were changed; and both of whoever is spoken of by an
answer that is given again. Must not wait."""
_ROWS = 4
"""Rows that a transaction may write, for each row that its commands may ask for."""


class Committer:
    """One a process. Every method belongs to the event loop.

    `database`: a dedicated one, since every answer waits for it: no other traffic should take its connection.
    `batch`: commands that one transaction takes at most; fewer when they ask for much, or write much, so that
    none takes long. `waiting`: commands that may wait for one. `remembered`: rows of players that are kept in
    memory at most; players beyond it are read again.
    """

    def __init__(
        self,
        database: Database,
        definitions: DefinitionsStore,
        *,
        batch: int = 256,
        waiting: int = 4096,
        remembered: int = 200_000,
    ) -> None:
        self._database = database
        self._definitions = definitions
        self._store = PlayerStore()
        self._memory = Memory(remembered)
        self._commits = GroupCommit(
            self._persist, batch=batch, waiting=waiting, metrics=GAMIFICATION_COMMITS, size=_size
        )
        self.listeners: list[Listener] = []

    def start(self) -> None:
        """Begins to commit."""
        self._commits.start()

    async def close(self) -> None:
        """Commits what waits, and takes no more."""
        await self._commits.close()

    async def run(self, command: Command) -> bytes:
        """The command's answer; durable when it returns.

        Raises:
            DomainError: what the command decided. Nothing of it happened.
            FailedPrecondition: IDEMPOTENCY_KEY_REUSED.
            Overloaded, Unavailable: see `GroupCommit.run`.
        """
        return await self._commits.run(command)

    # -- committing -------------------------------------------------------------------------------

    async def _persist(self, commands: Sequence[Command]) -> list[bytes | Exception]:
        batch, outcomes = await self._database.transaction(
            lambda connection: self._transact(connection, commands)
        )
        for player in batch.loaded.players.values():
            self._memory.keep(player, batch.now)
        self._tell_listeners(batch)
        return outcomes

    async def _transact(
        self, connection: Connection, commands: Sequence[Command]
    ) -> tuple[Batch, list[bytes | Exception]]:
        batch = await self._load(connection, commands)
        outcomes = []
        for command in commands:
            outcomes.append(_outcome(batch, command))
            if batch.changes.rows >= self._commits.room * _ROWS:
                break
        statement = self._store.writing(batch.changes, batch.now)
        if statement is not None:
            await connection.execute(statement.text, *statement.arguments)
        return batch, outcomes

    async def _load(self, connection: Connection, commands: Sequence[Command]) -> Batch:
        """Locks and loads what the commands need. Everything is looked up after the locks: whoever repeats a
        command waits for the first one there."""
        asked = Asked.by(commands)
        heads = await self._store.lock(connection, asked.users)
        known = self._memory.take(heads)
        missing = [head for user_id, head in heads.items() if user_id not in known]
        GAMIFICATION_PLAYERS.labels("remembered").inc(len(known))
        GAMIFICATION_PLAYERS.labels("read").inc(len(missing))
        loaded, revision = await self._store.load(connection, asked, known, missing)
        shelf = await self._definitions.at_least(connection, revision)
        return Batch(loaded, shelf.catalogue, clock.now(), clock.secret_bytes(32))

    # -- telling ----------------------------------------------------------------------------------

    def _tell_listeners(self, batch: Batch) -> None:
        names = batch.repeated | batch.changes.players.keys()
        players = [batch.loaded.players[name] for name in names if name in batch.loaded.players]
        if not players:
            return
        told = batch.repeated | {each.user_id for each in batch.changes.notifications}
        notified = {player.user_id: player.notified for player in players if player.user_id in told}
        versions = {player.user_id: player.version for player in players}
        for listener in self.listeners:
            tell(listener, notified, versions)


def _size(command: Command) -> int:
    return len(command.user_ids) + len(command.records)


def _outcome(batch: Batch, command: Command) -> bytes | Exception:
    decided = outcome(batch.decide, command)
    if isinstance(decided, Exception):
        return decided
    batch.apply(decided)
    return decided.answer
