"""Definitions are written one command at a time, each in its own transaction."""

from collections.abc import Callable
from pathlib import Path

from services.chassis import clock, definition_files
from services.chassis.db import Connection, Database
from services.chassis.errors import DomainError
from services.chassis.idempotency import Idempotency, IdempotencyKey
from services.chassis.outbox import Outbox
from services.gamification.definitions import Writing
from services.gamification.definitions_store import DefinitionsStore
from services.gamification.schema import SCHEMA
from services.gamification.shelf import MESSAGES, Definition, Message, Shelf
from services.gamification.told import TOPIC

FOLDERS = {"metric": "metrics", "reward": "rewards", "achievement": "achievements", "quest": "quests"}
"""Of files that have one definition each, by kind, each after those that it names."""


class DefinitionCommands:
    """Every one is durable, and what anybody reads, when it returns."""

    def __init__(self, database: Database, store: DefinitionsStore) -> None:
        self._database = database
        self._store = store
        self._idempotency = Idempotency(SCHEMA)
        self._outbox = Outbox(SCHEMA)

    async def write(
        self,
        key: IdempotencyKey | None,
        rule: Callable[[Writing], None],
        answer: Callable[[Shelf], bytes],
    ) -> bytes:
        """What `answer` makes of how it is then; the stored answer for a repeated key.

        Raises:
            DomainError: what the rule says. Nothing happened.
        """

        async def transact(connection: Connection) -> bytes:
            async def work() -> bytes:
                writing = Writing(await self._store.locked(connection), clock.now())
                rule(writing)
                revision = await self._store.put(connection, writing.definitions)
                if writing.envelopes:
                    await self._outbox.put(connection, TOPIC, writing.envelopes)
                return answer(writing.shelf.after(revision, writing.definitions))

            stored, _ = await self._idempotency.run(connection, key, work)
            return stored

        return await self._database.transaction(transact)

    async def install(self, folder: Path) -> list[Definition]:
        """Writes what is in the files of `folder` and is not there yet; those. Raises ValueError, naming the
        file and the field."""
        messages = read(folder)

        async def transact(connection: Connection) -> list[Definition]:
            shelf = await self._store.locked(connection)
            writings = written(messages, shelf)
            definitions = [each for writing in writings for each in writing.definitions]
            if definitions:
                await self._store.put(connection, definitions)
                envelopes = [each for writing in writings for each in writing.envelopes]
                await self._outbox.put(connection, TOPIC, envelopes)
            return definitions

        return await self._database.transaction(transact)


Files = dict[tuple[str, str], tuple[Path, Message]]
"""By kind and id."""


def read(folder: Path) -> Files:
    """The definitions in files, `<kind>s/<id>.json`. Raises ValueError, naming the file and the field."""
    found: Files = {}
    for kind, name in FOLDERS.items():
        for path, message in definition_files.read(folder / name, MESSAGES[kind], _as_it_is).items():
            found[kind, message.id] = path, message
    return found


def written(files: Files, shelf: Shelf) -> list[Writing]:
    """What it takes to have those that are not on the shelf; one writing a kind. Raises ValueError."""
    writings = []
    for kind in FOLDERS:
        writing = Writing(shelf, clock.now(), coming=files.keys())
        for (kind_, id_), (path, message) in files.items():
            if kind_ == kind and shelf.newest(kind, id_) is None:
                try:
                    writing.add(message)
                except DomainError as error:
                    raise ValueError(f"{path}: {error}") from error
        writings.append(writing)
        shelf = shelf.after(shelf.revision, writing.definitions)
    return writings


def _as_it_is(message: Message) -> Message:
    """What it names is looked at when all of them are there."""
    return message
