"""A player of tests who does things, under a catalogue of tests: every command on a fresh draft, applied
when it is not refused."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import pytest

from services.chassis.calendar import Calendar
from services.chassis.errors import DomainError
from services.gamification.domain import achievements, quests, sweep
from services.gamification.domain.catalogue import Catalogue
from services.gamification.domain.definitions import (
    Achievement,
    Aggregation,
    AllOf,
    Amount,
    Condition,
    Metric,
    Operator,
    Quest,
    Repeat,
    Requirement,
    Reward,
    Step,
)
from services.gamification.domain.events import Event
from services.gamification.domain.observation import Observation, Outcome
from services.gamification.domain.observe import observe
from services.gamification.domain.player import (
    AchievementProgress,
    Closing,
    Draft,
    Grant,
    Player,
    QuestProgress,
)
from services.gamification.domain.window import EVER, Sliding, Window

T = TypeVar("T")
E = TypeVar("E", bound=Event)

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
"""A Wednesday."""
MIDNIGHT = NOON.replace(hour=0) + timedelta(days=1)
"""When that day ends."""
DAY = Calendar("day", "UTC")
HOUR = Sliding(timedelta(hours=1), 60)
ENTROPY = bytes(range(32))
METRICS = (
    *(Metric(name, name, Aggregation.COUNT) for name in ("kills", "wins", "deaths", "shots")),
    Metric("damage", "damage", Aggregation.SUM),
    Metric("lowest", "lowest", Aggregation.MIN),
)
REWARDS = tuple(
    Reward(name, 1, name, contents=(Amount(f"currency:{name}", 10),)) for name in ("gold", "gems", "xp")
)


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)


def reach(metric: str, threshold: int, window: Window = EVER) -> Condition:
    return Condition(metric, Operator.GTE, threshold, window)


def at_most(metric: str, threshold: int, window: Window = EVER) -> Condition:
    return Condition(metric, Operator.LTE, threshold, window)


def achievement(
    id_: str,
    *members: Requirement,
    points: int = 10,
    rewards: tuple[str, ...] = ("gold",),
    version: int = 1,
    enabled: bool = True,
    secret: bool = False,
    repeat: Repeat | None = None,
    brings_over: int = 0,
) -> Achievement:
    return Achievement(
        id_, version, id_.title(), secret, points, AllOf(members), rewards, enabled, repeat, brings_over
    )


def step(
    id_: str,
    *members: Requirement,
    order: int = 0,
    rewards: tuple[str, ...] = (),
    optional: bool = False,
    player_confirms: bool = False,
) -> Step:
    return Step(id_, id_.title(), order, AllOf(members), rewards, optional, player_confirms)


def quest(
    id_: str,
    *steps: Step,
    version: int = 1,
    requires: tuple[Requirement, ...] = (),
    rewards: tuple[str, ...] = ("gems",),
    active: bool = True,
    time_limit: timedelta | None = None,
    start_date: datetime | None = None,
    end_date: datetime | None = None,
    repeat: Repeat | None = None,
    auto_start: bool = False,
) -> Quest:
    return Quest(
        id_,
        version,
        id_.title(),
        tuple(sorted(steps, key=lambda each: each.order)),
        AllOf(requires),
        rewards,
        active,
        time_limit,
        start_date,
        end_date,
        repeat,
        auto_start,
    )


HUNT = quest("hunt", step("kill", reach("kills", 2)), step("win", reach("wins", 1), order=1))
UNHURT = (reach("kills", 2, DAY), at_most("deaths", 0, DAY))


def catalogue(*definitions: Achievement | Quest, metrics: Iterable[Metric] = METRICS) -> Catalogue:
    return Catalogue(
        metrics=metrics,
        rewards=REWARDS,
        achievements=[each for each in definitions if isinstance(each, Achievement)],
        quests=[each for each in definitions if isinstance(each, Quest)],
    )


def refused(error: type[DomainError], reason: str, call: object, *arguments: object) -> dict[str, str]:
    """Its metadata. Nothing came of the call."""
    assert callable(call)
    with pytest.raises(error) as raised:
        call(*arguments)
    assert raised.value.reason == reason
    return raised.value.metadata


@dataclass
class Earner:
    """`happened`: all that ever did. `now`: moves with what it does."""

    catalogue: Catalogue
    now: datetime = NOON
    player: Player = field(default_factory=lambda: Player("anna"))
    grants: dict[str, Grant] = field(default_factory=dict)
    happened: list[Event] = field(default_factory=list)
    told: int = 0

    def decide(self, rule: Callable[[Draft], T]) -> T:
        draft = Draft(self.player, self.grants)
        answer = rule(draft)
        player = self.player
        player.achievements_completed = draft.achievements_completed
        player.achievement_points = draft.achievement_points
        player.accumulators.update(draft.accumulators.changed)
        player.achievements.update(draft.achievements.changed)
        player.quests.update(draft.quests.changed)
        player.closings.update(draft.closings.changed)
        for closing in draft.closed:
            player.closings.pop(closing, None)
        self.grants.update(draft.grants.changed)
        self.happened += draft.happened
        return answer

    def does(self, metric: str, value: int = 1, *, at: datetime | None = None, event: str = "") -> Outcome:
        """At `at` by its own clock; None: now."""
        self.told += 1
        event = event or f"e{self.told:05}"
        seen = Observation(metric, value, "", at or self.now, event, event)
        return self.decide(lambda draft: observe(draft, self.catalogue, seen, self.now, ENTROPY))

    def starts(self, quest_id: str) -> QuestProgress:
        return self.decide(
            lambda draft: quests.start(
                draft, self.catalogue, quest_id, now=self.now, entropy=ENTROPY, cause="command"
            )
        )

    def completes(self, quest_id: str, step_id: str, *, by_player: bool = False) -> QuestProgress:
        return self.decide(
            lambda draft: quests.complete_step(
                draft,
                self.catalogue,
                quest_id,
                step_id,
                now=self.now,
                entropy=ENTROPY,
                cause="command",
                by_player=by_player,
            )
        )

    def abandons(self, quest_id: str) -> QuestProgress:
        return self.decide(
            lambda draft: quests.abandon(draft, self.catalogue, quest_id, now=self.now, cause="command")
        )

    def checks(self, achievement_id: str) -> None:
        self.decide(
            lambda draft: achievements.checkpoint(
                draft, self.catalogue, achievement_id, now=self.now, entropy=ENTROPY, cause="command"
            )
        )

    def expires(self, quest_id: str, grace: timedelta = timedelta(0)) -> bool:
        return self.decide(
            lambda draft: sweep.expire(
                draft, self.catalogue, quest_id, now=self.now, entropy=ENTROPY, grace=grace
            )
        )

    def closes(self, closing: Closing) -> bool:
        return self.decide(
            lambda draft: sweep.close(draft, self.catalogue, closing, now=self.now, entropy=ENTROPY)
        )

    def closes_all(self) -> int:
        """How many of them were due."""
        return sum(self.closes(each) for each in sorted(self.player.closings))

    def waits(self, time: timedelta) -> None:
        self.now += time

    # -- what came of it ----------------------------------------------------------------------------------

    def achievement(self, id_: str) -> AchievementProgress:
        return self.player.achievements[id_]

    def quest(self, id_: str) -> QuestProgress:
        return self.player.quests[id_]

    def events(self, kind: type[E]) -> list[E]:
        return [event for event in self.happened if isinstance(event, kind)]

    def paid(self) -> list[tuple[str, str, int, str]]:
        """Source, its id, cycle and reward of every grant, in order of ids."""
        return sorted(
            (each.source, each.source_id, each.cycle, each.reward_id) for each in self.grants.values()
        )
