"""How quests start, by a command and by themselves."""

from datetime import timedelta

import pytest

from services.chassis.errors import (
    FailedPrecondition,
    NotFound,
    ResourceExhausted,
)
from services.gamification.domain.definitions import AnyOf, Completed, Repeat
from services.gamification.domain.events import (
    QuestStarted,
)
from services.gamification.domain.observation import Outcome
from services.gamification.domain.player import QuestStatus
from services.gamification.domain.quest_start import MAX_ACTIVE_QUESTS
from tests.unit.gamification.earning import (
    DAY,
    HUNT,
    NOON,
    Earner,
    achievement,
    catalogue,
    minutes,
    quest,
    reach,
    refused,
    step,
)

# -- starting -----------------------------------------------------------------------------------------


def test_why_a_quest_cannot_start() -> None:
    steps = step("a", reach("kills", 1))
    anna = Earner(
        catalogue(
            quest("off", steps, active=False),
            quest("soon", steps, start_date=NOON + minutes(1)),
            quest("past", steps, end_date=NOON),
            quest("once", steps),
        )
    )
    refused(NotFound, "QUEST_NOT_FOUND", anna.starts, "nothing")
    assert refused(FailedPrecondition, "QUEST_INACTIVE", anna.starts, "off") == {"quest_id": "off"}
    metadata = refused(FailedPrecondition, "QUEST_NOT_YET", anna.starts, "soon")
    assert metadata["start_date"] == "2026-03-04T12:01:00+00:00"
    metadata = refused(FailedPrecondition, "QUEST_OVER", anna.starts, "past")
    assert metadata["end_date"] == "2026-03-04T12:00:00+00:00"
    anna.starts("once")
    refused(FailedPrecondition, "QUEST_IN_PROGRESS", anna.starts, "once")
    anna.does("kills")
    metadata = refused(FailedPrecondition, "QUEST_DONE", anna.starts, "once")
    assert metadata == {"quest_id": "once", "completions": "1"}
    anna.waits(minutes(1))
    assert anna.starts("soon").started_at == NOON + minutes(1)


def test_a_quest_wants_others_to_be_completed_before() -> None:
    locked = quest(
        "locked",
        step("a", reach("kills", 1)),
        requires=(
            Completed("quest", "hunt"),
            Completed("achievement", "open"),
            Completed("achievement", "hidden"),
            AnyOf((reach("wins", 3), Completed("achievement", "open"))),
            reach("shots", 1),
        ),
    )
    hidden = achievement("hidden", reach("deaths", 1), secret=True)
    anna = Earner(catalogue(locked, HUNT, achievement("open", reach("damage", 2)), hidden))
    missing = refused(FailedPrecondition, "QUEST_LOCKED", anna.starts, "locked")["missing"]
    assert missing == "achievement:open,metric:shots,metric:wins,quest:hunt"
    anna.does("damage", 1)
    assert anna.achievement("open").completions == 0
    missing = refused(FailedPrecondition, "QUEST_LOCKED", anna.starts, "locked")["missing"]
    assert "achievement:open" in missing
    anna.does("damage", 1)
    anna.does("shots")
    anna.starts("hunt")
    missing = refused(FailedPrecondition, "QUEST_LOCKED", anna.starts, "locked")["missing"]
    assert missing == "quest:hunt"
    anna.does("kills", 2)
    anna.does("wins")
    with pytest.raises(FailedPrecondition) as raised:
        anna.starts("locked")
    assert (raised.value.reason, raised.value.metadata["missing"]) == ("QUEST_LOCKED", "")
    assert "hidden" not in raised.value.text
    anna.does("deaths")
    assert anna.starts("locked").status is QuestStatus.IN_PROGRESS


def test_a_metric_that_only_a_prerequisite_wants_is_counted() -> None:
    anna = Earner(catalogue(quest("veteran", step("a"), requires=(reach("shots", 2, DAY),))))
    assert anna.does("shots", 2) is Outcome.COUNTED
    assert anna.starts("veteran").status is QuestStatus.IN_PROGRESS
    bert = Earner(anna.catalogue)
    bert.does("shots", 2)
    bert.waits(timedelta(days=1))
    refused(FailedPrecondition, "QUEST_LOCKED", bert.starts, "veteran")


def test_a_player_is_on_so_many_quests_at_most() -> None:
    anna = Earner(
        catalogue(*(quest(f"q{n}", step("a", reach("kills", 1))) for n in range(MAX_ACTIVE_QUESTS + 1)))
    )
    for n in range(MAX_ACTIVE_QUESTS):
        anna.starts(f"q{n}")
    last = f"q{MAX_ACTIVE_QUESTS}"
    assert refused(ResourceExhausted, "TOO_MANY_QUESTS", anna.starts, last) == {"max_active_quests": "50"}
    anna.abandons("q7")
    anna.starts(last)


def test_who_is_on_it_goes_on_with_the_version_they_started() -> None:
    newer = quest("hunt", step("other", reach("shots", 1)), version=2, rewards=("gold",))
    anna = Earner(catalogue(HUNT))
    anna.starts("hunt")
    anna.catalogue = catalogue(HUNT, newer)
    anna.does("kills", 2)
    anna.catalogue = catalogue(HUNT, quest("hunt", step("other", reach("shots", 1)), version=2, active=False))
    anna.does("wins")
    assert (anna.quest("hunt").status, anna.quest("hunt").version) == (QuestStatus.COMPLETED, 1)
    bert = Earner(catalogue(HUNT, newer))
    assert bert.starts("hunt").version == 2


# -- by itself ----------------------------------------------------------------------------------------


def test_a_quest_starts_by_itself_with_what_its_first_steps_count() -> None:
    auto = quest("auto", step("a", reach("kills", 2)), step("b", reach("wins", 1), order=1), auto_start=True)
    anna = Earner(catalogue(auto))
    assert anna.does("wins") is Outcome.UNUSED
    assert anna.player.quests == {}
    anna.waits(minutes(5))
    assert anna.does("kills", at=NOON + minutes(3), event="first") is Outcome.COUNTED
    assert anna.happened == [QuestStarted("auto", "Auto", 1, 1, "first")]
    assert (anna.quest("auto").started_at, anna.quest("auto").steps["a"].progress) == (NOON + minutes(3), 50)
    anna.does("kills")
    anna.does("wins")
    assert anna.quest("auto").status is QuestStatus.COMPLETED
    anna.does("kills")
    assert anna.quest("auto").cycle == 1


def test_a_step_behind_an_optional_one_is_among_the_first() -> None:
    auto = quest(
        "auto",
        step("extra", reach("wins", 1), optional=True),
        step("a", reach("kills", 2), order=1),
        auto_start=True,
    )
    anna = Earner(catalogue(auto))
    assert anna.does("kills") is Outcome.COUNTED
    assert anna.quest("auto").steps["a"].progress == 50


def test_what_unlocks_a_quest_begins_it_but_does_not_count_for_it() -> None:
    auto = quest(
        "auto", step("a", reach("kills", 2)), requires=(Completed("achievement", "first"),), auto_start=True
    )
    anna = Earner(catalogue(auto, achievement("first", reach("kills", 1))))
    anna.does("kills")
    assert anna.quest("auto").steps["a"].progress == 0
    anna.waits(minutes(1))
    anna.does("kills")
    assert anna.quest("auto").steps["a"].progress == 50


def test_what_waits_for_a_quest_hears_of_one_that_was_over_as_soon_as_it_began() -> None:
    first = Completed("achievement", "first")
    auto = quest(
        "auto", step("a", AnyOf((reach("kills", 9), first))), requires=(first,), rewards=(), auto_start=True
    )
    path = quest("path", step("b", Completed("quest", "auto")))
    anna = Earner(catalogue(auto, path, achievement("first", reach("kills", 1), rewards=())))
    anna.starts("path")
    anna.does("kills")
    assert anna.quest("auto").status is QuestStatus.COMPLETED
    assert anna.quest("path").status is QuestStatus.COMPLETED
    assert anna.paid() == [("quest", "path", 1, "gems")]


def test_what_was_abandoned_does_not_start_by_itself() -> None:
    auto = quest("auto", step("a", reach("kills", 2)), auto_start=True)
    anna = Earner(catalogue(auto))
    anna.does("kills")
    anna.abandons("auto")
    anna.waits(minutes(1))
    assert anna.does("kills") is Outcome.UNUSED
    assert anna.starts("auto").cycle == 2


def test_what_expired_or_was_completed_starts_again_by_itself_when_it_can() -> None:
    auto = quest(
        "auto",
        step("a", reach("kills", 2)),
        time_limit=minutes(10),
        repeat=Repeat(minutes(5)),
        auto_start=True,
    )
    anna = Earner(catalogue(auto))
    anna.does("kills")
    anna.waits(minutes(11))
    anna.expires("auto")
    assert anna.does("kills", at=NOON + minutes(9)) is Outcome.UNUSED
    anna.does("kills")
    assert (anna.quest("auto").cycle, anna.quest("auto").started_at) == (2, NOON + minutes(11))
    anna.does("kills")
    assert anna.quest("auto").completions == 1
    anna.waits(minutes(4))
    assert anna.does("kills") is Outcome.UNUSED
    anna.waits(minutes(1))
    anna.does("kills")
    assert anna.quest("auto").cycle == 3


def test_what_completes_a_quest_does_not_start_it_again() -> None:
    auto = quest("auto", step("a", reach("kills", 1)), repeat=Repeat(), auto_start=True)
    anna = Earner(catalogue(auto))
    anna.does("kills")
    assert (anna.quest("auto").cycle, anna.quest("auto").status) == (1, QuestStatus.COMPLETED)
    anna.does("kills")
    assert (anna.quest("auto").cycle, anna.quest("auto").status) == (2, QuestStatus.COMPLETED)


def test_nothing_starts_that_was_over_when_it_was_told() -> None:
    auto = quest("auto", step("a", reach("kills", 2)), time_limit=minutes(10), auto_start=True)
    anna = Earner(catalogue(auto), now=NOON + minutes(10))
    assert anna.does("kills", at=NOON) is Outcome.UNUSED
    assert anna.does("kills", at=NOON + minutes(1)) is Outcome.COUNTED


def test_nothing_starts_by_itself_before_its_date() -> None:
    auto = quest("auto", step("a", reach("kills", 2)), start_date=NOON + minutes(5), auto_start=True)
    anna = Earner(catalogue(auto))
    assert anna.does("kills") is Outcome.UNUSED
    anna.waits(minutes(5))
    assert anna.does("kills", at=NOON + minutes(4)) is Outcome.UNUSED
    assert anna.does("kills") is Outcome.COUNTED


def test_what_was_completed_once_for_ever_does_not_start_by_itself() -> None:
    auto = quest("auto", step("a", reach("kills", 1)), auto_start=True)
    anna = Earner(catalogue(auto))
    anna.does("kills")
    anna.waits(minutes(1))
    assert anna.does("kills") is Outcome.UNUSED
    assert len(anna.events(QuestStarted)) == 1


def test_a_quest_that_cannot_start_by_itself_does_not_disturb() -> None:
    fifty = [quest(f"q{n:02}", step("a", reach("wins", 1))) for n in range(MAX_ACTIVE_QUESTS)]
    auto = quest("auto", step("a", reach("kills", 1)), auto_start=True)
    anna = Earner(catalogue(auto, *fifty, achievement("hunter", reach("kills", 2))))
    for each in fifty:
        anna.starts(each.id)
    assert anna.does("kills") is Outcome.COUNTED
    assert "auto" not in anna.player.quests
    anna.does("wins")
    anna.does("kills")
    assert anna.quest("auto").status is QuestStatus.COMPLETED
