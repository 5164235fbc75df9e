"""How a character is kept in Redis, for reads."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from redis.asyncio import Redis

from services.chassis.cache import Form, VersionedCache
from services.chassis.metrics import PROGRESSION_CACHE
from services.progression.domain.character import Character

Cache = VersionedCache[Character]


def cache(redis: Redis, *, seconds: float, retry_s: float) -> Cache:
    """`seconds`: how long an entry lives. `retry_s`: how long Redis is left alone after a fault."""
    return VersionedCache(
        redis,
        Form(_version, _encode, _decode),
        prefix="{progression}",
        kind="character",
        seconds=seconds,
        retry_s=retry_s,
        metrics=PROGRESSION_CACHE,
    )


def versions(characters: Mapping[str, Character]) -> dict[str, int]:
    """By id."""
    return {character_id: character.version for character_id, character in characters.items()}


def _version(character: Character) -> int:
    return character.version


def _encode(character: Character) -> str:
    return json.dumps(
        [
            character.player_id,
            character.definition,
            character.base_experience,
            character.paragon_experience,
            character.points,
            character.respecs,
            character.resets,
            character.mastery,
            {reward_id: at.isoformat() for reward_id, at in character.rewards.items()},
        ],
        separators=(",", ":"),
    )


def _decode(character_id: str, version: int, entry: bytes) -> Character:
    state: list[Any] = json.loads(entry)
    *plain, rewards = state
    unlocked = {reward_id: datetime.fromisoformat(at) for reward_id, at in rewards.items()}
    player_id, definition, base, paragon, points, respecs, resets, mastery = plain
    return Character(
        character_id=character_id,
        player_id=player_id,
        definition=definition,
        version=version,
        base_experience=base,
        paragon_experience=paragon,
        points=points,
        respecs=respecs,
        resets=resets,
        mastery=mastery,
        rewards=unlocked,
    )
