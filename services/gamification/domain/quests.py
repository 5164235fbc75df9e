"""Commands about quests. Each is decided by when it is given: after the deadline it finds the quest expired,
even while what happened before may still be told and complete it."""

from datetime import datetime

from services.chassis.errors import FailedPrecondition, NotFound, PermissionDenied
from services.gamification.domain.catalogue import Catalogue
from services.gamification.domain.clauses import compiled
from services.gamification.domain.definitions import Step
from services.gamification.domain.events import QuestFailed
from services.gamification.domain.occasion import Occasion
from services.gamification.domain.player import Draft, QuestProgress, QuestStatus
from services.gamification.domain.quest_start import begin, refusal
from services.gamification.domain.quest_steps import OnQuest, settle_waiting
from services.gamification.domain.sweep import expire, is_overdue


def start(
    draft: Draft, catalogue: Catalogue, quest_id: str, *, now: datetime, entropy: bytes, cause: str
) -> QuestProgress:
    """Another cycle, of the newest version.

    Raises NotFound (QUEST_NOT_FOUND), FailedPrecondition (QUEST_IN_PROGRESS, QUEST_INACTIVE, QUEST_NOT_YET,
    QUEST_OVER, QUEST_DONE, QUEST_COOLDOWN, QUEST_LOCKED), ResourceExhausted (TOO_MANY_QUESTS).
    """
    quest = catalogue.quest(quest_id)
    if quest is None:
        raise _unknown(quest_id)
    expire(draft, catalogue, quest_id, now=now, entropy=entropy)
    occasion = Occasion(draft, catalogue, now, now, cause, entropy)
    last = draft.quests.get(quest_id)
    refused = refusal(occasion, quest, last)
    if refused is not None:
        raise refused
    begin(occasion, quest, last)
    settle_waiting(occasion)
    return draft.quests[quest_id]


def complete_step(
    draft: Draft,
    catalogue: Catalogue,
    quest_id: str,
    step_id: str,
    *,
    now: datetime,
    entropy: bytes,
    cause: str,
    by_player: bool,
) -> QuestProgress:
    """A checkpoint: looks at all requirements of the step as they stand now. `by_player`: the player says
    that it is done, and not the game; then it is none: whoever chooses the moment has at most 3 deaths at
    the first one.

    Raises NotFound (QUEST_NOT_FOUND, STEP_NOT_FOUND), PermissionDenied (STEP_NOT_YOURS), FailedPrecondition
    (NOT_STARTED, QUEST_COMPLETED, QUEST_FAILED, QUEST_EXPIRED, STEP_DONE, STEP_NOT_OPEN, STEP_UNMET).
    """
    occasion = Occasion(draft, catalogue, now, now, cause, entropy)
    quest = OnQuest(occasion, _progress(draft, catalogue, quest_id))
    step = _step(quest, step_id)
    _check_open(quest, step)
    if step.requirement.members:
        if not by_player:
            quest.look(step, lambda requirement, scope, met: requirement.look(scope, met, None, now))
        if not quest.holds(step):
            raise _unmet(quest, step)
    elif by_player and not step.player_confirms:
        raise PermissionDenied(
            f"Step {step_id} is completed by the game, not by its player.",
            reason="STEP_NOT_YOURS",
            metadata={"quest_id": quest_id, "step_id": step_id},
        )
    else:
        quest.complete(step)
    quest.settle()
    settle_waiting(occasion)
    return draft.quests[quest_id]


def abandon(draft: Draft, catalogue: Catalogue, quest_id: str, *, now: datetime, cause: str) -> QuestProgress:
    """It has failed, and can be started again.

    Raises NotFound (QUEST_NOT_FOUND), FailedPrecondition (NOT_STARTED, QUEST_COMPLETED, QUEST_FAILED,
    QUEST_EXPIRED).
    """
    occasion = Occasion(draft, catalogue, now, now, cause, b"")
    quest = OnQuest(occasion, _progress(draft, catalogue, quest_id))
    _check_going_on(quest.progress, now)
    quest.end(QuestStatus.FAILED, "abandoned", now)
    quest.save()
    draft.happened.append(QuestFailed(quest_id, quest.quest.title, quest.progress.cycle))
    return quest.progress


# -- refusing -----------------------------------------------------------------------------------------


def _unknown(quest_id: str) -> NotFound:
    return NotFound(
        f"There is no quest {quest_id}.", reason="QUEST_NOT_FOUND", metadata={"quest_id": quest_id}
    )


def _progress(draft: Draft, catalogue: Catalogue, quest_id: str) -> QuestProgress:
    if catalogue.quest(quest_id) is None:
        raise _unknown(quest_id)
    progress = draft.quests.get(quest_id)
    if progress is None:
        raise FailedPrecondition(
            f"Quest {quest_id} was not started.", reason="NOT_STARTED", metadata={"quest_id": quest_id}
        )
    return progress


def _check_going_on(progress: QuestProgress, now: datetime) -> None:
    status = QuestStatus.EXPIRED if is_overdue(progress, now) else progress.status
    if status is not QuestStatus.IN_PROGRESS:
        raise FailedPrecondition(
            f"Quest {progress.quest_id} is {status.value}.",
            reason=f"QUEST_{status.name}",
            metadata={"quest_id": progress.quest_id, "status": status.value},
        )


def _step(quest: OnQuest, step_id: str) -> Step:
    for step in quest.quest.steps:
        if step.id == step_id:
            return step
    raise NotFound(
        f"Quest {quest.quest.id} has no step {step_id}.",
        reason="STEP_NOT_FOUND",
        metadata={"quest_id": quest.quest.id, "step_id": step_id},
    )


def _check_open(quest: OnQuest, step: Step) -> None:
    """A step that is done is so whatever the quest came to."""
    opened = quest.steps.get(step.id)
    about = {"quest_id": quest.quest.id, "step_id": step.id}
    if opened is not None and opened.completed_at is not None:
        raise FailedPrecondition(f"Step {step.id} is done.", reason="STEP_DONE", metadata=about)
    _check_going_on(quest.progress, quest.occasion.now)
    if opened is None:
        raise FailedPrecondition(
            f"Step {step.id} opens when the steps before it are done.",
            reason="STEP_NOT_OPEN",
            metadata=about,
        )


def _unmet(quest: OnQuest, step: Step) -> FailedPrecondition:
    values = compiled(step.requirement).values(quest.scope(step), quest.occasion.now)
    return FailedPrecondition(
        f"The requirements of step {step.id} are not met.",
        reason="STEP_UNMET",
        metadata={
            **{metric: str(value) for metric, value in values.items()},
            "quest_id": quest.quest.id,
            "step_id": step.id,
        },
    )
