"""Brings every character to the active definition, while the service goes on."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from services.chassis.db import Database
from services.chassis.errors import DomainError, Unavailable
from services.progression.batch import Command
from services.progression.domain.character import Character
from services.progression.domain.definition import Definitions
from services.progression.domain.events import DefinitionChanged, Event
from services.progression.domain.remap import remap
from services.progression.ledger import Ledger
from services.progression.store import ProgressionStore

ACTOR = "operator:remap"
_AT_ONCE = 256
Progress = Callable[[int, int], None]
"""Told how many characters are done, of how many."""


@dataclass(frozen=True, slots=True)
class Change:
    """What changes of one character: levels by track, those that stay left out."""

    character_id: str
    levels: Mapping[str, tuple[int, int]]
    points_returned: bool


@dataclass
class Remapped:
    """How many were looked at; how many have other levels or points now; reasons by character of those that
    were refused, and stay as they were."""

    characters: int = 0
    changed: int = 0
    refused: dict[str, str] = field(default_factory=dict)


async def remap_all(
    database: Database,
    definitions: Definitions,
    ledger: Ledger | None,
    *,
    progress: Progress,
    changed: Callable[[Change], None],
) -> Remapped:
    """Everybody who follows another definition than the active one. `ledger`: a running one, whose listeners
    tell the caches; None: nothing is changed, and the answer says what would be. `changed` is told of every
    character whose levels or points are others. Raises Unavailable: run it again, it goes on where it was."""
    return await _Remapping(database, definitions, ledger, changed).run(progress)


class _Remapping:
    def __init__(
        self,
        database: Database,
        definitions: Definitions,
        ledger: Ledger | None,
        changed: Callable[[Change], None],
    ) -> None:
        self._database = database
        self._definitions = definitions
        self._ledger = ledger
        self._changed = changed
        self._store = ProgressionStore()
        self._done = Remapped()

    async def run(self, progress: Progress) -> Remapped:
        active = self._definitions.active.name
        async with self._database.connection() as connection:
            all_ = await self._store.count_behind(connection, active)
        last = ""
        while ids := await self._next(last):
            if self._ledger is None:
                await self._try(ids)
            else:
                await asyncio.gather(*(self._change(name, self._ledger) for name in ids))
            last = ids[-1]
            self._done.characters += len(ids)
            progress(self._done.characters, max(all_, self._done.characters))
        return self._done

    async def _next(self, after: str) -> list[str]:
        async with self._database.connection() as connection:
            return await self._store.behind(connection, self._definitions.active.name, after, _AT_ONCE)

    async def _try(self, ids: Sequence[str]) -> None:
        async with self._database.connection() as connection:
            rows = await self._store.load(connection, ids)
        for name, row in rows.items():
            try:
                self._note(name, self._remapped(row.character))
            except DomainError as error:
                self._done.refused[name] = error.reason

    async def _change(self, name: str, ledger: Ledger) -> None:
        events: list[Event] = []

        def decide(characters: Mapping[str, Character | None], _now: datetime) -> Sequence[tuple[str, Event]]:
            character = characters[name]
            events[:] = [] if character is None else self._remapped(character)
            return [(name, event) for event in events]

        try:
            await ledger.run(Command((name,), decide, ACTOR, lambda _characters, _recorded: b""))
        except Unavailable:
            raise
        except DomainError as error:
            self._done.refused[name] = error.reason
        else:
            self._note(name, events)

    def _remapped(self, character: Character) -> list[Event]:
        return remap(self._definitions.of(character), self._definitions.active, character)

    def _note(self, name: str, events: Sequence[Event]) -> None:
        for event in events:
            assert isinstance(event, DefinitionChanged)
            levels = {
                track.track: (track.from_level, track.to_level)
                for track in event.tracks
                if track.from_level != track.to_level
            }
            if levels or event.points_returned:
                self._done.changed += 1
                self._changed(Change(name, levels, event.points_returned))
