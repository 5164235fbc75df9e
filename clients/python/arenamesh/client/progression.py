"""The progression service: awards, points, resets, rewards, and a watch that comes back by itself."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from arenamesh.client.calls import Caller, key
from arenamesh.progression.v1 import (
    history_pb2,
    mastery_pb2,
    paragon_pb2,
    service_pb2,
    service_pb2_grpc,
)

ExperienceAward = service_pb2.ExperienceAward
MasteryAward = service_pb2.MasteryAward
AwardMultiplier = service_pb2.AwardMultiplier

_PAGE = 1000


class Progression:
    """Every method raises a `MeshError` when it is refused or not answered in time.

    Totals of experience are decimal strings: `int(...)` has no limit. Writes carry a `request_id`, a fresh
    one by default, and are tried again; the same id given twice has one effect and one answer. With
    `expected_version` a write is refused (`Aborted`, STALE_VERSION) when the character has changed since.
    """

    def __init__(self, stub: service_pb2_grpc.ProgressionServiceAsyncStub, caller: Caller) -> None:
        self._stub = stub
        self._caller = caller

    async def award(
        self, *awards: service_pb2.ExperienceAward, request_id: str = ""
    ) -> list[service_pb2.AwardResult]:
        """Experience for one or many characters: all awards or none. For game servers and services."""
        request = service_pb2.AwardExperienceRequest(awards=awards, request_id=request_id or key())
        answer = await self._caller.call(self._stub.AwardExperience, request, retry=True)
        return list(answer.results)

    # -- paragon ------------------------------------------------------------------------------

    async def levels(self, character_id: str) -> service_pb2.GetParagonLevelsResponse:
        """Base level and paragon level, with points."""
        request = service_pb2.GetParagonLevelsRequest(character_id=character_id)
        return await self._caller.call(self._stub.GetParagonLevels, request, retry=True)

    async def distribute(
        self,
        character_id: str,
        *,
        strength: int = 0,
        agility: int = 0,
        intelligence: int = 0,
        vitality: int = 0,
        luck: int = 0,
        expected_version: int | None = None,
        request_id: str = "",
    ) -> service_pb2.DistributeParagonPointsResponse:
        """Adds unspent points to attributes, all of them or none."""
        points = paragon_pb2.AttributePoints(
            strength=strength, agility=agility, intelligence=intelligence, vitality=vitality, luck=luck
        )
        request = service_pb2.DistributeParagonPointsRequest(
            character_id=character_id,
            points=points,
            expected_version=expected_version,
            request_id=request_id or key(),
        )
        return await self._caller.call(self._stub.DistributeParagonPoints, request, retry=True)

    async def respec(
        self, character_id: str, *, expected_version: int | None = None, request_id: str = ""
    ) -> service_pb2.RespecParagonPointsResponse:
        """Takes all points back."""
        request = service_pb2.RespecParagonPointsRequest(
            character_id=character_id, expected_version=expected_version, request_id=request_id or key()
        )
        return await self._caller.call(self._stub.RespecParagonPoints, request, retry=True)

    async def stats(self, character_id: str = "", *, top: int = 0) -> service_pb2.GetParagonStatsResponse:
        """Of all characters, and of one beside them. `top`: how many of the best, 0 for ten."""
        request = service_pb2.GetParagonStatsRequest(character_id=character_id, top=top)
        return await self._caller.call(self._stub.GetParagonStats, request, retry=True)

    # -- prestige -----------------------------------------------------------------------------

    async def prestige(self, character_id: str) -> service_pb2.GetPrestigeInfoResponse:
        """Bonuses, what the next reset needs and gives, and the resets before."""
        request = service_pb2.GetPrestigeInfoRequest(character_id=character_id)
        return await self._caller.call(self._stub.GetPrestigeInfo, request, retry=True)

    async def reset_prestige(
        self, character_id: str, *, expected_version: int | None = None, request_id: str = ""
    ) -> service_pb2.ResetPrestigeResponse:
        """Back to base level 1, for permanent bonuses."""
        request = service_pb2.ResetPrestigeRequest(
            character_id=character_id, expected_version=expected_version, request_id=request_id or key()
        )
        return await self._caller.call(self._stub.ResetPrestige, request, retry=True)

    async def bonuses(self, character_id: str) -> service_pb2.GetPrestigeBonusesResponse:
        request = service_pb2.GetPrestigeBonusesRequest(character_id=character_id)
        return await self._caller.call(self._stub.GetPrestigeBonuses, request, retry=True)

    # -- mastery ------------------------------------------------------------------------------

    async def mastery(self, character_id: str) -> list[mastery_pb2.MasteryLevel]:
        """The level of every type."""
        request = service_pb2.GetMasteryLevelsRequest(character_id=character_id)
        return list((await self._caller.call(self._stub.GetMasteryLevels, request, retry=True)).mastery)

    async def mastery_progress(
        self,
        character_id: str,
        type: str,  # noqa: A002
    ) -> service_pb2.GetMasteryProgressResponse:
        """How far it is to the next level and the next reward of one type."""
        request = service_pb2.GetMasteryProgressRequest(character_id=character_id, type=type)
        return await self._caller.call(self._stub.GetMasteryProgress, request, retry=True)

    async def rewards(
        self,
        character_id: str,
        type: str = "",  # noqa: A002
    ) -> list[mastery_pb2.MasteryReward]:
        """Rising by level, of one type or of all; `unlocked` says which are reached."""
        request = service_pb2.GetMasteryRewardsRequest(character_id=character_id, type=type)
        return list((await self._caller.call(self._stub.GetMasteryRewards, request, retry=True)).rewards)

    # -- the past, and what comes ---------------------------------------------------------------

    async def history(self, character_id: str) -> AsyncIterator[history_pb2.HistoryEvent]:
        """Everything that ever happened to a character, the newest first, page after page as wanted."""
        request = service_pb2.GetHistoryRequest(character_id=character_id, page_size=_PAGE)
        async for page in self._caller.pages(self._stub.GetHistory, request):
            for event in page.events:
                yield event

    async def watch_progress(
        self, character_id: str, *, after_version: int | None = None
    ) -> AsyncGenerator[service_pb2.WatchProgressResponse, None]:
        """First how the character stands, then every event as it becomes durable: each once, none left out.

        A lost stream is opened again behind what was told. `aclose()` of what is returned ends it at once.

        Args:
            after_version: begin with the events after this one instead.

        Raises:
            MeshError: it was refused, or could not be opened again within the tries of the client's backoff.
        """
        told = after_version

        def onward() -> service_pb2.WatchProgressRequest:
            return service_pb2.WatchProgressRequest(character_id=character_id, after_version=told)

        async with aclosing(self._caller.follow(self._stub.WatchProgress, onward)) as answers:
            async for answer in answers:
                version = answer.event.version or answer.progress.version
                if told is None or version > told:
                    told = version
                    yield answer
