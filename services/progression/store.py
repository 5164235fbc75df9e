"""Characters and their events in PostgreSQL."""

import json
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any

import asyncpg

from services.chassis import sql
from services.chassis.db import Connection
from services.chassis.sql import Statement
from services.progression.batch import Recorded
from services.progression.domain import events
from services.progression.domain.character import Character
from services.progression.domain.events import ATTRIBUTES, from_json, to_json, type_of, upcast
from services.progression.projection import Changes, Columns, Levels, Row
from services.progression.schema import SQL


class ProgressionStore:
    """Every statement on characters. Callers bring the connection."""

    def __init__(self) -> None:
        self._sql = sql.load(SQL / "progression.sql")

    async def lock(self, connection: Connection, character_ids: Collection[str]) -> set[str]:
        """Nobody else changes these characters until the transaction ends. Answers those that there are."""
        rows = await connection.fetch(self._sql["lock"], list(character_ids))
        return {row["character_id"] for row in rows}

    async def load(self, connection: Connection, character_ids: Collection[str]) -> dict[str, Row]:
        """Those of the characters that there are."""
        rows = await connection.fetch(self._sql["load"], list(character_ids))
        return {row["character_id"]: _row(row) for row in rows}

    async def behind(self, connection: Connection, definition: str, after: str, limit: int) -> list[str]:
        """The next characters, by id, that follow another definition than this."""
        rows = await connection.fetch(self._sql["behind"], definition, after, limit)
        return [row["character_id"] for row in rows]

    async def count_behind(self, connection: Connection, definition: str) -> int:
        """How many follow another definition than this."""
        count: int = await connection.fetchval(self._sql["count_behind"], definition)
        return count

    def appending(self, recorded: Sequence[Recorded], requests: Sequence[str]) -> Statement:
        """Appends events, all of one time. `requests`: the idempotency key of each; empty: none. Fails with
        UniqueViolationError when a character was enrolled by another transaction."""
        # In the order of ids: two transactions that enrol the same characters wait for each other in it.
        columns = zip(*sorted(map(_columns, recorded, requests)), strict=True)
        return Statement(self._sql["append"], (*map(list, columns), recorded[0].at))

    def putting(self, changes: Changes) -> dict[str, Statement]:
        """Writes the projections: statements by name, in the order in which their locks must be taken."""
        parts = {
            "put_characters": changes.characters,
            "put_paragon": changes.paragon,
            "put_prestige": changes.prestige,
            "put_mastery": changes.mastery,
            "put_rewards": changes.rewards,
            "add_statistics": changes.statistics.columns(),
        }
        return {name: self.put(name, rows) for name, rows in parts.items() if rows}

    def put(self, name: str, rows: Iterable[Columns]) -> Statement:
        """Writes rows of one table; `name`: of the statement."""
        return Statement(self._sql[name], tuple(map(list, zip(*rows, strict=True))))


def recorded(row: asyncpg.Record) -> Recorded:
    """An event as the store has it. Raises DataLoss EVENT_SCHEMA_UNKNOWN."""
    metadata: dict[str, Any] = json.loads(row["metadata"])
    type_, payload = upcast(metadata["schema"], row["type"], json.loads(row["payload"]))
    return Recorded(
        row["stream_id"], row["version"], from_json(type_, payload), row["created_at"], metadata["actor"]
    )


def _columns(recorded: Recorded, request: str) -> Columns:
    metadata: dict[str, object] = {"schema": events.SCHEMA, "actor": recorded.actor}
    if request:
        metadata["request"] = request
    event = recorded.event
    payload = json.dumps(to_json(event))
    return recorded.character_id, recorded.version, type_of(event), payload, json.dumps(metadata)


def _row(row: asyncpg.Record) -> Row:
    mastery: dict[str, list[int]] = json.loads(row["mastery"] or "{}")
    rewards: dict[str, Any] = json.loads(row["rewards"] or "{}")
    character = Character(
        row["character_id"],
        row["player_id"],
        row["definition"],
        row["version"],
        base_experience=int(row["base_experience"]),
        paragon_experience=int(row["paragon_experience"]),
        points={name: row[name] for name in ATTRIBUTES},
        respecs=row["respecs"],
        resets=row["resets"],
        mastery={type_: experience for type_, (experience, _) in mastery.items()},
        rewards={reward_id: datetime.fromisoformat(at) for reward_id, at in rewards.items()},
    )
    levels = Levels(
        row["base_level"],
        row["paragon_level"],
        row["points_earned"],
        row["xp_micro"],
        row["currency_micro"],
        row["drop_rate_micro"],
        {type_: level for type_, (_, level) in mastery.items()},
    )
    return Row(character, levels, row["created_at"], row["updated_at"])
