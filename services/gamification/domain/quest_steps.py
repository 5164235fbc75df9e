"""Steps of the quests that a player is on: they open by order, count in scopes of their own, are completed by
what happens, and together complete the quest."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial

from services.gamification.domain.clauses import Compiled, compiled
from services.gamification.domain.definitions import Completed, Quest, Step
from services.gamification.domain.events import Entry, QuestCompleted, QuestStepCompleted
from services.gamification.domain.history import recorded
from services.gamification.domain.observation import Observation
from services.gamification.domain.occasion import Occasion
from services.gamification.domain.player import QuestProgress, QuestStatus, StepProgress
from services.gamification.domain.scope import Scope, Touched
from services.gamification.domain.window import Window

Look = Callable[[Compiled, Scope, Mapping[int, datetime]], Mapping[int, datetime]]
"""Clauses that newly hold: of a requirement, in a scope, beside those that held before."""


class OnQuest:
    """A quest that a player is on, while something is decided about it; the draft has it when it is saved."""

    def __init__(self, occasion: Occasion, progress: QuestProgress) -> None:
        self.occasion = occasion
        self.progress = progress
        self.quest = pinned(occasion, progress)
        self.steps = dict(progress.steps)
        """That have opened, by id."""
        self._history = progress.history

    @property
    def subject(self) -> str:
        """Of its closings."""
        return f"quest:{self.progress.quest_id}:{self.progress.cycle}"

    def scope(self, step: Step) -> Scope:
        """Steps of one order open together, and count together."""
        name, since = f"{self.subject}:{step.order}", self.steps[step.id].opened_at
        return Scope(self.occasion.draft, self.occasion.catalogue.metrics, name, since)

    def open_steps(self) -> list[Step]:
        opened = self.steps
        return [
            step for step in self.quest.steps if step.id in opened and opened[step.id].completed_at is None
        ]

    # -- counting -----------------------------------------------------------------------------------------

    def count(self, observation: Observation) -> None:
        """Into the scopes of the open steps that want its metric, which are then looked at."""
        by_order: dict[int, list[tuple[Step, Sequence[Window]]]] = {}
        for step in self.open_steps():
            windows = compiled(step.requirement).windows.get(observation.metric)
            if windows is not None:
                by_order.setdefault(step.order, []).append((step, windows))
        for wanting in by_order.values():
            every = dict.fromkeys(window for _, windows in wanting for window in windows)
            touched = self.occasion.count(self.scope(wanting[0][0]), every, observation)
            if touched:
                for step, _ in wanting:
                    self.look(step, partial(self._see, touched))

    def _see(
        self, touched: Sequence[Touched], requirement: Compiled, scope: Scope, met: Mapping[int, datetime]
    ) -> Mapping[int, datetime]:
        self.occasion.expect(self.subject, requirement, scope, met, touched)
        return requirement.look(scope, met, touched, self.occasion.now)

    def look(self, step: Step, look: Look) -> None:
        """At a step that is open."""
        occasion, opened = self.occasion, self.steps[step.id]
        requirement, scope = compiled(step.requirement), self.scope(step)
        newly = look(requirement, scope, opened.met)
        met = {**opened.met, **newly} if newly else opened.met
        reached = requirement.progress(scope, met, occasion.now, occasion.completed)
        if newly or reached != opened.progress:
            self.steps[step.id] = replace(opened, met=met, progress=reached)
        self._record(occasion.entry("requirement_met", reached, step.id, at) for at in newly.values())

    # -- completing ---------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Completes the steps whose requirements hold, opens those that may open then, and so on. A step
        without requirements waits for somebody to complete it."""
        while True:
            holding = [step for step in self.open_steps() if self.holds(step)]
            for step in holding:
                self.complete(step)
            if all(self._is_done(step) for step in self.quest.steps if not step.optional):
                self._succeed()
                break
            if not self._open_next():
                break
        self.save()

    def save(self) -> None:
        self.progress = replace(self.progress, steps=self.steps, history=self._history)
        self.occasion.draft.quests[self.quest.id] = self.progress

    def holds(self, step: Step) -> bool:
        if not step.requirement.members:
            return False
        return compiled(step.requirement).holds(self.steps[step.id].met, self.occasion.completed)

    def _open_next(self) -> bool:
        """Opens each step for which all of lower order that are not optional are done. Whether there was
        one."""
        opened = False
        for step in self.quest.steps:
            if step.id in self.steps:
                continue
            before = [each for each in self.quest.steps if each.order < step.order and not each.optional]
            if not all(self._is_done(each) for each in before):
                break
            at = max((self._done_at(each) for each in before), default=self.progress.started_at)
            self.steps[step.id] = StepProgress(at, None, {}, 0)
            opened = True
        return opened

    def complete(self, step: Step) -> None:
        """A step that is open. What it waited for may have happened before that, and be told only now."""
        occasion, opened = self.occasion, self.steps[step.id]
        at = max(occasion.at, opened.opened_at, *opened.met.values())
        self.steps[step.id] = replace(opened, completed_at=at, progress=100)
        reached = percent_of(self.quest, self.steps)
        self._record([occasion.entry("step_completed", reached, step.id, at)])
        place = len(occasion.draft.happened)
        source_id = f"{self.quest.id}:{step.id}"
        granted = occasion.pay(step.rewards, "quest_step", source_id, self.progress.cycle)
        completed = QuestStepCompleted(
            self.quest.id,
            self.quest.title,
            self.progress.cycle,
            step.id,
            step.title,
            granted,
            occasion.cause,
        )
        occasion.draft.happened.insert(place, completed)

    def _succeed(self) -> None:
        occasion, quest, cycle = self.occasion, self.quest, self.progress.cycle
        at = max(self._done_at(step) for step in quest.steps if not step.optional)
        self.end(QuestStatus.COMPLETED, "completed", at)
        place = len(occasion.draft.happened)
        granted = occasion.pay(quest.rewards, "quest", quest.id, cycle)
        took = max(at, self.progress.started_at) - self.progress.started_at
        completed = QuestCompleted(quest.id, quest.title, cycle, granted, took, occasion.cause)
        occasion.draft.happened.insert(place, completed)
        occasion.endings.append(Completed("quest", quest.id))

    def end(self, status: QuestStatus, what: str, at: datetime) -> None:
        """However it does. `what`: of the history."""
        self._record([self.occasion.entry(what, percent_of(self.quest, self.steps), at=at)])
        completions = self.progress.completions + (status is QuestStatus.COMPLETED)
        self.progress = replace(self.progress, status=status, ended_at=at, completions=completions)
        for step in self.quest.steps:
            if step.id in self.steps:
                self.occasion.retire(self.scope(step), compiled(step.requirement))

    def _is_done(self, step: Step) -> bool:
        return step.id in self.steps and self.steps[step.id].completed_at is not None

    def _done_at(self, step: Step) -> datetime:
        at = self.steps[step.id].completed_at
        assert at is not None, f"step {step.id} is not done"
        return at

    def _record(self, entries: Iterable[Entry]) -> None:
        self._history = recorded(self._history, *entries)


def pinned(occasion: Occasion, progress: QuestProgress) -> Quest:
    """The version that it follows."""
    quest = occasion.catalogue.quest(progress.quest_id, progress.version)
    assert quest is not None, f"version {progress.version} of {progress.quest_id} is gone"
    return quest


def percent(quest: Quest, steps: Mapping[str, int]) -> int:
    """Of the steps that are not optional, rounded down. `steps`: percent of those that have opened."""
    percents = [steps.get(step.id, 0) for step in quest.steps if not step.optional]
    return sum(percents) // len(percents)


def percent_of(quest: Quest, progress: Mapping[str, StepProgress]) -> int:
    """As of when the steps were last looked at."""
    return percent(quest, {step_id: step.progress for step_id, step in progress.items()})


def going_on(occasion: Occasion, quest_id: str, *, closed: bool = False) -> OnQuest | None:
    """None: the player is not on it, or what happens now happens after its deadline. `closed`: a period ends,
    all of which was before."""
    progress = occasion.draft.quests.get(quest_id)
    if progress is None or progress.status is not QuestStatus.IN_PROGRESS:
        return None
    ends_at = progress.expires_at
    if ends_at is not None and (occasion.at > ends_at or (occasion.at == ends_at and not closed)):
        return None
    return OnQuest(occasion, progress)


def move_quests(occasion: Occasion, quest_ids: Iterable[str], observation: Observation) -> None:
    """Those of them that the player is on."""
    for quest_id in quest_ids:
        quest = going_on(occasion, quest_id)
        if quest is None:
            continue
        quest.count(observation)
        if quest.steps != quest.progress.steps:
            quest.settle()


def settle_waiting(occasion: Occasion) -> None:
    """Quests with a step that wants something else to be completed, which now is; and those that wait for
    these. Each completes once, so it comes to an end."""
    while occasion.endings:
        waiting: Sequence[str] = occasion.catalogue.waiting_for(occasion.endings.pop(0))
        for quest_id in waiting:
            quest = going_on(occasion, quest_id)
            if quest is not None:
                quest.settle()
