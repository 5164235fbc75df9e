"""All that can be earned, found by id, by version and by the metric that moves it."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from services.gamification.domain.definitions import (
    Achievement,
    AllOf,
    AnyOf,
    Completed,
    Condition,
    Metric,
    Quest,
    Requirement,
    Reward,
    Step,
)
from services.gamification.domain.window import Window

T = TypeVar("T")


@dataclass(slots=True)
class Route:
    """Whom a metric moves. `lifetime`: windows in which it counts of all that a player ever does.
    `achievements`: newest versions of those that name it in any version. `quests`: ids of those with a step
    that names it, in any version. `auto_quests`: newest versions that start by themselves, with a first step
    that names it."""

    lifetime: dict[Window, None] = field(default_factory=dict)
    achievements: list[Achievement] = field(default_factory=list)
    quests: list[str] = field(default_factory=list)
    auto_quests: list[Quest] = field(default_factory=list)


class Catalogue:
    """`revision`: of the definitions in the database that it was made of. Every version is in it."""

    def __init__(
        self,
        revision: int = 0,
        *,
        metrics: Iterable[Metric] = (),
        achievements: Iterable[Achievement] = (),
        quests: Iterable[Quest] = (),
        rewards: Iterable[Reward] = (),
    ) -> None:
        self.revision = revision
        self.metrics = {metric.id: metric for metric in metrics}
        self.rewards = {reward.id: reward for reward in rewards}
        self._achievements: dict[str, dict[int, Achievement]] = defaultdict(dict)
        self._quests: dict[str, dict[int, Quest]] = defaultdict(dict)
        for achievement in achievements:
            self._achievements[achievement.id][achievement.version] = achievement
        for quest in quests:
            self._quests[quest.id][quest.version] = quest
        self._routes: dict[str, Route] = defaultdict(Route)
        self._waiting: dict[Completed, list[str]] = defaultdict(list)
        for newest in self.newest_achievements():
            self._route_achievement(newest)
        for quest in self.newest_quests():
            self._route_quest(quest)

    def _route_achievement(self, newest: Achievement) -> None:
        versions = self._achievements[newest.id].values()
        for metric in metrics_of(*(version.requirement for version in versions)):
            self._routes[metric].achievements.append(newest)
        if newest.enabled and newest.repeat is None:
            self._count_ever(newest.requirement)

    def _route_quest(self, newest: Quest) -> None:
        versions = self._quests[newest.id].values()
        wanted = [step.requirement for version in versions for step in version.steps]
        for metric in metrics_of(*wanted):
            self._routes[metric].quests.append(newest.id)
        for completed in dict.fromkeys(each for requirement in wanted for each in completions(requirement)):
            self._waiting[completed].append(newest.id)
        if newest.active:
            self._count_ever(newest.requirement)
            if newest.auto_start:
                for metric in metrics_of(*(step.requirement for step in first_steps(newest.steps))):
                    self._routes[metric].auto_quests.append(newest)

    def _count_ever(self, requirement: Requirement) -> None:
        for condition in conditions(requirement):
            self._routes[condition.metric].lifetime[condition.window] = None

    def achievement(self, id_: str, version: int = 0) -> Achievement | None:
        """`version` 0: the newest."""
        return _version(self._achievements.get(id_), version)

    def quest(self, id_: str, version: int = 0) -> Quest | None:
        """`version` 0: the newest."""
        return _version(self._quests.get(id_), version)

    def newest_achievements(self) -> list[Achievement]:
        """By id."""
        return [versions[max(versions)] for _, versions in sorted(self._achievements.items())]

    def newest_quests(self) -> list[Quest]:
        """By id."""
        return [versions[max(versions)] for _, versions in sorted(self._quests.items())]

    def route(self, metric: str) -> Route | None:
        """None: no requirement names it."""
        return self._routes.get(metric)

    def waiting_for(self, completed: Completed) -> Sequence[str]:
        """Ids of quests with a step that wants this to be completed, in any version."""
        return self._waiting.get(completed, ())


def conditions(requirement: Requirement) -> Iterator[Condition]:
    """All that are in it, however deep."""
    match requirement:
        case Condition():
            yield requirement
        case AllOf() | AnyOf():
            for member in requirement.members:
                yield from conditions(member)


def metrics_of(*requirements: Requirement) -> list[str]:
    """Each once, in order."""
    every = (condition for requirement in requirements for condition in conditions(requirement))
    return list(dict.fromkeys(condition.metric for condition in every))


def first_steps(steps: Sequence[Step]) -> list[Step]:
    """That are open when a quest starts: up to the lowest order of one that is not optional."""
    lowest = min(step.order for step in steps if not step.optional)
    return [step for step in steps if step.order <= lowest]


def completions(requirement: Requirement) -> Iterator[Completed]:
    """All that are in it, however deep."""
    match requirement:
        case Completed():
            yield requirement
        case AllOf() | AnyOf():
            for member in requirement.members:
                yield from completions(member)


def _version(versions: dict[int, T] | None, version: int) -> T | None:
    if not versions:
        return None
    return versions.get(version or max(versions))
