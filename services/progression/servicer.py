"""ProgressionService between the contract and the domain: only translation."""

from collections.abc import Sequence

from arenamesh.progression.v1 import service_pb2

from services.chassis import paging
from services.chassis.auth import principal
from services.chassis.idempotency import key_of
from services.chassis.method import Context
from services.progression import translate
from services.progression.batch import Recorded
from services.progression.commands import Asked, Commands
from services.progression.domain.character import Character
from services.progression.domain.definition import Definitions
from services.progression.domain.events import ExperienceAwarded, PrestigeReset
from services.progression.domain.paragon import distribute, respec
from services.progression.domain.prestige import bonuses, reset
from services.progression.domain.standing import (
    base_standing,
    mastery_standing,
    paragon_standing,
    prestige_standing,
)
from services.progression.history import NEWEST, History
from services.progression.reader import Reader
from services.progression.statistics import DEFAULT_TOP, Statistics
from services.progression.watch import Watch

_RESETS = 20


class ProgressionServicer:
    """Every RPC of the contract. WatchProgress writes bytes itself; see the chassis."""

    def __init__(
        self,
        *,
        definitions: Definitions,
        commands: Commands,
        reader: Reader,
        history: History,
        statistics: Statistics,
        watch: Watch,
    ) -> None:
        self._definitions = definitions
        self._commands = commands
        self._reader = reader
        self._history = history
        self._statistics = statistics
        self._watch = watch

    # -- paragon ----------------------------------------------------------------------------------

    async def GetParagonLevels(
        self, request: service_pb2.GetParagonLevelsRequest, _context: Context
    ) -> service_pb2.GetParagonLevelsResponse:
        character = await self._character(request.character_id)
        definition = self._definitions.of(character)
        return service_pb2.GetParagonLevelsResponse(
            character_id=character.character_id,
            version=character.version,
            base=translate.base_level(base_standing(definition, character)),
            paragon=translate.paragon_levels(paragon_standing(definition, character)),
        )

    async def DistributeParagonPoints(
        self, request: service_pb2.DistributeParagonPointsRequest, context: Context
    ) -> service_pb2.DistributeParagonPointsResponse:
        def answer(character: Character, _recorded: Sequence[Recorded]) -> bytes:
            paragon = paragon_standing(self._definitions.of(character), character)
            return service_pb2.DistributeParagonPointsResponse(
                character_id=character.character_id,
                version=character.version,
                paragon=translate.paragon_levels(paragon),
            ).SerializeToString()

        points = translate.to_points(request.points)
        stored = await self._commands.change(
            request.character_id,
            lambda definition, character: distribute(definition, character, points),
            _asked(request, context),
            answer,
        )
        return service_pb2.DistributeParagonPointsResponse.FromString(stored)

    async def RespecParagonPoints(
        self, request: service_pb2.RespecParagonPointsRequest, context: Context
    ) -> service_pb2.RespecParagonPointsResponse:
        def answer(character: Character, _recorded: Sequence[Recorded]) -> bytes:
            paragon = paragon_standing(self._definitions.of(character), character)
            return service_pb2.RespecParagonPointsResponse(
                character_id=character.character_id,
                version=character.version,
                paragon=translate.paragon_levels(paragon),
            ).SerializeToString()

        stored = await self._commands.change(request.character_id, respec, _asked(request, context), answer)
        return service_pb2.RespecParagonPointsResponse.FromString(stored)

    async def GetParagonStats(
        self, request: service_pb2.GetParagonStatsRequest, _context: Context
    ) -> service_pb2.GetParagonStatsResponse:
        own = None
        if request.character_id:
            character = await self._character(request.character_id)
            paragon = paragon_standing(self._definitions.of(character), character)
            statistics = await self._statistics.get()
            own = translate.character_stats(character, paragon, statistics)
        else:
            statistics = await self._statistics.get()
        return service_pb2.GetParagonStatsResponse(
            character=own, **{"global": translate.global_stats(statistics, request.top or DEFAULT_TOP)}
        )

    # -- prestige ---------------------------------------------------------------------------------

    async def GetPrestigeInfo(
        self, request: service_pb2.GetPrestigeInfoRequest, _context: Context
    ) -> service_pb2.GetPrestigeInfoResponse:
        character = await self._character(request.character_id)
        resets: list[Recorded] = []
        if character.resets:
            resets = await self._history.resets(character.character_id, character.version, _RESETS)
        standing = prestige_standing(self._definitions.of(character), character)
        return service_pb2.GetPrestigeInfoResponse(
            character_id=character.character_id,
            version=character.version,
            prestige=translate.prestige_info(
                standing,
                [
                    translate.prestige_reset(each.event, each.at)
                    for each in resets
                    if isinstance(each.event, PrestigeReset)
                ],
            ),
        )

    async def ResetPrestige(
        self, request: service_pb2.ResetPrestigeRequest, context: Context
    ) -> service_pb2.ResetPrestigeResponse:
        def answer(character: Character, recorded: Sequence[Recorded]) -> bytes:
            done = [
                translate.prestige_reset(each.event, each.at)
                for each in recorded
                if isinstance(each.event, PrestigeReset)
            ]
            standing = prestige_standing(self._definitions.of(character), character)
            return service_pb2.ResetPrestigeResponse(
                character_id=character.character_id,
                version=character.version,
                reset=done[0],
                prestige=translate.prestige_info(standing, done),
            ).SerializeToString()

        stored = await self._commands.change(request.character_id, reset, _asked(request, context), answer)
        return service_pb2.ResetPrestigeResponse.FromString(stored)

    async def GetPrestigeBonuses(
        self, request: service_pb2.GetPrestigeBonusesRequest, _context: Context
    ) -> service_pb2.GetPrestigeBonusesResponse:
        character = await self._character(request.character_id)
        gained = bonuses(self._definitions.of(character).prestige, character.resets)
        return service_pb2.GetPrestigeBonusesResponse(
            character_id=character.character_id,
            version=character.version,
            resets=character.resets,
            bonuses=translate.bonuses(gained),
        )

    # -- mastery ----------------------------------------------------------------------------------

    async def GetMasteryLevels(
        self, request: service_pb2.GetMasteryLevelsRequest, _context: Context
    ) -> service_pb2.GetMasteryLevelsResponse:
        character = await self._character(request.character_id)
        types = self._definitions.of(character).mastery.values()
        return service_pb2.GetMasteryLevelsResponse(
            character_id=character.character_id,
            version=character.version,
            mastery=[translate.mastery_level(mastery_standing(each, character)) for each in types],
        )

    async def GetMasteryProgress(
        self, request: service_pb2.GetMasteryProgressRequest, _context: Context
    ) -> service_pb2.GetMasteryProgressResponse:
        character = await self._character(request.character_id)
        mastery = self._definitions.of(character).mastery_type(request.type)
        return translate.mastery_progress(character, mastery_standing(mastery, character))

    async def GetMasteryRewards(
        self, request: service_pb2.GetMasteryRewardsRequest, _context: Context
    ) -> service_pb2.GetMasteryRewardsResponse:
        character = await self._character(request.character_id)
        definition = self._definitions.of(character)
        types = [definition.mastery_type(request.type)] if request.type else definition.mastery.values()
        return service_pb2.GetMasteryRewardsResponse(
            character_id=character.character_id,
            version=character.version,
            rewards=translate.mastery_rewards(types, character),
        )

    # -- all of it --------------------------------------------------------------------------------

    async def AwardExperience(
        self, request: service_pb2.AwardExperienceRequest, context: Context
    ) -> service_pb2.AwardExperienceResponse:
        awards = [translate.to_award(each) for each in request.awards]
        asked = Asked(principal(), key_of(context, "AwardExperience", request, request.request_id))
        stored = await self._commands.award(awards, asked, _awarded)
        return service_pb2.AwardExperienceResponse.FromString(stored)

    async def GetHistory(
        self, request: service_pb2.GetHistoryRequest, _context: Context
    ) -> service_pb2.GetHistoryResponse:
        character = await self._character(request.character_id)
        query = f"history {character.character_id}"
        size = paging.size(request.page_size)
        last = paging.decode_number(request.page_token, query)
        before = NEWEST if last is None else last
        found = await self._history.before(character.character_id, before, size + 1)
        page = found[:size]
        return service_pb2.GetHistoryResponse(
            events=map(translate.history_event, page),
            next_page_token=paging.encode([str(page[-1].version)], query) if len(found) > size else "",
        )

    async def WatchProgress(self, request: service_pb2.WatchProgressRequest, context: Context) -> None:
        await self._watch.serve(request, context, principal())

    async def _character(self, character_id: str) -> Character:
        return await self._reader.character(character_id, principal())


_Change = (
    service_pb2.DistributeParagonPointsRequest
    | service_pb2.RespecParagonPointsRequest
    | service_pb2.ResetPrestigeRequest
)


def _asked(request: _Change, context: Context) -> Asked:
    """A method's key is named after it: requests are named after their methods."""
    method = request.DESCRIPTOR.name.removesuffix("Request")
    return Asked(
        principal(),
        key_of(context, method, request, request.request_id),
        request.expected_version if request.HasField("expected_version") else None,
    )


def _awarded(recorded: Sequence[Recorded]) -> bytes:
    return service_pb2.AwardExperienceResponse(
        results=[
            service_pb2.AwardResult(
                character_id=each.character_id,
                version=each.version,
                awarded=translate.experience_awarded(each.event),
            )
            for each in recorded
            if isinstance(each.event, ExperienceAwarded)
        ]
    ).SerializeToString()
