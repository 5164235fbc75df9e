"""How the steps of a quest open, count and complete."""

from datetime import timedelta

import pytest

from services.chassis.errors import (
    FailedPrecondition,
    NotFound,
    PermissionDenied,
)
from services.gamification.domain import sweep
from services.gamification.domain.definitions import Completed
from services.gamification.domain.events import (
    QuestCompleted,
    QuestStarted,
    QuestStepCompleted,
    RewardGranted,
)
from services.gamification.domain.observation import Observation, Outcome
from services.gamification.domain.observe import observe
from services.gamification.domain.player import Closing, Draft, QuestStatus
from services.gamification.domain.window import EVER, Window
from tests.unit.gamification.earning import (
    DAY,
    ENTROPY,
    HOUR,
    HUNT,
    MIDNIGHT,
    NOON,
    Earner,
    achievement,
    at_most,
    catalogue,
    minutes,
    quest,
    reach,
    refused,
    step,
)

# -- steps --------------------------------------------------------------------------------------------


def test_steps_are_done_in_order_and_complete_the_quest() -> None:
    anna = Earner(catalogue(HUNT))
    started = anna.starts("hunt")
    assert (started.status, started.cycle, started.version) == (QuestStatus.IN_PROGRESS, 1, 1)
    assert (started.started_at, started.expires_at, set(started.steps)) == (NOON, None, {"kill"})
    anna.waits(minutes(1))
    anna.does("kills")
    assert anna.quest("hunt").steps["kill"].progress == 50
    anna.waits(minutes(1))
    anna.does("kills", event="second")
    steps = anna.quest("hunt").steps
    assert steps["kill"].completed_at == steps["win"].opened_at == NOON + minutes(2)
    anna.waits(minutes(1))
    anna.does("wins", event="third")
    over = anna.quest("hunt")
    assert (over.status, over.completions, over.ended_at) == (QuestStatus.COMPLETED, 1, NOON + minutes(3))
    assert [entry.what for entry in over.history] == [
        "started",
        "requirement_met",
        "step_completed",
        "requirement_met",
        "step_completed",
        "completed",
    ]
    assert [entry.progress for entry in over.history if entry.what == "step_completed"] == [50, 100]
    assert [entry.detail for entry in over.history if entry.what == "step_completed"] == ["kill", "win"]
    first, second, third, fourth, granted = anna.happened
    assert first == QuestStarted("hunt", "Hunt", 1, 1, "command")
    assert second == QuestStepCompleted("hunt", "Hunt", 1, "kill", "Kill", (), "second")
    assert third == QuestStepCompleted("hunt", "Hunt", 1, "win", "Win", (), "third")
    assert isinstance(granted, RewardGranted)
    assert fourth == QuestCompleted("hunt", "Hunt", 1, (granted.grant.id,), minutes(3), "third")


def test_what_completes_a_step_does_not_count_for_the_next() -> None:
    same = quest("same", step("one", reach("kills", 1)), step("two", reach("kills", 1), order=1))
    anna = Earner(catalogue(same))
    anna.starts("same")
    anna.does("kills", 5)
    assert anna.quest("same").steps["two"].progress == 0
    assert anna.does("kills", at=NOON - minutes(1)) is Outcome.UNUSED
    anna.does("kills")
    assert anna.quest("same").status is QuestStatus.COMPLETED


def test_a_step_counts_only_what_happens_since_it_opened() -> None:
    anna = Earner(catalogue(HUNT))
    assert anna.does("kills") is Outcome.UNUSED
    anna.waits(minutes(1))
    anna.starts("hunt")
    assert anna.does("wins") is Outcome.UNUSED
    assert anna.does("kills", at=NOON) is Outcome.UNUSED
    assert anna.does("kills") is Outcome.COUNTED
    assert anna.quest("hunt").steps["kill"].progress == 50


def test_steps_of_one_order_are_beside_each_other_and_one_observation_may_complete_several() -> None:
    both = quest(
        "both",
        step("one", reach("kills", 2), rewards=("gold",)),
        step("two", reach("kills", 3), rewards=("xp",)),
        step("last", reach("wins", 1), order=1),
    )
    anna = Earner(catalogue(both))
    anna.starts("both")
    anna.does("kills", 3)
    done = anna.events(QuestStepCompleted)
    assert [event.step_id for event in done] == ["one", "two"]
    assert anna.paid() == [("quest_step", "both:one", 1, "gold"), ("quest_step", "both:two", 1, "xp")]
    place = anna.happened.index(done[0])
    paid = anna.happened[place + 1]
    assert isinstance(paid, RewardGranted)
    assert done[0].grant_ids == (paid.grant.id,)
    assert set(anna.quest("both").steps) == {"one", "two", "last"}
    assert [key.scope for key in anna.player.accumulators] == ["quest:both:1:0"]


def test_the_next_steps_wait_for_all_that_are_not_optional() -> None:
    wide = quest(
        "wide",
        step("a", reach("kills", 1)),
        step("b", reach("wins", 1)),
        step("extra", reach("deaths", 1), optional=True, rewards=("xp",)),
        step("c", reach("shots", 1), order=2),
    )
    anna = Earner(catalogue(wide))
    assert set(anna.starts("wide").steps) == {"a", "b", "extra"}
    anna.does("kills")
    assert "c" not in anna.quest("wide").steps
    anna.does("wins")
    assert "c" in anna.quest("wide").steps
    anna.does("deaths")
    assert anna.paid() == [("quest_step", "wide:extra", 1, "xp")]
    assert anna.quest("wide").status is QuestStatus.IN_PROGRESS
    anna.does("shots")
    assert anna.quest("wide").status is QuestStatus.COMPLETED


def test_what_is_beside_each_other_ends_when_the_last_of_it_happened() -> None:
    wide = quest("wide", step("a", reach("kills", 1)), step("b", reach("wins", 1)), step("c", order=1))
    pair = quest("pair", step("a", reach("kills", 1)), step("b", reach("wins", 1)))
    anna = Earner(catalogue(wide, pair))
    anna.starts("wide")
    anna.starts("pair")
    anna.waits(minutes(30))
    anna.does("kills", at=NOON + minutes(20))
    anna.does("wins", at=NOON + minutes(10))
    assert anna.quest("wide").steps["c"].opened_at == NOON + minutes(20)
    assert anna.quest("pair").ended_at == NOON + minutes(20)


def test_what_moves_no_step_writes_no_quest() -> None:
    anna = Earner(catalogue(quest("far", step("a", reach("kills", 1000)))))
    anna.starts("far")
    before = anna.quest("far")
    assert anna.does("kills") is Outcome.COUNTED
    assert anna.quest("far") is before


def test_nothing_waits_for_an_optional_step_and_it_is_over_with_the_quest() -> None:
    one = quest(
        "one", step("a", reach("kills", 1)), step("extra", reach("wins", 1), optional=True, rewards=("xp",))
    )
    anna = Earner(catalogue(one))
    anna.starts("one")
    anna.does("kills")
    assert anna.quest("one").status is QuestStatus.COMPLETED
    assert anna.does("wins") is Outcome.UNUSED
    assert anna.paid() == [("quest", "one", 1, "gems")]
    assert refused(FailedPrecondition, "QUEST_COMPLETED", anna.completes, "one", "extra") == {
        "quest_id": "one",
        "status": "completed",
    }


def test_an_optional_step_alone_in_front_does_not_hold_up_the_rest() -> None:
    quest_ = quest("q", step("extra", reach("wins", 1), optional=True), step("a", reach("kills", 1), order=1))
    anna = Earner(catalogue(quest_))
    assert set(anna.starts("q").steps) == {"extra", "a"}


def test_a_step_opens_when_what_was_before_it_happened() -> None:
    anna = Earner(catalogue(HUNT))
    anna.starts("hunt")
    anna.waits(minutes(30))
    anna.does("kills", at=NOON + minutes(20))
    anna.does("kills", at=NOON + minutes(10))
    assert anna.quest("hunt").steps["win"].opened_at == NOON + minutes(20)
    assert anna.does("wins", at=NOON + minutes(15)) is Outcome.UNUSED
    anna.does("wins", at=NOON + minutes(25))
    assert anna.quest("hunt").ended_at == NOON + minutes(25)


# -- completing a step by a command -------------------------------------------------------------------

BOOK = quest(
    "book",
    step("read", player_confirms=True),
    step("visit", order=1),
    step("careful", reach("kills", 1), at_most("deaths", 1), order=2),
)


def test_who_may_say_that_a_step_is_done() -> None:
    anna = Earner(catalogue(BOOK))
    anna.starts("book")
    anna.completes("book", "read", by_player=True)
    assert refused(
        PermissionDenied, "STEP_NOT_YOURS", lambda: anna.completes("book", "visit", by_player=True)
    ) == {"quest_id": "book", "step_id": "visit"}
    anna.completes("book", "visit")
    assert set(anna.quest("book").steps) == {"read", "visit", "careful"}


def test_a_command_is_a_checkpoint_of_a_step() -> None:
    anna = Earner(catalogue(BOOK))
    anna.starts("book")
    anna.completes("book", "read")
    anna.completes("book", "visit")
    assert refused(
        FailedPrecondition, "STEP_UNMET", lambda: anna.completes("book", "careful", by_player=True)
    ) == {
        "quest_id": "book",
        "step_id": "careful",
        "kills": "0",
        "deaths": "0",
    }
    anna.does("kills")
    assert anna.quest("book").status is QuestStatus.IN_PROGRESS
    assert anna.quest("book").steps["careful"].progress < 100
    anna.completes("book", "careful")
    assert anna.quest("book").status is QuestStatus.COMPLETED
    assert anna.events(QuestCompleted)[0].cause == "command"


@pytest.mark.parametrize("window", [EVER, HOUR, DAY])
def test_a_player_does_not_choose_the_moment_of_a_checkpoint(window: Window) -> None:
    calm = quest("calm", step("a", at_most("deaths", 3, window), rewards=("xp",)))
    anna = Earner(catalogue(calm))
    anna.starts("calm")
    before = anna.quest("calm")
    refused(FailedPrecondition, "STEP_UNMET", lambda: anna.completes("calm", "a", by_player=True))
    assert anna.quest("calm") == before
    assert anna.paid() == []
    anna.completes("calm", "a")
    assert anna.quest("calm").status is QuestStatus.COMPLETED


def test_a_checkpoint_fails_when_it_went_too_far() -> None:
    anna = Earner(catalogue(quest("careful", step("a", reach("kills", 1), at_most("deaths", 1)))))
    anna.starts("careful")
    anna.does("kills")
    anna.does("deaths", 2)
    before = anna.quest("careful")
    assert refused(FailedPrecondition, "STEP_UNMET", anna.completes, "careful", "a")["deaths"] == "2"
    assert anna.quest("careful") == before


def test_why_a_step_cannot_be_completed() -> None:
    anna = Earner(catalogue(BOOK, quest("other", step("a"))))
    refused(NotFound, "QUEST_NOT_FOUND", anna.completes, "nothing", "read")
    assert refused(FailedPrecondition, "NOT_STARTED", anna.completes, "book", "read") == {"quest_id": "book"}
    anna.starts("book")
    about = {"quest_id": "book", "step_id": "nothing"}
    assert refused(NotFound, "STEP_NOT_FOUND", anna.completes, "book", "nothing") == about
    about = {"quest_id": "book", "step_id": "visit"}
    assert refused(FailedPrecondition, "STEP_NOT_OPEN", anna.completes, "book", "visit") == about
    anna.completes("book", "read")
    about = {"quest_id": "book", "step_id": "read"}
    assert refused(FailedPrecondition, "STEP_DONE", anna.completes, "book", "read") == about
    anna.abandons("book")
    refused(FailedPrecondition, "STEP_DONE", anna.completes, "book", "read")
    assert refused(FailedPrecondition, "QUEST_FAILED", anna.completes, "book", "visit")["status"] == "failed"


def test_a_step_whose_day_closes_completes_by_itself() -> None:
    calm = quest(
        "calm",
        step("day", reach("kills", 1, DAY), at_most("deaths", 0, DAY)),
        step("then"),
        step("z", order=1),
    )
    anna = Earner(catalogue(calm))
    anna.starts("calm")
    anna.does("kills")
    assert list(anna.player.closings) == [Closing("quest:calm:1", "day:UTC", NOON.replace(hour=0))]
    anna.now = MIDNIGHT + minutes(60)
    assert anna.closes_all() == 1
    steps = anna.quest("calm").steps
    assert steps["day"].completed_at == MIDNIGHT
    assert steps["then"].completed_at is None
    assert steps["then"].progress == 0
    assert anna.quest("calm").status is QuestStatus.IN_PROGRESS


def test_a_closing_of_an_earlier_cycle_does_nothing_to_this_one() -> None:
    anna = Earner(catalogue(quest("calm", step("day", at_most("deaths", 0, DAY)))))
    anna.starts("calm")
    anna.does("deaths")
    anna.abandons("calm")
    anna.starts("calm")
    anna.now = MIDNIGHT + minutes(60)
    assert anna.closes_all() == 1
    assert anna.quest("calm").status is QuestStatus.IN_PROGRESS


# -- waiting for something else -----------------------------------------------------------------------


def test_a_step_may_want_something_else_to_be_completed() -> None:
    path = quest(
        "path",
        step("earn", Completed("achievement", "first")),
        step("hunt", Completed("quest", "hunt"), order=1),
        step("again", Completed("achievement", "first"), order=2),
    )
    anna = Earner(catalogue(path, HUNT, achievement("first", reach("shots", 1))))
    anna.starts("path")
    anna.starts("hunt")
    anna.does("shots", event="shot")
    assert anna.quest("path").steps["earn"].completed_at == NOON
    assert anna.events(QuestStepCompleted)[0].cause == "shot"
    anna.does("kills", 2)
    anna.does("wins")
    assert anna.quest("path").status is QuestStatus.COMPLETED


def test_a_step_is_not_done_before_it_opens_though_what_it_wants_was() -> None:
    path = quest("path", step("earn", Completed("achievement", "first")))
    anna = Earner(catalogue(path, achievement("first", reach("shots", 1))))
    anna.starts("path")
    anna.does("shots", at=NOON - minutes(10))
    assert anna.achievement("first").completed_at == NOON - minutes(10)
    assert anna.quest("path").ended_at == NOON


def test_a_checkpoint_and_a_day_that_closes_complete_what_waits() -> None:
    path = quest(
        "path", step("one", Completed("achievement", "low")), step("two", Completed("achievement", "unhurt"))
    )
    unhurt = achievement("unhurt", reach("kills", 1, DAY), at_most("deaths", 0, DAY))
    anna = Earner(catalogue(path, unhurt, achievement("low", at_most("shots", 3))))
    anna.starts("path")
    anna.checks("low")
    assert anna.quest("path").steps["one"].completed_at == NOON
    anna.does("kills")
    anna.now = MIDNIGHT + minutes(60)
    anna.closes_all()
    assert anna.quest("path").ended_at == MIDNIGHT


def test_a_command_completes_what_waits() -> None:
    anna = Earner(catalogue(quest("note", step("a")), quest("last", step("b", Completed("quest", "note")))))
    anna.starts("last")
    anna.starts("note")
    anna.completes("note", "a")
    assert anna.quest("last").status is QuestStatus.COMPLETED


def test_a_day_is_noted_once() -> None:
    calm = quest("calm", step("day", reach("kills", 9, DAY), at_most("deaths", 0, DAY)))
    anna = Earner(catalogue(calm))
    anna.starts("calm")
    anna.does("kills")
    noted = dict(anna.player.closings)
    draft = Draft(anna.player)
    observe(draft, anna.catalogue, Observation("kills", 1, "", NOON, "e", "e"), NOON, ENTROPY)
    assert noted and not draft.closings.changed


def test_what_is_late_anywhere_is_told_to_be() -> None:
    anna = Earner(
        catalogue(quest("q", step("day", reach("kills", 9, DAY))), achievement("a", reach("kills", 9)))
    )
    anna.starts("q")
    anna.waits(timedelta(days=1))
    assert anna.does("kills", at=NOON) is Outcome.LATE


def test_a_period_closes_once() -> None:
    anna = Earner(catalogue(quest("calm", step("day", reach("kills", 1, DAY), at_most("deaths", 0, DAY)))))
    anna.starts("calm")
    anna.does("kills")
    [closing] = anna.player.closings
    draft, late = Draft(anna.player), MIDNIGHT + minutes(60)
    assert sweep.close(draft, anna.catalogue, closing, now=late, entropy=ENTROPY)
    assert not sweep.close(draft, anna.catalogue, closing, now=late, entropy=ENTROPY)
    assert draft.closed == [closing]


def test_a_step_whose_wish_is_true_already_is_done_as_it_opens() -> None:
    path = quest("path", step("earn", Completed("achievement", "first")))
    last = quest("last", step("path", Completed("quest", "path")))
    anna = Earner(catalogue(path, last, achievement("first", reach("shots", 1))))
    anna.does("shots")
    anna.starts("last")
    assert anna.starts("path").status is QuestStatus.COMPLETED
    assert anna.quest("last").status is QuestStatus.COMPLETED
