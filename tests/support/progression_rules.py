"""Definitions and characters for tests of the rules of progression."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from services.progression.domain.character import Character, applied
from services.progression.domain.events import Event, from_json, to_json, type_of

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Walked:
    """A Curve by what each level costs, one by one; with `ends`, the last cost is that of the last level,
    otherwise it is that of all which follow."""

    name: str
    costs: Sequence[int]
    first_level: int = 0
    ends: bool = False

    @property
    def last_level(self) -> int | None:
        return self.first_level + len(self.costs) if self.ends else None

    def cost(self, level: int) -> int:
        """From `level` to the next."""
        return self.costs[min(level - self.first_level, len(self.costs) - 1)]

    def total(self, level: int) -> int:
        assert self.first_level <= level
        assert self.last_level is None or level <= self.last_level
        return sum(self.cost(each) for each in range(self.first_level, level))

    def level(self, experience: int) -> int:
        level = self.first_level
        while level != self.last_level and experience >= self.cost(level):
            experience -= self.cost(level)
            level += 1
        return level


def told(character: Character | None, events: Iterable[Event], character_id: str = "ann") -> Character:
    """The character after events that were stored as JSON text and read again."""
    for event in events:
        stored = json.loads(json.dumps(to_json(event)))
        character = applied(character, character_id, from_json(type_of(event), stored), NOW)
    assert character is not None
    return character
