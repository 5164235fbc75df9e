"""How achievements repeat, and which version of them counts."""

from datetime import timedelta

from services.gamification.domain.definitions import (
    Repeat,
)
from services.gamification.domain.events import (
    AchievementCompleted,
    AchievementStarted,
)
from services.gamification.domain.observation import Outcome
from tests.unit.gamification.earning import (
    DAY,
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

# -- cycles -------------------------------------------------------------------------------------------


def test_it_repeats_after_a_cooldown_as_often_as_it_may() -> None:
    repeat = Repeat(minutes(10), max_cycles=3)
    anna = Earner(catalogue(achievement("hunter", reach("kills", 2), repeat=repeat)))
    anna.does("kills", 2)
    assert anna.does("kills", 2, at=NOON) is Outcome.UNUSED
    anna.waits(minutes(9))
    assert anna.does("kills", 2) is Outcome.UNUSED
    assert anna.achievement("hunter").cycle == 1
    anna.waits(minutes(1))
    assert anna.does("kills") is Outcome.COUNTED
    second = anna.achievement("hunter")
    assert (second.cycle, second.progress, second.completions, second.completed_at) == (2, 50, 1, None)
    assert second.started_at == NOON + minutes(10)
    anna.waits(minutes(5))
    assert anna.does("kills", at=NOON + minutes(9)) is Outcome.UNUSED
    anna.does("kills", at=NOON + minutes(12))
    assert anna.achievement("hunter").completions == 2
    anna.waits(minutes(60))
    anna.does("kills", 2)
    anna.waits(minutes(60))
    assert anna.does("kills", 2) is Outcome.UNUSED
    assert anna.achievement("hunter").cycle == 3
    assert anna.paid() == [("achievement", "hunter", cycle, "gold") for cycle in (1, 2, 3)]
    assert (anna.player.achievements_completed, anna.player.achievement_points) == (1, 30)
    assert [event.cycle for event in anna.events(AchievementStarted)] == [1, 2, 3]
    assert [event.took for event in anna.events(AchievementCompleted)][1:] == [minutes(2), minutes(53)]


def test_the_first_cycle_counts_what_is_told_late() -> None:
    anna = Earner(catalogue(achievement("hunter", reach("kills", 2), repeat=Repeat())))
    anna.does("kills")
    assert anna.does("kills", at=NOON - minutes(50)) is Outcome.COUNTED
    assert anna.achievement("hunter").completions == 1


def test_a_checkpoint_begins_no_cycle_before_its_time() -> None:
    anna = Earner(catalogue(achievement("harmless", at_most("kills", 0), repeat=Repeat(minutes(5)))))
    anna.checks("harmless")
    anna.waits(minutes(4))
    anna.checks("harmless")
    assert anna.achievement("harmless").cycle == 1
    anna.waits(minutes(1))
    anna.checks("harmless")
    assert anna.achievement("harmless").completions == 2


def test_what_completed_a_cycle_does_not_count_for_the_next() -> None:
    anna = Earner(catalogue(achievement("hunter", reach("kills", 2), repeat=Repeat())))
    anna.does("kills", 5)
    assert anna.achievement("hunter").cycle == 1
    anna.waits(minutes(1))
    anna.does("kills")
    assert (anna.achievement("hunter").cycle, anna.achievement("hunter").progress) == (2, 50)


def test_what_happened_as_a_part_of_a_window_began_completes_one_cycle() -> None:
    anna = Earner(catalogue(achievement("hunter", reach("kills", 1, HOUR), repeat=Repeat())))
    anna.does("kills", 5, at=NOON)
    assert anna.paid() == [("achievement", "hunter", 1, "gold")]
    anna.does("kills", at=NOON)
    assert anna.paid()[1:] == [("achievement", "hunter", 2, "gold")]


def test_later_parts_are_for_the_next_cycle_when_an_earlier_one_is_told_last() -> None:
    repeated = achievement("winner", reach("kills", 2, HOUR), reach("wins", 1, DAY), repeat=Repeat())
    anna = Earner(catalogue(repeated))
    anna.does("kills", 2)
    anna.waits(minutes(220))
    anna.does("kills", at=NOON + minutes(200))
    anna.does("wins", at=NOON + minutes(100))
    assert anna.paid() == [("achievement", "winner", 1, "gold")]
    second = anna.achievement("winner")
    assert (second.cycle, second.started_at, second.progress) == (2, NOON + minutes(100), 25)
    anna.does("kills", at=NOON + minutes(210))
    assert anna.achievement("winner").met == {0: NOON + minutes(210)}


def test_a_morning_that_was_counted_before_the_last_day_closed_belongs_to_the_next_cycle() -> None:
    anna = Earner(catalogue(achievement("unhurt", *UNHURT, repeat=Repeat())))
    anna.does("kills", 2)
    anna.now = MIDNIGHT + minutes(30)
    anna.does("kills", 2)
    anna.waits(minutes(30))
    assert anna.closes_all() == 1
    assert anna.paid() == [("achievement", "unhurt", 1, "gold")]
    second = anna.achievement("unhurt")
    assert (second.cycle, second.started_at, second.completed_at) == (2, MIDNIGHT, None)
    assert {closing.subject for closing in anna.player.closings} == {
        "achievement:unhurt:1",
        "achievement:unhurt:2",
    }
    anna.now = MIDNIGHT + timedelta(days=1, hours=1)
    anna.closes_all()
    assert anna.paid() == [("achievement", "unhurt", cycle, "gold") for cycle in (1, 2)]
    assert anna.player.closings == {}
    assert anna.achievement("unhurt").cycle == 2


def test_what_an_earlier_cycle_counted_is_kept_until_the_next_begins() -> None:
    anna = Earner(catalogue(achievement("hunter", reach("kills", 1), repeat=Repeat())))
    anna.does("kills")
    anna.waits(minutes(1))
    assert [each.over_at for each in anna.player.accumulators.values()] == [None]
    anna.does("kills")
    kept = {key.scope: each.over_at for key, each in anna.player.accumulators.items()}
    assert kept == {"achievement:hunter:1": anna.now, "achievement:hunter:2": None}


# -- versions, and what is not enabled ----------------------------------------------------------------


def test_nothing_moves_while_it_is_not_enabled() -> None:
    off = achievement("hunter", reach("kills", 2), repeat=Repeat(), enabled=False)
    anna = Earner(catalogue(off))
    assert anna.does("kills") is Outcome.UNUSED
    anna.catalogue = catalogue(achievement("hunter", reach("kills", 2), repeat=Repeat()))
    anna.does("kills")
    anna.catalogue = catalogue(off)
    anna.does("kills")
    assert anna.achievement("hunter").progress == 50
    anna.catalogue = catalogue(achievement("hunter", reach("kills", 2), repeat=Repeat()))
    anna.does("kills")
    assert anna.achievement("hunter").progress == 100


def test_nothing_is_counted_for_what_is_not_enabled() -> None:
    anna = Earner(catalogue(achievement("off", reach("kills", 2), enabled=False)))
    assert anna.does("kills") is Outcome.UNUSED
    assert not anna.player.accumulators


def test_a_day_closes_in_vain_for_what_is_not_enabled() -> None:
    anna = Earner(catalogue(achievement("unhurt", *UNHURT)))
    anna.does("kills", 3)
    anna.catalogue = catalogue(achievement("unhurt", *UNHURT, enabled=False))
    anna.now = MIDNIGHT + minutes(60)
    assert anna.closes_all() == 1
    assert anna.achievement("unhurt").completed_at is None
    assert anna.player.closings == {}


def test_who_has_begun_goes_on_with_the_version_they_began_with() -> None:
    first = achievement("hunter", reach("kills", 2), points=10, rewards=("gold",))
    second = achievement("hunter", reach("kills", 3, DAY), points=50, rewards=("gems",), version=2)
    anna = Earner(catalogue(first))
    anna.does("kills")
    anna.catalogue = catalogue(first, second)
    anna.does("kills")
    assert (anna.achievement("hunter").version, anna.achievement("hunter").progress) == (1, 100)
    assert anna.paid() == [("achievement", "hunter", 1, "gold")]
    assert anna.player.achievement_points == 10
    bert = Earner(anna.catalogue)
    bert.does("kills", 3)
    assert (bert.achievement("hunter").version, bert.player.achievement_points) == (2, 50)


def test_an_older_version_counts_in_windows_that_the_newest_does_not_have() -> None:
    first = achievement("hunter", reach("kills", 2, HOUR))
    anna = Earner(catalogue(first))
    anna.does("kills")
    anna.catalogue = catalogue(first, achievement("hunter", reach("wins", 3), version=2))
    assert anna.does("kills") is Outcome.COUNTED
    assert anna.achievement("hunter").progress == 100


def test_who_is_brought_over_keeps_what_is_the_same() -> None:
    first = achievement("both", reach("kills", 5, HOUR), reach("wins", 1, DAY))
    second = achievement(
        "both", reach("wins", 1, DAY), reach("kills", 3, HOUR), reach("shots", 1), version=2, brings_over=2
    )
    anna = Earner(catalogue(first))
    anna.does("wins", at=NOON - minutes(300))
    anna.does("kills", 4)
    assert anna.achievement("both").met == {1: NOON - minutes(300)}
    anna.catalogue = catalogue(first, second)
    anna.waits(minutes(20))
    anna.does("shots")
    over = anna.achievement("both")
    assert over.version == 2
    assert over.met[0] == NOON - minutes(300)
    assert over.completed_at is not None
    changes = [entry.detail for entry in over.history if entry.what == "version_changed"]
    assert changes == ["1 to 2"]
    assert len(anna.events(AchievementStarted)) == 1


def test_what_is_the_same_stays_met_though_nothing_is_left_of_it() -> None:
    first = achievement("both", reach("kills", 2, HOUR), reach("wins", 9))
    second = achievement(
        "both", reach("wins", 1), reach("shots", 1), reach("kills", 2, HOUR), version=2, brings_over=2
    )
    anna = Earner(catalogue(first))
    anna.does("kills", 2)
    assert anna.achievement("both").met == {0: NOON}
    anna.catalogue = catalogue(first, second)
    anna.waits(timedelta(days=3))
    anna.does("wins")
    assert anna.achievement("both").met == {1: NOON}
    anna.does("shots")
    assert anna.achievement("both").progress == 100


def test_what_only_the_older_version_counted_goes() -> None:
    first = achievement("both", reach("kills", 9), reach("wins", 9), repeat=Repeat())
    second = achievement("both", reach("kills", 5), version=2, brings_over=2, repeat=Repeat())
    anna = Earner(catalogue(first))
    anna.does("kills", 3)
    anna.does("wins", 3)
    anna.catalogue = catalogue(first, second)
    anna.does("kills", 1)
    kept = {key.metric: (each.sum, each.over_at) for key, each in anna.player.accumulators.items()}
    assert kept == {"kills": (4, None), "wins": (3, NOON)}


def test_what_counts_for_a_lifetime_stays_though_nobody_follows_it() -> None:
    first = achievement("both", reach("kills", 9), reach("wins", 9))
    anna = Earner(catalogue(first))
    anna.does("wins", 3)
    anna.catalogue = catalogue(first, achievement("both", reach("kills", 5), version=2, brings_over=2))
    anna.does("kills")
    assert {key.metric: each.over_at for key, each in anna.player.accumulators.items()} == {
        "kills": None,
        "wins": None,
    }


def test_what_is_completed_is_not_brought_over() -> None:
    first = achievement("hunter", reach("kills", 1))
    anna = Earner(catalogue(first))
    anna.does("kills")
    done = anna.achievement("hunter")
    anna.catalogue = catalogue(first, achievement("hunter", reach("kills", 9), version=2, brings_over=2))
    anna.does("kills")
    assert anna.achievement("hunter") == done


def test_only_those_before_the_named_version_are_brought_over() -> None:
    versions = [achievement("hunter", reach("kills", 10 * each), version=each) for each in (1, 2)]
    anna = Earner(catalogue(*versions))
    anna.does("kills")
    third = achievement("hunter", reach("kills", 2), version=3, brings_over=2)
    anna.catalogue = catalogue(*versions, third)
    anna.does("kills")
    assert (anna.achievement("hunter").version, anna.achievement("hunter").progress) == (2, 10)


def test_a_history_keeps_the_newest_fifty_entries() -> None:
    anna = Earner(catalogue(achievement("hunter", reach("kills", 1), repeat=Repeat())))
    for _ in range(20):
        anna.does("kills")
        anna.waits(minutes(1))
    history = anna.achievement("hunter").history
    assert len(history) == 50
    assert history[-1].at == NOON + minutes(19)
    assert history[-1].what == "completed"
