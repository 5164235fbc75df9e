"""What events from outside and leaderboards need of the edge: raw bodies, statuses, paths open to read."""

from __future__ import annotations

import io
from typing import Any

import grpc
import pytest
from arenamesh.liveops.v1 import ingest_service_pb2, ingest_service_pb2_grpc
from google.api import httpbody_pb2  # type: ignore[import-untyped]

from services.chassis.errors import FailedPrecondition, OutOfRange, ResourceExhausted
from services.chassis.status import to_status
from tests.unit.edge.conftest import Faced
from tests.unit.edge.recorder import Recorder

SIGNED = {
    "x-signature": "sha256=00",
    "x-key-id": "k1",
    "idempotency-key": "demo-1",
    "webhook-id": "m1",
    "webhook-timestamp": "1730560000",
    "webhook-signature": "v1,AAAA v1,BBBB",
}
# Spaces, member order, escapes, a number's spelling, bytes that are no UTF-8: a signature is of all of them.
RAW = b'\n{"b" : 1.50e0, "a":"\\u00e9 \xc3\xa9 \xff", "a": null}\r\n '


async def posted(faced: Faced, path: str, body: bytes | io.BytesIO, **headers: str) -> tuple[int, Any, Any]:
    """Status, headers, text."""
    url = f"http://{faced.edge.address}{path}"
    async with faced.edge.http.post(url, data=body, headers={**SIGNED, **headers}) as response:
        return response.status, response.headers, await response.text()


def refuse(faced: Faced, error: Exception) -> None:
    status = to_status(error, "test")
    for recorder in faced.of["ingest"]:
        recorder.refusal, recorder.refusal_metadata = status.code, status.trailing_metadata


@pytest.mark.parametrize("path", ["/events", "/events/", "/events:batch"])
@pytest.mark.parametrize("kind", ["application/json", "application/x-www-form-urlencoded"])
async def test_a_signed_body_reaches_the_service_byte_for_byte(faced: Faced, path: str, kind: str) -> None:
    for body in (RAW, b"", b"\x00" * 300_000):
        assert (await posted(faced, path, body, **{"content-type": kind}))[0] == 202
        ((name, request),) = faced.calls()
        assert name == ("PostEvents" if "batch" in path else "PostEvent")
        assert request.body.data == body
    heard: list[Recorder] = [recorder for recorder in faced.of["ingest"] if recorder.heard]
    assert SIGNED.items() <= heard[0].heard[-1].items()


async def test_what_a_sender_is_told(faced: Faced) -> None:
    for error, status in (
        (FailedPrecondition("", reason="R"), 422),
        (OutOfRange("", reason="R"), 413),
        (ResourceExhausted("", reason="R", retry_after_s=1.2), 429),
    ):
        refuse(faced, error)
        found, headers, text = await posted(faced, "/events", b"{}")
        assert (found, headers["content-type"]) == (status, "application/json"), headers
        assert '"reason":"R"' in text
        assert headers.get("retry-after") == ("2" if status == 429 else None)
    assert (await posted(faced, "/events", io.BytesIO(bytes((1 << 20) + 1))))[0] == 413


async def test_the_same_call_by_grpc_and_other_calls_keep_their_statuses(faced: Faced) -> None:
    stub: Any = ingest_service_pb2_grpc.IngestServiceStub(faced.edge.channel)
    request = ingest_service_pb2.PostEventRequest(body=httpbody_pb2.HttpBody(data=RAW))
    assert await stub.PostEvent(request) == ingest_service_pb2.PostEventResponse()
    assert [each for _, each in faced.calls()] == [request]
    assert (await faced("POST", "/events/submit", json={}))[0] == 200
    refuse(faced, FailedPrecondition("", reason="R"))
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.PostEvent(request)
    assert refused.value.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert (await faced("POST", "/events/submit", json={}))[0] == 400


async def test_a_leaderboard_is_anybodys_to_read_and_not_to_change(faced: Faced) -> None:
    for path in ("/leaderboard?window=weekly&limit=10", "/leaderboard/?window=weekly&limit=10"):
        assert (await faced("GET", path, by={}))[0] == 200
        ((name, request),) = faced.calls()
        assert (name, request.window, request.limit) == ("GetLeaderboard", "weekly", 10)
    assert (await faced("GET", "/leaderboard/around/ada:1@x", by={}))[0] == 200
    ((_, request),) = faced.calls()
    assert request.player_id == "ada:1@x"
    for verb, path in (
        ("POST", "/leaderboard/boards"),
        ("POST", "/leaderboard/scores"),
        ("GET", "/leaderboard/around/a/b"),
        ("GET", "/events/rejected"),
        ("GET", "/events/types"),
        ("POST", "/events/submit"),
    ):
        assert (await faced(verb, path, by={}, json={} if verb == "POST" else None))[0] == 401, path
    assert faced.calls() == []
