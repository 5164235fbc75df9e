"""What others hear of a player, and what the player is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import pytest
from arenamesh.events.v1 import gamification_pb2
from arenamesh.events.v1.envelope_pb2 import Envelope
from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct

from services.gamification.domain import events
from services.gamification.domain.definitions import Amount
from services.gamification.domain.player import Grant, GrantStatus, Quarantined
from services.gamification.notices import notice
from services.gamification.told import tell, tell_created

AT = datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
GRANT = Grant(
    id="g-1",
    user_id="ann",
    reward_id="starter",
    reward_version=1,
    source="achievement",
    source_id="first-blood",
    cycle=1,
    title="Starter pack",
    status=GrantStatus.PENDING,
    contents=(Amount("currency:gold", 10**15), Amount("item:sword", 1, "weapon")),
    seed=b"",
    cause="m:7:kill",
    granted_at=AT,
)
GAIN = Quarantined("q-1", "ann", "kills", 7, "", AT, "e1", "e1", 60_000_000, 30, 37)
COMPLETED = events.AchievementCompleted(
    "first-blood", "First Blood", 2, 3, 10, ("g-1", "g-2"), AT, timedelta(seconds=5), "m:7:kill"
)
STEP = events.QuestStepCompleted("q", "Warm-up", 2, "hit", "Hit something", ("g-3",), "m:8:kill")
_EVENTS: list[events.Event] = [
    events.AchievementStarted("first-blood", 1, 1, "m:7:kill"),
    COMPLETED,
    events.QuestStarted("q", "Warm-up", 2, 1, "m:7:kill"),
    STEP,
    events.QuestCompleted("q", "Warm-up", 2, ("g-4",), timedelta(seconds=9), "m:9:kill"),
    events.QuestFailed("q", "Warm-up", 2),
    events.QuestExpired("q", "Warm-up", 2),
    events.RewardGranted(GRANT, ("g-1:grant:1",)),
    events.RewardClaimed(GRANT, ("g-1:claim:1",)),
    events.RewardExpired(GRANT, ("g-1:expire:1",)),
    events.RewardRevoked(GRANT, ("g-1:revoke:1",), "a mistake"),
    events.ImpossibleGain(GAIN, quarantined=True),
]
ALL = {type(each): each for each in _EVENTS}
TOLD = {
    events.AchievementCompleted: ("ann:achievement:first-blood:2:completed", "achievement.completed"),
    events.QuestStarted: ("ann:quest:q:2:started", "quest.started"),
    events.QuestStepCompleted: ("ann:quest:q:2:step:hit:completed", "quest.step_completed"),
    events.QuestCompleted: ("ann:quest:q:2:completed", "quest.completed"),
    events.QuestFailed: ("ann:quest:q:2:failed", "quest.failed"),
    events.QuestExpired: ("ann:quest:q:2:expired", "quest.expired"),
    events.RewardGranted: ("g-1:granted", "reward.granted"),
    events.RewardClaimed: ("g-1:claimed", "reward.claimed"),
    events.RewardExpired: ("g-1:expired", "reward.expired"),
    events.RewardRevoked: ("g-1:revoked", "reward.revoked"),
    events.ImpossibleGain: ("q-1:impossible", "gamification.impossible_gain"),
}
NOTICES = {
    events.AchievementCompleted: ("ACHIEVEMENT_COMPLETED", "Achievement Unlocked: First Blood"),
    events.QuestStarted: ("QUEST_STARTED", "Quest Started: Warm-up"),
    events.QuestStepCompleted: ("QUEST_STEP_COMPLETED", "Warm-up: Hit something"),
    events.QuestCompleted: ("QUEST_COMPLETED", "Quest Completed: Warm-up"),
    events.QuestFailed: ("QUEST_FAILED", "Quest Abandoned: Warm-up"),
    events.QuestExpired: ("QUEST_EXPIRED", "Quest Expired: Warm-up"),
    events.RewardGranted: ("REWARD_GRANTED", "Reward: Starter pack"),
    events.RewardClaimed: ("REWARD_CLAIMED", "Reward Claimed: Starter pack"),
    events.RewardExpired: ("REWARD_EXPIRED", "Reward Expired: Starter pack"),
    events.RewardRevoked: ("REWARD_REVOKED", "Reward Revoked: Starter pack"),
}


def test_there_is_one_of_every_kind_here() -> None:
    assert set(ALL) == set(get_args(events.Event))


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_what_others_hear(kind: type[events.Event]) -> None:
    told = tell(ALL[kind], "ann", AT, TRACE)
    assert [(each.id, each.type) for each in told] == ([TOLD[kind]] if kind in TOLD else [])
    for each in told:
        assert (each.subject, each.source, each.traceparent) == ("ann", "arenamesh/gamification", TRACE)
        assert each.time.ToDatetime(UTC) == AT
    assert told == tell(ALL[kind], "ann", AT, TRACE)


def data(kind: type[events.Event], message: Callable[[], Message]) -> Any:
    found = message()
    (envelope,) = tell(ALL[kind], "ann", AT)
    assert envelope.data.Unpack(found)
    return found


def test_what_is_in_it() -> None:
    completed = data(events.AchievementCompleted, gamification_pb2.AchievementCompleted)
    assert (completed.user_id, completed.version, completed.points) == ("ann", 3, 10)
    assert list(completed.grant_ids) == ["g-1", "g-2"]
    assert (completed.completed_at.ToDatetime(UTC), completed.cause) == (AT, "m:7:kill")
    step = data(events.QuestStepCompleted, gamification_pb2.QuestStepCompleted)
    assert (step.step_id, list(step.grant_ids), step.cause) == ("hit", ["g-3"], "m:8:kill")
    claimed = data(events.RewardClaimed, gamification_pb2.RewardChanged)
    assert [(each.item, each.currency, each.quantity) for each in claimed.contents] == [
        ("", "gold", 10**15),
        ("sword", "", 1),
    ]
    assert (claimed.source, claimed.source_id, list(claimed.transfer_ids)) == (
        "achievement",
        "first-blood",
        ["g-1:claim:1"],
    )
    gain = data(events.ImpossibleGain, gamification_pb2.ImpossibleGain)
    assert (gain.action, gain.quarantine_id, gain.reached, gain.most) == ("quarantined", "q-1", 37, 30)
    refused = tell(events.ImpossibleGain(GAIN, quarantined=False), "ann", AT)[0]
    assert gamification_pb2.ImpossibleGain.FromString(refused.data.value).quarantine_id == ""


def test_the_name_of_a_secret_is_not_told_when_it_is_made() -> None:
    def told(*, secret: bool) -> Envelope:
        return tell_created("ghost", 2, "Ghost", secret=secret, at=AT)

    open_, hidden = told(secret=False), told(secret=True)
    assert open_.id == hidden.id == "achievement:ghost:2:created"
    assert gamification_pb2.AchievementCreated.FromString(open_.data.value).title == "Ghost"
    assert b"Ghost" not in hidden.SerializeToString()


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_what_the_player_is_told(kind: type[events.Event]) -> None:
    found = notice(ALL[kind])
    assert (found and (found.type, found.title)) == NOTICES.get(kind)
    if found is not None:
        struct = ParseDict(dict(found.data), Struct())
        assert json.loads(json.dumps(found.data)) == found.data
        assert struct.fields
        assert found.cause == (GRANT.cause if "grant_id" in found.data else getattr(ALL[kind], "cause", ""))


def test_what_comes_with_it() -> None:
    completed = notice(COMPLETED)
    assert completed is not None
    assert completed.data["grant_ids"] == ["g-1", "g-2"]
    granted = notice(ALL[events.RewardGranted])
    assert granted is not None
    assert granted.data["contents"] == [
        {"currency": "gold", "quantity": 10**15},
        {"item": "sword", "quantity": 1},
    ]
    assert granted.cause == "m:7:kill"
    untitled = notice(events.RewardGranted(Grant(**(_fields(GRANT) | {"title": ""})), ()))
    assert untitled is not None
    assert untitled.title == "Reward: starter"


def _fields(grant: Grant) -> dict[str, Any]:
    return {name: getattr(grant, name) for name in Grant.__dataclass_fields__}


def test_titles_fit_the_table() -> None:
    long = notice(events.QuestStarted("q", "x" * 400, 1, 1, ""))
    assert long is not None
    assert len(long.title) == 256
