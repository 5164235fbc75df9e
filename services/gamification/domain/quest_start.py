"""How a quest starts: by a command, or by itself; and why it cannot."""

from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache

from services.chassis.errors import DomainError, FailedPrecondition, ResourceExhausted
from services.gamification.domain.clauses import compiled
from services.gamification.domain.definitions import (
    AllOf,
    AnyOf,
    Completed,
    Condition,
    Quest,
    Requirement,
)
from services.gamification.domain.events import QuestStarted
from services.gamification.domain.history import recorded
from services.gamification.domain.occasion import Occasion
from services.gamification.domain.player import QuestProgress, QuestStatus
from services.gamification.domain.quest_steps import OnQuest
from services.gamification.domain.scope import Scope

MAX_ACTIVE_QUESTS = 50
"""That a player is on at once. More: refused; one that starts by itself does so when there is room."""


def begin(occasion: Occasion, quest: Quest, last: QuestProgress | None) -> None:
    """At the occasion's time. `last`: the cycle before, which is over."""
    progress = QuestProgress(
        quest.id,
        cycle=last.cycle + 1 if last else 1,
        version=quest.version,
        status=QuestStatus.IN_PROGRESS,
        steps={},
        started_at=occasion.at,
        ended_at=None,
        expires_at=deadline(quest, occasion.at),
        completions=last.completions if last else 0,
        history=recorded(last.history if last else (), occasion.entry("started", 0)),
    )
    occasion.draft.happened.append(
        QuestStarted(quest.id, quest.title, progress.cycle, quest.version, occasion.cause)
    )
    OnQuest(occasion, progress).settle()


def auto_start(occasion: Occasion, quests: Iterable[Quest]) -> list[Quest]:
    """Those that can start by what happened. Not what the player abandoned, and not what is over already when
    it is told. Gives back those that are only locked."""
    locked = []
    for quest in quests:
        last = occasion.draft.quests.get(quest.id)
        if last is not None and not _can_again(occasion, quest, last):
            continue
        ends_at = deadline(quest, occasion.at)
        if (ends_at is not None and ends_at <= occasion.now) or _not_now(occasion, quest) is not None:
            continue
        if not _holds(occasion, quest.requirement):
            locked.append(quest)
        elif _too_many(occasion) is None:
            begin(occasion, quest, last)
    return locked


def _can_again(occasion: Occasion, quest: Quest, last: QuestProgress) -> bool:
    """By itself."""
    if last.status is QuestStatus.FAILED or last.ended_at is None or occasion.at < last.ended_at:
        return False
    return not _done(quest, last) and available_at(quest, last, occasion.at) is None


def deadline(quest: Quest, started_at: datetime) -> datetime | None:
    """The earlier of time limit and end date."""
    limit = started_at + quest.time_limit if quest.time_limit is not None else None
    return min((at for at in (limit, quest.end_date) if at is not None), default=None)


def available_at(quest: Quest, last: QuestProgress | None, at: datetime) -> datetime | None:
    """When its cooldown is over. None: it is, or the quest is done for ever, or is not completed."""
    if last is None or last.status is not QuestStatus.COMPLETED or quest.repeat is None:
        return None
    assert last.ended_at is not None, f"quest {quest.id} was completed, but never ended"
    again = last.ended_at + quest.repeat.cooldown
    return again if again > at and not _done(quest, last) else None


def _done(quest: Quest, last: QuestProgress) -> bool:
    """For ever."""
    most = 1 if quest.repeat is None else quest.repeat.max_cycles
    return 0 < most <= last.completions


# -- refusing -----------------------------------------------------------------------------------------


def refusal(occasion: Occasion, quest: Quest, last: QuestProgress | None) -> DomainError | None:
    """Why it cannot start at the occasion's time. `last`: its newest cycle."""
    return (
        _not_again(occasion, quest, last)
        or _not_now(occasion, quest)
        or _locked(occasion, quest)
        or _too_many(occasion)
    )


def _not_again(occasion: Occasion, quest: Quest, last: QuestProgress | None) -> FailedPrecondition | None:
    if last is None:
        return None
    if last.status is QuestStatus.IN_PROGRESS:
        return _refused(quest, "QUEST_IN_PROGRESS", "is in progress already")
    if _done(quest, last):
        often = str(last.completions)
        return _refused(quest, "QUEST_DONE", f"was completed as often as may be: {often}", completions=often)
    cooled_at = available_at(quest, last, occasion.at)
    if cooled_at is not None:
        again = cooled_at.isoformat()
        return _refused(quest, "QUEST_COOLDOWN", f"can be started again at {again}", available_at=again)
    return None


def _not_now(occasion: Occasion, quest: Quest) -> FailedPrecondition | None:
    if not quest.active:
        return _refused(quest, "QUEST_INACTIVE", "is not active")
    if quest.start_date is not None and occasion.at < quest.start_date:
        begins = quest.start_date.isoformat()
        return _refused(quest, "QUEST_NOT_YET", f"can be started from {begins} on", start_date=begins)
    if quest.end_date is not None and occasion.at >= quest.end_date:
        ended = quest.end_date.isoformat()
        return _refused(quest, "QUEST_OVER", f"is over since {ended}", end_date=ended)
    return None


def _locked(occasion: Occasion, quest: Quest) -> FailedPrecondition | None:
    if _holds(occasion, quest.requirement):
        return None
    missing = sorted(set(_missing(occasion, quest.requirement)))
    names = ", ".join(missing) or "something else"
    return _refused(quest, "QUEST_LOCKED", f"needs {names} first", missing=",".join(missing))


def _refused(quest: Quest, reason: str, why: str, **details: str) -> FailedPrecondition:
    return FailedPrecondition(
        f"Quest {quest.id} {why}.", reason=reason, metadata={"quest_id": quest.id, **details}
    )


def _too_many(occasion: Occasion) -> ResourceExhausted | None:
    active = [each for each in occasion.draft.quests.values() if each.status is QuestStatus.IN_PROGRESS]
    if len(active) < MAX_ACTIVE_QUESTS:
        return None
    return ResourceExhausted(
        f"A player is on at most {MAX_ACTIVE_QUESTS} quests at once.",
        reason="TOO_MANY_QUESTS",
        metadata={"max_active_quests": str(MAX_ACTIVE_QUESTS)},
    )


def _holds(occasion: Occasion, requirement: Requirement) -> bool:
    """As everything stands at the occasion's time."""
    match requirement:
        case AllOf(members):
            return all(_holds(occasion, member) for member in members)
        case AnyOf(members):
            return any(_holds(occasion, member) for member in members)
        case Condition():
            alone = compiled(_alone(requirement))
            scope = Scope(occasion.draft, occasion.catalogue.metrics)
            return alone.holds(alone.look(scope, {}, None, occasion.at))
        case Completed():
            return requirement in occasion.completed


@lru_cache(maxsize=4096)
def _alone(condition: Condition) -> AllOf:
    """The same one each time, as `compiled` needs it."""
    return AllOf((condition,))


def _missing(occasion: Occasion, requirement: Requirement) -> list[str]:
    """Names of what does not hold. A secret achievement has none."""
    if _holds(occasion, requirement):
        return []
    match requirement:
        case AllOf(members) | AnyOf(members):
            return [name for member in members for name in _missing(occasion, member)]
        case Condition(metric):
            return [f"metric:{metric}"]
        case Completed(kind, id_):
            achievement = occasion.catalogue.achievement(id_) if kind == "achievement" else None
            return [] if achievement is not None and achievement.secret else [f"{kind}:{id_}"]
