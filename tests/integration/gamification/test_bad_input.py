"""Whatever is wrong with a request is said with the path of its field: by every rule that a field of the
contract has, and by every rule that says more than a field can."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from arenamesh.gamification.v1 import (
    achievement_pb2,
    achievement_service_pb2,
    metric_pb2,
    metric_service_pb2,
    quest_pb2,
    quest_service_pb2,
    reward_pb2,
    reward_service_pb2,
)
from google.protobuf.json_format import ParseDict

from services.gamification.wiring import ACHIEVEMENTS, METRICS, NOTIFICATIONS, QUESTS, REWARDS
from tests.support.field_rules import caller, walk
from tests.support.gamification import Gamification, an_achievement, at_least, refused, violations
from tests.support.tokens import game_server, operator

# -- rules of fields ----------------------------------------------------------------------------------

SERVICES = {
    "achievements": ACHIEVEMENTS,
    "quests": QUESTS,
    "rewards": REWARDS,
    "metrics": METRICS,
    "notifications": NOTIFICATIONS,
}


@pytest.mark.parametrize("name", SERVICES)
async def test_every_rule_of_every_field(server: Gamification, name: str) -> None:
    cases = [case for method in SERVICES[name].methods for case in walk(method)]
    assert len(cases) >= {"notifications": 2}.get(name, 20)
    for case in cases:
        call = getattr(getattr(server, name), case.method.name)(case.request(), metadata=caller(case.method))
        if case.method.server_streaming:
            call = call.read()
        found = await violations(call)
        assert case.path in found, f"{case.method.name}: {case.rule} of {case.path}, but {found}"


async def test_what_is_no_message_at_all(server: Gamification) -> None:
    call: Any = server.channel.unary_unary("/arenamesh.gamification.v1.QuestService/StartQuest")
    error = await refused(call(b"\xff\xff", metadata=operator()), grpc.StatusCode.INVALID_ARGUMENT)
    assert error.reason == "MALFORMED"


# -- rules that say more ------------------------------------------------------------------------------

Case = tuple[str, dict[str, Any]]
"""Path of the field, and what a definition is made of."""
SLIDING = {"duration": 1, "unit": "TIME_UNIT_HOURS"}
GOLD = {"type": "REWARD_TYPE_CURRENCY", "currency": "gold", "value": "1"}
SWORD = {"id": "sword", "quantity": "1"}


def requirement(path: str, /, **fields: Any) -> Case:
    return f"requirements[0].{path}", {"requirements": [at_least(1) | fields]}


def timeframe(path: str, /, **fields: Any) -> Case:
    return f"requirements[0].timeframe{path}", {"requirements": [at_least(1, timeframe=fields)]}


def threshold(metric: str, operator_: str, value: int) -> Case:
    return requirement("threshold", metric=metric, operator=f"OPERATOR_{operator_}", threshold=str(value))


def nested(depth: int) -> dict[str, Any]:
    found = at_least(1)
    for _ in range(depth - 1):
        found = {"type": "REQUIREMENT_TYPE_ANY", "requirements": [found]}
    return found


def loot(path: str, /, **fields: Any) -> Case:
    return f"loot{path}", {"type": "REWARD_TYPE_LOOT", "loot": fields}


def entry(path: str, /, **fields: Any) -> Case:
    return loot(f".weighted[0].{path}", weighted=[{"weight": "1", "item": "sword"} | fields], rolls=1)


REQUIREMENTS: list[Case] = [
    requirement("metric", metric="nothing"),
    requirement("operator", operator="OPERATOR_UNSPECIFIED"),
    requirement("instant", instant=True),
    requirement("id", id="hunter"),
    requirement("requirements", requirements=[at_least(1)]),
    ("requirements[0].type", {"requirements": [{}]}),
    ("requirements[0].metric", {"requirements": [{"type": "REQUIREMENT_TYPE_METRIC"}]}),
    ("requirements[0].requirements", {"requirements": [{"type": "REQUIREMENT_TYPE_ALL"}]}),
    (
        "requirements[0].threshold",
        {"requirements": [nested(2) | {"threshold": "1"}]},
    ),
    (
        "requirements[0].requirements[0].requirements[0].requirements",
        {"requirements": [nested(4)]},
    ),
    (
        "requirements",
        {
            "requirements": [
                {"type": "REQUIREMENT_TYPE_ALL", "requirements": [at_least(n + 1) for n in range(16)]}
                for _ in range(5)
            ]
        },
    ),
    timeframe(""),
    timeframe(".unit", duration=1),
    timeframe(".duration", unit="TIME_UNIT_DAYS"),
    timeframe(".duration", duration=367, unit="TIME_UNIT_DAYS"),
    timeframe(".duration", calendar="CALENDAR_DAY", duration=1),
    timeframe(".unit", calendar="CALENDAR_DAY", unit="TIME_UNIT_DAYS"),
    timeframe(".parts", calendar="CALENDAR_DAY", parts=10),
    timeframe(".time_zone", calendar="CALENDAR_DAY", time_zone="Europe/Nowhere"),
    timeframe(".time_zone", calendar="CALENDAR_DAY", time_zone="../../etc/passwd"),
    timeframe(".time_zone", calendar="CALENDAR_DAY", time_zone="Europe"),
    timeframe(".time_zone", **SLIDING, time_zone="Europe/Berlin"),
    timeframe(".parts", **SLIDING, parts=7),
    timeframe(".parts", duration=1, unit="TIME_UNIT_MINUTES", parts=120),
    threshold("kills", "GTE", 0),
    threshold("kills", "GT", -1),
    threshold("kills", "LT", 0),
    threshold("kills", "LTE", -1),
    threshold("kills", "EQ", -1),
    threshold("score", "GTE", 0),
    threshold("weapons", "GTE", 1001),
    threshold("weapons", "GT", 1000),
    threshold("weapons", "LTE", 1001),
    threshold("best", "GTE", 10**15 + 1),
    threshold("best", "LT", -(10**15)),
]
REPEATS: list[Case] = [
    ("repeat.cooldown", {"repeat": {"cooldown": "-1s"}}),
    ("repeat.cooldown", {"repeat": {"cooldown": "316224001s"}}),
]
REWARDS_OF: list[Case] = [
    ("rewards[0].id", {"rewards": [{"id": "nothing"}]}),
    ("rewards[1].id", {"rewards": [{"id": "purse"}, {"id": "purse"}]}),
    ("rewards[1].id", {"rewards": [GOLD | {"id": "twin"}, GOLD | {"id": "twin", "value": "2"}]}),
    ("rewards[0].type", {"rewards": [{"id": "new", "value": "1"}]}),
    ("rewards[0].currency", {"rewards": [{"type": "REWARD_TYPE_CURRENCY", "value": "1"}]}),
    (
        "rewards[0].loot.rolls",
        {"rewards": [{"type": "REWARD_TYPE_LOOT", "loot": {"rolls": 1, "guaranteed": [{"item": "sword"}]}}]},
    ),
    ("rewards[0].expires_at", {"rewards": [GOLD | {"expires_at": "2020-01-01T00:00:00Z"}]}),
]
ACHIEVEMENT: list[Case] = [
    *REQUIREMENTS,
    *REPEATS,
    *REWARDS_OF,
    ("requirements[0].type", {"requirements": [{"type": "REQUIREMENT_TYPE_QUEST", "id": "hunt"}]}),
    ("requirements[0].type", {"requirements": [{"type": "REQUIREMENT_TYPE_ACHIEVEMENT", "id": "hunter"}]}),
]


def step(path: str, /, **fields: Any) -> Case:
    return f"steps[0].{path}", {"steps": [{"id": "one", "requirements": [at_least(1)]} | fields]}


def in_step(case: Case) -> Case:
    """The same, in a step."""
    path, fields = case
    return f"steps[0].{path}", {"steps": [{"id": "one"} | fields]}


QUEST: list[Case] = [
    *REQUIREMENTS,
    *REPEATS,
    *REWARDS_OF,
    *map(in_step, REQUIREMENTS),
    *map(in_step, REWARDS_OF),
    ("steps[1].id", {"steps": [{"id": "one"}, {"id": "one"}]}),
    ("steps", {"steps": [{"id": "one", "is_optional": True}]}),
    ("steps[1].order", {"steps": [{"id": "one"}, {"id": "two", "order": 1, "is_optional": True}]}),
    step("player_confirms", player_confirms=True),
    (
        "auto_start",
        {
            "auto_start": True,
            "steps": [{"id": "one"}, {"id": "two", "order": 1, "requirements": [at_least(1)]}],
        },
    ),
    ("time_limit", {"time_limit": "0s"}),
    ("time_limit", {"time_limit": "-5s"}),
    ("time_limit", {"time_limit": "316224001s"}),
    ("id", {"id": "active"}),
    ("end_date", {"end_date": "2020-01-01T00:00:00Z"}),
    ("end_date", {"start_date": "2999-01-01T00:00:00Z", "end_date": "2999-01-01T00:00:00Z"}),
    ("requirements[0].id", {"requirements": [{"type": "REQUIREMENT_TYPE_QUEST"}]}),
    ("requirements[0].id", {"requirements": [{"type": "REQUIREMENT_TYPE_QUEST", "id": "Not an id"}]}),
    ("requirements[0].id", {"requirements": [{"type": "REQUIREMENT_TYPE_QUEST", "id": "nothing"}]}),
    ("requirements[0].id", {"requirements": [{"type": "REQUIREMENT_TYPE_QUEST", "id": "bad"}]}),
    ("requirements[0].id", {"requirements": [{"type": "REQUIREMENT_TYPE_ACHIEVEMENT", "id": "nothing"}]}),
    (
        "requirements[0].metric",
        {"requirements": [{"type": "REQUIREMENT_TYPE_QUEST", "id": "hunt", "metric": "kills"}]},
    ),
    (
        "requirements[0].requirements[0].id",
        {
            "requirements": [
                {
                    "type": "REQUIREMENT_TYPE_ANY",
                    "requirements": [{"type": "REQUIREMENT_TYPE_QUEST", "id": "nothing"}],
                }
            ]
        },
    ),
    (
        "steps[0].requirements[0].id",
        {"steps": [{"id": "one", "requirements": [{"type": "REQUIREMENT_TYPE_QUEST", "id": "nothing"}]}]},
    ),
]
REWARD: list[Case] = [
    ("type", {"value": "1"}),
    ("value", {"type": "REWARD_TYPE_CURRENCY", "currency": "gold"}),
    ("currency", {"type": "REWARD_TYPE_CURRENCY", "value": "1"}),
    ("items", GOLD | {"items": [SWORD]}),
    ("loot", GOLD | {"loot": {"rolls": 1}}),
    ("items", {"type": "REWARD_TYPE_ITEM"}),
    ("value", {"type": "REWARD_TYPE_ITEM", "items": [SWORD], "value": "1"}),
    ("items[1].id", {"type": "REWARD_TYPE_ITEM", "items": [SWORD, SWORD]}),
    ("items[0].type", {"type": "REWARD_TYPE_COSMETIC", "items": [SWORD | {"type": "x" * 32}]}),
    ("loot", {"type": "REWARD_TYPE_LOOT"}),
    ("currency", {"type": "REWARD_TYPE_LOOT", "loot": {"rolls": 1}, "currency": "gold"}),
    loot("", max_repeat=1),
    loot(".rolls", guaranteed=[{"item": "sword"}], rolls=1),
    loot(".rolls", weighted=[{"weight": "1", "item": "sword"}]),
    loot(".weighted", weighted=[{"item": "sword"}, {"item": "axe"}], rolls=1),
    loot(".guaranteed[0]", guaranteed=[{}]),
    loot(".max_repeat", weighted=[{"weight": "1", "item": "sword"}, {"item": "axe"}], rolls=3, max_repeat=2),
    entry("currency", currency="gold"),
    entry("item_type", item="", item_type="weapon"),
    entry("max", min="2", max="1"),
    entry("step", min="1", max="4", step="2"),
    ("expires_at", GOLD | {"expires_at": "2020-01-01T00:00:00Z"}),
    ("expires_after", GOLD | {"expires_after": "0s"}),
    ("expires_after", GOLD | {"expires_after": "-1s"}),
]
KILL = {"event": "combat.kill", "user": "killer_id"}


def source(path: str, /, **fields: Any) -> Case:
    return f"sources[0].{path}", {"sources": [KILL | fields]}


def filtered(path: str, /, **fields: Any) -> Case:
    asked = {"field": "weapon", "operator": "OPERATOR_EQ", "values": ["railgun"]} | fields
    return source(f"filters[0].{path}", filters=[asked])


LIMIT = {"per": "60s", "most": "10", "action": "GAIN_ACTION_REFUSE"}
METRIC: list[Case] = [
    source("user", user="nobody"),
    source("value", value="nothing"),
    source("each", each="nothing"),
    ("sources[0].value", {"aggregation": "SUM", "sources": [KILL]}),
    ("sources[0].value", {"aggregation": "DISTINCT", "sources": [KILL]}),
    filtered("operator", operator="OPERATOR_UNSPECIFIED"),
    filtered("field", field="nothing"),
    filtered("values", operator="OPERATOR_GT", values=["1", "2"]),
    filtered("values[0]", operator="OPERATOR_GT", values=["many"]),
    ("limits[0].per", {"limits": [LIMIT | {"per": "0s"}]}),
    ("limits[0].per", {"limits": [LIMIT | {"per": "-1s"}]}),
    ("limits[0].per", {"limits": [LIMIT | {"per": "31622401s"}]}),
    ("limits[1].per", {"limits": [LIMIT, LIMIT]}),
    ("limits[0].most", {"aggregation": "DISTINCT", "limits": [LIMIT | {"most": "1001"}]}),
    ("allowed_lateness", {"allowed_lateness": "-1s"}),
    ("allowed_lateness", {"allowed_lateness": "604801s"}),
]


async def _prepare(server: Gamification) -> None:
    await server.metric()
    await server.metric("score", "SUM")
    await server.metric("best", "MAX")
    await server.metric("weapons", "DISTINCT")
    await server.reward()


async def test_achievements(server: Gamification) -> None:
    await _prepare(server)
    for path, fields in ACHIEVEMENT:
        found = await violations(server.achievement("bad", **fields))
        assert list(found) == [f"achievement.{path}"], (path, fields, found)


async def test_quests(server: Gamification) -> None:
    await _prepare(server)
    for path, fields in QUEST:
        found = await violations(server.quest("bad", **fields))
        assert list(found) == [f"quest.{path}"], (path, fields, found)


async def test_rewards(server: Gamification) -> None:
    for path, fields in REWARD:
        message = ParseDict({"id": "bad"} | fields, reward_pb2.Reward())
        request = reward_service_pb2.CreateRewardRequest(reward=message)
        found = await violations(server.rewards.CreateReward(request, metadata=operator()))
        assert list(found) == [f"reward.{path}"], (path, fields, found)


async def test_metrics(server: Gamification) -> None:
    for path, fields in METRIC:
        found = await violations(server.metric("bad", **fields))
        assert list(found) == [f"metric.{path}"], (path, fields, found)


async def test_an_update_is_looked_at_like_what_is_new(server: Gamification) -> None:
    await _prepare(server)
    await server.achievement("bad")
    for path, fields in ACHIEVEMENT:
        message = ParseDict(an_achievement("bad", **fields), achievement_pb2.Achievement())
        request = achievement_service_pb2.UpdateAchievementRequest(achievement=message)
        found = await violations(server.achievements.UpdateAchievement(request, metadata=operator()))
        assert list(found) == [f"achievement.{path}"], (path, fields, found)
    for update, path in (
        (
            server.achievements.UpdateAchievement(
                achievement_service_pb2.UpdateAchievementRequest(
                    achievement=ParseDict(an_achievement("", title="x"), achievement_pb2.Achievement())
                ),
                metadata=operator(),
            ),
            "achievement.id",
        ),
        (
            server.quests.UpdateQuest(
                quest_service_pb2.UpdateQuestRequest(
                    quest=quest_pb2.Quest(
                        title="x", type=quest_pb2.QUEST_TYPE_MAIN, steps=[quest_pb2.QuestStep(id="one")]
                    )
                ),
                metadata=operator(),
            ),
            "quest.id",
        ),
    ):
        assert list(await violations(update)) == [path]


async def test_records(server: Gamification) -> None:
    """Nothing of a request with one bad record counts."""
    await _prepare(server)
    await server.achievement()
    good = {"user_id": "ada", "metric": "kills"}
    for field, fields in (
        ("metric", {"metric": "nothing"}),
        ("member", {"member": "rifle"}),
        ("value", {"value": "-1"}),
        ("member", {"metric": "weapons"}),
        ("occurred_at", {"occurred_at": "2999-01-01T00:00:00Z"}),
        ("occurred_at", {"occurred_at": "1969-12-31T23:59:59Z"}),
    ):
        records = [ParseDict(good | each, metric_pb2.MetricRecord()) for each in ({}, fields)]
        request = metric_service_pb2.RecordMetricsRequest(records=records)
        found = await violations(server.metrics.RecordMetrics(request, metadata=game_server()))
        assert list(found) == [f"records[1].{field}"], (fields, found)
    assert (await server.progress("ada")).metrics.get("kills", 0) == 0


async def test_progress(server: Gamification) -> None:
    await _prepare(server)
    await server.achievement(requirements=[at_least(3), at_least(1, "weapons"), at_least(5, "score")])
    for field, fields in (
        ("metrics", {}),
        ("metrics[best]", {"metrics": {"best": "1"}}),
        ("metrics[nothing]", {"metrics": {"nothing": "1"}}),
        ("metrics[weapons]", {"metrics": {"weapons": "1"}}),
        ("metrics[kills]", {"metrics": {"kills": "-1"}}),
        ("metrics[score]", {"metrics": {"score": str(10**15 + 1)}}),
        ("occurred_at", {"metrics": {"kills": "1"}, "occurred_at": "2999-01-01T00:00:00Z"}),
    ):
        asked = {"id": "hunter", "user_id": "ada"} | fields
        request = ParseDict(asked, achievement_service_pb2.UpdateAchievementProgressRequest())
        call = server.achievements.UpdateAchievementProgress(request, metadata=game_server())
        found = await violations(call)
        assert list(found) == [field], (fields, found)


async def test_times_that_no_calendar_has(server: Gamification) -> None:
    await _prepare(server)
    await server.achievement()
    for seconds in (2**62, -(2**62), 253402300800):
        record = metric_pb2.MetricRecord(user_id="ada", metric="kills")
        record.occurred_at.seconds = seconds
        request = metric_service_pb2.RecordMetricsRequest(records=[record])
        found = await violations(server.metrics.RecordMetrics(request, metadata=game_server()))
        assert list(found) == ["records[0].occurred_at"]
        quest = quest_pb2.Quest(
            id="bad", title="x", type=quest_pb2.QUEST_TYPE_MAIN, steps=[quest_pb2.QuestStep(id="one")]
        )
        quest.start_date.seconds = seconds
        asked = quest_service_pb2.CreateQuestRequest(quest=quest)
        assert list(await violations(server.quests.CreateQuest(asked, metadata=operator()))) == [
            "quest.start_date"
        ]
        reward = reward_pb2.Reward(id="bad", type=reward_pb2.REWARD_TYPE_CURRENCY, currency="gold", value=1)
        reward.expires_at.seconds = seconds
        wanted = reward_service_pb2.CreateRewardRequest(reward=reward)
        assert list(await violations(server.rewards.CreateReward(wanted, metadata=operator()))) == [
            "reward.expires_at"
        ]


async def test_text_that_no_table_takes(server: Gamification) -> None:
    await _prepare(server)
    found = await violations(server.achievement("bad", title="a\x00b"))
    assert list(found) == ["achievement.title"]
    message = ParseDict(an_achievement("bad"), achievement_pb2.Achievement())
    message.metadata["ratio"] = float("nan")
    request = achievement_service_pb2.CreateAchievementRequest(achievement=message)
    found = await violations(server.achievements.CreateAchievement(request, metadata=operator()))
    assert list(found) == ["achievement.metadata"]


async def test_pages(server: Gamification) -> None:
    listed = server.achievements.ListAchievements
    request = achievement_service_pb2.ListAchievementsRequest(page_size=-1)
    assert list(await violations(listed(request, metadata=operator()))) == ["page_size"]
    for token in ("x", "bm90IGEgdG9rZW4"):
        request = achievement_service_pb2.ListAchievementsRequest(page_token=token)
        assert list(await violations(listed(request, metadata=operator()))) == ["page_token"]
        ledger = reward_service_pb2.ListLedgerRequest(user_id="ada", page_token=token)
        assert list(await violations(server.rewards.ListLedger(ledger, metadata=operator()))) == [
            "page_token"
        ]
