"""Achievements: what is unlocked, and how far everybody is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import datetime

from arenamesh.client.calls import Caller, key
from arenamesh.gamification.v1 import achievement_pb2, achievement_service_pb2, achievement_service_pb2_grpc


class Achievements:
    """A SECRET one does not exist for a player who has not unlocked it."""

    def __init__(
        self, stub: achievement_service_pb2_grpc.AchievementServiceAsyncStub, caller: Caller
    ) -> None:
        self._stub = stub
        self._caller = caller

    # -- for tools ------------------------------------------------------------------------------

    async def create(
        self, achievement: achievement_pb2.Achievement, *, request_id: str = ""
    ) -> achievement_pb2.Achievement:
        """As it is kept, with its id. For operators and services."""
        request = achievement_service_pb2.CreateAchievementRequest(
            achievement=achievement, request_id=request_id or key()
        )
        return (await self._caller.call(self._stub.CreateAchievement, request, retry=True)).achievement

    async def update(
        self,
        achievement: achievement_pb2.Achievement,
        *,
        bring_over: bool = False,
        expected_version: int = 0,
        request_id: str = "",
    ) -> achievement_pb2.Achievement:
        """Replaces the one of this id. For operators and services.

        Args:
            bring_over: who has begun an older version goes on with this one.
            expected_version: refused (`Aborted`, STALE_VERSION) when it is another one; 0 for any.
        """
        request = achievement_service_pb2.UpdateAchievementRequest(
            achievement=achievement,
            bring_over=bring_over,
            expected_version=expected_version,
            request_id=request_id or key(),
        )
        return (await self._caller.call(self._stub.UpdateAchievement, request, retry=True)).achievement

    # -- for everybody --------------------------------------------------------------------------

    async def get(self, id: str) -> achievement_pb2.Achievement:  # noqa: A002
        request = achievement_service_pb2.GetAchievementRequest(id=id)
        return (await self._caller.call(self._stub.GetAchievement, request, retry=True)).achievement

    async def all(
        self,
        *,
        type: achievement_pb2.AchievementType = achievement_pb2.ACHIEVEMENT_TYPE_UNSPECIFIED,  # noqa: A002
        category: achievement_pb2.AchievementCategory = (achievement_pb2.ACHIEVEMENT_CATEGORY_UNSPECIFIED),
        include_disabled: bool = False,
    ) -> AsyncIterator[achievement_pb2.Achievement]:
        """By id, page after page as wanted; UNSPECIFIED for every type, every category."""
        request = achievement_service_pb2.ListAchievementsRequest(
            type=type, category=category, include_disabled=include_disabled
        )
        async for page in self._caller.pages(self._stub.ListAchievements, request):
            for achievement in page.achievements:
                yield achievement

    async def advance(
        self,
        id: str,  # noqa: A002
        user_id: str,
        metrics: Mapping[str, int],
        *,
        occurred_at: datetime | None = None,
        checkpoint: bool = False,
        request_id: str = "",
    ) -> achievement_service_pb2.UpdateAchievementProgressResponse:
        """What metrics of its requirements gained: progress, and the grants that it led to.

        For game servers, operators and services.

        Args:
            occurred_at: with its time zone; None for now.
            checkpoint: LT, LTE and EQ are looked at too, as they stand now.
        """
        request = achievement_service_pb2.UpdateAchievementProgressRequest(
            id=id,
            user_id=user_id,
            metrics=metrics,
            occurred_at=occurred_at,
            checkpoint=checkpoint,
            request_id=request_id or key(),
        )
        return await self._caller.call(self._stub.UpdateAchievementProgress, request, retry=True)

    async def progress(
        self,
        id: str,  # noqa: A002
        user_id: str = "",
    ) -> achievement_pb2.AchievementProgress:
        request = achievement_service_pb2.GetAchievementProgressRequest(id=id, user_id=user_id)
        return (await self._caller.call(self._stub.GetAchievementProgress, request, retry=True)).progress

    async def begun(self, user_id: str = "me") -> AsyncIterator[achievement_pb2.AchievementProgress]:
        """All that the user has begun: completed ones first, the newest first."""
        request = achievement_service_pb2.ListAchievementProgressRequest(user_id=user_id)
        async for page in self._caller.pages(self._stub.ListAchievementProgress, request):
            for progress in page.progress:
                yield progress

    async def score(self, user_id: str = "me") -> tuple[int, int]:
        """How many the user has completed, and the points of them."""
        request = achievement_service_pb2.ListAchievementProgressRequest(user_id=user_id, page_size=1)
        answer = await self._caller.call(self._stub.ListAchievementProgress, request, retry=True)
        return answer.completed, answer.points
