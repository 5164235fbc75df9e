"""What happened to a player. Others are told of it, the player is, and it is counted."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from services.gamification.domain.player import Grant, Quarantined


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of progress' history; see ProgressEntry in the contract."""

    at: datetime
    what: str
    detail: str = ""
    progress: int = 0
    cause: str = ""


@dataclass(frozen=True, slots=True)
class AchievementStarted:
    achievement_id: str
    cycle: int
    version: int
    cause: str


@dataclass(frozen=True, slots=True)
class AchievementCompleted:
    """`took`: since its first progress."""

    achievement_id: str
    title: str
    cycle: int
    version: int
    points: int
    grant_ids: tuple[str, ...]
    at: datetime
    took: timedelta
    cause: str


@dataclass(frozen=True, slots=True)
class QuestStarted:
    quest_id: str
    title: str
    cycle: int
    version: int
    cause: str


@dataclass(frozen=True, slots=True)
class QuestStepCompleted:
    quest_id: str
    title: str
    cycle: int
    step_id: str
    step_title: str
    grant_ids: tuple[str, ...]
    cause: str


@dataclass(frozen=True, slots=True)
class QuestCompleted:
    quest_id: str
    title: str
    cycle: int
    grant_ids: tuple[str, ...]
    took: timedelta
    cause: str


@dataclass(frozen=True, slots=True)
class QuestFailed:
    quest_id: str
    title: str
    cycle: int


@dataclass(frozen=True, slots=True)
class QuestExpired:
    quest_id: str
    title: str
    cycle: int


@dataclass(frozen=True, slots=True)
class RewardGranted:
    grant: "Grant"
    transfer_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RewardClaimed:
    grant: "Grant"
    transfer_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RewardExpired:
    grant: "Grant"
    transfer_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RewardRevoked:
    grant: "Grant"
    transfer_ids: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class ImpossibleGain:
    """`quarantined`: whether it waits to be looked at; else it was refused."""

    gain: "Quarantined"
    quarantined: bool


Event = (
    AchievementStarted
    | AchievementCompleted
    | QuestStarted
    | QuestStepCompleted
    | QuestCompleted
    | QuestFailed
    | QuestExpired
    | RewardGranted
    | RewardClaimed
    | RewardExpired
    | RewardRevoked
    | ImpossibleGain
)
