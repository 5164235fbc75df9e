"""IngestService between the contract and the domain: only translation."""

from collections.abc import Iterable
from datetime import UTC, datetime

import grpc
from arenamesh.liveops.v1 import event_pb2, ingest_service_pb2
from google.protobuf.message import DecodeError

from services.chassis import clock, paging
from services.chassis.auth import Principal, principal
from services.chassis.db import Database
from services.chassis.errors import InvalidArgument, Unauthenticated
from services.chassis.idempotency import key_of
from services.chassis.method import Context
from services.chassis.metrics import INGEST_EVENTS
from services.chassis.validation import check
from services.ingest import translate
from services.ingest.event_types import EventTypes, Registered
from services.ingest.intake import Intake
from services.ingest.store import IngestStore
from services.ingest.structs import plain

MAX_PAGE = 200
"""Of rejected events, each with up to 4096 bytes of its body."""
MAX_TOLD = 1000
"""Of a stream's events that were not accepted, those whose results are told."""
_LAST: paging.Place = (datetime(9999, 1, 1, tzinfo=UTC), "")


class IngestServicer:
    """Every RPC of the service."""

    def __init__(self, intake: Intake, types: EventTypes, database: Database, store: IngestStore) -> None:
        self._intake = intake
        self._types = types
        self._database = database
        self._store = store

    async def PostEvent(
        self, request: ingest_service_pb2.PostEventRequest, context: Context
    ) -> ingest_service_pb2.PostEventResponse:
        stored = await self._intake.post(_headers(context), request.body.data)
        answer = ingest_service_pb2.PostEventResponse.FromString(stored)
        INGEST_EVENTS.labels("duplicate" if answer.duplicate else "accepted").inc()
        return answer

    async def PostEvents(
        self, request: ingest_service_pb2.PostEventsRequest, context: Context
    ) -> ingest_service_pb2.PostEventsResponse:
        stored = await self._intake.post_list(_headers(context), request.body.data)
        answer = ingest_service_pb2.PostEventsResponse.FromString(stored)
        _count(answer.results)
        return answer

    async def SubmitEvents(
        self, request: ingest_service_pb2.SubmitEventsRequest, context: Context
    ) -> ingest_service_pb2.SubmitEventsResponse:
        stored = await self._intake.submit(
            _producer(principal()), _headers(context).get("traceparent", ""), request.events
        )
        answer = ingest_service_pb2.SubmitEventsResponse.FromString(stored)
        _count(answer.results)
        return answer

    async def StreamEvents(self, _requests: object, context: Context) -> bytes:
        caller, trace = principal(), _headers(context).get("traceparent", "")
        answer = ingest_service_pb2.StreamEventsResponse()
        position = 0
        while (data := await context.read()) is not grpc.aio.EOF:
            if caller.expires_at <= clock.unix_s():
                raise Unauthenticated("The token has expired.", reason="TOKEN_EXPIRED")
            events = _streamed(data).events
            stored = await self._intake.submit(_producer(caller), trace, events)
            results = ingest_service_pb2.SubmitEventsResponse.FromString(stored).results
            _count(results)
            for number, result in enumerate(results, position):
                _add(answer, number, result)
            position += len(results)
        return answer.SerializeToString()

    async def ListRejectedEvents(
        self, request: ingest_service_pb2.ListRejectedEventsRequest, _context: Context
    ) -> ingest_service_pb2.ListRejectedEventsResponse:
        query = f"rejected {request.producer}"
        size = paging.size(request.page_size, MAX_PAGE)
        before = paging.decode_place(request.page_token, query) or _LAST
        async with self._database.connection() as connection:
            rows = await self._store.rejected(connection, request.producer, before, size + 1)
        last = rows[size - 1] if len(rows) > size else None
        return ingest_service_pb2.ListRejectedEventsResponse(
            events=[translate.rejected(row) for row in rows[:size]],
            next_page_token=paging.encode_place(last["received_at"], last["id"], query) if last else "",
        )

    async def RegisterEventType(
        self, request: ingest_service_pb2.RegisterEventTypeRequest, context: Context
    ) -> ingest_service_pb2.RegisterEventTypeResponse:
        def answer(registered: Registered) -> bytes:
            shown = translate.event_type(registered)
            return ingest_service_pb2.RegisterEventTypeResponse(type=shown).SerializeToString()

        key = key_of(context, "RegisterEventType", request, request.request_id)
        asked = request.type
        stored = await self._types.register(asked.name, asked.description, plain(asked.schema), key, answer)
        return ingest_service_pb2.RegisterEventTypeResponse.FromString(stored)

    async def ListEventTypes(
        self, _request: ingest_service_pb2.ListEventTypesRequest, _context: Context
    ) -> ingest_service_pb2.ListEventTypesResponse:
        found = await self._types.all()
        return ingest_service_pb2.ListEventTypesResponse(types=[translate.event_type(each) for each in found])


def _headers(context: Context) -> dict[str, str]:
    metadata = context.invocation_metadata() or ()
    return {name: value for name, value in metadata if isinstance(value, str)}


def _producer(caller: Principal) -> str:
    return f"{caller.role.value}:{caller.subject}"


def _streamed(data: bytes) -> ingest_service_pb2.StreamEventsRequest:
    try:
        request = ingest_service_pb2.StreamEventsRequest.FromString(data)
    except DecodeError as error:
        raise InvalidArgument("The request is not a valid message.", reason="MALFORMED") from error
    check(request)
    return request


def _add(
    answer: ingest_service_pb2.StreamEventsResponse, position: int, result: event_pb2.EventResult
) -> None:
    if result.outcome == event_pb2.EVENT_OUTCOME_ACCEPTED:
        answer.accepted += 1
    elif result.outcome == event_pb2.EVENT_OUTCOME_DUPLICATE:
        answer.duplicates += 1
    else:
        answer.not_accepted += 1
        if len(answer.results) < MAX_TOLD:
            answer.results[position].CopyFrom(result)


def _count(results: Iterable[event_pb2.EventResult]) -> None:
    for result in results:
        name = event_pb2.EventOutcome.Name(result.outcome)
        INGEST_EVENTS.labels(name.removeprefix("EVENT_OUTCOME_").lower()).inc()
