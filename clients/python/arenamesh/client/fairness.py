"""The fairness service: what was found about players, what follows, and what they may do about it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp

from arenamesh.client.calls import Caller, key
from arenamesh.liveops.v1 import detector_pb2, fairness_service_pb2, fairness_service_pb2_grpc, flag_pb2

THROTTLED = flag_pb2.STANDING_STATE_THROTTLED
BLOCKED = flag_pb2.STANDING_STATE_BLOCKED


class Fairness:
    """Every method raises a `MeshError` when it is refused or not answered in time.

    Players see their own standing and appeal; everything else is for operators and services. Writes carry a
    `request_id`, a fresh one by default, and are tried again; the same id given twice has one effect and one
    answer. Times have a zone.
    """

    def __init__(self, stub: fairness_service_pb2_grpc.FairnessServiceAsyncStub, caller: Caller) -> None:
        self._stub = stub
        self._caller = caller

    # -- players --------------------------------------------------------------------------------

    async def standing(self, player_id: str) -> flag_pb2.Standing:
        """What restricts the player, why, since when and until when, and whether it may appeal."""
        request = fairness_service_pb2.GetPlayerStandingRequest(player_id=player_id)
        return (await self._caller.call(self._stub.GetPlayerStanding, request, retry=True)).standing

    async def appeal(self, flag_id: str, text: str, *, request_id: str = "") -> flag_pb2.Standing:
        """Against what followed from a flag. A person other than who confirmed it decides."""
        request = fairness_service_pb2.AppealFlagRequest(
            flag_id=flag_id, text=text, request_id=request_id or key()
        )
        return (await self._caller.call(self._stub.AppealFlag, request, retry=True)).standing

    # -- flags ----------------------------------------------------------------------------------

    async def flags(
        self,
        *,
        player_id: str = "",
        detector_id: str = "",
        state: flag_pb2.FlagState = flag_pb2.FLAG_STATE_UNSPECIFIED,
        shadow: bool = False,
    ) -> AsyncIterator[flag_pb2.Flag]:
        """The newest first, page after page as wanted, without their evidence.

        Args:
            shadow: also those from which nothing follows.
        """
        request = fairness_service_pb2.ListFlagsRequest(
            player_id=player_id, detector_id=detector_id, state=state, shadow=shadow
        )
        async for page in self._caller.pages(self._stub.ListFlags, request):
            for flag in page.flags:
                yield flag

    async def flag(self, flag_id: str) -> flag_pb2.Flag:
        """With its evidence. Raises NotFound (FLAG_NOT_FOUND)."""
        request = fairness_service_pb2.GetFlagRequest(flag_id=flag_id)
        return (await self._caller.call(self._stub.GetFlag, request, retry=True)).flag

    async def replay(self, flag_id: str) -> fairness_service_pb2.ReplayEvidenceResponse:
        """Whether the flag's rule finds the same in its evidence, and nobody has changed that."""
        request = fairness_service_pb2.ReplayEvidenceRequest(flag_id=flag_id)
        return await self._caller.call(self._stub.ReplayEvidence, request, retry=True)

    async def confirm(
        self, flag_id: str, reason: str, *, block_until: datetime | None = None, request_id: str = ""
    ) -> flag_pb2.Flag:
        """What followed stays.

        Args:
            reason: for the log; the player is not told.
            block_until: the player is blocked until then.
        """
        return await self._decide(flag_id, flag_pb2.DECISION_CONFIRM, reason, block_until, request_id)

    async def dismiss(self, flag_id: str, reason: str, *, request_id: str = "") -> flag_pb2.Flag:
        """What followed is undone."""
        return await self._decide(flag_id, flag_pb2.DECISION_DISMISS, reason, None, request_id)

    async def _decide(
        self,
        flag_id: str,
        decision: flag_pb2.Decision,
        reason: str,
        block_until: datetime | None,
        request_id: str,
    ) -> flag_pb2.Flag:
        request = fairness_service_pb2.DecideFlagRequest(
            flag_id=flag_id,
            decision=decision,
            reason=reason,
            block_until=_stamp(block_until),
            request_id=request_id or key(),
        )
        return (await self._caller.call(self._stub.DecideFlag, request, retry=True)).flag

    # -- restrictions ---------------------------------------------------------------------------

    async def block(
        self,
        player_id: str,
        reason: str,
        *,
        state: flag_pb2.StandingState = BLOCKED,
        until: datetime | None = None,
        hide_scores: bool = False,
        request_id: str = "",
    ) -> flag_pb2.Standing:
        """Without a flag.

        Args:
            reason: the player is told.
            state: `THROTTLED` or `BLOCKED`.
            until: None: until somebody decides.
        """
        request = fairness_service_pb2.BlockPlayerRequest(
            player_id=player_id,
            state=state,
            reason=reason,
            until=_stamp(until),
            hide_scores=hide_scores,
            request_id=request_id or key(),
        )
        return (await self._caller.call(self._stub.BlockPlayer, request, retry=True)).standing

    async def unblock(self, player_id: str, reason: str, *, request_id: str = "") -> flag_pb2.Standing:
        """Ends every throttle and block; flags stay as they are."""
        request = fairness_service_pb2.UnblockPlayerRequest(
            player_id=player_id, reason=reason, request_id=request_id or key()
        )
        return (await self._caller.call(self._stub.UnblockPlayer, request, retry=True)).standing

    # -- detectors and the log ------------------------------------------------------------------

    async def detectors(self) -> list[detector_pb2.Detector]:
        """By id, each with how it did so far."""
        request = fairness_service_pb2.ListDetectorsRequest()
        return list((await self._caller.call(self._stub.ListDetectors, request, retry=True)).detectors)

    async def update_detector(
        self,
        detector: detector_pb2.Detector,
        reason: str = "",
        *,
        without_shadow_run: bool = False,
        request_id: str = "",
    ) -> detector_pb2.Detector:
        """Replaces it as a whole, or makes a new one. Raises FailedPrecondition (SHADOW_RUN_MISSING): it may
        not throttle or block yet."""
        request = fairness_service_pb2.UpdateDetectorRequest(
            detector=detector,
            reason=reason,
            without_shadow_run=without_shadow_run,
            request_id=request_id or key(),
        )
        return (await self._caller.call(self._stub.UpdateDetector, request, retry=True)).detector

    async def audit(self, *, player_id: str = "", flag_id: str = "") -> AsyncIterator[flag_pb2.AuditEntry]:
        """What was done, the newest first, page after page as wanted."""
        request = fairness_service_pb2.ListAuditRequest(player_id=player_id, flag_id=flag_id)
        async for page in self._caller.pages(self._stub.ListAudit, request):
            for entry in page.entries:
                yield entry


def _stamp(at: datetime | None) -> Timestamp | None:
    if at is None:
        return None
    found = Timestamp()
    found.FromDatetime(at)
    return found
