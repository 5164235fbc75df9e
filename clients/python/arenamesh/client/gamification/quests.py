"""Quests: what players set out to do."""

from __future__ import annotations

from collections.abc import AsyncIterator

from arenamesh.client.calls import Caller, key
from arenamesh.gamification.v1 import quest_pb2, quest_service_pb2, quest_service_pb2_grpc


class Quests:
    """Steps with requirements complete by themselves."""

    def __init__(self, stub: quest_service_pb2_grpc.QuestServiceAsyncStub, caller: Caller) -> None:
        self._stub = stub
        self._caller = caller

    # -- for tools ------------------------------------------------------------------------------

    async def create(self, quest: quest_pb2.Quest, *, request_id: str = "") -> quest_pb2.Quest:
        """As it is kept, with its id. For operators and services."""
        request = quest_service_pb2.CreateQuestRequest(quest=quest, request_id=request_id or key())
        return (await self._caller.call(self._stub.CreateQuest, request, retry=True)).quest

    async def update(
        self, quest: quest_pb2.Quest, *, expected_version: int = 0, request_id: str = ""
    ) -> quest_pb2.Quest:
        """Replaces the one of this id; who is on it goes on as they began. For operators and services.

        Args:
            expected_version: refused (`Aborted`, STALE_VERSION) when it is another one; 0 for any.
        """
        request = quest_service_pb2.UpdateQuestRequest(
            quest=quest, expected_version=expected_version, request_id=request_id or key()
        )
        return (await self._caller.call(self._stub.UpdateQuest, request, retry=True)).quest

    # -- for everybody --------------------------------------------------------------------------

    async def get(self, id: str) -> quest_pb2.Quest:  # noqa: A002
        request = quest_service_pb2.GetQuestRequest(id=id)
        return (await self._caller.call(self._stub.GetQuest, request, retry=True)).quest

    async def all(
        self,
        *,
        type: quest_pb2.QuestType = quest_pb2.QUEST_TYPE_UNSPECIFIED,  # noqa: A002
        include_inactive: bool = False,
    ) -> AsyncIterator[quest_pb2.Quest]:
        """By id, page after page as wanted; UNSPECIFIED for every type."""
        request = quest_service_pb2.ListQuestsRequest(type=type, include_inactive=include_inactive)
        async for page in self._caller.pages(self._stub.ListQuests, request):
            for quest in page.quests:
                yield quest

    async def start(
        self,
        id: str,  # noqa: A002
        user_id: str = "",
        *,
        request_id: str = "",
    ) -> quest_pb2.QuestProgress:
        request = quest_service_pb2.StartQuestRequest(id=id, user_id=user_id, request_id=request_id or key())
        return (await self._caller.call(self._stub.StartQuest, request, retry=True)).progress

    async def complete_step(
        self,
        id: str,  # noqa: A002
        step_id: str,
        user_id: str = "",
        *,
        request_id: str = "",
    ) -> quest_service_pb2.CompleteQuestStepResponse:
        """Progress, and the grants that it led to. Not yet met: `FailedPrecondition`, STEP_UNMET.

        LT, LTE and EQ are looked at as they stand now; for a player, not before their period is over.
        """
        request = quest_service_pb2.CompleteQuestStepRequest(
            id=id, step_id=step_id, user_id=user_id, request_id=request_id or key()
        )
        return await self._caller.call(self._stub.CompleteQuestStep, request, retry=True)

    async def abandon(
        self,
        id: str,  # noqa: A002
        user_id: str = "",
        *,
        request_id: str = "",
    ) -> quest_pb2.QuestProgress:
        request = quest_service_pb2.AbandonQuestRequest(
            id=id, user_id=user_id, request_id=request_id or key()
        )
        return (await self._caller.call(self._stub.AbandonQuest, request, retry=True)).progress

    async def active(self, user_id: str = "") -> list[quest_service_pb2.ActiveQuest]:
        """That the user is on; the one started last first."""
        request = quest_service_pb2.ListActiveQuestsRequest(user_id=user_id)
        return list((await self._caller.call(self._stub.ListActiveQuests, request, retry=True)).quests)

    async def progress(
        self,
        id: str,  # noqa: A002
        user_id: str = "",
    ) -> quest_pb2.QuestProgress:
        """NOT_STARTED when the user never started it."""
        request = quest_service_pb2.GetQuestProgressRequest(id=id, user_id=user_id)
        return (await self._caller.call(self._stub.GetQuestProgress, request, retry=True)).progress
