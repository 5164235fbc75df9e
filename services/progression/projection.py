"""What the tables show of a character, and what it counts for in the statistics of all of them."""

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from services.progression.domain.character import Character
from services.progression.domain.definition import Definition
from services.progression.domain.events import ATTRIBUTES
from services.progression.domain.paragon import paragon_level
from services.progression.domain.prestige import bonuses

SHARDS = 32
Columns = tuple[object, ...]
"""A row of a table, as its statement in `sql/progression.sql` takes it. Numbers without bounds are text."""
Place = tuple[int, int]
"""Shard and bucket."""
Sums = tuple[int, ...]
"""Characters, experience, levels and the points of each of ATTRIBUTES: the columns of the statistics."""


@dataclass(frozen=True, slots=True)
class Levels:
    """What a definition makes of a character's totals. `mastery`: levels by type. The bonuses are in
    millionths."""

    base_level: int
    paragon_level: int
    points_earned: int
    xp_micro: int
    currency_micro: int
    drop_rate_micro: int
    mastery: Mapping[str, int]


def levels(definition: Definition, character: Character) -> Levels:
    """`definition`: the one that the character pins. A type of mastery that it does not have counts as
    without a level."""
    paragon = paragon_level(definition.paragon, character.paragon_experience)
    bonus = bonuses(definition.prestige, character.resets)
    return Levels(
        base_level=definition.base.curve.level(character.base_experience),
        paragon_level=paragon,
        points_earned=definition.paragon.points_earned(paragon),
        xp_micro=bonus.xp_micro,
        currency_micro=bonus.currency_micro,
        drop_rate_micro=bonus.drop_rate_micro,
        mastery={
            type_: definition.mastery[type_].curve.level(total) if type_ in definition.mastery else 0
            for type_, total in character.mastery.items()
        },
    )


@dataclass(frozen=True, slots=True)
class Row:
    """A character as the tables have it. `created_at`, `updated_at`: of its first and its last event."""

    character: Character
    levels: Levels
    created_at: datetime
    updated_at: datetime

    def characters(self) -> Columns:
        it, levels = self.character, self.levels
        return (
            *(it.character_id, it.player_id, it.definition, it.version),
            *(str(it.base_experience), levels.base_level, self.created_at, self.updated_at),
        )

    def paragon(self) -> Columns:
        it, levels = self.character, self.levels
        return (
            *(it.character_id, str(it.paragon_experience), levels.paragon_level, levels.points_earned),
            *(it.points[name] for name in ATTRIBUTES),
            it.respecs,
        )

    def prestige(self) -> Columns:
        it, levels = self.character, self.levels
        return (it.character_id, it.resets, levels.xp_micro, levels.currency_micro, levels.drop_rate_micro)

    def mastery(self) -> Iterable[Columns]:
        it, levels = self.character, self.levels.mastery
        return ((it.character_id, type_, str(total), levels[type_]) for type_, total in it.mastery.items())

    def rewards(self) -> Iterable[Columns]:
        it = self.character
        return ((it.character_id, reward_id, at) for reward_id, at in it.rewards.items())


def shard(character_id: str) -> int:
    return zlib.crc32(character_id.encode()) % SHARDS


def bucket(level: int) -> int:
    """Levels below 100 each have their own; those above share one as long as the first two digits are the
    same, and it is the lowest of them."""
    if level < 100:
        return level
    size: int = 10 ** (len(str(level)) - 2)
    return level // size * size


class Statistics:
    """Sums to add to the statistics of all characters."""

    def __init__(self) -> None:
        self._sums: dict[Place, Sums] = {}

    def count(
        self, character_id: str, level: int, experience: int, points: Iterable[int], sign: int = 1
    ) -> None:
        """One character with its paragon level, experience and points. `sign` -1: not any more."""
        self.add((shard(character_id), bucket(level)), (1, experience, level, *points), sign)

    def add(self, place: Place, sums: Sums, sign: int = 1) -> None:
        before = self._sums.get(place)
        if before is None:
            self._sums[place] = tuple(sign * each for each in sums)
        else:
            self._sums[place] = tuple(a + sign * b for a, b in zip(before, sums, strict=True))

    def columns(self) -> list[Columns]:
        """In the order of shards and buckets; nothing for those that stay as they are."""
        return [
            (*place, sums[0], *map(str, sums[1:])) for place, sums in sorted(self._sums.items()) if any(sums)
        ]


class Changes:
    """What has to be written so that the tables show what changed, in columns by table."""

    def __init__(self) -> None:
        self.characters: list[Columns] = []
        self.paragon: list[Columns] = []
        self.prestige: list[Columns] = []
        self.mastery: list[Columns] = []
        self.rewards: list[Columns] = []
        self.statistics = Statistics()

    def add(self, old: Row | None, new: Row) -> None:
        """A character that changed from `old`. Call in the order of character ids."""
        self.characters.append(new.characters())
        if old is None or old.paragon() != new.paragon():
            self.paragon.append(new.paragon())
        if old is None or old.prestige() != new.prestige():
            self.prestige.append(new.prestige())
        had = set(old.mastery()) if old else set()
        self.mastery += (columns for columns in new.mastery() if columns not in had)
        owned = old.character.rewards if old else {}
        self.rewards += (columns for columns in new.rewards() if columns[1] not in owned)
        if old is not None:
            self._count(old, -1)
        self._count(new, 1)

    def _count(self, row: Row, sign: int) -> None:
        it = row.character
        points = (it.points[name] for name in ATTRIBUTES)
        self.statistics.count(it.character_id, row.levels.paragon_level, it.paragon_experience, points, sign)
