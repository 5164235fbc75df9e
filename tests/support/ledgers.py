"""Ledgers of progression on a real database, requests for them, and what must hold after any history."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from services.chassis.db import Database
from services.chassis.errors import NotFound
from services.chassis.idempotency import IdempotencyKey
from services.progression import rebuild
from services.progression.domain.award import Award, award
from services.progression.domain.character import Character
from services.progression.domain.curve import load_curves
from services.progression.domain.definition import (
    Definition,
    Definitions,
    load_definitions,
    parse_definition,
)
from services.progression.domain.events import Event
from services.progression.domain.paragon import distribute, respec
from services.progression.domain.prestige import reset
from services.progression.ledger import Command, Ledger, Recorded, Tell
from services.progression.told import tell

DATA = Path(rebuild.__file__).parent / "data"
TABLES = ("characters", "paragon_levels", "prestige_data", "mastery_data", "rewards", "level_statistics")
"""What can be made anew."""


@cache
def definitions(active: str = "default-1") -> Definitions:
    """The installed ones, and `later-1`: the default with another paragon curve that keeps levels, another
    cap, and a reset that drops paragon."""
    curves = load_curves(DATA / "curves")
    found = load_definitions(DATA / "definitions", curves)
    later: dict[str, Any] = json.loads((DATA / "definitions" / "default-1.json").read_text())
    later |= {"name": "later", "changes": {"default-1": {"paragon": "keep_level"}}}
    later["base"]["cap"] = 40
    later["paragon"]["curve"] = "diablo3_paragon-1"
    later["prestige"] |= {"keeps": {"paragon": False, "points": False}, "required_level": 40}
    found["later-1"] = parse_definition(later, "later-1", curves)
    return Definitions(found[active], found)


@asynccontextmanager
async def ledger(
    url: str, *, active: str = "default-1", tell: Tell = tell, **limits: int
) -> AsyncIterator[Ledger]:
    """A running one with connections of its own, as a process has it."""
    database = await Database.connect(url, size=1, wait_s=5, command_s=10, by_key=True)
    running = Ledger(database, definitions(active), tell=tell, **limits)
    running.start()
    try:
        yield running
    finally:
        await running.close()
        await database.close()


@dataclass(frozen=True)
class Request:
    """What a client asks for. `kind`: award, points, respec or reset. `key`, `event`: as in Command."""

    character_id: str
    kind: str = "award"
    experience: int = 0
    mastery: int = 0
    points: int = 1
    key: str = ""
    event: str = ""

    def command(self) -> Command:
        """It answers with the character's version and the sum of what it appended."""
        key = IdempotencyKey("test", self.key, repr(self).encode()) if self.key else None
        return Command(
            (self.character_id,), self._decide, "service:test", _answered, key=key, event=self.event
        )

    def _decide(
        self, characters: Mapping[str, Character | None], _now: datetime
    ) -> Sequence[tuple[str, Event]]:
        character = characters[self.character_id]
        definition = definitions().of(character)
        if self.kind == "award":
            mastery = (("pvp", self.mastery),) if self.mastery else ()
            given = Award(self.character_id, "", "test", self.experience, mastery=mastery)
            events = award(definition, character, given)
        elif character is None:
            raise NotFound("There is no such character.", reason="CHARACTER_NOT_FOUND")
        else:
            events = self._rule()(definition, character)
        return [(self.character_id, event) for event in events]

    def _rule(self) -> Callable[[Definition, Character], list[Event]]:
        if self.kind == "points":
            return lambda definition, character: distribute(definition, character, {"luck": self.points})
        return {"respec": respec, "reset": reset}[self.kind]


def _answered(characters: Mapping[str, Character], recorded: Sequence[Recorded]) -> bytes:
    (character,) = characters.values()
    return f"{character.version} {len(recorded)}".encode()


async def dump(database: Database) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every projection. Buckets of nobody are left out: they say nothing."""
    rows = {}
    async with database.connection() as connection:
        for table in TABLES:
            where = "WHERE characters <> 0" if table == "level_statistics" else ""
            found = await connection.fetch(f"SELECT * FROM progression.{table} {where} ORDER BY 1, 2")
            rows[table] = [tuple(row) for row in found]
    return rows


async def check(database: Database) -> None:
    """The projections are what the events say, made from nothing; the statistics are what a recount says."""
    async with database.connection() as connection:
        counted = await connection.fetch(_COUNTED)
        assert counted == await connection.fetch(_RECOUNTED)
        gaps = await connection.fetch(
            "SELECT stream_id FROM progression.event_store GROUP BY 1 HAVING max(version) <> count(*)"
        )
        assert not gaps
    before = await dump(database)
    async with database.connection() as connection:
        await connection.execute("TRUNCATE " + ", ".join(f"progression.{table}" for table in TABLES))
    await rebuild.rebuild(database, definitions(), lambda _done, _all: None)
    after = await dump(database)
    for table in TABLES:
        assert after[table] == before[table], table


_SUMS = "sum(characters), sum(experience), sum(levels), sum(strength), sum(agility), sum(intelligence), "
_COUNTED = (
    f"SELECT bucket, {_SUMS} sum(vitality), sum(luck) FROM progression.level_statistics "
    "GROUP BY bucket HAVING sum(characters) <> 0 ORDER BY bucket"
)
# The bucket by another way than the service's: the digits after the second become zeros.
_RECOUNTED = """
SELECT CASE WHEN level < 100 THEN level
            ELSE rpad(left(level::text, 2), length(level::text), '0')::bigint END AS bucket,
       count(*)::numeric, sum(experience), sum(level)::numeric, sum(strength)::numeric, sum(agility)::numeric,
       sum(intelligence)::numeric, sum(vitality)::numeric, sum(luck)::numeric
FROM progression.paragon_levels GROUP BY 1 ORDER BY 1
"""
