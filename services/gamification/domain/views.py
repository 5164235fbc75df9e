"""How far a player is, as it stands at a time: windows go on, though nothing happens."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from services.gamification.domain.achievements import Pursuit, first_cycle, pinned
from services.gamification.domain.catalogue import Catalogue
from services.gamification.domain.clauses import compiled
from services.gamification.domain.definitions import Achievement, Quest, Step
from services.gamification.domain.occasion import Occasion
from services.gamification.domain.player import (
    AchievementProgress,
    Draft,
    QuestProgress,
    QuestStatus,
    StepProgress,
)
from services.gamification.domain.quest_start import available_at
from services.gamification.domain.quest_steps import OnQuest, percent


@dataclass(frozen=True, slots=True)
class AchievementView:
    """`achievement`: in the version that counts for the player. `progress` None: not begun. `metrics`: what
    those of its requirement stand at, in the windows that count now."""

    achievement: Achievement
    progress: AchievementProgress | None
    percent: int
    metrics: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class QuestView:
    """`quest`: in the version that counts for the player. `progress` None: never started. `steps`: percent,
    by id. `current_step`: the lowest order of what has to be done yet; of a quest that is over, where it
    ended. `available_at`: when it can be started again, after a cooldown; None: now, or never."""

    quest: Quest
    progress: QuestProgress | None
    percent: int
    steps: Mapping[str, int]
    current_step: int
    available_at: datetime | None


def view_achievement(
    draft: Draft, catalogue: Catalogue, newest: Achievement, at: datetime
) -> AchievementView:
    progress = draft.achievements.get(newest.id)
    if progress is None:
        begun = first_cycle(newest, at)
        values = begun.requirement.values(begun.scope(draft, catalogue), at)
        return AchievementView(newest, None, 0, values)
    pursued = Pursuit(pinned(catalogue, progress), progress, fresh=False)
    scope = pursued.scope(draft, catalogue)
    reached = pursued.requirement.progress(scope, progress.met, at)
    return AchievementView(pursued.achievement, progress, reached, pursued.requirement.values(scope, at))


def view_quest(draft: Draft, catalogue: Catalogue, newest: Quest, at: datetime) -> QuestView:
    progress = draft.quests.get(newest.id)
    if progress is None:
        steps = dict.fromkeys((step.id for step in newest.steps), 0)
        return QuestView(newest, None, 0, steps, _current(newest, {}), None)
    on = OnQuest(Occasion(draft, catalogue, at, at, cause="", entropy=b""), progress)
    steps = {step.id: _percent_of_step(on, step) for step in on.quest.steps}
    current = _current(on.quest, progress.steps)
    again = available_at(newest, progress, at)
    return QuestView(on.quest, progress, percent(on.quest, steps), steps, current, again)


def _percent_of_step(on: OnQuest, step: Step) -> int:
    opened = on.steps.get(step.id)
    if opened is None:
        return 0
    over = opened.completed_at is not None or on.progress.status is not QuestStatus.IN_PROGRESS
    if over or not step.requirement.members:
        return opened.progress
    return compiled(step.requirement).progress(
        on.scope(step), opened.met, on.occasion.now, on.occasion.completed
    )


def _current(quest: Quest, steps: Mapping[str, StepProgress]) -> int:
    required = [step for step in quest.steps if not step.optional]
    left = [step.order for step in required if step.id not in steps or steps[step.id].completed_at is None]
    return min(left, default=max(step.order for step in required))
