"""What happened, as a producer says it, once it was read and found right. All counts are within an int64."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

Json = Any
"""What JSON can say: None, bool, int, float, str, lists of it, and dicts of it by text."""
KNOWN_TYPES = frozenset({"progression", "boss_kill", "drop_claimed", "score"})
"""Those that need no registering."""


@dataclass(frozen=True, slots=True)
class Progression:
    """Experience that a studio's own system gives. `character_id`: empty: the player's id. `mastery_type`:
    empty: none."""

    experience: int
    character_id: str = ""
    mastery_type: str = ""
    mastery_experience: int = 0


@dataclass(frozen=True, slots=True)
class BossKill:
    """`boss_level`: 0: not told."""

    boss_id: str
    boss_level: int = 0
    character_id: str = ""


@dataclass(frozen=True, slots=True)
class DropClaimed:
    """Something that a player took up."""

    item_id: str
    quantity: int = 1
    character_id: str = ""


@dataclass(frozen=True, slots=True)
class Score:
    """`board`: empty: the board `score`."""

    score: int
    columns: tuple[int, ...] = ()
    board: str = ""


@dataclass(frozen=True, slots=True)
class Custom:
    """Of a type that a studio registered. `payload` holds to that version of the type's schema."""

    schema_version: int
    payload: Mapping[str, Json]


Payload = Progression | BossKill | DropClaimed | Score | Custom


@dataclass(frozen=True, slots=True)
class Event:
    """`at`: when it happened, in UTC."""

    type: str
    player_id: str
    at: datetime
    payload: Payload
