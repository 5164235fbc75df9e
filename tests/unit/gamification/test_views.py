"""What a player sees now of achievements and quests."""

from datetime import timedelta

from services.gamification.domain.definitions import Completed, Repeat
from services.gamification.domain.player import Draft, QuestStatus
from services.gamification.domain.views import AchievementView, QuestView, view_achievement, view_quest
from tests.unit.gamification.earning import (
    DAY,
    Earner,
    achievement,
    at_most,
    catalogue,
    minutes,
    quest,
    reach,
    step,
)


def achievement_of(earner: Earner, id_: str) -> AchievementView:
    newest = earner.catalogue.achievement(id_)
    assert newest is not None
    return view_achievement(Draft(earner.player), earner.catalogue, newest, earner.now)


def quest_of(earner: Earner, id_: str) -> QuestView:
    newest = earner.catalogue.quest(id_)
    assert newest is not None
    return view_quest(Draft(earner.player), earner.catalogue, newest, earner.now)


def test_an_achievement_before_it_begins_while_it_goes_on_and_after() -> None:
    hunter = achievement("hunter", reach("kills", 4), reach("wins", 1, DAY))
    anna = Earner(catalogue(hunter, achievement("other", reach("wins", 1, DAY), reach("shots", 1))))
    assert achievement_of(anna, "hunter") == AchievementView(hunter, None, 0, {"kills": 0, "wins": 0})
    anna.does("kills", 3)
    view = achievement_of(anna, "hunter")
    assert (view.percent, view.metrics) == (37, {"kills": 3, "wins": 0})
    anna.does("wins")
    assert (achievement_of(anna, "hunter").percent, achievement_of(anna, "other").percent) == (87, 50)
    anna.waits(timedelta(days=1))
    assert achievement_of(anna, "hunter").metrics == {"kills": 3, "wins": 0}
    assert achievement_of(anna, "hunter").percent == 87
    anna.does("kills", 3)
    view = achievement_of(anna, "hunter")
    assert (view.percent, view.metrics) == (100, {"kills": 6, "wins": 0})


def test_a_window_goes_on_though_nothing_happens() -> None:
    anna = Earner(catalogue(achievement("daily", reach("kills", 4, DAY))))
    anna.does("kills", 3)
    assert achievement_of(anna, "daily").percent == 75
    anna.waits(timedelta(days=1))
    assert achievement_of(anna, "daily").percent == 0
    assert anna.achievement("daily").progress == 75


def test_a_cycle_shows_what_it_counts_in_the_version_that_it_follows() -> None:
    first = achievement("hunter", reach("kills", 2), repeat=Repeat())
    anna = Earner(catalogue(first))
    anna.does("kills", 2)
    anna.waits(minutes(1))
    anna.does("kills")
    anna.catalogue = catalogue(first, achievement("hunter", reach("wins", 9), version=2, repeat=Repeat()))
    view = achievement_of(anna, "hunter")
    assert (view.achievement.version, view.percent, view.metrics) == (1, 50, {"kills": 1})


LONG = quest(
    "long",
    step("a", reach("kills", 3)),
    step("extra", reach("shots", 2), optional=True),
    step("b", Completed("achievement", "winner"), reach("deaths", 2), order=3),
    step("c", player_confirms=True, order=7),
    repeat=Repeat(minutes(10)),
)


def test_a_quest_from_before_it_starts_until_it_can_start_again() -> None:
    anna = Earner(catalogue(LONG, achievement("winner", reach("wins", 1))))
    nothing = {"a": 0, "extra": 0, "b": 0, "c": 0}
    assert quest_of(anna, "long") == QuestView(LONG, None, 0, nothing, 0, None)
    anna.starts("long")
    anna.does("kills", 2)
    anna.does("shots")
    view = quest_of(anna, "long")
    assert (view.percent, view.steps, view.current_step) == (22, nothing | {"a": 66, "extra": 50}, 0)
    anna.does("kills")
    anna.does("wins")
    view = quest_of(anna, "long")
    assert (view.percent, view.current_step, view.available_at) == (50, 3, None)
    assert view.steps == {"a": 100, "extra": 50, "b": 50, "c": 0}
    anna.does("deaths", 2)
    assert quest_of(anna, "long").current_step == 7
    assert quest_of(anna, "long").percent == 66
    anna.completes("long", "c")
    view = quest_of(anna, "long")
    assert (view.percent, view.current_step, view.available_at) == (100, 7, anna.now + minutes(10))
    assert view.steps == {"a": 100, "extra": 50, "b": 100, "c": 100}
    anna.waits(minutes(10))
    assert quest_of(anna, "long").available_at is None


def test_a_quest_that_is_over_shows_how_far_it_came() -> None:
    anna = Earner(catalogue(quest("daily", step("a", reach("kills", 4, DAY)), time_limit=minutes(5))))
    anna.starts("daily")
    anna.does("kills", 3)
    anna.waits(timedelta(days=1))
    assert quest_of(anna, "daily").percent == 0
    anna.expires("daily")
    view = quest_of(anna, "daily")
    assert view.progress is not None
    assert (view.progress.status, view.percent, view.available_at) == (QuestStatus.EXPIRED, 75, None)


def test_what_is_done_for_ever_is_never_available_again() -> None:
    anna = Earner(
        catalogue(quest("q", step("a", reach("kills", 1)), repeat=Repeat(minutes(5), max_cycles=1)))
    )
    anna.starts("q")
    anna.does("kills")
    assert quest_of(anna, "q").available_at is None


def test_whether_it_can_start_again_is_said_by_the_newest_version() -> None:
    once = quest("q", step("a", reach("kills", 1)))
    anna = Earner(catalogue(once))
    anna.starts("q")
    anna.does("kills")
    assert quest_of(anna, "q").available_at is None
    anna.catalogue = catalogue(once, quest("q", step("b"), version=2, repeat=Repeat(minutes(5))))
    view = quest_of(anna, "q")
    assert (view.quest.version, view.available_at) == (1, anna.now + minutes(5))


def test_a_step_that_is_looked_at_when_its_day_closes_shows_nothing_before() -> None:
    anna = Earner(catalogue(quest("calm", step("a", reach("kills", 1, DAY), at_most("deaths", 0, DAY)))))
    anna.starts("calm")
    anna.does("kills")
    assert quest_of(anna, "calm").percent == 0
