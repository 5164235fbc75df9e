"""Unary calls: metadata, retries only where they are safe, errors with their details."""

from __future__ import annotations

import base64
import json
import time

import grpc
import pytest
from arenamesh.client import Mesh, commands, connect
from arenamesh.client.errors import (
    FailedPrecondition,
    FieldError,
    InvalidArgument,
    ResourceExhausted,
    Unauthenticated,
    Unavailable,
)
from arenamesh.client.retry import Backoff
from arenamesh.client.tokens import TokenSource
from arenamesh.combat.v1 import service_pb2, session_pb2, snapshot_pb2, verdict_pb2
from google.protobuf import duration_pb2
from google.rpc import error_details_pb2  # type: ignore[import-untyped]

from tests.unit.client.conftest import FAST, Combat, details, refusal

JOINED = service_pb2.JoinSessionResponse(seat=snapshot_pb2.Seat(slot=5, player_id="ann", team=1))
GONE = refusal(grpc.StatusCode.UNAVAILABLE, "worker away")


async def test_calls_about_a_session_carry_its_id_and_the_token(mesh: Mesh, service: Combat) -> None:
    service.answers = [JOINED]
    seat = await mesh.combat.join("s1", "ann", team=2)
    assert (seat.slot, seat.team) == (5, 1)
    assert service.requests[0].team == 2
    assert service.metadata[0]["x-session-id"] == "s1"
    assert service.metadata[0]["authorization"] == "Bearer t0"


async def test_idempotent_calls_are_tried_again(mesh: Mesh, service: Combat) -> None:
    service.answers = [GONE, GONE, JOINED]
    assert (await mesh.combat.join("s1")).slot == 5
    assert len(service.requests) == 3


async def test_create_keeps_one_request_id_over_its_tries(mesh: Mesh, service: Combat) -> None:
    created = service_pb2.CreateSessionResponse(session=session_pb2.Session(session_id="s9"))
    service.answers = [GONE, created]
    session = await mesh.combat.create_session("duel", max_players=2, ruleset="default")
    assert session.session_id == "s9"
    first, second = service.requests
    assert first.request_id
    assert first == second
    assert first.session.ruleset.name == "default"


async def test_tries_end(mesh: Mesh, service: Combat) -> None:
    service.answers = [GONE]
    with pytest.raises(Unavailable):
        await mesh.combat.join("s1")
    assert len(service.requests) == FAST.attempts


@pytest.mark.parametrize(("sequence", "tries"), [(0, 1), (7, 2)])
async def test_a_shot_is_repeated_only_with_its_sequence(
    mesh: Mesh, service: Combat, sequence: int, tries: int
) -> None:
    service.answers = [GONE, service_pb2.ApplyDamageResponse(verdict=verdict_pb2.Verdict(sequence=7))]
    shot = commands.shot(0, (0.0, 0.0, 1.6), (1.0, 0.0, 0.0))
    shot.sequence = sequence
    if tries == 1:
        with pytest.raises(Unavailable):
            await mesh.combat.apply_damage("s1", shot)
    else:
        assert (await mesh.combat.apply_damage("s1", shot)).sequence == 7
    assert len(service.requests) == tries


async def test_an_end_is_repeated_under_one_key(mesh: Mesh, service: Combat) -> None:
    ended = service_pb2.EndSessionResponse(session=session_pb2.Session(session_id="s1"))
    service.answers = [GONE, ended]
    assert (await mesh.combat.end_session("s1")).session_id == "s1"
    assert (await mesh.combat.end_session("s1")).session_id == "s1"
    first, again, other = [entry["idempotency-key"] for entry in service.metadata]
    assert first == again != other


async def test_leaving_is_not_repeated(mesh: Mesh, service: Combat) -> None:
    service.answers = [GONE]
    with pytest.raises(Unavailable):
        await mesh.combat.leave("s1")
    assert len(service.requests) == 1


async def test_errors_say_reason_and_fields(mesh: Mesh, service: Combat) -> None:
    service.answers = [
        refusal(grpc.StatusCode.FAILED_PRECONDITION, "the session is full", details("FULL", seats="16"))
    ]
    with pytest.raises(FailedPrecondition) as full:
        await mesh.combat.join("s1")
    assert full.value.reason == "FULL"
    assert full.value.metadata == {"seats": "16"}
    assert str(full.value) == "FAILED_PRECONDITION: the session is full [FULL]"

    violation = error_details_pb2.BadRequest.FieldViolation(field="team", description="at most 16")
    bad = error_details_pb2.BadRequest(field_violations=[violation])
    service.answers = [refusal(grpc.StatusCode.INVALID_ARGUMENT, "bad request", bad)]
    with pytest.raises(InvalidArgument) as invalid:
        await mesh.combat.join("s1")
    assert invalid.value.fields == (FieldError("team", "at most 16"),)


async def test_a_limit_is_waited_out_only_when_the_mesh_says_how_long(mesh: Mesh, service: Combat) -> None:
    wait = error_details_pb2.RetryInfo(retry_delay=duration_pb2.Duration(nanos=20_000_000))
    service.answers = [refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, "busy", wait), JOINED]
    started = time.monotonic()
    await mesh.combat.join("s1")
    assert time.monotonic() - started >= 0.02
    service.answers = [refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, "busy"), JOINED]
    with pytest.raises(ResourceExhausted) as caught:
        await mesh.combat.join("s1")
    assert caught.value.retry_after is None


async def test_pages_are_fetched_as_they_are_read(mesh: Mesh, service: Combat) -> None:
    def page(names: str, token: str) -> service_pb2.ListSessionsResponse:
        return service_pb2.ListSessionsResponse(
            sessions=[session_pb2.Session(name=name) for name in names], next_page_token=token
        )

    service.answers = [page("ab", "more"), page("c", ""), page("", "")]
    assert [session.name async for session in mesh.combat.list_sessions(page_size=2)] == ["a", "b", "c"]
    assert [request.page_token for request in service.requests] == ["", "more"]


async def test_a_refused_token_is_renewed_once(target: str, service: Combat) -> None:
    made = iter(["old", "new", "newer"])
    refused = refusal(grpc.StatusCode.UNAUTHENTICATED, "expired", details("TOKEN_EXPIRED"))
    async with connect(target, token=lambda: next(made)) as mesh:
        service.answers = [refused, JOINED]
        assert (await mesh.combat.join("s1")).slot == 5
        assert [entry["authorization"] for entry in service.metadata] == ["Bearer old", "Bearer new"]
        service.answers = [refused]
        with pytest.raises(Unauthenticated):
            await mesh.combat.join("s1")


async def test_tokens_are_asked_for_again_before_they_run_out() -> None:
    def jwt(expires: float) -> str:
        claims = base64.urlsafe_b64encode(json.dumps({"exp": expires}).encode()).rstrip(b"=").decode()
        return f"e30.{claims}.sig"

    made = iter([jwt(time.time() + 20), jwt(time.time() + 3600), "never"])
    source = TokenSource(lambda: next(made))
    first, second, third = [await source.get() for _ in range(3)]
    assert first != second, "20 s are within the margin"
    assert second == third


def test_back_off_grows_to_its_bound() -> None:
    backoff = Backoff(first_s=0.1, factor=2, max_s=1.0)
    for attempt, ceiling in ((1, 0.1), (2, 0.2), (4, 0.8), (5, 1.0), (1000, 1.0)):
        for _ in range(50):
            assert ceiling / 2 <= backoff.delay(attempt) <= ceiling
    assert max(backoff.prompt_delay() for _ in range(50)) < 0.05
