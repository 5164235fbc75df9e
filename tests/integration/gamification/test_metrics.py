"""MetricService through real gRPC: what is counted, what is impossible, and how definitions fare."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from arenamesh.gamification.v1 import metric_pb2, metric_service_pb2, quest_service_pb2, reward_service_pb2
from google.protobuf.json_format import MessageToDict, ParseDict

from tests.support.gamification import Gamification, at_least, refused
from tests.support.tokens import game_server, operator, player

COUNTED, DUPLICATE, LATE, REFUSED, QUARANTINED, UNUSED = range(1, 7)
GOLD = {"type": "REWARD_TYPE_CURRENCY", "currency": "gold", "value": "50"}


def records(*fields: dict[str, Any], request_id: str = "") -> metric_service_pb2.RecordMetricsRequest:
    asked = [
        ParseDict({"user_id": "ada", "metric": "kills"} | each, metric_pb2.MetricRecord()) for each in fields
    ]
    return metric_service_pb2.RecordMetricsRequest(records=asked, request_id=request_id)


async def recorded(server: Gamification, *fields: dict[str, Any], request_id: str = "") -> list[int]:
    request = records(*fields, request_id=request_id)
    return list((await server.metrics.RecordMetrics(request, metadata=game_server())).outcomes)


async def analytics(server: Gamification, **asked: Any) -> metric_service_pb2.GetAnalyticsResponse:
    request = metric_service_pb2.GetAnalyticsRequest(**asked)
    return await server.metrics.GetAnalytics(request, metadata=operator())


async def gains(server: Gamification, **asked: Any) -> metric_service_pb2.ListQuarantinedGainsResponse:
    request = metric_service_pb2.ListQuarantinedGainsRequest(**asked)
    return await server.metrics.ListQuarantinedGains(request, metadata=operator())


async def resolve(server: Gamification, id_: str, *, release: bool) -> int:
    request = metric_service_pb2.ResolveQuarantinedGainRequest(id=id_, release=release)
    return (await server.metrics.ResolveQuarantinedGain(request, metadata=operator())).outcome


# -- definitions --------------------------------------------------------------------------------------


async def test_a_metric_is_made_once_and_listed(server: Gamification) -> None:
    source = {"event": "combat.kill", "user": "killer_id"}
    created = await server.metric("b", title="Kills", sources=[source], allowed_lateness="60s")
    await server.metric("a", "DISTINCT")
    await server.metric("c", "SUM")
    found: list[metric_pb2.Metric] = []
    token = ""
    while not found or token:
        request = metric_service_pb2.ListMetricsRequest(page_size=2, page_token=token)
        answer = await server.metrics.ListMetrics(request, metadata=game_server())
        found += list(answer.metrics)
        token = answer.next_page_token
    assert [each.id for each in found] == ["a", "b", "c"]
    assert found[1] == created and created.HasField("created_at")
    error = await refused(server.metric("b"), grpc.StatusCode.ALREADY_EXISTS)
    assert error.reason == "METRIC_EXISTS"


# -- records ------------------------------------------------------------------------------------------


async def test_each_record_has_its_outcome(server: Gamification) -> None:
    await server.metric(limits=[{"per": "60s", "most": "10", "action": "GAIN_ACTION_REFUSE"}])
    await server.metric("unused")
    await server.achievement(
        requirements=[at_least(100), at_least(5, timeframe={"calendar": "CALENDAR_DAY"})]
    )
    found = await recorded(
        server,
        {"value": "8", "event_id": "e1"},
        {"value": "8", "event_id": "e1"},
        {"value": "8", "event_id": "e2"},
        {"value": "2"},
        {"user_id": "ben"},
        {"metric": "unused"},
        {"value": "3", "occurred_at": "2026-01-01T00:00:00Z"},
    )
    assert found == [COUNTED, DUPLICATE, REFUSED, COUNTED, COUNTED, UNUSED, LATE]
    assert (await server.progress("ada")).metrics["kills"] == 13
    assert (await server.progress("ben")).metrics["kills"] == 1


async def test_the_same_event_counts_once_for_each_who_tells(server: Gamification) -> None:
    await server.metric()
    await server.achievement()
    for _ in range(2):
        await recorded(server, {"event_id": "e1"})
    answer = await server.metrics.RecordMetrics(records({"event_id": "e1"}), metadata=game_server("gs-2"))
    assert list(answer.outcomes) == [COUNTED]
    assert (await server.progress("ada")).metrics["kills"] == 2


async def test_the_same_request_counts_once(server: Gamification) -> None:
    await server.metric()
    await server.achievement()
    first = await recorded(server, {"value": "2"}, {"value": "1"}, request_id="r1")
    assert await recorded(server, {"value": "2"}, {"value": "1"}, request_id="r1") == first
    assert (await server.progress("ada")).metrics["kills"] == 3


async def test_different_ones_are_counted(server: Gamification) -> None:
    await server.metric("weapons", "DISTINCT")
    await server.achievement(requirements=[at_least(3, "weapons")])
    for member in ("rifle", "knife", "rifle"):
        await server.record("ada", metric="weapons", member=member)
    assert (await server.progress("ada")).progress == 66
    await server.record("ada", metric="weapons", member="bow")
    assert (await server.progress("ada")).is_completed


async def test_five_hundred_of_many_players_at_once(server: Gamification) -> None:
    await server.metric()
    await server.achievement(rewards=[GOLD])
    many = [{"user_id": f"u{number % 100}", "value": "2"} for number in range(500)]
    assert set(await recorded(server, *many)) == {COUNTED}
    assert (await analytics(server, achievement_id="hunter")).achievements[0].completed == 100
    assert len(await server.pending("u7")) == 1


@pytest.mark.parametrize("metadata", [player("ada"), operator()])
async def test_who_may_record(server: Gamification, metadata: Any) -> None:
    call = server.metrics.RecordMetrics(records({}), metadata=metadata)
    assert (await refused(call, grpc.StatusCode.PERMISSION_DENIED)).reason == "ROLE_NOT_ALLOWED"


# -- quarantine ---------------------------------------------------------------------------------------


async def test_what_nobody_can_gain_waits_to_be_looked_at(server: Gamification) -> None:
    limit = {"per": "60s", "most": "10", "action": "GAIN_ACTION_QUARANTINE"}
    await server.metric(limits=[limit])
    await server.achievement(requirements=[at_least(20)])
    for user_id in ("ada", "ben", "cleo"):
        assert await server.record(user_id, 50, event_id=f"of-{user_id}") == QUARANTINED
    first = await gains(server, page_size=2)
    second = await gains(server, page_size=2, page_token=first.next_page_token)
    assert sorted(each.user_id for each in (*first.gains, *second.gains)) == ["ada", "ben", "cleo"]
    assert not second.next_page_token
    (held,) = (await gains(server, user_id="ada")).gains
    assert (held.metric, held.value, held.reached, held.cause) == ("kills", 50, 50, "of-ada")
    assert MessageToDict(held.limit, preserving_proto_field_name=True) == limit
    assert (await server.progress("ada")).metrics.get("kills", 0) == 0
    assert await resolve(server, held.id, release=True) == COUNTED
    assert (await server.progress("ada")).is_completed
    (other,) = (await gains(server, user_id="ben")).gains
    assert await resolve(server, other.id, release=False) == REFUSED
    assert not (await server.progress("ben")).is_completed
    for id_ in (held.id, other.id):
        error = await refused(resolve(server, id_, release=True), grpc.StatusCode.FAILED_PRECONDITION)
        assert error.reason == "GAIN_RESOLVED"
    unknown = await refused(resolve(server, "q-none", release=True), grpc.StatusCode.NOT_FOUND)
    assert unknown.reason == "GAIN_NOT_FOUND"
    assert [each.user_id for each in (await gains(server)).gains] == ["cleo"]


# -- analytics ----------------------------------------------------------------------------------------


async def test_how_achievements_and_rewards_fare(server: Gamification) -> None:
    await server.metric()
    await server.achievement(requirements=[at_least(2)], rewards=[GOLD])
    for number, took in enumerate((10, 100, 200, 1000)):
        begin = 1_790_000_000
        for seconds in (begin, begin + took):
            at = metric_pb2.MetricRecord()
            at.occurred_at.FromSeconds(seconds)
            await server.record(f"u{number}", occurred_at=at.occurred_at.ToJsonString())
    await server.record("u9")
    (owed,) = await server.pending("u0")
    request = reward_service_pb2.ClaimRewardRequest(id=owed.id)
    await server.rewards.ClaimReward(request, metadata=player("u0"))
    answer = await analytics(server)
    assert answer.players == 5
    (found,) = answer.achievements
    assert (found.title, found.started, found.completed, found.completion_rate_milli) == (
        "Hunter",
        5,
        4,
        80_000,
    )
    assert [(each.up_to_seconds, each.count) for each in found.durations] == [
        *((60, 1), (120, 1), (240, 1), (1920, 1))
    ]
    assert (found.median_seconds, found.average_seconds) == (120, (10 + 100 + 200 + 1000) // 4)
    (reward,) = answer.rewards
    assert (reward.reward_id, reward.granted, reward.claimed) == ("hunter.1", 4, 1)


async def test_how_far_players_come_in_a_quest(server: Gamification) -> None:
    await server.metric()
    await server.achievement("other", requirements=[at_least(50)])
    steps = [{"id": id_, "order": order, "requirements": [at_least(1)]} for order, id_ in enumerate("xyz")]
    await server.quest(steps=steps)
    for number in range(4):
        request = quest_service_pb2.StartQuestRequest(id="hunt")
        await server.quests.StartQuest(request, metadata=player(f"u{number}"))
        for _ in range(number):
            await server.record(f"u{number}")
    abandoned = quest_service_pb2.AbandonQuestRequest(id="hunt")
    await server.quests.AbandonQuest(abandoned, metadata=player("u0"))
    answer = await analytics(server, quest_id="hunt")
    assert not answer.achievements and not answer.rewards
    (found,) = answer.quests
    assert (found.started, found.completed, found.failed, found.expired) == (4, 1, 1, 0)
    assert found.completion_rate_milli == 25_000
    assert [(each.step_id, each.completed, each.completion_rate_milli) for each in found.steps] == [
        ("x", 3, 75_000),
        ("y", 2, 50_000),
        ("z", 1, 25_000),
    ]
    nothing = await refused(analytics(server, achievement_id="nothing"), grpc.StatusCode.NOT_FOUND)
    assert nothing.reason == "ACHIEVEMENT_NOT_FOUND"
    untouched = await analytics(server, achievement_id="other")
    assert MessageToDict(untouched)["achievements"][0]["achievementId"] == "other"
