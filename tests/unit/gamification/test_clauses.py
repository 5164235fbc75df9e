"""Where a requirement is met, and where it just is not."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from services.chassis.calendar import Calendar
from services.gamification.domain.clauses import Compiled, Due, compiled
from services.gamification.domain.definitions import (
    Aggregation,
    AllOf,
    AnyOf,
    Completed,
    Condition,
    Metric,
    Operator,
    Requirement,
)
from services.gamification.domain.observation import Observation
from services.gamification.domain.player import Draft, Player
from services.gamification.domain.scope import Counted, Scope, count
from services.gamification.domain.window import EPOCH, EVER, Sliding

TICK = timedelta(microseconds=1)
MINUTE = timedelta(minutes=1)
NOON = datetime(2026, 5, 5, 12, tzinfo=UTC)
MIDNIGHT = datetime(2026, 5, 6, tzinfo=UTC)
DAY = Calendar("day", "UTC")
HOUR = Sliding(60 * MINUTE, 6)
METRICS = {
    "kills": Metric("kills", "", Aggregation.COUNT, allowed_lateness=5 * MINUTE),
    "wins": Metric("wins", "", Aggregation.COUNT, allowed_lateness=60 * MINUTE),
    "ping": Metric("ping", "", Aggregation.MIN, allowed_lateness=5 * MINUTE),
    "maps": Metric("maps", "", Aggregation.DISTINCT, allowed_lateness=5 * MINUTE),
}
GTE, GT, LT, LTE, EQ = Operator.GTE, Operator.GT, Operator.LT, Operator.LTE, Operator.EQ


@dataclass
class Playing:
    """Observations, one by one, and what is met by them."""

    requirement: AllOf
    since: datetime = EPOCH
    met: dict[int, datetime] = field(default_factory=dict)
    due: set[Due] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.compiled = Compiled(self.requirement)
        self.scope = Scope(Draft(Player("ann")), METRICS, since=self.since)

    def see(self, metric: str, value: int, at: datetime, now: datetime | None = None) -> Counted:
        observation = Observation(metric, value, f"m{value}", at, f"e{at}", "match")
        windows = self.compiled.windows[metric]
        counted = count(self.scope, windows, observation, now or at)
        self.due |= self.compiled.closings(self.scope, self.met, counted.touched)
        self.met |= self.compiled.look(self.scope, self.met, counted.touched, now or at)
        return counted

    def close(self, starts_at: datetime, now: datetime) -> dict[int, datetime]:
        return self.compiled.close(self.scope, self.met, DAY.key, starts_at, now)

    def checkpoint(self, now: datetime) -> dict[int, datetime]:
        return self.compiled.look(self.scope, self.met, None, now)

    def progress(self, at: datetime) -> int:
        return self.compiled.progress(self.scope, self.met, at)


def _all(*members: Requirement) -> Playing:
    return Playing(AllOf(members))


# -- edges of time ------------------------------------------------------------------------------------


def test_a_period_ends_before_its_end() -> None:
    day = _all(Condition("kills", GTE, 2, DAY))
    day.see("kills", 1, MIDNIGHT - TICK)
    day.see("kills", 1, MIDNIGHT)
    assert not day.met
    day.see("kills", 1, MIDNIGHT + timedelta(days=1) - TICK)
    assert day.met == {0: MIDNIGHT + timedelta(days=1) - TICK}


@pytest.mark.parametrize(("late", "counts"), [(5 * MINUTE - TICK, True), (5 * MINUTE, False)])
def test_a_period_is_over_once_its_lateness_has_passed(late: timedelta, counts: bool) -> None:
    day = _all(Condition("kills", GTE, 1, DAY), Condition("kills", GTE, 1))
    counted = day.see("kills", 1, MIDNIGHT - TICK, MIDNIGHT + late)
    assert counted.late is not counts
    # For ever is never over.
    assert set(day.met) == ({0, 1} if counts else {1})


def test_what_happened_before_the_scope_does_not_count() -> None:
    since = _all(Condition("kills", GTE, 1))
    since.scope = Scope(since.scope.draft, METRICS, since=NOON)
    assert since.see("kills", 1, NOON - TICK) == ((), False)
    assert not since.met
    since.see("kills", 1, NOON)
    assert since.met == {0: NOON}


def test_scopes_count_apart() -> None:
    playing = _all(Condition("kills", GTE, 2))
    draft = playing.scope.draft
    playing.see("kills", 1, NOON)
    playing.scope = Scope(draft, METRICS, "quest:daily:1:0")
    playing.see("kills", 1, NOON)
    assert not playing.met
    assert {key.scope for key in draft.accumulators} == {"", "quest:daily:1:0"}


# -- sliding ------------------------------------------------------------------------------------------


def test_a_sliding_window_holds_as_many_parts_as_it_has() -> None:
    near = _all(Condition("kills", GTE, 2, HOUR))
    near.see("kills", 1, NOON)
    near.see("kills", 1, NOON + 60 * MINUTE - TICK)
    assert near.met == {0: NOON + 60 * MINUTE - TICK}
    # The part has gone by a moment later, though it is within an hour of its last moment.
    far = _all(Condition("kills", GTE, 2, HOUR))
    far.see("kills", 1, NOON + 10 * MINUTE - TICK)
    far.see("kills", 1, NOON + 60 * MINUTE)
    assert not far.met


def test_a_late_one_counts_in_every_window_that_holds_it() -> None:
    """One before and one after are more than an hour apart, and each is within one of the late one."""
    for first, second, late in ((0, 70, 20), (0, 70, 50), (0, 50, 55), (20, 75, 0)):
        late_one = _all(Condition("kills", GTE, 2, HOUR))
        at = [NOON + minutes * MINUTE for minutes in (first, second, late)]
        late_one.see("kills", 0, at[0])
        late_one.see("kills", 1, at[1])
        assert not late_one.met
        now = NOON + 60 * MINUTE if late else NOON + 64 * MINUTE
        late_one.see("kills", 1, at[2], now)
        assert bool(late_one.met) is (abs(at[1] - at[2]) < 60 * MINUTE), (first, second, late)


@pytest.mark.parametrize(("late", "counts"), [(5 * MINUTE - TICK, True), (5 * MINUTE, False)])
def test_a_part_is_over_with_the_last_window_that_holds_it(late: timedelta, counts: bool) -> None:
    sliding = _all(Condition("kills", GTE, 1, HOUR))
    counted = sliding.see("kills", 1, NOON + MINUTE, NOON + 60 * MINUTE + late)
    assert counted.late is not counts
    assert bool(sliding.met) is counts
    for accumulator in sliding.scope.draft.accumulators.values():
        assert accumulator.over_at == NOON + 65 * MINUTE


def test_windows_that_are_over_are_not_looked_at() -> None:
    """The early and the late one share windows up to that which ends at one o'clock."""
    for late, meets in ((5 * MINUTE - TICK, True), (5 * MINUTE, False)):
        early = _all(Condition("kills", GTE, 2, HOUR))
        early.see("kills", 1, NOON)
        early.see("kills", 1, NOON + 30 * MINUTE, NOON + 60 * MINUTE + late)
        assert bool(early.met) is meets


def test_the_first_window_that_is_not_over_is_looked_at_though_nothing_happened_at_its_end() -> None:
    early = _all(Condition("kills", GTE, 2, HOUR))
    early.see("kills", 1, NOON + 20 * MINUTE)
    early.see("kills", 1, NOON + 20 * MINUTE, NOON + 60 * MINUTE)
    assert early.met


@pytest.mark.parametrize(("late", "meets"), [(5 * MINUTE - TICK, True), (5 * MINUTE, False)])
def test_a_window_of_two_metrics_is_over_with_the_first_of_them(late: timedelta, meets: bool) -> None:
    """What the other one had may be swept away by then. Both are in windows up to one o'clock."""
    both = _all(Condition("kills", GTE, 1, HOUR), Condition("wins", GTE, 1, HOUR))
    both.see("kills", 1, NOON + 30 * MINUTE)
    assert both.see("wins", 1, NOON, NOON + 60 * MINUTE + late).touched
    assert bool(both.met) is meets


def test_what_is_in_no_open_window_moves_none() -> None:
    quiet = _all(Condition("kills", LTE, 5, HOUR, instant=True), Condition("wins", GTE, 0, HOUR))
    assert quiet.see("wins", 1, NOON, NOON + 70 * MINUTE).touched
    assert not quiet.met


# -- clauses ------------------------------------------------------------------------------------------


def test_members_of_one_window_have_to_hold_in_one_period() -> None:
    day = _all(Condition("kills", GTE, 2, DAY), Condition("maps", GTE, 2, DAY))
    assert len(day.compiled.clauses) == 1
    day.see("kills", 2, NOON)
    day.see("maps", 1, NOON)
    tomorrow = NOON + timedelta(days=1)
    day.see("maps", 1, tomorrow)
    day.see("maps", 2, tomorrow)
    assert not day.met
    day.see("maps", 2, NOON + TICK, NOON)
    assert day.met == {0: NOON + TICK}


def test_members_of_different_windows_hold_each_in_its_time() -> None:
    both = _all(Condition("kills", GTE, 2, DAY), Condition("kills", GTE, 3))
    both.see("kills", 2, NOON)
    assert not both.compiled.holds(both.met)
    both.see("kills", 1, NOON + timedelta(days=9))
    assert both.met == {0: NOON, 1: NOON + timedelta(days=9)}
    assert both.compiled.holds(both.met)


def test_one_of_any_is_enough() -> None:
    any_of = _all(AnyOf((Condition("kills", GTE, 2, DAY), Condition("maps", GTE, 2, DAY))))
    assert len(any_of.compiled.clauses) == 2
    any_of.see("kills", 1, NOON)
    assert not any_of.compiled.holds(any_of.met)
    any_of.see("kills", 1, NOON)
    assert any_of.compiled.holds(any_of.met)


def test_what_was_completed_counts_by_kind() -> None:
    before = Completed("quest", "intro")
    requirement = Compiled(AllOf((before, AnyOf((Completed("achievement", "a"), Completed("quest", "b"))))))
    assert not requirement.holds({}, {before})
    assert not requirement.holds({}, {before, Completed("achievement", "b")})
    assert requirement.holds({}, {before, Completed("quest", "b")})


@pytest.mark.parametrize(("operator", "needed"), [(GT, 3), (GTE, 2)])
def test_operators_that_look_at_every_event(operator: Operator, needed: int) -> None:
    for value in range(5):
        playing = _all(Condition("kills", operator, 2))
        playing.see("kills", value, NOON)
        assert bool(playing.met) is (value >= needed)


@pytest.mark.parametrize(("operator", "true_of"), [(LT, {0, 1}), (LTE, {0, 1, 2}), (EQ, {2})])
def test_operators_that_look_at_the_end(operator: Operator, true_of: set[int]) -> None:
    for value in range(4):
        instant = _all(Condition("kills", operator, 2, instant=True))
        instant.see("kills", value, NOON)
        assert bool(instant.met) is (value in true_of)
        closing = _all(Condition("kills", operator, 2, DAY))
        closing.see("kills", value, NOON)
        assert not closing.met
        assert bool(closing.checkpoint(NOON)) is (value in true_of)
        assert bool(closing.close(MIDNIGHT - timedelta(days=1), MIDNIGHT + 5 * MINUTE)) is (value in true_of)


def test_nothing_is_no_extreme() -> None:
    playing = _all(Condition("ping", LTE, 100), Condition("kills", LTE, 5, DAY))
    assert playing.checkpoint(NOON) == {1: NOON}
    playing.see("ping", 100, NOON)
    assert playing.checkpoint(NOON) == {0: NOON, 1: NOON}


def test_what_was_met_stays_met() -> None:
    playing = _all(Condition("ping", GTE, 50), Condition("kills", GTE, 1, DAY))
    playing.see("ping", 60, NOON)
    playing.see("ping", 40, NOON + TICK)
    playing.see("kills", 1, NOON + TICK)
    assert playing.compiled.holds(playing.met)


# -- periods that close -------------------------------------------------------------------------------


def test_a_period_closes_when_nothing_of_any_metric_can_come() -> None:
    day = _all(Condition("kills", GTE, 2, DAY), Condition("wins", LTE, 1, DAY))
    start = MIDNIGHT - timedelta(days=1)
    day.see("kills", 3, NOON)
    assert day.due == {Due(DAY.key, start, MIDNIGHT + 60 * MINUTE)}
    assert not day.close(start, MIDNIGHT + 60 * MINUTE - TICK)
    assert day.close(start, MIDNIGHT + 60 * MINUTE) == {0: MIDNIGHT}
    day.see("wins", 2, NOON, MIDNIGHT + 60 * MINUTE - TICK)
    assert not day.close(start, MIDNIGHT + 60 * MINUTE)


def test_a_period_in_which_nothing_happened_says_nothing() -> None:
    either = _all(AnyOf((Condition("kills", LT, 2, DAY), Condition("wins", EQ, 5, DAY))))
    start = MIDNIGHT - timedelta(days=1)
    either.see("wins", 1, NOON)
    assert not either.close(start, MIDNIGHT + timedelta(days=1))
    either.see("kills", 1, NOON)
    assert either.close(start, MIDNIGHT + timedelta(days=1)) == {0: MIDNIGHT}


def test_what_is_met_waits_for_no_end() -> None:
    day = _all(Condition("kills", LT, 9, DAY))
    day.see("kills", 1, NOON)
    day.met = {0: NOON}
    day.due.clear()
    day.see("kills", 1, NOON)
    assert not day.due
    assert not day.close(MIDNIGHT - timedelta(days=1), MIDNIGHT + timedelta(days=1))


def test_only_calendars_close() -> None:
    without = _all(Condition("kills", LT, 9), Condition("kills", LT, 9, HOUR))
    without.see("kills", 1, NOON)
    assert not without.due
    assert without.checkpoint(NOON) == {0: NOON, 1: NOON}


# -- progress -----------------------------------------------------------------------------------------


def test_progress_is_the_mean_of_all_and_the_greatest_of_any() -> None:
    playing = _all(
        Condition("kills", GTE, 3),
        Condition("kills", GT, 3, DAY),
        Condition("wins", LT, 3, DAY),
        AnyOf((Condition("maps", GTE, 4), Condition("kills", GTE, 100))),
    )
    assert playing.progress(NOON) == 0
    playing.see("kills", 1, NOON)
    # (1/3 + (1/4 + 0) ... the day's clause closes, so it is nothing until then.
    assert playing.progress(NOON) == int(100 * (1 / 3 + 0 + 1 / 100) / 3)
    playing.see("maps", 1, NOON)
    assert playing.progress(NOON) == int(100 * (1 / 3 + 0 + 1 / 4) / 3)
    playing.see("kills", 2, NOON)
    assert playing.progress(NOON) == int(100 * (1 + 0 + 1 / 4) / 3)


def test_progress_is_rounded_down_and_whole_only_when_it_is() -> None:
    thirds = _all(*(Condition("kills", GTE, 3, window) for window in (EVER, DAY, HOUR)))
    thirds.see("kills", 2, NOON)
    assert thirds.progress(NOON) == 66
    nearly = _all(Condition("kills", GTE, 1000))
    nearly.see("kills", 999, NOON)
    assert nearly.progress(NOON) == 99
    nearly.see("kills", 1, NOON)
    assert nearly.progress(NOON) == 100
    exact = _all(Condition("kills", GTE, 3), Condition("wins", GTE, 3))
    exact.see("kills", 1, NOON)
    exact.see("wins", 2, NOON)
    assert exact.progress(NOON) == 50


def test_values_are_of_the_windows_that_count_now() -> None:
    playing = _all(
        Condition("kills", GTE, 9, DAY), Condition("kills", GTE, 9, HOUR), Condition("ping", GTE, 1)
    )
    playing.see("kills", 2, NOON)
    playing.see("kills", 1, NOON + 90 * MINUTE)
    assert playing.compiled.values(playing.scope, NOON + 90 * MINUTE) == {
        "kills": 3,
        f"kills@{HOUR.key}": 1,
    }
    assert playing.compiled.values(playing.scope, MIDNIGHT) == {"kills": 0, f"kills@{HOUR.key}": 0}


# -- compiling ----------------------------------------------------------------------------------------


def test_a_requirement_is_compiled_once() -> None:
    requirement = AllOf((Condition("kills", GTE, 1),))
    assert compiled(requirement) is compiled(requirement)
    assert compiled(AllOf((Condition("kills", GTE, 2),))) is not compiled(requirement)


def test_clauses_are_equal_when_they_ask_for_the_same() -> None:
    def first(threshold: int) -> object:
        return Compiled(AllOf((Condition("kills", GTE, threshold, DAY),))).clauses[0]

    assert first(2) == first(2)
    assert first(2) != first(3)


def test_each_metric_counts_in_the_windows_that_somebody_asks_for() -> None:
    playing = _all(
        Condition("kills", GTE, 1, DAY),
        Condition("maps", GTE, 1, DAY),
        AnyOf((Condition("kills", GTE, 1, HOUR), AllOf((Condition("kills", LT, 5, DAY),)))),
    )
    assert playing.compiled.windows == {"kills": (DAY, HOUR), "maps": (DAY,)}
