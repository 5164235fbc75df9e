"""Players as they are, for whoever asks.

What is asked for at the same time is read together: one look into Redis, and one into PostgreSQL for what was
not there.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg
from pydantic import TypeAdapter
from redis.asyncio import Redis

from services.chassis import sql
from services.chassis.cache import Form, VersionedCache
from services.chassis.db import Database
from services.chassis.lookup import Lookup
from services.chassis.metrics import GAMIFICATION_CACHE
from services.gamification import rows
from services.gamification.domain.player import (
    Accumulator,
    AccumulatorKey,
    AchievementProgress,
    Kept,
    Player,
    QuestProgress,
)
from services.gamification.schema import SQL

Cache = VersionedCache[Player]


@dataclass(frozen=True, slots=True)
class _State:
    """A player as Redis has it."""

    achievements_completed: int
    achievement_points: int
    accumulators: list[tuple[AccumulatorKey, Accumulator]]
    achievements: list[AchievementProgress]
    quests: list[QuestProgress]


_STATE = TypeAdapter(_State)


def cache(redis: Redis, *, seconds: float, retry_s: float) -> Cache:
    """`seconds`: how long an entry lives. `retry_s`: how long Redis is left alone after a fault."""
    return VersionedCache(
        redis,
        Form(_version, _encode, _decode),
        prefix="{gamification}",
        kind="player",
        seconds=seconds,
        retry_s=retry_s,
        metrics=GAMIFICATION_CACHE,
    )


def _version(player: Player) -> int:
    return player.version


def _encode(player: Player) -> str:
    state = _State(
        player.achievements_completed,
        player.achievement_points,
        list(player.accumulators.items()),
        list(player.achievements.values()),
        list(player.quests.values()),
    )
    return _STATE.dump_json(state).decode()


def _decode(user_id: str, version: int, entry: bytes) -> Player:
    state = _STATE.validate_json(entry)
    return Player(
        user_id,
        version,
        achievements_completed=state.achievements_completed,
        achievement_points=state.achievement_points,
        accumulators=Kept(state.accumulators),
        achievements={each.achievement_id: each for each in state.achievements},
        quests={each.quest_id: each for each in state.quests},
    )


class Players:
    """Through the cache, else from the tables; `batch` players at once."""

    def __init__(self, database: Database, cache: Cache, *, batch: int) -> None:
        self._database = database
        self._cache = cache
        self._sql = sql.load(SQL / "reads.sql")
        self._asked = Lookup(self._read, batch=batch)

    async def player(self, user_id: str) -> Player:
        """As of now or later; without anything, when nothing ever happened to it. Raises
        DatabaseUnavailable."""
        return await self._asked.get(user_id) or Player(user_id)

    async def _read(self, user_ids: list[str]) -> dict[str, Player]:
        return await self._cache.through(user_ids, self._load)

    async def _load(self, user_ids: list[str]) -> dict[str, Player]:
        found = {user_id: Player(user_id) for user_id in user_ids}
        async with self._database.connection() as connection:
            for row in await connection.fetch(self._sql["players"], user_ids):
                found[row["user_id"]] = _player(row)
        return found


def _player(row: asyncpg.Record) -> Player:
    found: Sequence[AchievementProgress] = [rows.achievement(each) for each in row["achievements"]]
    return Player(
        row["user_id"],
        row["version"],
        achievements_completed=row["achievements_completed"],
        achievement_points=row["achievement_points"],
        accumulators=Kept(map(rows.accumulator, row["accumulators"])),
        achievements={each.achievement_id: each for each in found},
        quests={each.quest_id: each for each in map(rows.quest, row["quests"])},
    )
