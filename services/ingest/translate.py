"""What became of events, and the log of rejected ones, in the contract's messages."""

import json
from collections.abc import Callable, Sequence
from typing import Any

from arenamesh.liveops.v1 import event_pb2, ingest_service_pb2

from services.chassis.errors import PermissionDenied, ResourceExhausted
from services.ingest.batch import Done, Outcome
from services.ingest.event_types import Registered
from services.ingest.structs import packed

Answer = Callable[[Sequence[Outcome]], bytes]


def one(outcomes: Sequence[Outcome]) -> bytes:
    """PostEventResponse of the only event. Raises why it was not accepted."""
    (outcome,) = outcomes
    if not isinstance(outcome, Done):
        raise outcome
    return ingest_service_pb2.PostEventResponse(
        event_id=outcome.event_id, duplicate=outcome.duplicate
    ).SerializeToString()


def each(outcomes: Sequence[Outcome]) -> bytes:
    """PostEventsResponse; on the wire SubmitEventsResponse is the same."""
    return ingest_service_pb2.PostEventsResponse(
        results=[result(outcome) for outcome in outcomes]
    ).SerializeToString()


def result(outcome: Outcome) -> event_pb2.EventResult:
    if isinstance(outcome, Done):
        kind = event_pb2.EVENT_OUTCOME_DUPLICATE if outcome.duplicate else event_pb2.EVENT_OUTCOME_ACCEPTED
        return event_pb2.EventResult(outcome=kind, event_id=outcome.event_id)
    kind = event_pb2.EVENT_OUTCOME_REJECTED
    if isinstance(outcome, PermissionDenied):
        kind = event_pb2.EVENT_OUTCOME_BLOCKED
    elif isinstance(outcome, ResourceExhausted):
        kind = event_pb2.EVENT_OUTCOME_THROTTLED
    return event_pb2.EventResult(
        outcome=kind,
        reason=outcome.reason,
        problems=[
            event_pb2.FieldProblem(field=problem.field, description=problem.description)
            for problem in outcome.violations
        ],
        # Rounded up: who asks again then must not be too early.
        retry_after_ms=-int(-1000 * (outcome.retry_after_s or 0) // 1),
    )


def rejected(row: Any) -> event_pb2.RejectedEvent:
    """Of a row of the log."""
    found = event_pb2.RejectedEvent(
        id=row["id"],
        producer=row["producer"],
        reason=row["reason"],
        problems=[
            event_pb2.FieldProblem(field=field, description=description)
            for field, description in json.loads(row["problems"])
        ],
        body=row["body"],
    )
    found.received_at.FromDatetime(row["received_at"])
    return found


def event_type(registered: Registered) -> event_pb2.EventType:
    found = event_pb2.EventType(
        name=registered.name,
        description=registered.description,
        schema=packed(registered.document),
        version=registered.version,
    )
    found.created_at.FromDatetime(registered.created_at)
    return found
