"""How quests fail, expire and begin again."""

import pytest

from services.chassis.errors import (
    FailedPrecondition,
    NotFound,
)
from services.gamification.domain.definitions import Repeat
from services.gamification.domain.events import (
    QuestExpired,
    QuestFailed,
    QuestStarted,
)
from services.gamification.domain.observation import Outcome
from services.gamification.domain.player import QuestStatus
from tests.unit.gamification.earning import (
    DAY,
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


def test_what_was_abandoned_has_failed_and_can_be_started_again() -> None:
    anna = Earner(catalogue(HUNT))
    refused(NotFound, "QUEST_NOT_FOUND", anna.abandons, "nothing")
    refused(FailedPrecondition, "NOT_STARTED", anna.abandons, "hunt")
    anna.starts("hunt")
    anna.does("kills")
    anna.waits(minutes(1))
    failed = anna.abandons("hunt")
    assert (failed.status, failed.ended_at) == (QuestStatus.FAILED, NOON + minutes(1))
    assert anna.events(QuestFailed) == [QuestFailed("hunt", "Hunt", 1)]
    assert failed.history[-1].what == "abandoned"
    assert failed.history[-1].progress == 25
    assert anna.does("kills") is Outcome.UNUSED
    refused(FailedPrecondition, "QUEST_FAILED", anna.abandons, "hunt")
    again = anna.starts("hunt")
    assert (again.cycle, again.status, again.steps["kill"].progress) == (2, QuestStatus.IN_PROGRESS, 0)
    assert [entry.what for entry in again.history] == ["started", "abandoned", "started"]
    anna.does("kills", 2)
    anna.does("wins")
    assert anna.paid() == [("quest", "hunt", 2, "gems")]
    refused(FailedPrecondition, "QUEST_DONE", anna.starts, "hunt")


def test_what_a_quest_counted_is_not_kept_when_it_is_over() -> None:
    counting = quest(
        "q", step("a", reach("kills", 1)), step("b", reach("kills", 9), optional=True), time_limit=minutes(5)
    )
    for end in ("completes", "abandons", "expires"):
        anna = Earner(catalogue(counting, achievement("ever", reach("kills", 9))))
        anna.starts("q")
        anna.does("kills", 1 if end == "completes" else 0)
        anna.waits(minutes(6))
        if end == "abandons":
            anna.now = NOON + minutes(4)
            anna.abandons("q")
        anna.expires("q")
        kept = {key.scope: each.over_at for key, each in anna.player.accumulators.items()}
        ended_at = NOON if end == "completes" else anna.now
        assert kept == {"": None, "quest:q:1:0": ended_at}


def test_the_deadline_is_the_earlier_of_both() -> None:
    one = step("a", reach("kills", 1))
    anna = Earner(
        catalogue(
            quest("limit", one, time_limit=minutes(5), end_date=NOON + minutes(9)),
            quest("end", one, time_limit=minutes(50), end_date=NOON + minutes(9)),
        )
    )
    assert anna.starts("limit").expires_at == NOON + minutes(5)
    assert anna.starts("end").expires_at == NOON + minutes(9)


TIMED = quest("timed", step("a", reach("kills", 2)), time_limit=minutes(5))


def test_what_happened_before_the_deadline_counts_even_when_it_is_told_later() -> None:
    anna = Earner(catalogue(TIMED))
    anna.starts("timed")
    anna.waits(minutes(5.5))
    assert anna.does("kills", at=NOON + minutes(5)) is Outcome.UNUSED
    assert anna.does("kills", 2, at=NOON + minutes(4.9)) is Outcome.COUNTED
    assert anna.quest("timed").status is QuestStatus.COMPLETED
    assert anna.quest("timed").ended_at == NOON + minutes(4.9)


def test_a_quest_expires_after_its_deadline_and_some_grace() -> None:
    anna = Earner(catalogue(TIMED))
    assert not anna.expires("timed")
    anna.starts("timed")
    anna.does("kills")
    anna.waits(minutes(5.99))
    assert not anna.expires("timed", minutes(1))
    anna.waits(minutes(0.01))
    assert anna.expires("timed", minutes(1))
    over = anna.quest("timed")
    assert (over.status, over.ended_at) == (QuestStatus.EXPIRED, NOON + minutes(5))
    assert (over.history[-1].what, over.history[-1].progress) == ("expired", 50)
    assert anna.events(QuestExpired) == [QuestExpired("timed", "Timed", 1)]
    assert not anna.expires("timed", minutes(1))
    assert anna.does("kills", at=NOON + minutes(1)) is Outcome.UNUSED
    assert anna.quest("timed") == over
    refused(FailedPrecondition, "QUEST_EXPIRED", anna.completes, "timed", "a")
    refused(FailedPrecondition, "QUEST_EXPIRED", anna.abandons, "timed")


def test_a_command_after_the_deadline_finds_it_expired() -> None:
    anna = Earner(catalogue(TIMED))
    anna.starts("timed")
    anna.does("kills", 1)
    anna.waits(minutes(5))
    assert refused(FailedPrecondition, "QUEST_EXPIRED", anna.completes, "timed", "a")["status"] == "expired"
    refused(FailedPrecondition, "QUEST_EXPIRED", anna.abandons, "timed")
    again = anna.starts("timed")
    assert (again.cycle, again.expires_at) == (2, NOON + minutes(10))
    assert [type(event) for event in anna.happened] == [QuestStarted, QuestExpired, QuestStarted]


@pytest.mark.parametrize("later", [0, 10])
def test_a_day_that_ended_by_the_deadline_is_looked_at_before_it_expires(later: int) -> None:
    calm = quest(
        "calm",
        step("day", reach("kills", 1, DAY), at_most("deaths", 0, DAY)),
        end_date=MIDNIGHT + minutes(later),
    )
    anna = Earner(catalogue(calm))
    anna.starts("calm")
    anna.does("kills")
    anna.now = MIDNIGHT + minutes(11)
    assert anna.closes_all() == 0
    assert anna.expires("calm", minutes(1))
    assert (anna.quest("calm").status, anna.quest("calm").ended_at) == (QuestStatus.COMPLETED, MIDNIGHT)
    [grant] = anna.grants.values()
    assert grant.granted_at == anna.now
    assert anna.player.closings == {}


def test_a_day_that_ends_after_the_deadline_does_not_complete_it() -> None:
    calm = quest(
        "calm",
        step("day", reach("kills", 1, DAY), at_most("deaths", 0, DAY)),
        end_date=MIDNIGHT - minutes(10),
    )
    anna = Earner(catalogue(calm))
    anna.starts("calm")
    anna.does("kills")
    anna.now = MIDNIGHT + minutes(60)
    assert anna.closes_all() == 1
    assert anna.quest("calm").status is QuestStatus.IN_PROGRESS
    assert anna.expires("calm")
    assert anna.quest("calm").status is QuestStatus.EXPIRED


def test_a_quest_repeats_after_its_cooldown_as_often_as_it_may() -> None:
    daily = quest(
        "daily", step("a", reach("kills", 1), rewards=("xp",)), repeat=Repeat(minutes(10), max_cycles=2)
    )
    anna = Earner(catalogue(daily))
    anna.starts("daily")
    anna.does("kills")
    anna.waits(minutes(9))
    metadata = refused(FailedPrecondition, "QUEST_COOLDOWN", anna.starts, "daily")
    assert metadata == {"quest_id": "daily", "available_at": "2026-03-04T12:10:00+00:00"}
    anna.waits(minutes(1))
    assert anna.starts("daily").cycle == 2
    anna.abandons("daily")
    assert anna.starts("daily").cycle == 3
    anna.does("kills")
    anna.waits(minutes(60))
    assert refused(FailedPrecondition, "QUEST_DONE", anna.starts, "daily")["completions"] == "2"
    assert anna.paid() == [
        ("quest", "daily", 1, "gems"),
        ("quest", "daily", 3, "gems"),
        ("quest_step", "daily:a", 1, "xp"),
        ("quest_step", "daily:a", 3, "xp"),
    ]
