"""A secret achievement does not exist for a player before it is unlocked: every RPC answers as if there were
no such id, and as if there were no such achievement."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from arenamesh.common.v1 import access_pb2
from arenamesh.gamification.v1 import (
    achievement_pb2,
    achievement_service_pb2,
    notification_service_pb2,
    quest_service_pb2,
    reward_pb2,
    reward_service_pb2,
)
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.rpc import status_pb2  # type: ignore[import-untyped]

from services.gamification.domain.grants import grant_id
from services.gamification.wiring import ACHIEVEMENTS, METRICS, NOTIFICATIONS, QUESTS, REWARDS
from tests.support.gamification import Gamification, at_least, gamification, refused
from tests.support.postgres import Postgres
from tests.support.tokens import game_server, operator, player

SECRET = "ghost"
ABSENT = "gh0st"
TITLE = "Walks Unseen"
ITEM = "shroud"
ADA = player("ada")
STUBS = {
    "achievements": ACHIEVEMENTS,
    "quests": QUESTS,
    "rewards": REWARDS,
    "metrics": METRICS,
    "notifications": NOTIFICATIONS,
}
Asks = dict[str, Sequence[Message]]


def asks(id_: str) -> Asks:
    """Everything that a player can ask, wherever possible about this id; by method."""
    claimed = grant_id("ada", "achievement", id_, f"{id_}.1", 1)
    a, q, r = achievement_service_pb2, quest_service_pb2, reward_service_pb2
    return {
        "ListAchievements": [
            a.ListAchievementsRequest(),
            a.ListAchievementsRequest(type=achievement_pb2.ACHIEVEMENT_TYPE_SECRET),
            a.ListAchievementsRequest(page_size=1),
            a.ListAchievementsRequest(page_size=2),
            a.ListAchievementsRequest(include_disabled=True),
        ],
        "GetAchievement": [a.GetAchievementRequest(id=id_)],
        "GetAchievementProgress": [a.GetAchievementProgressRequest(id=id_)],
        "ListAchievementProgress": [
            a.ListAchievementProgressRequest(user_id="me"),
            a.ListAchievementProgressRequest(user_id="me", page_size=1),
        ],
        "UpdateAchievementProgress": [
            a.UpdateAchievementProgressRequest(id=id_, user_id="ada", checkpoint=True)
        ],
        "ListQuests": [q.ListQuestsRequest()],
        "ListActiveQuests": [q.ListActiveQuestsRequest()],
        "GetQuest": [q.GetQuestRequest(id=id_), q.GetQuestRequest(id="gate"), q.GetQuestRequest(id="road")],
        "StartQuest": [q.StartQuestRequest(id=id_)],
        "CompleteQuestStep": [q.CompleteQuestStepRequest(id=id_, step_id=id_)],
        "AbandonQuest": [q.AbandonQuestRequest(id=id_)],
        "GetQuestProgress": [
            q.GetQuestProgressRequest(id=id_),
            q.GetQuestProgressRequest(id="gate"),
            q.GetQuestProgressRequest(id="road"),
        ],
        "ListPendingRewards": [r.ListPendingRewardsRequest(), r.ListPendingRewardsRequest(page_size=1)],
        "ClaimItem": [r.ClaimItemRequest(item=ITEM), r.ClaimItemRequest(item=id_)],
        "ClaimReward": [r.ClaimRewardRequest(id=claimed)],
        "GetInventory": [r.GetInventoryRequest(user_id="me")],
        "GetWallet": [r.GetWalletRequest(user_id="me")],
        "ListLedger": [r.ListLedgerRequest(user_id="me")],
        "VerifyReceipt": [r.VerifyReceiptRequest(receipt=id_)],
        "GetKeys": [r.GetKeysRequest()],
        "Subscribe": [notification_service_pb2.SubscribeRequest(after_sequence=0)],
        # For others only; so they are refused before anything is looked up.
        "CreateAchievement": [
            a.CreateAchievementRequest(
                achievement=achievement_pb2.Achievement(
                    id=id_,
                    title="x",
                    type=achievement_pb2.ACHIEVEMENT_TYPE_SKILL,
                    requirements=[{"metric": "kills"}],
                )
            )
        ],
        "DistributeReward": [
            r.DistributeRewardRequest(
                id=f"{id_}.1", user_id="ada", source=reward_pb2.REWARD_SOURCE_EVENT, source_id="x"
            )
        ],
        "RevokeReward": [r.RevokeRewardRequest(id=claimed)],
    }


async def ask(server: Gamification, id_: str) -> dict[str, list[Any]]:
    """What a player is answered, without the times, and with one name for the id that was asked about."""
    found: dict[str, list[Any]] = {}
    for name, descriptor in STUBS.items():
        for method in descriptor.methods:
            for request in asks(id_).get(method.name, ()):
                call = getattr(getattr(server, name), method.name)(request, metadata=ADA)
                answer = await (_streamed(call) if method.server_streaming else _unary(call))
                found.setdefault(method.name, []).append(_without(answer, id_))
    return found


async def _unary(call: Any) -> Any:
    try:
        return MessageToDict(await call)
    except grpc.aio.AioRpcError as error:
        status = status_pb2.Status.FromString(dict(error.trailing_metadata())["grpc-status-details-bin"])
        keys = sorted(key for key, _ in error.trailing_metadata())
        return {"code": error.code().name, "status": MessageToDict(status), "trailing": keys}


async def _streamed(call: Any) -> Any:
    """All that there is by now."""
    first = await call.read()
    events = [MessageToDict(await call.read()) for _ in range(first.newest)]
    call.cancel()
    return [MessageToDict(first), *events]


_TIMES = {
    *("createdAt", "updatedAt", "startedAt", "completedAt", "grantedAt", "timestamp", "at"),
    "seed",
    "cause",
}


def _without(answer: Any, id_: str) -> Any:
    match answer:
        case {"nextPageToken": token, **rest}:
            *place, last = json.loads(base64.urlsafe_b64decode(token + "=="))
            times = [each for each in place if str(each).startswith("-")]
            return _without(rest, id_) | {"place": [*(each for each in place if each not in times), last]}
        case dict():
            return {key: _without(each, id_) for key, each in answer.items() if key not in _TIMES}
        case list():
            return [_without(each, id_) for each in answer]
        case str():
            owed = grant_id("ada", "achievement", id_, f"{id_}.1", 1)
            return answer.replace(owed, "<grant>").replace(id_, "<id>")
    return answer


@asynccontextmanager
async def world(
    postgres: Postgres, template: str, redis_url: str, *, secret: bool
) -> AsyncIterator[Gamification]:
    """Where a player has killed twice, which is half of what the secret asks, and is on a quest."""
    name = await postgres.clone(template)
    try:
        async with gamification(database_url=postgres.url(name), redis_url=redis_url) as server:
            await define(server, secret=secret)
            await server.record("ada", 2)
            request = quest_service_pb2.StartQuestRequest(id="road")
            await server.quests.StartQuest(request, metadata=ADA)
            yield server
    finally:
        await postgres.drop(name)


async def define(server: Gamification, *, secret: bool) -> None:
    await server.metric()
    await server.achievement("hunter")
    await server.achievement("first", requirements=[at_least(1)], points=5)
    await server.achievement("zealot", requirements=[at_least(100)])
    wanted = []
    if secret:
        await server.achievement(
            SECRET,
            title=TITLE,
            type="ACHIEVEMENT_TYPE_SECRET",
            requirements=[at_least(4)],
            rewards=[{"type": "REWARD_TYPE_ITEM", "items": [{"id": ITEM, "quantity": "1"}]}],
            points=50,
        )
        wanted = [{"type": "REQUIREMENT_TYPE_ACHIEVEMENT", "id": SECRET}]
    either = [{"type": "REQUIREMENT_TYPE_ANY", "requirements": wanted}] if secret else []
    await server.quest("gate", requirements=[*wanted, *either, at_least(1)])
    steps = [
        {"id": "one", "requirements": [at_least(3)]},
        {"id": "two", "order": 1, "requirements": [at_least(1), *wanted]},
    ]
    await server.quest("road", steps=steps)


def test_everything_that_a_player_may_ask_is_asked() -> None:
    for descriptor in STUBS.values():
        for method in descriptor.methods:
            extension: Any = access_pb2.access
            access = method.GetOptions().Extensions[extension]
            if access.public or access_pb2.ROLE_PLAYER in access.roles:
                assert asks(SECRET).get(method.name), method.name


async def test_a_locked_secret_is_as_absent_as_none(
    postgres: Postgres, template: str, redis_url: str
) -> None:
    async with world(postgres, template, redis_url, secret=True) as server:
        with_one = await ask(server, SECRET)
        beside_it = await ask(server, ABSENT)
        # It is there, and half done: others see it.
        assert (await server.progress("ada", SECRET)).progress == 50
    assert with_one == beside_it
    # An answer to somebody who asked for the item by its name may say that name.
    said = str({name: answers for name, answers in beside_it.items() if name != "ClaimItem"})
    assert not [word for word in (SECRET, TITLE, ITEM) if word in said]
    async with world(postgres, template, redis_url, secret=False) as server:
        without = await ask(server, SECRET)
    for method, answers in without.items():
        assert with_one[method] == answers, method


async def test_pages_of_lists_have_no_holes(server: Gamification) -> None:
    await define(server, secret=True)
    await server.record("ada", 2)
    ids, token = [], ""
    for _ in range(4):
        request = achievement_service_pb2.ListAchievementsRequest(page_size=1, page_token=token)
        answer = await server.achievements.ListAchievements(request, metadata=ADA)
        assert len(answer.achievements) == 1
        ids.append(answer.achievements[0].id)
        token = answer.next_page_token
        if not token:
            break
    assert ids == ["first", "hunter", "zealot"]
    asked = achievement_service_pb2.ListAchievementProgressRequest(user_id="me", page_size=3)
    progress = await server.achievements.ListAchievementProgress(asked, metadata=ADA)
    assert [each.achievement_id for each in progress.progress] == ["first", "hunter", "zealot"]
    assert (progress.next_page_token, progress.completed, progress.points) == ("", 1, 5)


async def test_a_quest_that_wants_it_does_not_name_it(server: Gamification) -> None:
    await define(server, secret=True)
    await server.record("ada", 1)
    request = quest_service_pb2.StartQuestRequest(id="gate")
    error = await refused(
        server.quests.StartQuest(request, metadata=ADA), grpc.StatusCode.FAILED_PRECONDITION
    )
    assert error.reason == "QUEST_LOCKED"
    assert dict(error.metadata) == {"quest_id": "gate", "missing": ""}
    operators = await server.quests.GetQuest(
        quest_service_pb2.GetQuestRequest(id="gate"), metadata=operator()
    )
    assert [each.id for each in operators.quest.requirements] == [SECRET, "", ""]


async def test_others_see_it(server: Gamification) -> None:
    await define(server, secret=True)
    for caller in (operator(), game_server()):
        request = achievement_service_pb2.GetAchievementRequest(id=SECRET)
        answer = await server.achievements.GetAchievement(request, metadata=caller)
        assert answer.achievement.title == TITLE
        listed = await server.achievements.ListAchievements(
            achievement_service_pb2.ListAchievementsRequest(), metadata=caller
        )
        assert SECRET in [each.id for each in listed.achievements]


@pytest.mark.parametrize("at_once", [True, False])
async def test_it_appears_when_it_is_unlocked(server: Gamification, *, at_once: bool) -> None:
    await define(server, secret=True)
    for _ in range(1 if at_once else 4):
        await server.record("ada", 4 if at_once else 1)
    got = await server.achievements.GetAchievement(
        achievement_service_pb2.GetAchievementRequest(id=SECRET), metadata=ADA
    )
    assert (got.achievement.title, got.achievement.points) == (TITLE, 50)
    listed = await server.achievements.ListAchievements(
        achievement_service_pb2.ListAchievementsRequest(type=achievement_pb2.ACHIEVEMENT_TYPE_SECRET),
        metadata=ADA,
    )
    assert [each.id for each in listed.achievements] == [SECRET]
    assert (await server.progress("ada", SECRET, ADA)).is_completed
    progress = await server.achievements.ListAchievementProgress(
        achievement_service_pb2.ListAchievementProgressRequest(user_id="me"), metadata=ADA
    )
    assert (progress.completed, progress.points) == (2, 55)
    (owed,) = await server.pending("ada")
    assert (owed.source_id, owed.title) == (SECRET, TITLE)
    gate = await server.quests.GetQuest(quest_service_pb2.GetQuestRequest(id="gate"), metadata=ADA)
    assert [each.id for each in gate.quest.requirements] == [SECRET, "", ""]
    told = await _streamed(
        server.notifications.Subscribe(
            notification_service_pb2.SubscribeRequest(after_sequence=0), metadata=ADA
        )
    )
    assert f"Achievement Unlocked: {TITLE}" in [each["event"]["title"] for each in told[1:]]
    # To somebody else it is what it was.
    error = await refused(
        server.achievements.GetAchievement(
            achievement_service_pb2.GetAchievementRequest(id=SECRET), metadata=player("ben")
        ),
        grpc.StatusCode.NOT_FOUND,
    )
    assert error.reason == "ACHIEVEMENT_NOT_FOUND"
