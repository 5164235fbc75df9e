"""Whatever is wrong with a request is refused with its reason and the path of its field; nothing changes."""

from __future__ import annotations

from collections.abc import Awaitable
from datetime import timedelta
from typing import Any

import grpc
from arenamesh.liveops.v1 import fairness_service_pb2, flag_pb2
from google.protobuf.timestamp_pb2 import Timestamp

from services.chassis import clock
from services.fairness.wiring import SERVICE
from tests.support.fairness import AIM, SHOTS, Fairness, a_detector, refused
from tests.support.field_rules import caller, walk
from tests.support.tokens import bearer, game_server, operator, player

INVALID = grpc.StatusCode.INVALID_ARGUMENT
DENIED = grpc.StatusCode.PERMISSION_DENIED
NOT_FOUND = grpc.StatusCode.NOT_FOUND
ABSENT = "f-" + "0" * 32


async def test_every_rule_of_every_field(server: Fairness) -> None:
    cases = [case for method in SERVICE.methods for case in walk(method)]
    assert len(cases) > 60
    for case in cases:
        call = getattr(server.stub, case.method.name)(case.request(), metadata=caller(case.method))
        found = await refused(call, INVALID, "FIELD_INVALID")
        assert case.path in found, f"{case.method.name}: {case.rule} of {case.path}, but {found}"


async def test_a_detector_has_a_rule_that_makes_sense(server: Fairness) -> None:
    """The others are in the unit tests."""
    without = a_detector()
    without.ClearField("bound")
    request = fairness_service_pb2.UpdateDetectorRequest(detector=without)
    call = server.stub.UpdateDetector(request, metadata=operator())
    assert list(await refused(call, INVALID, "FIELD_INVALID")) == ["detector.rule"]
    wrong = server.detector(signals=[{**SHOTS, "of": "hits"}])
    assert list(await refused(wrong, INVALID, "FIELD_INVALID")) == ["detector.signals[0].of"]
    unsaid = server.detector(**AIM, mode="DETECTOR_MODE_BLOCK", unwatched=True, because="  ")
    assert list(await refused(unsaid, INVALID, "FIELD_INVALID")) == ["reason"]
    assert not await server.detectors()


async def test_what_no_row_holds_and_no_calendar_has(server: Fairness) -> None:
    beyond = Timestamp(seconds=2**40)
    stub, who = server.stub, operator()
    barred: dict[str, Any] = {"player_id": "ann", "reason": "x"}
    cases: dict[str, Awaitable[Any]] = {
        "until": stub.BlockPlayer(
            fairness_service_pb2.BlockPlayerRequest(**barred, until=beyond), metadata=who
        ),
        "reason": stub.UnblockPlayer(
            fairness_service_pb2.UnblockPlayerRequest(player_id="ann", reason="a\0b"), metadata=who
        ),
        "idempotency-key": stub.BlockPlayer(
            fairness_service_pb2.BlockPlayerRequest(**barred, request_id="a\0b"), metadata=who
        ),
    }
    for path, call in cases.items():
        assert list(await refused(call, INVALID, "FIELD_INVALID")) == [path]
    past = server.block("ann", until=clock.now() - timedelta(seconds=1))
    assert list(await refused(past, INVALID, "FIELD_INVALID")) == ["until"]
    assert not (await server.standing("ann")).sanctions
    assert not (await server.audit()).entries


async def test_who_may_not(server: Fairness) -> None:
    stub = server.stub
    block = fairness_service_pb2.BlockPlayerRequest(player_id="ann", reason="x")
    decide = fairness_service_pb2.DecideFlagRequest(
        flag_id=ABSENT, decision=flag_pb2.DECISION_CONFIRM, reason="x"
    )
    appeal = fairness_service_pb2.AppealFlagRequest(flag_id=ABSENT, text="x")
    update = fairness_service_pb2.UpdateDetectorRequest(detector=a_detector())
    for call in (
        stub.BlockPlayer(block, metadata=player("ann")),
        stub.BlockPlayer(block, metadata=game_server()),
        stub.DecideFlag(decide, metadata=player("ann")),
        stub.AppealFlag(appeal, metadata=operator()),
        stub.UpdateDetector(update, metadata=game_server()),
        stub.ListFlags(fairness_service_pb2.ListFlagsRequest(), metadata=player("ann")),
        stub.ListAudit(fairness_service_pb2.ListAuditRequest(), metadata=player("ann")),
        stub.ListDetectors(fairness_service_pb2.ListDetectorsRequest(), metadata=player("ann")),
        stub.GetFlag(fairness_service_pb2.GetFlagRequest(flag_id=ABSENT), metadata=player("ann")),
    ):
        await refused(call, DENIED, "ROLE_NOT_ALLOWED")
    await refused(server.standing("ann", player("ben")), DENIED, "PLAYER_FOREIGN")
    await refused(server.standing("ann", ()), grpc.StatusCode.UNAUTHENTICATED, "TOKEN_MISSING")
    assert (await server.standing("me", player("ann"))).player_id == "ann"
    assert (await server.standing("ann", game_server())).player_id == "ann"
    strange = server.standing("me", bearer("a b"))
    assert list(await refused(strange, INVALID, "FIELD_INVALID")) == ["player_id"]


async def test_what_there_is_not(server: Fairness) -> None:
    for call in (
        server.flag(ABSENT),
        server.replay(ABSENT),
        server.decide(ABSENT, "confirm"),
        server.appeal(ABSENT, by="ann"),
    ):
        await refused(call, NOT_FOUND, "FLAG_NOT_FOUND")
    assert not (await server.flags()).flags
    assert not (await server.audit(flag_id=ABSENT)).entries


async def test_pages_and_their_tokens_are_checked(server: Fairness) -> None:
    for number in range(3):
        await server.block(f"p{number}")
    token = (await server.audit(page_size=1)).next_page_token
    for wrong in (
        server.audit(page_token="nonsense"),
        server.audit(page_token=token, player_id="p1"),
        server.flags(page_token=token),
    ):
        assert list(await refused(wrong, INVALID, "PAGE_TOKEN_INVALID")) == ["page_token"]
    assert list(await refused(server.audit(page_size=-1), INVALID, "FIELD_INVALID")) == ["page_size"]
    assert list(await refused(server.flags(page_size=-1), INVALID, "FIELD_INVALID")) == ["page_size"]
