"""The ingest service: events from outside a match, signed, or by a token."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Mapping, Sequence
from typing import Any

from google.api import httpbody_pb2  # type: ignore[import-untyped]
from google.protobuf.struct_pb2 import Struct

from arenamesh.client.calls import Caller, key
from arenamesh.liveops.v1 import event_pb2, ingest_service_pb2, ingest_service_pb2_grpc

_PREFIX = "whsec_"


def sign(secret: str, body: bytes, *, message_id: str, timestamp: int) -> dict[str, str]:
    """The headers of Standard Webhooks for this body, over HTTP as over gRPC.

    Args:
        secret: as it is, or `whsec_` and base64.
        message_id: the event's own, without a point; the same again has no second effect.
        timestamp: seconds since 1970; five minutes off at most.
    """
    raw = secret.encode()
    if secret.startswith(_PREFIX):
        raw = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    signed = f"{message_id}.{timestamp}.".encode() + body
    digest = base64.b64encode(hmac.new(raw, signed, hashlib.sha256).digest()).decode()
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{digest}",
    }


class Ingest:
    """Every method raises a `MeshError` when it is refused or not answered in time. All are tried again: an
    event has one effect under one `message_id`, or key."""

    def __init__(self, stub: ingest_service_pb2_grpc.IngestServiceAsyncStub, caller: Caller) -> None:
        self._stub = stub
        self._caller = caller

    async def post(
        self, event: Mapping[str, Any], *, secret: str, message_id: str = ""
    ) -> ingest_service_pb2.PostEventResponse:
        """One event as JSON has it: `type`, `playerId`, `ts`, `payload`. It is durable when this returns.

        Args:
            secret: of the producer, see `sign`.
            message_id: the event's own, so that it counts once; a fresh one by default.
        """
        body, headers = _signed(event, secret, message_id)
        request = ingest_service_pb2.PostEventRequest(body=body)
        return await self._caller.call(self._stub.PostEvent, request, headers, retry=True)

    async def post_all(
        self, events: Sequence[Mapping[str, Any]], *, secret: str, message_id: str = ""
    ) -> list[event_pb2.EventResult]:
        """Several, signed as one; each has a result of its own, in order."""
        body, headers = _signed(events, secret, message_id)
        request = ingest_service_pb2.PostEventsRequest(body=body)
        return list((await self._caller.call(self._stub.PostEvents, request, headers, retry=True)).results)

    async def submit(self, *events: event_pb2.Event) -> list[event_pb2.EventResult]:
        """By a token instead of a signature, for game servers and services. One without a key gets one."""
        keyed = ingest_service_pb2.SubmitEventsRequest(events=events)
        for event in keyed.events:
            event.key = event.key or key()
        return list((await self._caller.call(self._stub.SubmitEvents, keyed, retry=True)).results)

    async def submit_each(
        self, events: AsyncIterable[event_pb2.Event] | Iterable[event_pb2.Event], *, at_once: int = 100
    ) -> AsyncIterator[event_pb2.EventResult]:
        """As `submit`, for as many as there are; the result of each, in order, as soon as it is durable.

        Args:
            at_once: events that are sent, and become durable, together: 1 to 1,000. 1: each as it comes.
        """
        async for batch in _batches(events, at_once):
            for result in await self.submit(*batch):
                yield result

    # -- for tools ------------------------------------------------------------------------------

    async def rejected(self, producer: str = "") -> AsyncIterator[event_pb2.RejectedEvent]:
        """What was not taken, and why, the newest first: of one producer, or of all. For operators."""
        request = ingest_service_pb2.ListRejectedEventsRequest(producer=producer)
        async for page in self._caller.pages(self._stub.ListRejectedEvents, request):
            for event in page.events:
                yield event

    async def register_type(
        self, name: str, schema: Mapping[str, Any], *, description: str = "", request_id: str = ""
    ) -> event_pb2.EventType:
        """A type of your own, or its next version. For operators.

        Args:
            schema: JSON schema (2020-12) of the payload.
        """
        document = Struct()
        document.update(dict(schema))
        request = ingest_service_pb2.RegisterEventTypeRequest(
            type=event_pb2.EventType(name=name, description=description, schema=document),
            request_id=request_id or key(),
        )
        return (await self._caller.call(self._stub.RegisterEventType, request, retry=True)).type

    async def types(self) -> list[event_pb2.EventType]:
        """The registered ones, by name."""
        request = ingest_service_pb2.ListEventTypesRequest()
        return list((await self._caller.call(self._stub.ListEventTypes, request, retry=True)).types)


async def _batches(
    events: AsyncIterable[event_pb2.Event] | Iterable[event_pb2.Event], size: int
) -> AsyncIterator[list[event_pb2.Event]]:
    batch: list[event_pb2.Event] = []
    async for event in _each(events):
        batch.append(event)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


async def _each(
    events: AsyncIterable[event_pb2.Event] | Iterable[event_pb2.Event],
) -> AsyncIterator[event_pb2.Event]:
    if isinstance(events, AsyncIterable):
        async for event in events:
            yield event
    else:
        for event in events:
            yield event


def _signed(document: Any, secret: str, message_id: str) -> tuple[httpbody_pb2.HttpBody, dict[str, str]]:
    data = json.dumps(document).encode()
    body = httpbody_pb2.HttpBody(content_type="application/json", data=data)
    return body, sign(secret, data, message_id=message_id or key(), timestamp=int(time.time()))
