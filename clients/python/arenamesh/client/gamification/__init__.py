"""The gamification services: what is counted, achieved, set out for, owed and told.

Every method raises a `MeshError` when it is refused or not answered in time. Writes carry a `request_id`, a
fresh one by default, and are tried again; the same id given twice has one effect and one answer. An empty
`user_id` is the caller; a player may name only itself.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from grpc import aio

from arenamesh.client.calls import Caller
from arenamesh.client.gamification.achievements import Achievements
from arenamesh.client.gamification.metrics import Metrics
from arenamesh.client.gamification.quests import Quests
from arenamesh.client.gamification.rewards import Rewards
from arenamesh.gamification.v1 import (
    achievement_service_pb2_grpc,
    metric_service_pb2_grpc,
    notification_service_pb2,
    notification_service_pb2_grpc,
    quest_service_pb2_grpc,
    reward_service_pb2_grpc,
)

__all__ = ["Achievements", "Gamification", "Metrics", "Quests", "Rewards"]


class Gamification:
    """One noun each.

    Attributes:
        metrics: what is counted; what happened; what looked impossible; how everything fares.
        achievements: what is unlocked.
        quests: what players set out to do.
        rewards: what they are owed and paid, and the receipts of it.
    """

    def __init__(self, channel: aio.Channel, caller: Caller) -> None:
        self.metrics = Metrics(metric_service_pb2_grpc.MetricServiceStub(channel), caller)
        self.achievements = Achievements(achievement_service_pb2_grpc.AchievementServiceStub(channel), caller)
        self.quests = Quests(quest_service_pb2_grpc.QuestServiceStub(channel), caller)
        self.rewards = Rewards(reward_service_pb2_grpc.RewardServiceStub(channel), caller)
        self._stub: notification_service_pb2_grpc.NotificationServiceAsyncStub = (
            notification_service_pb2_grpc.NotificationServiceStub(channel)
        )
        self._caller = caller

    async def subscribe(
        self, user_id: str = "", *, after_sequence: int | None = None
    ) -> AsyncGenerator[notification_service_pb2.SubscribeResponse, None]:
        """First the newest sequence that there is, then everything the user is told as it becomes durable.

        Nothing is left out and nothing comes twice: a lost stream is opened again behind what was told.
        `aclose()` of what is returned ends it at once.

        Args:
            after_sequence: begin with what came after this one; 0 for all that is kept.

        Raises:
            MeshError: it was refused, or could not be opened again within the tries of the client's backoff.
        """
        told = after_sequence
        opened = False

        def onward() -> notification_service_pb2.SubscribeRequest:
            return notification_service_pb2.SubscribeRequest(user_id=user_id, after_sequence=told)

        async with aclosing(self._caller.follow(self._stub.Subscribe, onward)) as answers:
            async for answer in answers:
                if not answer.HasField("event"):
                    # Of each stream the first one, that says it is open. Ours opens once.
                    told = answer.newest if told is None else told
                    if not opened:
                        opened = True
                        yield answer
                elif told is None or answer.event.sequence > told:
                    told = answer.event.sequence
                    yield answer
