"""Errors of the domain as gRPC statuses, with `google.rpc` details. The one table is here."""

import math
from dataclasses import dataclass

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]
from grpc_status import rpc_status

from services.chassis import errors

_CODES: dict[type[BaseException], grpc.StatusCode] = {
    errors.OutOfRange: grpc.StatusCode.OUT_OF_RANGE,
    errors.InvalidArgument: grpc.StatusCode.INVALID_ARGUMENT,
    errors.NotFound: grpc.StatusCode.NOT_FOUND,
    errors.AlreadyExists: grpc.StatusCode.ALREADY_EXISTS,
    errors.FailedPrecondition: grpc.StatusCode.FAILED_PRECONDITION,
    errors.Conflict: grpc.StatusCode.ABORTED,
    errors.PermissionDenied: grpc.StatusCode.PERMISSION_DENIED,
    errors.Unauthenticated: grpc.StatusCode.UNAUTHENTICATED,
    errors.ResourceExhausted: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.Overloaded: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.Unavailable: grpc.StatusCode.UNAVAILABLE,
    errors.DataLoss: grpc.StatusCode.DATA_LOSS,
    errors.DeadlineExceeded: grpc.StatusCode.DEADLINE_EXCEEDED,
    errors.NotImplementedYet: grpc.StatusCode.UNIMPLEMENTED,
}
ELSEWHERE = ("x-retry-elsewhere", "1")
# Whole seconds, as HTTP has it; RetryInfo is exact.
RETRY_AFTER = "retry-after"
_INTERNAL = errors.DomainError(
    "The server failed. The failure is logged under this request id.", reason="INTERNAL"
)


def code_of(error: BaseException) -> grpc.StatusCode:
    """The code of the nearest class that the table knows; INTERNAL for anything else."""
    for cls in type(error).__mro__:
        if cls in _CODES:
            return _CODES[cls]
    return grpc.StatusCode.INTERNAL


def to_status(error: BaseException, domain: str) -> grpc.Status:
    """The status to abort with: exactly one ErrorInfo, and BadRequest and RetryInfo when they say something.

    An error that is not the domain's is told to nobody: its text stays in the log. One that says when to try
    again also carries trailing metadata that is HTTP's `Retry-After` at the edge; one that says `elsewhere`,
    the one on which the edge tries another host, whatever the method.
    """
    code = code_of(error)
    shown = error if isinstance(error, errors.DomainError) else _INTERNAL
    info = error_details_pb2.ErrorInfo(reason=shown.reason, domain=domain, metadata=shown.metadata)
    details = [_packed(info)]
    trailing: list[tuple[str, str | bytes]] = []
    if shown.violations:
        bad = error_details_pb2.BadRequest()
        for violation in shown.violations:
            bad.field_violations.add(field=violation.field, description=violation.description)
        details.append(_packed(bad))
    if shown.retry_after_s is not None:
        delay = duration_pb2.Duration()
        delay.FromNanoseconds(int(shown.retry_after_s * 1e9))
        details.append(_packed(error_details_pb2.RetryInfo(retry_delay=delay)))
        trailing.append((RETRY_AFTER, str(max(1, math.ceil(shown.retry_after_s)))))
    if shown.elsewhere:
        trailing.append(ELSEWHERE)
    status = status_pb2.Status(code=code.value[0], message=shown.text, details=details)
    told = rpc_status.to_status(status)
    return _Status(told.code, told.details, (*told.trailing_metadata, *trailing))


@dataclass(frozen=True, slots=True)
class _Status(grpc.Status):
    code: grpc.StatusCode
    details: str
    trailing_metadata: tuple[tuple[str, str | bytes], ...]


def _packed(message: Message) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed
