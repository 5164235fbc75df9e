"""Random histories come to what the reference makes of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random

import pytest

from services.gamification.domain.clauses import Compiled, Due
from services.gamification.domain.player import Draft, Player
from services.gamification.domain.scope import Scope, count
from tests.unit.gamification.metric_random import History, history
from tests.unit.gamification.metric_reference import Heard, Reference

HISTORIES = 1000
SEEDS_A_TEST = 100


@dataclass
class Kept:
    """What is stored between commands; what nobody looks at any more is swept away at once."""

    history: History
    scope_name: str = "achievement:first:1"
    player: Player = field(default_factory=lambda: Player("ann"))
    due: set[Due] = field(default_factory=set)
    met: dict[int, datetime] = field(default_factory=dict)
    late: int = 0

    def __post_init__(self) -> None:
        self.compiled = Compiled(self.history.requirement)

    def hear(self, heard: Heard) -> None:
        self.sweep(heard.at)
        scope = self.scope()
        windows = self.compiled.windows.get(heard.observation.metric, ())
        counted = count(scope, windows, heard.observation, heard.at)
        self.due |= self.compiled.closings(scope, self.met, counted.touched)
        self.keep(self.compiled.look(scope, self.met, counted.touched, heard.at))
        self.player.accumulators.update(scope.draft.accumulators.changed)
        self.late += counted.late

    def sweep(self, now: datetime) -> None:
        for due in sorted(self.due, key=lambda each: (each.closes_at, each.window)):
            if due.closes_at <= now:
                self.due.discard(due)
                self.keep(self.compiled.close(self.scope(), self.met, due.window, due.starts_at, now))
        kept = self.player.accumulators
        for key in [key for key, each in kept.items() if each.over_at and each.over_at <= now]:
            del kept[key]

    def checkpoint(self, now: datetime) -> None:
        self.sweep(now)
        self.keep(self.compiled.look(self.scope(), self.met, None, now))

    def keep(self, newly: dict[int, datetime]) -> None:
        assert not newly.keys() & self.met.keys()
        self.met |= newly

    def scope(self) -> Scope:
        return Scope(Draft(self.player), self.history.metrics, self.scope_name, self.history.since)


@pytest.mark.parametrize("first", range(0, HISTORIES, SEEDS_A_TEST))
def test_clauses_values_progress_and_unlocks_are_those_of_the_reference(first: int) -> None:
    seen: Counter[str] = Counter()
    for seed in range(first, first + SEEDS_A_TEST):
        random = Random(seed)
        told = history(random)
        kept = Kept(told)
        reference = Reference(told.requirement, told.metrics, told.since, grows=told.grows)
        assert [each.conditions for each in kept.compiled.clauses] == reference.clauses
        for heard in told.heard:
            reference.sweep(heard.at)
            kept.hear(heard)
            reference.hear(heard)
            if random.random() < 0.05:
                kept.checkpoint(heard.at)
                reference.checkpoint(heard.at)
            _agree(kept, reference, heard.at, f"seed {seed} after {heard}")
        afterwards = told.ends + timedelta(days=40)
        kept.sweep(afterwards)
        reference.sweep(afterwards)
        _agree(kept, reference, afterwards, f"seed {seed} at the end")
        seen["met"] += len(kept.met)
        seen["unmet"] += len(kept.compiled.clauses) - len(kept.met)
        seen["unlocked"] += reference.holds()
        seen["late"] += kept.late
    # Histories in which nothing happens would agree as well.
    assert min(seen[each] for each in ("met", "unmet", "unlocked", "late")) > 10, seen


def _agree(kept: Kept, reference: Reference, now: datetime, about: str) -> None:
    scope = kept.scope()
    assert kept.met == reference.met, about
    assert kept.compiled.holds(kept.met) == reference.holds(), about
    assert kept.compiled.progress(scope, kept.met, now) == reference.progress(now), about
    values = kept.compiled.values(scope, now)
    for metric, windows in kept.compiled.windows.items():
        for position, window in enumerate(windows):
            name = f"{metric}@{window.key}" if position else metric
            assert values.get(name) == reference.value(metric, window, now), f"{about}: {name}"


def test_the_order_of_arrival_changes_nothing_of_what_only_grows() -> None:
    unlocked = 0
    for seed in range(300):
        random = Random(f"order {seed}")
        told = history(random)
        while not told.grows:
            told = history(random)
        # All are told before any window that they are in is over.
        now = min(heard.observation.at for heard in told.heard)
        arrivals = [Heard(heard.observation, now) for heard in told.heard]
        ends = set()
        for _ in range(4):
            random.shuffle(arrivals)
            kept = Kept(told)
            for heard in arrivals:
                kept.hear(heard)
            kept.sweep(told.ends + timedelta(days=40))
            values = kept.compiled.values(kept.scope(), told.heard[0].observation.at)
            ends.add((frozenset(kept.met), kept.compiled.holds(kept.met), tuple(values.items())))
        assert len(ends) == 1, seed
        unlocked += next(iter(ends))[1]
    assert unlocked > 50
