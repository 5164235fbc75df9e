"""Every change of a character goes through here: commands that wait are committed together.

Who may change a character first is settled by its row's lock; who enrols it, stores the answer to a key or
notes an event first, by what is unique. A transaction that loses is run again from the start, and then sees
what the other one did. So nothing is claimed before it is done, and nothing has to be given back.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

import asyncpg

from services.chassis import clock, listeners
from services.chassis.db import Connection, Database
from services.chassis.errors import DataLoss
from services.chassis.group_commit import GroupCommit, outcome
from services.chassis.idempotency import Idempotency
from services.chassis.inbox import Inbox
from services.chassis.metrics import PROGRESSION_COMMITS
from services.chassis.outbox import Outbox
from services.chassis.sql import Statement, together
from services.progression.batch import Answer, Batch, Command, Decide, Recorded, Tell
from services.progression.domain.character import Character
from services.progression.domain.definition import Definitions
from services.progression.projection import Levels, levels
from services.progression.schema import SCHEMA
from services.progression.store import ProgressionStore

__all__ = ["GROUP", "TOPIC", "Answer", "Command", "Decide", "Ledger", "Listener", "Recorded", "Tell"]

TOPIC = "game.progression.events"
GROUP = "progression"
"""Of the events that come in."""

Listener = Callable[[Mapping[str, Character]], None]
"""Told after each commit, before anybody has an answer of it: the characters that were changed, or spoken of
by an answer that is given again, as they are now, by id. Must not wait."""


class Ledger:
    """One a process. Every method belongs to the event loop.

    `database`: a dedicated one, since every answer waits for it: no other traffic should take its connection.
    `batch`: commands that one transaction takes at most; fewer when they ask for more than four characters or
    decide more than four events on average, so that none takes long. `waiting`: commands that may wait for
    one. `tell`: what other services hear of each event; it goes to the outbox with it.
    """

    def __init__(
        self,
        database: Database,
        definitions: Definitions,
        *,
        tell: Tell,
        batch: int = 256,
        waiting: int = 4096,
    ) -> None:
        self._database = database
        self._definitions = definitions
        self._tell = tell
        self._store = ProgressionStore()
        self._idempotency = Idempotency(SCHEMA)
        self._inbox = Inbox(SCHEMA)
        self._outbox = Outbox(SCHEMA)
        self._commits = GroupCommit(
            self._persist, batch=batch, waiting=waiting, metrics=PROGRESSION_COMMITS, size=_characters
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
            DataLoss: PROJECTIONS_MISSING. Nothing of it happened.
            Overloaded, Unavailable: see `GroupCommit.run`.
        """
        try:
            return await self._commits.run(command)
        except asyncpg.UniqueViolationError as error:
            if error.table_name != "event_store":
                raise
            # Others may enrol it first, but not again and again: it has events, and no row that says so.
            raise _without_projections(command.character_ids) from error

    # -- committing -------------------------------------------------------------------------------

    async def _persist(self, commands: Sequence[Command]) -> list[bytes | Exception]:
        outcomes, characters = await self._database.transaction(
            lambda connection: self._transact(connection, commands)
        )
        if characters:
            for listener in self.listeners:
                listeners.tell(listener, characters)
        return outcomes

    async def _transact(
        self, connection: Connection, commands: Sequence[Command]
    ) -> tuple[list[bytes | Exception], dict[str, Character]]:
        batch = await self._load(connection, commands)
        outcomes = []
        for command in commands:
            outcomes.append(outcome(batch.run, command))
            if len(batch.recorded) >= self._commits.room:
                break
        changed = batch.changed(self._levels)
        changes = batch.changes(changed)
        # Those whose locks every transaction may want come last, so that they are held for the shortest.
        parts: dict[str, Statement] = {}
        if batch.recorded:
            parts["append"] = self._store.appending(batch.recorded, batch.requests)
        if batch.answers:
            parts["answers"] = self._idempotency.storing(batch.answers)
        if batch.events:
            parts["events"] = self._inbox.noting(GROUP, batch.events)
        if batch.envelopes:
            parts["outbox"] = self._outbox.putting(TOPIC, batch.envelopes)
        parts |= self._store.putting(changes)
        if parts:
            text, arguments = together(parts)
            await connection.execute(text, *arguments)
        return outcomes, batch.spoken_of(changed)

    async def _load(self, connection: Connection, commands: Sequence[Command]) -> Batch:
        """Locks and loads what the commands need. Keys and events are looked up after the locks: whoever
        repeats a command waits for the first one there."""
        names = {name for command in commands for name in command.character_ids}
        locked = await self._store.lock(connection, names)
        rows = await self._store.load(connection, names)
        if without := locked - rows.keys():
            raise _without_projections(without)
        answers = await self._idempotency.stored(
            connection, [command.key for command in commands if command.key is not None]
        )
        seen = await self._inbox.seen(
            connection, GROUP, {command.event for command in commands if command.event}
        )
        return Batch(rows, answers, seen, clock.now(), self._tell)

    def _levels(self, character: Character) -> Levels:
        return levels(self._definitions.of(character), character)


def _without_projections(character_ids: Iterable[str]) -> DataLoss:
    return DataLoss(
        "The character has events and no projections of them: an operator has to run `rebuild`.",
        reason="PROJECTIONS_MISSING",
        metadata={"character_ids": ",".join(sorted(character_ids))},
    )


def _characters(command: Command) -> int:
    return len(command.character_ids)
