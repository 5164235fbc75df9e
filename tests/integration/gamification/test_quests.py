"""QuestService through real gRPC: definitions, steps, ends, and starting again."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from arenamesh.gamification.v1 import quest_pb2, quest_service_pb2
from google.protobuf.json_format import ParseDict

from tests.support.gamification import Gamification, a_quest, at_least, refused
from tests.support.tokens import Metadata, game_server, operator, player
from tests.support.waiting import eventually

ADA = player("ada")
FAILED = grpc.StatusCode.FAILED_PRECONDITION
GOLD = {"type": "REWARD_TYPE_CURRENCY", "currency": "gold", "value": "50"}


async def start(
    server: Gamification, id_: str = "hunt", metadata: Metadata = ADA, **asked: Any
) -> quest_pb2.QuestProgress:
    request = quest_service_pb2.StartQuestRequest(id=id_, **asked)
    return (await server.quests.StartQuest(request, metadata=metadata)).progress


async def complete(
    server: Gamification, step_id: str, id_: str = "hunt", metadata: Metadata = ADA, **asked: Any
) -> quest_service_pb2.CompleteQuestStepResponse:
    request = quest_service_pb2.CompleteQuestStepRequest(id=id_, step_id=step_id, **asked)
    return await server.quests.CompleteQuestStep(request, metadata=metadata)


async def abandon(server: Gamification, id_: str = "hunt") -> quest_pb2.QuestProgress:
    request = quest_service_pb2.AbandonQuestRequest(id=id_)
    return (await server.quests.AbandonQuest(request, metadata=ADA)).progress


async def active(server: Gamification, metadata: Metadata = ADA) -> list[quest_service_pb2.ActiveQuest]:
    request = quest_service_pb2.ListActiveQuestsRequest()
    return list((await server.quests.ListActiveQuests(request, metadata=metadata)).quests)


async def update(server: Gamification, id_: str = "hunt", version: int = 0, **fields: Any) -> quest_pb2.Quest:
    request = quest_service_pb2.UpdateQuestRequest(expected_version=version)
    ParseDict(a_quest(id_, **fields), request.quest)
    return (await server.quests.UpdateQuest(request, metadata=operator())).quest


def step(id_: str, order: int = 0, kills: int = 0, **fields: Any) -> dict[str, Any]:
    requirements = [at_least(kills)] if kills else []
    return {"id": id_, "title": id_.title(), "order": order, "requirements": requirements} | fields


# -- definitions --------------------------------------------------------------------------------------


async def test_what_is_created_is_what_is_read(server: Gamification) -> None:
    await server.metric()
    created = await server.quest(
        difficulty="QUEST_DIFFICULTY_HARD",
        steps=[step("kill", kills=3, rewards=[GOLD]), step("talk", 1, player_confirms=True)],
        rewards=[GOLD],
        time_limit="3600s",
    )
    request = quest_service_pb2.GetQuestRequest(id="hunt")
    assert (await server.quests.GetQuest(request, metadata=ADA)).quest == created
    assert created.steps[0].rewards[0].id == "hunt.kill.1"
    assert created.rewards[0].id == "hunt.1"
    error = await refused(server.quest(), grpc.StatusCode.ALREADY_EXISTS)
    assert error.reason == "QUEST_EXISTS"
    unknown = quest_service_pb2.GetQuestRequest(id="nothing")
    error = await refused(server.quests.GetQuest(unknown, metadata=ADA), grpc.StatusCode.NOT_FOUND)
    assert error.reason == "QUEST_NOT_FOUND"


async def test_lists_are_filtered_and_paged(server: Gamification) -> None:
    await server.metric()
    for number in range(4):
        await server.quest(f"q{number}", is_active=number != 2)
    await server.quest("day", type="QUEST_TYPE_DAILY")

    async def listed(**asked: Any) -> quest_service_pb2.ListQuestsResponse:
        request = quest_service_pb2.ListQuestsRequest(**asked)
        return await server.quests.ListQuests(request, metadata=ADA)

    first = await listed(page_size=3)
    second = await listed(page_size=3, page_token=first.next_page_token)
    found = [[each.id for each in page.quests] for page in (first, second)]
    assert found == [["day", "q0", "q1"], ["q3"]]
    assert not second.next_page_token
    assert [each.id for each in (await listed(type=quest_pb2.QUEST_TYPE_DAILY)).quests] == ["day"]
    error = await refused(listed(include_inactive=True), grpc.StatusCode.PERMISSION_DENIED)
    assert error.reason == "NOT_FOR_PLAYERS"


async def test_who_is_on_it_goes_on_with_their_version(server: Gamification) -> None:
    await server.metric()
    await server.quest()
    await start(server)
    assert (await update(server, title="The Hunt")).version == 1
    changed = await update(server, steps=[step("kill", kills=5)])
    assert changed.version == 2
    error = await refused(update(server, version=1), grpc.StatusCode.ABORTED)
    assert error.reason == "STALE_VERSION"
    (mine,) = await active(server)
    assert (mine.quest.version, mine.quest.steps[0].requirements[0].threshold) == (1, 3)
    await server.record("ada", 3)
    done = await server.quest_progress("ada")
    assert (done.status, done.version) == (quest_pb2.QUEST_STATUS_COMPLETED, 1)


# -- steps --------------------------------------------------------------------------------------------


async def test_steps_open_by_order_and_count_from_then_on(server: Gamification) -> None:
    await server.metric()
    await server.metric("heads")
    await server.quest(
        steps=[
            step("one", 1, kills=2, rewards=[GOLD]),
            step("also", 1, requirements=[at_least(1, "heads")]),
            step("bonus", 1, kills=5, is_optional=True, rewards=[GOLD]),
            step("two", 2, kills=2),
        ],
        rewards=[GOLD],
    )
    before = await server.quest_progress("ada")
    assert before.status == quest_pb2.QUEST_STATUS_NOT_STARTED
    await server.record("ada", 5)  # nothing of it counts
    begun = await start(server)
    assert (begun.status, begun.current_step, begun.progress) == (quest_pb2.QUEST_STATUS_IN_PROGRESS, 1, 0)
    await server.record("ada", 2)
    half = await server.quest_progress("ada")
    assert dict(half.step_progress) == {"one": 100, "also": 0, "bonus": 40, "two": 0}
    assert half.progress == 33
    await server.record("ada", metric="heads")
    assert (await server.quest_progress("ada")).current_step == 2
    await server.record("ada", 1)
    late = await server.quest_progress("ada")
    assert dict(late.step_progress) == {"one": 100, "also": 100, "bonus": 60, "two": 50}
    await server.record("ada", 1)
    done = await server.quest_progress("ada")
    assert (done.status, done.progress) == (quest_pb2.QUEST_STATUS_COMPLETED, 100)
    assert done.completed_at.ToNanoseconds() >= done.started_at.ToNanoseconds()
    assert [each.what for each in done.history if each.what != "requirement_met"] == [
        *("started", "step_completed", "step_completed", "step_completed", "completed")
    ]
    assert [(each.source_id, each.reward_id) for each in await server.pending("ada")] == [
        ("hunt:one", "hunt.one.1"),
        ("hunt", "hunt.1"),
    ]
    assert not await active(server)


async def test_a_step_is_completed_when_it_holds(server: Gamification) -> None:
    await server.metric("deaths")
    few = {"metric": "deaths", "operator": "OPERATOR_LT", "threshold": "2"}
    await server.quest(steps=[step("survive", requirements=[few], rewards=[GOLD])])
    judged: dict[str, Any] = {"metadata": game_server(), "user_id": "ada", "request_id": "r1"}
    await start(server)
    # A player would say so while nothing has happened yet.
    assert (await refused(complete(server, "survive"), FAILED)).reason == "STEP_UNMET"
    await server.record("ada", 2, metric="deaths")
    error = await refused(complete(server, "survive", **judged), FAILED)
    assert error.reason == "STEP_UNMET"
    assert dict(error.metadata) == {"quest_id": "hunt", "step_id": "survive", "deaths": "2"}
    await abandon(server)
    await start(server)
    await server.record("ada", 1, metric="deaths")
    answer = await complete(server, "survive", **judged)
    assert answer.progress.status == quest_pb2.QUEST_STATUS_COMPLETED
    assert list(answer.grant_ids) == [each.id for each in await server.pending("ada")]
    assert await complete(server, "survive", **judged) == answer


async def test_who_says_that_a_step_is_done(server: Gamification) -> None:
    await server.quest(steps=[step("read", player_confirms=True), step("win", 1), step("rest", 2)])
    error = await refused(complete(server, "read"), FAILED)
    assert error.reason == "NOT_STARTED"
    await start(server)
    for step_id, reason in (("win", "STEP_NOT_OPEN"), ("rest", "STEP_NOT_OPEN")):
        assert (await refused(complete(server, step_id), FAILED)).reason == reason
    unknown = await refused(complete(server, "nothing"), grpc.StatusCode.NOT_FOUND)
    assert unknown.reason == "STEP_NOT_FOUND"
    await complete(server, "read")
    assert (await refused(complete(server, "read"), FAILED)).reason == "STEP_DONE"
    foreign = await refused(complete(server, "win"), grpc.StatusCode.PERMISSION_DENIED)
    assert foreign.reason == "STEP_NOT_YOURS"
    await complete(server, "win", metadata=game_server(), user_id="ada")
    done = await complete(server, "rest", metadata=operator(), user_id="ada")
    assert done.progress.status == quest_pb2.QUEST_STATUS_COMPLETED
    assert (await refused(complete(server, "rest"), FAILED)).reason == "STEP_DONE"


# -- beginning and ending -----------------------------------------------------------------------------


async def test_what_has_to_be_done_before(server: Gamification) -> None:
    await server.metric()
    await server.achievement(requirements=[at_least(1)])
    await server.quest("first")
    await server.quest(
        requirements=[
            {"type": "REQUIREMENT_TYPE_QUEST", "id": "first"},
            {"type": "REQUIREMENT_TYPE_ACHIEVEMENT", "id": "hunter"},
            at_least(4),
        ]
    )
    error = await refused(start(server), FAILED)
    assert error.reason == "QUEST_LOCKED"
    assert error.metadata["missing"] == "achievement:hunter,metric:kills,quest:first"
    await start(server, "first")
    await server.record("ada", 3)
    assert (await refused(start(server), FAILED)).metadata["missing"] == "metric:kills"
    await server.record("ada", 1)
    assert (await start(server)).cycle == 1


async def test_it_is_done_once_or_again_after_a_while(server: Gamification) -> None:
    await server.metric()
    await server.quest("once", steps=[step("kill", kills=1)])
    await server.quest(
        "daily",
        steps=[step("kill", kills=1)],
        rewards=[GOLD],
        repeat={"cooldown": "3600s", "max_cycles": "9"},
    )
    await server.quest("often", steps=[step("kill", kills=1)], rewards=[GOLD], repeat={"max_cycles": "2"})
    for id_ in ("once", "daily", "often"):
        await start(server, id_)
        assert (await refused(start(server, id_), FAILED)).reason == "QUEST_IN_PROGRESS"
    await server.record("ada")
    assert (await refused(start(server, "once"), FAILED)).reason == "QUEST_DONE"
    cooling = await refused(start(server, "daily"), FAILED)
    assert cooling.reason == "QUEST_COOLDOWN"
    daily = await server.quest_progress("ada", "daily")
    assert daily.available_at.ToNanoseconds() - daily.completed_at.ToNanoseconds() == 3600 * 10**9
    again = await start(server, "often")
    assert (again.cycle, again.progress) == (2, 0)
    await server.record("ada")
    assert (await refused(start(server, "often"), FAILED)).reason == "QUEST_DONE"
    assert [(each.source_id, each.cycle) for each in await server.pending("ada")] == [
        ("daily", 1),
        ("often", 1),
        ("often", 2),
    ]


async def test_what_was_abandoned_can_be_started_again(server: Gamification) -> None:
    await server.metric()
    await server.quest()
    assert (await refused(abandon(server), FAILED)).reason == "NOT_STARTED"
    await start(server, request_id="r1")
    failed = await abandon(server)
    assert failed.status == quest_pb2.QUEST_STATUS_FAILED
    assert not failed.HasField("completed_at")
    assert (await refused(abandon(server), FAILED)).reason == "QUEST_FAILED"
    assert (await start(server, request_id="r1")).cycle == 1  # asked again, and answered as before
    assert (await start(server)).cycle == 2


async def test_a_deadline_ends_it(server: Gamification) -> None:
    """A command sees it at once, whatever the sweeper's grace."""
    await server.metric()
    await server.quest(time_limit="1s")
    begun = await start(server)
    assert begun.expires_at.ToNanoseconds() - begun.started_at.ToNanoseconds() == 10**9

    async def over() -> bool:
        try:
            await complete(server, "kill")
        except grpc.aio.AioRpcError as error:
            return "expired" in (error.details() or "")
        return False

    await eventually(over)
    again = await start(server)
    assert again.cycle == 2
    assert "expired" in [each.what for each in again.history]


async def test_dates_and_switches(server: Gamification) -> None:
    await server.metric()
    await server.quest("later", start_date="2999-01-01T00:00:00Z")
    await server.quest("off", is_active=False)
    for id_, reason in (("later", "QUEST_NOT_YET"), ("off", "QUEST_INACTIVE")):
        assert (await refused(start(server, id_), FAILED)).reason == reason
    error = await refused(start(server, "nothing"), grpc.StatusCode.NOT_FOUND)
    assert error.reason == "QUEST_NOT_FOUND"


async def test_it_starts_by_itself(server: Gamification) -> None:
    await server.metric()
    await server.quest(auto_start=True)
    await server.record("ada", 2)
    (mine,) = await active(server)
    assert (mine.quest.id, mine.progress.step_progress["kill"]) == ("hunt", 66)


async def test_the_one_started_last_comes_first(server: Gamification) -> None:
    await server.metric()
    for id_ in ("b", "c", "a"):
        await server.quest(id_)
        await start(server, id_)
    assert [each.quest.id for each in await active(server)] == ["a", "c", "b"]


@pytest.mark.parametrize("method", ["StartQuest", "CompleteQuestStep", "AbandonQuest", "GetQuestProgress"])
async def test_players_speak_for_themselves(server: Gamification, method: str) -> None:
    await server.quest(steps=[step("read", player_confirms=True)])
    more = {"step_id": "read"} if method == "CompleteQuestStep" else {}
    request = getattr(quest_service_pb2, f"{method}Request")(id="hunt", user_id="ada", **more)
    error = await refused(
        getattr(server.quests, method)(request, metadata=player("ben")), grpc.StatusCode.PERMISSION_DENIED
    )
    assert error.reason == "USER_FOREIGN"
