"""A whole ingest server inside the test's own process: real gRPC, real PostgreSQL and Redis."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Awaitable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

import grpc
from arenamesh.liveops.v1 import event_pb2, ingest_service_pb2, ingest_service_pb2_grpc
from google.api import httpbody_pb2  # type: ignore[import-untyped]
from google.protobuf.json_format import ParseDict

from services.chassis import clock
from services.ingest.keys import DEVELOPMENT_SECRET
from services.ingest.main import built
from services.ingest.settings import IngestSettings
from tests.support.refusals import failure, info
from tests.support.served import QUICK, Served, serve
from tests.support.tokens import game_server, operator

TAKEN = "WHERE event_id NOT LIKE 'refused-%'"
"""Of the outbox: what was accepted, without what is told of refusals."""
TS = 1_730_560_000
"""Of the events, unless they say otherwise."""


@dataclass
class Ingest(Served):
    """A serving process and a client of it."""

    def __post_init__(self) -> None:
        self.stub: ingest_service_pb2_grpc.IngestServiceAsyncStub = ingest_service_pb2_grpc.IngestServiceStub(
            self.channel
        )

    async def post(
        self, body: bytes, *headers: tuple[str, str], key: str = "", secret: str = DEVELOPMENT_SECRET
    ) -> ingest_service_pb2.PostEventResponse:
        """Signed as the source does. `headers`: instead of that."""
        request = ingest_service_pb2.PostEventRequest(body=_body(body))
        return await self.stub.PostEvent(request, metadata=_metadata(body, headers, key, secret))

    async def post_list(
        self, body: bytes, *headers: tuple[str, str], key: str = "", secret: str = DEVELOPMENT_SECRET
    ) -> list[event_pb2.EventResult]:
        request = ingest_service_pb2.PostEventsRequest(body=_body(body))
        answer = await self.stub.PostEvents(request, metadata=_metadata(body, headers, key, secret))
        return list(answer.results)

    async def submit(self, *events: event_pb2.Event, caller: str = "gs-1") -> list[event_pb2.EventResult]:
        request = ingest_service_pb2.SubmitEventsRequest(events=events)
        return list((await self.stub.SubmitEvents(request, metadata=game_server(caller))).results)

    async def register(self, name: str, schema: dict[str, Any], request_id: str = "") -> event_pb2.EventType:
        type_ = event_pb2.EventType(name=name)
        ParseDict(schema, type_.schema)
        request = ingest_service_pb2.RegisterEventTypeRequest(type=type_, request_id=request_id)
        return (await self.stub.RegisterEventType(request, metadata=operator())).type

    async def rejected(self, producer: str = "") -> list[event_pb2.RejectedEvent]:
        request = ingest_service_pb2.ListRejectedEventsRequest(producer=producer)
        return list((await self.stub.ListRejectedEvents(request, metadata=operator())).events)


def event(player: str = "p1", xp: int = 10, **members: Any) -> dict[str, Any]:
    """As JSON has it: experience of a player."""
    return {"type": "progression", "playerId": player, "ts": TS, "payload": {"deltaXp": xp}} | members


def body(player: str = "p1", xp: int = 10, **members: Any) -> bytes:
    return json.dumps(event(player, xp, **members)).encode()


def typed(player: str = "p1", xp: int = 10, key: str = "", **fields: Any) -> event_pb2.Event:
    """The same as a game server says it. `fields`: in JSON."""
    asked = {"type": "progression", "player_id": player, "payload": {"deltaXp": xp}, "key": key}
    found = ParseDict(asked | fields, event_pb2.Event())
    if not found.HasField("ts"):
        found.ts.FromSeconds(TS)
    return found


def signature(content: bytes, secret: str = DEVELOPMENT_SECRET) -> str:
    return f"sha256={hmac.new(secret.encode(), content, hashlib.sha256).hexdigest()}"


def webhook(
    content: bytes, message_id: str, *, secret: str = DEVELOPMENT_SECRET, ago_s: int = 0
) -> tuple[tuple[str, str], ...]:
    """The headers of Standard Webhooks."""
    at = str(clock.unix_s() - ago_s)
    signed = f"{message_id}.{at}.".encode() + content
    mac = base64.b64encode(hmac.new(secret.encode(), signed, hashlib.sha256).digest()).decode()
    return (("webhook-id", message_id), ("webhook-timestamp", at), ("webhook-signature", f"v1,{mac}"))


def _body(content: bytes) -> Any:
    return httpbody_pb2.HttpBody(content_type="application/json", data=content)


def _metadata(
    content: bytes, headers: tuple[tuple[str, str], ...], key: str, secret: str
) -> tuple[tuple[str, str], ...]:
    signed = headers or (("x-signature", signature(content, secret)),)
    return (*signed, ("idempotency-key", key)) if key else signed


def settings(**changes: Any) -> IngestSettings:
    """As `QUICK`."""
    return IngestSettings(**(QUICK | {"types_poll_s": 0.02} | changes))


async def refused(call: Awaitable[Any], code: grpc.StatusCode) -> Any:
    """The ErrorInfo of a call that must fail with `code`."""
    return info(await failure(call, code, "ingest.arenamesh"))


def ingest(**changes: Any) -> AbstractAsyncContextManager[Ingest]:
    """A server with these settings, stopped gracefully at the end."""
    return serve(built(settings(**changes)), Ingest)
