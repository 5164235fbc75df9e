"""How definitions fare: what each event adds to the counts of `analytics`."""

import zlib
from datetime import timedelta

from services.gamification.domain.events import (
    AchievementCompleted,
    AchievementStarted,
    Event,
    ImpossibleGain,
    QuestCompleted,
    QuestExpired,
    QuestFailed,
    QuestStarted,
    QuestStepCompleted,
    RewardClaimed,
    RewardExpired,
    RewardGranted,
    RewardRevoked,
)

SHARDS = 32
SHORTEST_S = 60
"""Of the buckets of `took:`; each other is twice as long as the one before."""
Count = tuple[int, str, str]
"""Shard, subject and measure."""
Measured = tuple[tuple[str, str], int]
"""Subject and measure, and how many more of it."""


_Plain = (
    AchievementStarted
    | QuestStarted
    | QuestStepCompleted
    | QuestFailed
    | QuestExpired
    | RewardGranted
    | RewardClaimed
    | RewardExpired
    | RewardRevoked
)
"""What counts for one."""
_MEASURES: dict[type, str] = {
    QuestStarted: "started",
    QuestFailed: "failed",
    QuestExpired: "expired",
    RewardGranted: "granted",
    RewardClaimed: "claimed",
    RewardExpired: "expired",
    RewardRevoked: "revoked",
}


def shard(user_id: str) -> int:
    """Of a player: several, so that few transactions wait for each other."""
    return zlib.crc32(user_id.encode()) % SHARDS


def bucket(took: timedelta) -> int:
    """The shortest of 60, 120, 240 ... seconds that is not shorter."""
    seconds, longest = -(-took // timedelta(seconds=1)), SHORTEST_S
    while longest < seconds:
        longest *= 2
    return longest


def counts(event: Event) -> list[Measured]:
    """Of one event: subjects are `achievement:<id>`, `quest:<id>` and `reward:<id>`; see the table."""
    match event:
        case AchievementCompleted():
            return _completed(f"achievement:{event.achievement_id}", event.took)
        case QuestCompleted():
            return _completed(f"quest:{event.quest_id}", event.took)
        case ImpossibleGain():
            return []
        case _:
            return [_one(*_counted(event))]


def _counted(event: _Plain) -> tuple[str, str]:
    match event:
        case AchievementStarted():
            return f"achievement:{event.achievement_id}", "started"
        case QuestStepCompleted():
            return f"quest:{event.quest_id}", f"step:{event.step_id}"
        case QuestStarted() | QuestFailed() | QuestExpired():
            return f"quest:{event.quest_id}", _MEASURES[type(event)]
        case RewardGranted() | RewardClaimed() | RewardExpired() | RewardRevoked():
            return f"reward:{event.grant.reward_id}", _MEASURES[type(event)]


def _one(subject: str, measure: str) -> Measured:
    return (subject, measure), 1


def _completed(subject: str, took: timedelta) -> list[Measured]:
    seconds = max(0, took // timedelta(seconds=1))
    return [
        _one(subject, "completed"),
        ((subject, "seconds"), seconds),
        _one(subject, f"took:{bucket(took)}"),
    ]
