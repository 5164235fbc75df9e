"""FairnessService between the contract and the domain: only translation, and who may see what."""

import re

from arenamesh.liveops.v1 import fairness_service_pb2

from services.chassis import paging
from services.chassis.auth import Role, principal
from services.chassis.errors import InvalidArgument, PermissionDenied
from services.chassis.event_fields import PLAYER
from services.chassis.idempotency import key_of
from services.chassis.method import Context
from services.fairness import translate_out
from services.fairness.commands import Commands, actor
from services.fairness.detector_commands import DetectorCommands
from services.fairness.detectors import Detectors
from services.fairness.domain.flag import FlagState, not_found
from services.fairness.queries import MOST_LINES, Place, Queries, Wanted

ME = "me"
MAX_FLAGS = 100
"""Of a page: more would not fit what a client takes as a message, with all that was said of each."""
MAX_LINES = 500
_FLAG_ID = re.compile(r"f-[0-9a-f]{32}")


class FairnessServicer:
    """Every RPC of the contract."""

    def __init__(
        self, detectors: Detectors, changing: DetectorCommands, commands: Commands, queries: Queries
    ) -> None:
        self._detectors = detectors
        self._changing = changing
        self._commands = commands
        self._queries = queries

    # -- flags ------------------------------------------------------------------------------------

    async def ListFlags(
        self, request: fairness_service_pb2.ListFlagsRequest, _context: Context
    ) -> fairness_service_pb2.ListFlagsResponse:
        state = FlagState(request.state) if request.state else None
        wanted = Wanted(request.player_id, request.detector_id, state, request.shadow)
        query = f"flags {'/'.join(map(str, wanted))}"
        size = paging.size(request.page_size, MAX_FLAGS)
        found = await self._queries.flags(wanted, _place(request.page_token, query), size + 1)
        page = found[:size]
        last = page[-1] if len(found) > size else None
        return fairness_service_pb2.ListFlagsResponse(
            flags=map(translate_out.flag, page),
            next_page_token=paging.encode_place(last.opened_at, last.id, query) if last else "",
        )

    async def GetFlag(
        self, request: fairness_service_pb2.GetFlagRequest, _context: Context
    ) -> fairness_service_pb2.GetFlagResponse:
        flag, evidence = await self._queries.flag(request.flag_id)
        shown = translate_out.flag(flag)
        shown.evidence.CopyFrom(evidence)
        return fairness_service_pb2.GetFlagResponse(flag=shown)

    async def DecideFlag(
        self, request: fairness_service_pb2.DecideFlagRequest, context: Context
    ) -> fairness_service_pb2.DecideFlagResponse:
        return await self._commands.decide(request, await self._queries.owner(request.flag_id), context)

    async def AppealFlag(
        self, request: fairness_service_pb2.AppealFlagRequest, context: Context
    ) -> fairness_service_pb2.AppealFlagResponse:
        player_id = await self._queries.owner(request.flag_id)
        if player_id != principal().subject:
            # That there is one about somebody else is nobody's business.
            raise not_found(request.flag_id)
        return await self._commands.appeal(request, player_id, context)

    async def ReplayEvidence(
        self, request: fairness_service_pb2.ReplayEvidenceRequest, _context: Context
    ) -> fairness_service_pb2.ReplayEvidenceResponse:
        checked = await self._queries.check(request.flag_id)
        replayed = checked.replayed
        return fairness_service_pb2.ReplayEvidenceResponse(
            same=replayed.same,
            statistic_micro=replayed.statistic_micro,
            threshold_micro=replayed.threshold_micro,
            intact=replayed.intact and checked.logged,
            inputs_kept=checked.kept,
            inputs_differ=checked.differ,
        )

    # -- players ----------------------------------------------------------------------------------

    async def BlockPlayer(
        self, request: fairness_service_pb2.BlockPlayerRequest, context: Context
    ) -> fairness_service_pb2.BlockPlayerResponse:
        return await self._commands.block(request, context)

    async def UnblockPlayer(
        self, request: fairness_service_pb2.UnblockPlayerRequest, context: Context
    ) -> fairness_service_pb2.UnblockPlayerResponse:
        return await self._commands.unblock(request, context)

    async def GetPlayerStanding(
        self, request: fairness_service_pb2.GetPlayerStandingRequest, _context: Context
    ) -> fairness_service_pb2.GetPlayerStandingResponse:
        standing = await self._queries.standing(_player(request.player_id))
        return fairness_service_pb2.GetPlayerStandingResponse(standing=standing)

    # -- the log and detectors --------------------------------------------------------------------

    async def ListAudit(
        self, request: fairness_service_pb2.ListAuditRequest, _context: Context
    ) -> fairness_service_pb2.ListAuditResponse:
        query = f"audit {request.player_id}/{request.flag_id}"
        size = paging.size(request.page_size, MAX_LINES)
        last = paging.decode_number(request.page_token, query)
        before = MOST_LINES if last is None else last
        found = await self._queries.audit(request.player_id, request.flag_id, before, size + 1)
        page, more = found[:size], len(found) > size
        return fairness_service_pb2.ListAuditResponse(
            entries=map(translate_out.audit_entry, page),
            next_page_token=paging.encode([str(page[-1].sequence)], query) if more else "",
        )

    async def ListDetectors(
        self, _request: fairness_service_pb2.ListDetectorsRequest, _context: Context
    ) -> fairness_service_pb2.ListDetectorsResponse:
        return fairness_service_pb2.ListDetectorsResponse(detectors=await self._detectors.shown())

    async def UpdateDetector(
        self, request: fairness_service_pb2.UpdateDetectorRequest, context: Context
    ) -> fairness_service_pb2.UpdateDetectorResponse:
        key = key_of(context, "UpdateDetector", request, request.request_id)
        return await self._changing.update(key, actor(), request)


def _player(asked: str) -> str:
    """Whom a caller asks about; `me`: itself.

    Raises:
        PermissionDenied: PLAYER_FOREIGN, a player asks about another one.
        InvalidArgument: the caller's subject cannot be a player's id.
    """
    caller = principal()
    player_id = caller.subject if asked == ME else asked
    if caller.role is Role.PLAYER and player_id != caller.subject:
        raise PermissionDenied(
            "A player may only ask about itself.", reason="PLAYER_FOREIGN", metadata={"player_id": player_id}
        )
    if not PLAYER.fullmatch(player_id):
        raise InvalidArgument.of("player_id", f"must match {PLAYER.pattern}; so must a token's subject")
    return player_id


# -- pages --------------------------------------------------------------------------------------------


def _place(page_token: str, query: str) -> Place:
    """Raises InvalidArgument (PAGE_TOKEN_INVALID)."""
    found = paging.decode_place(page_token, query)
    if found is None:
        return Place()
    if not _FLAG_ID.fullmatch(found[1]):
        raise paging.invalid()
    return Place(*found)
