"""A whole gamification server inside the test's own process: real gRPC, real PostgreSQL and Redis."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

import grpc
from arenamesh.gamification.v1 import (
    achievement_pb2,
    achievement_service_pb2,
    achievement_service_pb2_grpc,
    metric_pb2,
    metric_service_pb2,
    metric_service_pb2_grpc,
    notification_service_pb2_grpc,
    quest_pb2,
    quest_service_pb2,
    quest_service_pb2_grpc,
    reward_pb2,
    reward_service_pb2,
    reward_service_pb2_grpc,
)
from google.protobuf.json_format import ParseDict

from services.gamification.settings import GamificationSettings
from services.gamification.wiring import built
from tests.support import refusals
from tests.support.served import QUICK, Served, serve
from tests.support.tokens import Metadata, game_server, operator


@dataclass
class Gamification(Served):
    """A serving process and clients of it. Definitions are given as the JSON of the contract's messages."""

    def __post_init__(self) -> None:
        self.achievements: achievement_service_pb2_grpc.AchievementServiceAsyncStub = (
            achievement_service_pb2_grpc.AchievementServiceStub(self.channel)
        )
        self.metrics: metric_service_pb2_grpc.MetricServiceAsyncStub = (
            metric_service_pb2_grpc.MetricServiceStub(self.channel)
        )
        self.notifications: notification_service_pb2_grpc.NotificationServiceAsyncStub = (
            notification_service_pb2_grpc.NotificationServiceStub(self.channel)
        )
        self.quests: quest_service_pb2_grpc.QuestServiceAsyncStub = quest_service_pb2_grpc.QuestServiceStub(
            self.channel
        )
        self.rewards: reward_service_pb2_grpc.RewardServiceAsyncStub = (
            reward_service_pb2_grpc.RewardServiceStub(self.channel)
        )

    # -- definitions ------------------------------------------------------------------------------

    async def metric(
        self, id_: str = "kills", aggregation: str = "COUNT", **fields: Any
    ) -> metric_pb2.Metric:
        asked = {"id": id_, "aggregation": f"AGGREGATION_{aggregation}"} | fields
        request = metric_service_pb2.CreateMetricRequest(metric=ParseDict(asked, metric_pb2.Metric()))
        return (await self.metrics.CreateMetric(request, metadata=operator())).metric

    async def achievement(self, id_: str = "hunter", **fields: Any) -> achievement_pb2.Achievement:
        """Ten kills, unless the fields say otherwise."""
        message = ParseDict(an_achievement(id_, **fields), achievement_pb2.Achievement())
        request = achievement_service_pb2.CreateAchievementRequest(achievement=message)
        return (await self.achievements.CreateAchievement(request, metadata=operator())).achievement

    async def quest(self, id_: str = "hunt", **fields: Any) -> quest_pb2.Quest:
        """One step of three kills, unless the fields say otherwise."""
        message = ParseDict(a_quest(id_, **fields), quest_pb2.Quest())
        request = quest_service_pb2.CreateQuestRequest(quest=message)
        return (await self.quests.CreateQuest(request, metadata=operator())).quest

    async def reward(self, id_: str = "purse", **fields: Any) -> reward_pb2.Reward:
        """A hundred gold, unless the fields say otherwise."""
        message = ParseDict(a_reward(id_, **fields), reward_pb2.Reward())
        request = reward_service_pb2.CreateRewardRequest(reward=message)
        return (await self.rewards.CreateReward(request, metadata=operator())).reward

    # -- what happens -----------------------------------------------------------------------------

    async def record(
        self, user_id: str, value: int = 1, *, metric: str = "kills", **fields: Any
    ) -> metric_pb2.RecordOutcome:
        """One record of a game server. `fields`: of MetricRecord, in JSON."""
        asked = {"user_id": user_id, "metric": metric, "value": str(value)} | fields
        message = ParseDict(asked, metric_pb2.MetricRecord())
        request = metric_service_pb2.RecordMetricsRequest(records=[message])
        return (await self.metrics.RecordMetrics(request, metadata=game_server())).outcomes[0]

    async def distribute(
        self, user_id: str, reward_id: str = "purse", *, source_id: str = "s1", **fields: Any
    ) -> reward_pb2.RewardDistribution:
        request = reward_service_pb2.DistributeRewardRequest(
            id=reward_id,
            user_id=user_id,
            source=reward_pb2.REWARD_SOURCE_SUPPORT,
            source_id=source_id,
            **fields,
        )
        return (await self.rewards.DistributeReward(request, metadata=operator())).distribution

    # -- what there is ----------------------------------------------------------------------------

    async def progress(
        self, user_id: str, id_: str = "hunter", metadata: Metadata | None = None
    ) -> achievement_pb2.AchievementProgress:
        request = achievement_service_pb2.GetAchievementProgressRequest(id=id_, user_id=user_id)
        answer = await self.achievements.GetAchievementProgress(request, metadata=metadata or game_server())
        return answer.progress

    async def quest_progress(self, user_id: str, id_: str = "hunt") -> quest_pb2.QuestProgress:
        request = quest_service_pb2.GetQuestProgressRequest(id=id_, user_id=user_id)
        return (await self.quests.GetQuestProgress(request, metadata=game_server())).progress

    async def pending(self, user_id: str) -> list[reward_pb2.RewardDistribution]:
        request = reward_service_pb2.ListPendingRewardsRequest(user_id=user_id)
        return list((await self.rewards.ListPendingRewards(request, metadata=game_server())).distributions)

    async def wallet(self, user_id: str) -> dict[str, int]:
        request = reward_service_pb2.GetWalletRequest(user_id=user_id)
        answer = await self.rewards.GetWallet(request, metadata=game_server())
        return {each.currency: each.amount for each in answer.balances}

    async def inventory(self, user_id: str) -> dict[str, int]:
        request = reward_service_pb2.GetInventoryRequest(user_id=user_id)
        answer = await self.rewards.GetInventory(request, metadata=game_server())
        return {each.id: each.quantity for each in answer.items}


def at_least(threshold: int, metric: str = "kills", **fields: Any) -> dict[str, Any]:
    """A requirement."""
    return {"metric": metric, "operator": "OPERATOR_GTE", "threshold": str(threshold)} | fields


def an_achievement(id_: str = "hunter", **fields: Any) -> dict[str, Any]:
    return {
        "id": id_,
        "title": id_.title(),
        "type": "ACHIEVEMENT_TYPE_MILESTONE",
        "points": 10,
        "requirements": [at_least(10)],
        "is_enabled": True,
    } | fields


def a_quest(id_: str = "hunt", **fields: Any) -> dict[str, Any]:
    return {
        "id": id_,
        "title": id_.title(),
        "type": "QUEST_TYPE_SIDE",
        "steps": [{"id": "kill", "title": "Kill", "requirements": [at_least(3)]}],
        "is_active": True,
    } | fields


def a_reward(id_: str = "purse", **fields: Any) -> dict[str, Any]:
    if "type" in fields:
        return {"id": id_} | fields
    return {"id": id_, "type": "REWARD_TYPE_CURRENCY", "currency": "gold", "value": "100"} | fields


def settings(**changes: Any) -> GamificationSettings:
    """As `QUICK`."""
    return GamificationSettings(**(QUICK | {"sweep_s": 0.05} | changes))


async def refused(call: Awaitable[Any], code: grpc.StatusCode) -> Any:
    """The ErrorInfo of a call that must fail with `code`."""
    return refusals.info(await refusals.failure(call, code, "gamification.arenamesh"))


async def violations(call: Awaitable[Any]) -> Mapping[str, str]:
    """What is wrong with the fields of a call, by path; empty: it was answered."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT, error
        return refusals.violations(error)
    return {}


def gamification(**changes: Any) -> AbstractAsyncContextManager[Gamification]:
    """A server with these settings, stopped gracefully at the end."""
    return serve(built(settings(**changes)), Gamification)
