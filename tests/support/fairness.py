"""A whole fairness server inside the test's own process: real gRPC, real PostgreSQL, a real bus."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from typing import Any

import grpc
from arenamesh.events.v1 import combat_pb2
from arenamesh.events.v1.envelope_pb2 import Envelope
from arenamesh.liveops.v1 import (
    detector_pb2,
    fairness_service_pb2,
    fairness_service_pb2_grpc,
    flag_pb2,
)
from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message as Data

from services.chassis import clock
from services.chassis.bus.port import Message
from services.fairness.settings import FairnessSettings
from services.fairness.wiring import built
from tests.support import refusals
from tests.support.served import QUICK, Served, serve
from tests.support.tokens import Metadata, operator, player

_numbers = count(1)
SHOTS: Mapping[str, Any] = {"event": "combat.player_summary", "player": "player_id", "value": "shots"}
AIM: Mapping[str, Any] = {
    "id": "aim",
    "signals": [{**SHOTS, "value": "headshots", "of": "hits"}],
    "ratio": {"honest_milli": "300", "cheat_milli": "900", "threshold_milli": "9000"},
    "reason": "Far more headshots than the best honest players have.",
}


@dataclass
class Fairness(Served):
    """A serving process and a client of it. Detectors are given as the contract's JSON."""

    def __post_init__(self) -> None:
        self.stub: fairness_service_pb2_grpc.FairnessServiceAsyncStub = (
            fairness_service_pb2_grpc.FairnessServiceStub(self.channel)
        )

    # -- detectors --------------------------------------------------------------------------------

    async def detector(
        self, *, request_id: str = "", because: str = "", unwatched: bool = False, **fields: Any
    ) -> detector_pb2.Detector:
        """One that finds more than ten shots in a minute, and flags, unless the fields say otherwise."""
        request = fairness_service_pb2.UpdateDetectorRequest(
            detector=a_detector(**fields), request_id=request_id, reason=because, without_shadow_run=unwatched
        )
        return (await self.stub.UpdateDetector(request, metadata=operator())).detector

    async def detectors(self) -> dict[str, detector_pb2.Detector]:
        request = fairness_service_pb2.ListDetectorsRequest()
        answer = await self.stub.ListDetectors(request, metadata=operator())
        return {each.id: each for each in answer.detectors}

    # -- flags ------------------------------------------------------------------------------------

    async def flags(self, **fields: Any) -> fairness_service_pb2.ListFlagsResponse:
        request = fairness_service_pb2.ListFlagsRequest(**fields)
        return await self.stub.ListFlags(request, metadata=operator())

    async def flag_of(self, player_id: str, **fields: Any) -> flag_pb2.Flag:
        """The only one."""
        (found,) = (await self.flags(player_id=player_id, **fields)).flags
        return found

    async def flag(self, flag_id: str) -> flag_pb2.Flag:
        request = fairness_service_pb2.GetFlagRequest(flag_id=flag_id)
        return (await self.stub.GetFlag(request, metadata=operator())).flag

    async def replay(self, flag_id: str) -> fairness_service_pb2.ReplayEvidenceResponse:
        request = fairness_service_pb2.ReplayEvidenceRequest(flag_id=flag_id)
        return await self.stub.ReplayEvidence(request, metadata=operator())

    async def decide(
        self, flag_id: str, decision: str, *, by: str = "op-1", until: datetime | None = None, **fields: Any
    ) -> fairness_service_pb2.DecideFlagResponse:
        """`confirm` or `dismiss`."""
        request = fairness_service_pb2.DecideFlagRequest(
            flag_id=flag_id,
            decision=f"DECISION_{decision.upper()}",
            **({"reason": "Looked at it."} | fields),
        )
        if until is not None:
            request.block_until.FromDatetime(until)
        return await self.stub.DecideFlag(request, metadata=operator(by))

    async def appeal(self, flag_id: str, by: str, **fields: Any) -> flag_pb2.Standing:
        asked = {"flag_id": flag_id, "text": "I am only good."} | fields
        request = fairness_service_pb2.AppealFlagRequest(**asked)
        return (await self.stub.AppealFlag(request, metadata=player(by))).standing

    # -- players ----------------------------------------------------------------------------------

    async def block(
        self, player_id: str, *, state: str = "", until: datetime | None = None, **fields: Any
    ) -> flag_pb2.Standing:
        request = fairness_service_pb2.BlockPlayerRequest(
            player_id=player_id,
            state=f"STANDING_STATE_{state.upper() or 'UNSPECIFIED'}",
            **({"reason": "Insults."} | fields),
        )
        if until is not None:
            request.until.FromDatetime(until)
        return (await self.stub.BlockPlayer(request, metadata=operator())).standing

    async def unblock(self, player_id: str, **fields: Any) -> flag_pb2.Standing:
        asked = {"player_id": player_id, "reason": "Enough."} | fields
        request = fairness_service_pb2.UnblockPlayerRequest(**asked)
        return (await self.stub.UnblockPlayer(request, metadata=operator())).standing

    async def standing(self, player_id: str, metadata: Metadata | None = None) -> flag_pb2.Standing:
        """As the player sees it."""
        request = fairness_service_pb2.GetPlayerStandingRequest(player_id=player_id)
        who = player(player_id) if metadata is None else metadata
        return (await self.stub.GetPlayerStanding(request, metadata=who)).standing

    async def audit(self, **fields: Any) -> fairness_service_pb2.ListAuditResponse:
        request = fairness_service_pb2.ListAuditRequest(**fields)
        return await self.stub.ListAudit(request, metadata=operator())


def a_detector(**fields: Any) -> detector_pb2.Detector:
    asked = {
        "id": "shots",
        "mode": "DETECTOR_MODE_FLAG",
        "signals": [SHOTS],
        "bound": {"most": "10", "per": "60s"},
        "budget_milli": "1000",
        "reason": "More shots than anybody can fire.",
    } | fields
    if {"flood", "ratio", "outlier", "drift", "repetition"} & fields.keys():
        del asked["bound"]
    return ParseDict(asked, detector_pb2.Detector())


def said(type_: str, data: Data, subject: str = "m", at: datetime | None = None) -> Message:
    """An event as the bus has it."""
    envelope = Envelope(id=f"e{next(_numbers)}", source="arenamesh/test", type=type_, subject=subject)
    envelope.time.FromDatetime(at or clock.now())
    envelope.data.Pack(data)
    return Message(envelope.id, subject, envelope.SerializeToString())


def played(player_id: str, *, ago_s: float = 0, **fields: int) -> Message:
    """A second of play."""
    data = combat_pb2.CombatPlayerSummary(session_id="m", player_id=player_id, **fields)
    return said("combat.player_summary", data, at=clock.now() - timedelta(seconds=ago_s))


def settings(**changes: Any) -> FairnessSettings:
    """As `QUICK`."""
    own = {"bus_backoff_s": 0.01, "sweep_s": 0.05, "peers_s": 0.1, "promotion_observations": 3}
    return FairnessSettings(**(QUICK | own | changes))


async def refused(call: Awaitable[Any], code: grpc.StatusCode, reason: str) -> Mapping[str, str]:
    """Of a call that must fail so: what is wrong with its fields, by path."""
    error = await refusals.failure(call, code, "fairness.arenamesh")
    assert refusals.reason(error) == reason
    return refusals.violations(error)


def fairness(**changes: Any) -> AbstractAsyncContextManager[Fairness]:
    """A server with these settings, stopped gracefully at the end."""
    return serve(built(settings(**changes)), Fairness)
