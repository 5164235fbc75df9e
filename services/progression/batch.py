"""Commands decided together, one after the other on what the earlier ones left. Pure: knows no database."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from arenamesh.events.v1.envelope_pb2 import Envelope

from services.chassis.idempotency import IdempotencyKey, Name, Stored
from services.progression.domain.character import Character, applied
from services.progression.domain.events import Event
from services.progression.projection import Changes, Levels, Row

Decide = Callable[[Mapping[str, Character | None], datetime], Sequence[tuple[str, Event]]]
"""Pure. Given the characters it asked for (None: no such), the events to append, in order. When it raises
DomainError, nothing happens."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """An event of a character, as it is stored. `actor`: as in `Command`; `traceparent` too, which is not
    stored."""

    character_id: str
    version: int
    event: Event
    at: datetime
    actor: str
    traceparent: str = ""


Answer = Callable[[Mapping[str, Character], Sequence[Recorded]], bytes]
"""Pure. Given the characters afterwards and what was appended."""
Tell = Callable[[Recorded, Character], Sequence[Envelope]]
"""Pure. What to tell other services of an event, given the character after it."""


@dataclass(frozen=True, slots=True)
class Command:
    """A change of characters. `actor`: `<role>:<subject>` or `event:<id>`. `key`: its answer is kept, and is
    what a repetition gets. `event`: id of an integration event; it is applied once, a repetition answers
    b"". `traceparent`: W3C trace context of what caused it."""

    character_ids: tuple[str, ...]
    decide: Decide
    actor: str
    answer: Answer
    key: IdempotencyKey | None = None
    event: str = ""
    traceparent: str = ""


class Batch:
    """`rows`: the characters that the commands ask for, `answers` and `seen`: what is known of their keys and
    events. Everything happens at `at`."""

    def __init__(
        self,
        rows: Mapping[str, Row],
        answers: Mapping[Name, Stored],
        seen: Collection[str],
        at: datetime,
        tell: Tell,
    ) -> None:
        self._rows = rows
        self._known = dict(answers)
        self._seen = set(seen)
        self._at = at
        self._tell = tell
        self._characters = {name: row.character for name, row in rows.items()}
        self._repeated: set[str] = set()
        self.recorded: list[Recorded] = []
        self.requests: list[str] = []
        """The idempotency key of each of `recorded`; empty: none."""
        self.envelopes: list[Envelope] = []
        self.answers: dict[Name, Stored] = {}
        """New ones."""
        self.events: list[str] = []
        """Newly seen."""

    def run(self, command: Command) -> bytes:
        """The answer. Raises whatever the command does: then nothing of it happened."""
        if command.event and command.event in self._seen:
            return b""
        key = command.key
        if key is not None and key.name in self._known:
            answer = self._known[key.name].to(key)
            self._repeated.update(command.character_ids)
            return answer
        after, recorded, envelopes = self._decide(command)
        answer = command.answer(after, recorded)
        self._characters.update(after)
        self.recorded += recorded
        self.requests += [key.key if key else ""] * len(recorded)
        self.envelopes += envelopes
        if key is not None:
            self._known[key.name] = self.answers[key.name] = Stored(key.digest, answer)
        if command.event:
            self._seen.add(command.event)
            self.events.append(command.event)
        return answer

    def _decide(self, command: Command) -> tuple[dict[str, Character], list[Recorded], list[Envelope]]:
        before = {name: self._characters.get(name) for name in command.character_ids}
        after = {name: character for name, character in before.items() if character is not None}
        recorded: list[Recorded] = []
        envelopes: list[Envelope] = []
        for name, event in command.decide(before, self._at):
            if name not in before:
                raise LookupError(f"an event of {name}, which the command did not ask for")
            character = applied(after.get(name), name, event, self._at)
            after[name] = character
            recorded.append(
                Recorded(name, character.version, event, self._at, command.actor, command.traceparent)
            )
            envelopes += self._tell(recorded[-1], character)
        return after, recorded, envelopes

    def changed(self, levels: Callable[[Character], Levels]) -> list[Row]:
        """The characters that changed, as the tables should have them, in the order of their ids."""
        return [
            Row(character, levels(character), self._created(name), self._at)
            for name, character in sorted(self._characters.items())
            if name not in self._rows or character.version != self._rows[name].character.version
        ]

    def spoken_of(self, changed: Iterable[Row]) -> dict[str, Character]:
        """Those that `changed`, and those of answers that are given again: who gave them first may have died
        before anybody was told."""
        names = {row.character.character_id for row in changed} | self._repeated
        return {name: self._characters[name] for name in sorted(names) if name in self._characters}

    def _created(self, name: str) -> datetime:
        return self._rows[name].created_at if name in self._rows else self._at

    def changes(self, changed: Sequence[Row]) -> Changes:
        """What `changed` makes of the tables."""
        changes = Changes()
        for row in changed:
            changes.add(self._rows.get(row.character.character_id), row)
        return changes
