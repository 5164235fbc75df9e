"""When achievements begin and complete."""

from datetime import timedelta
from itertools import permutations

import pytest

from services.chassis.errors import FailedPrecondition, InvalidArgument, NotFound
from services.gamification.domain.definitions import (
    Aggregation,
    AnyOf,
    GainAction,
    GainLimit,
    Metric,
)
from services.gamification.domain.events import (
    AchievementCompleted,
    AchievementStarted,
    ImpossibleGain,
    RewardGranted,
)
from services.gamification.domain.observation import Observation, Outcome
from services.gamification.domain.observe import observe
from services.gamification.domain.player import Closing
from tests.unit.gamification.earning import (
    DAY,
    ENTROPY,
    HOUR,
    MIDNIGHT,
    NOON,
    UNHURT,
    Earner,
    achievement,
    at_most,
    catalogue,
    minutes,
    reach,
)


def test_it_begins_with_the_first_observation_of_its_metrics() -> None:
    anna = Earner(catalogue(achievement("hunter", reach("kills", 3), reach("wins", 1))))
    assert anna.does("shots") is Outcome.UNUSED
    assert anna.player.achievements == {}
    assert anna.does("kills", at=NOON - minutes(5), event="first") is Outcome.COUNTED
    begun = anna.achievement("hunter")
    assert (begun.cycle, begun.version, begun.progress, begun.completed_at) == (1, 1, 16, None)
    assert begun.started_at == NOON - minutes(5)
    assert anna.happened == [AchievementStarted("hunter", 1, 1, "first")]
    anna.does("kills")
    assert len(anna.events(AchievementStarted)) == 1
    assert anna.achievement("hunter").progress == 33


def test_completing_pays_once_and_tells_of_the_grants_afterwards() -> None:
    anna = Earner(catalogue(achievement("hunter", reach("kills", 2), points=25, rewards=("gold", "gems"))))
    anna.does("kills", at=NOON - minutes(9))
    anna.does("kills", event="last", at=NOON - minutes(2))
    started, completed, *granted = anna.happened
    assert isinstance(started, AchievementStarted)
    assert isinstance(completed, AchievementCompleted)
    assert all(isinstance(each, RewardGranted) for each in granted)
    assert completed.grant_ids == tuple(each.grant.id for each in granted if isinstance(each, RewardGranted))
    assert len(completed.grant_ids) == 2
    assert (completed.at, completed.took, completed.cause) == (NOON - minutes(2), minutes(7), "last")
    assert (completed.title, completed.points, completed.cycle) == ("Hunter", 25, 1)
    progress = anna.achievement("hunter")
    assert (progress.progress, progress.completions) == (100, 1)
    assert progress.completed_at == NOON - minutes(2)
    assert [entry.what for entry in progress.history] == ["started", "requirement_met", "completed"]
    assert (anna.player.achievements_completed, anna.player.achievement_points) == (1, 25)
    before = (dict(anna.grants), list(anna.happened), progress)
    anna.does("kills", 50)
    assert (anna.grants, anna.happened, anna.achievement("hunter")) == before


# -- lifetime, windows, groups ------------------------------------------------------------------------


def test_all_that_do_not_repeat_count_the_same_lifetime() -> None:
    anna = Earner(
        catalogue(achievement("first", reach("kills", 1)), achievement("tenth", reach("kills", 10)))
    )
    anna.does("kills", 4)
    assert [key.scope for key in anna.player.accumulators] == [""]
    assert anna.achievement("tenth").progress == 40
    anna.does("kills", 6)
    assert anna.paid() == [("achievement", "first", 1, "gold"), ("achievement", "tenth", 1, "gold")]


def test_one_that_came_later_finds_what_others_have_counted() -> None:
    anna = Earner(catalogue(achievement("hunter", reach("kills", 100))))
    anna.does("kills", 60)
    wins = achievement("both", reach("kills", 50), reach("wins", 1, DAY))
    anna.catalogue = catalogue(achievement("hunter", reach("kills", 100)), wins)
    anna.does("wins")
    assert anna.achievement("both").progress == 100


def test_the_order_of_events_changes_nothing() -> None:
    told = [("kills", NOON), ("kills", NOON + minutes(1)), ("wins", NOON + minutes(30))]
    told += [("kills", NOON + minutes(59)), ("wins", NOON - minutes(300))]
    requirement = (reach("kills", 3, HOUR), reach("wins", 2, DAY))
    ends = set()
    for order in permutations(told):
        anna = Earner(catalogue(achievement("both", *requirement)), now=NOON + minutes(60))
        for metric, at in order:
            anna.does(metric, at=at, event=f"{metric}@{at}")
        progress = anna.achievement("both")
        assert anna.paid() == [("achievement", "both", 1, "gold")]
        ends.add((progress.progress, anna.player.achievement_points))
    assert ends == {(100, 10)}


def test_nearly_all_is_not_all() -> None:
    anna = Earner(catalogue(achievement("hundred", reach("kills", 100))))
    anna.does("kills", 99)
    assert (anna.achievement("hundred").progress, anna.achievement("hundred").completed_at) == (99, None)
    anna.does("kills")
    assert anna.achievement("hundred").progress == 100


def test_it_was_complete_when_the_last_of_it_had_happened_not_when_that_was_told() -> None:
    anna = Earner(catalogue(achievement("both", reach("kills", 1, HOUR), reach("wins", 1))))
    anna.does("kills")
    anna.does("wins", at=NOON - minutes(60))
    assert anna.achievement("both").completed_at == NOON


def test_any_of_several_is_enough() -> None:
    anna = Earner(
        catalogue(achievement("either", reach("shots", 1), AnyOf((reach("kills", 9), reach("wins", 2, DAY)))))
    )
    anna.does("kills", 8)
    anna.does("wins", 2)
    assert anna.achievement("either").progress == 50
    assert [(entry.what, entry.detail) for entry in anna.achievement("either").history] == [
        ("started", ""),
        ("requirement_met", "wins"),
    ]
    anna.does("shots")
    assert anna.achievement("either").progress == 100


def test_what_was_reached_stays_met() -> None:
    anna = Earner(catalogue(achievement("rich", reach("damage", 10), reach("wins", 1, DAY))))
    anna.does("damage", 10)
    anna.does("damage", -10)
    assert anna.achievement("rich").progress == 50
    anna.does("wins")
    assert anna.achievement("rich").completed_at == NOON


def test_a_late_observation_counts_where_it_still_can() -> None:
    anna = Earner(
        catalogue(achievement("daily", reach("kills", 2, DAY)), achievement("ever", reach("kills", 2)))
    )
    anna.waits(timedelta(days=2))
    assert anna.does("kills", 2, at=NOON) is Outcome.LATE
    assert anna.achievement("ever").progress == 100
    assert set(anna.player.achievements) == {"ever"}


def test_an_impossible_gain_moves_nothing() -> None:
    limit = GainLimit(minutes(1), 5, GainAction.REFUSE)
    metric = Metric("kills", "kills", Aggregation.COUNT, limits=(limit,))
    anna = Earner(catalogue(achievement("hunter", reach("kills", 1)), metrics=[metric]))
    assert anna.does("kills", 6) is Outcome.REFUSED
    assert anna.player.achievements == {}
    assert [type(event) for event in anna.happened] == [ImpossibleGain]
    seen = Observation("kills", 6, "", NOON, "looked at", "looked at")
    counted = anna.decide(lambda draft: observe(draft, anna.catalogue, seen, NOON, ENTROPY, limited=False))
    assert counted is Outcome.COUNTED
    assert anna.achievement("hunter").progress == 100


def test_what_cannot_be_true_is_refused() -> None:
    anna = Earner(catalogue(achievement("hunter", reach("kills", 1))))
    with pytest.raises(InvalidArgument) as future:
        anna.does("kills", at=NOON + minutes(2))
    assert future.value.reason == "OCCURRED_IN_FUTURE"
    with pytest.raises(NotFound) as unknown:
        anna.does("jumps")
    assert (unknown.value.reason, unknown.value.metadata) == ("METRIC_NOT_FOUND", {"metric": "jumps"})


# -- closings and checkpoints -------------------------------------------------------------------------


def test_what_has_to_stay_low_is_looked_at_when_its_day_closes() -> None:
    anna = Earner(catalogue(achievement("unhurt", *UNHURT)))
    anna.does("kills", 3)
    assert anna.achievement("unhurt").progress == 0
    assert anna.player.closings == {
        Closing("achievement:unhurt:1", "day:UTC", NOON.replace(hour=0)): MIDNIGHT + minutes(60)
    }
    anna.now = MIDNIGHT + minutes(59)
    assert anna.closes_all() == 0
    anna.waits(minutes(1))
    assert anna.closes_all() == 1
    progress = anna.achievement("unhurt")
    assert (progress.progress, progress.completed_at) == (100, MIDNIGHT)
    assert anna.player.closings == {}
    [completed] = anna.events(AchievementCompleted)
    assert completed.cause == "closing:day:UTC:2026-03-04T00:00:00+00:00"
    assert completed.took == MIDNIGHT - NOON


def test_a_day_is_looked_at_once_it_is_over_for_every_metric_that_moved_in_it() -> None:
    """Deaths are told at once, wins up to an hour later."""
    metrics = (
        Metric("deaths", "", Aggregation.COUNT, allowed_lateness=timedelta(0)),
        Metric("wins", "", Aggregation.COUNT),
    )
    either = AnyOf((at_most("deaths", 0, DAY), at_most("wins", 1, DAY)))
    for first, second in permutations(("deaths", "wins")):
        anna = Earner(catalogue(achievement("modest", either), metrics=metrics))
        anna.does(first)
        anna.does(second)
        assert set(anna.player.closings.values()) == {MIDNIGHT + minutes(60)}
        anna.now = MIDNIGHT + minutes(60)
        assert anna.closes_all() == 1
        assert anna.achievement("modest").completed_at == MIDNIGHT


def test_a_day_that_went_wrong_does_not_count_and_the_next_one_may() -> None:
    anna = Earner(catalogue(achievement("unhurt", *UNHURT)))
    anna.does("kills", 2)
    anna.does("deaths")
    anna.now = MIDNIGHT + minutes(30)
    anna.does("kills", 2)
    anna.waits(minutes(30))
    assert anna.closes_all() == 1
    assert anna.achievement("unhurt").progress == 0
    anna.waits(timedelta(days=1))
    assert anna.closes_all() == 1
    assert anna.achievement("unhurt").completed_at == MIDNIGHT + timedelta(days=1)


def test_a_checkpoint_looks_at_everything_as_it_stands() -> None:
    anna = Earner(catalogue(achievement("careful", reach("kills", 2), at_most("deaths", 1))))
    anna.does("kills", 2)
    assert anna.achievement("careful").progress == 0
    anna.does("deaths", 2)
    anna.checks("careful")
    assert anna.achievement("careful").completed_at is None
    bert = Earner(anna.catalogue)
    bert.does("kills", 2)
    bert.does("deaths")
    bert.checks("careful")
    assert bert.achievement("careful").completed_at == NOON
    assert bert.events(AchievementCompleted)[0].cause == "command"
    done = bert.achievement("careful")
    bert.checks("careful")
    assert bert.achievement("careful") == done


def test_a_checkpoint_may_be_the_first_thing_that_happens() -> None:
    anna = Earner(catalogue(achievement("harmless", at_most("kills", 0))))
    anna.checks("harmless")
    assert [type(event) for event in anna.happened] == [
        AchievementStarted,
        AchievementCompleted,
        RewardGranted,
    ]


def test_a_checkpoint_of_what_is_not_there() -> None:
    anna = Earner(catalogue(achievement("off", reach("kills", 1), enabled=False)))
    with pytest.raises(NotFound) as unknown:
        anna.checks("nothing")
    assert unknown.value.reason == "ACHIEVEMENT_NOT_FOUND"
    with pytest.raises(FailedPrecondition) as disabled:
        anna.checks("off")
    assert disabled.value.reason == "ACHIEVEMENT_DISABLED"
    assert disabled.value.metadata == {"achievement_id": "off"}
