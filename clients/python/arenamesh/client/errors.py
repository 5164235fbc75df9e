"""What a refused call says: one exception class for each kind of refusal, with reason, fields and wait.

Named after the status codes, which is how the contract speaks of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]
from grpc import aio

_DETAILS_KEY = "grpc-status-details-bin"


@dataclass(frozen=True, slots=True)
class FieldError:
    """A field of the request that breaks a rule."""

    field: str
    """Path of the field, such as `session.max_players`."""
    rule: str
    """What it must be, for people."""


class MeshError(Exception):
    """A call or stream that the mesh refused, or that did not reach it.

    Attributes:
        code: gRPC status code.
        reason: UPPER_SNAKE_CASE for programs (`SESSION_FULL` ...); empty when the server gave none.
        metadata: every value that appears in the message, by name.
        fields: what is wrong with the request, field by field.
        retry_after: seconds the server asks to wait before another attempt; None when it did not say.
    """

    code: ClassVar[grpc.StatusCode] = grpc.StatusCode.UNKNOWN

    def __init__(
        self,
        message: str,
        *,
        code: grpc.StatusCode | None = None,
        reason: str = "",
        metadata: dict[str, str] | None = None,
        fields: tuple[FieldError, ...] = (),
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = code or type(self).code
        self.reason = reason
        self.metadata = metadata or {}
        self.fields = fields
        self.retry_after = retry_after

    def __str__(self) -> str:
        parts = [f"{self.status.name}: {super().__str__()}"]
        if self.reason:
            parts.append(f"[{self.reason}]")
        parts += [f"{error.field}: {error.rule}" for error in self.fields]
        return " ".join(parts)


class InvalidArgument(MeshError):
    """A field of the request breaks a rule; see `fields`."""

    code = grpc.StatusCode.INVALID_ARGUMENT


class NotFound(MeshError):
    code = grpc.StatusCode.NOT_FOUND


class AlreadyExists(MeshError):
    code = grpc.StatusCode.ALREADY_EXISTS


class FailedPrecondition(MeshError):
    """The session, seat or match is not in a state that allows it; see `reason`."""

    code = grpc.StatusCode.FAILED_PRECONDITION


class PermissionDenied(MeshError):
    """The role or subject of the token may not do this."""

    code = grpc.StatusCode.PERMISSION_DENIED


class Unauthenticated(MeshError):
    """No token, or one that is expired or forged."""

    code = grpc.StatusCode.UNAUTHENTICATED


class ResourceExhausted(MeshError):
    """A limit was reached; `retry_after` says when to come back."""

    code = grpc.StatusCode.RESOURCE_EXHAUSTED


class Aborted(MeshError):
    """It met another change: read again, and decide again."""

    code = grpc.StatusCode.ABORTED


class OutOfRange(MeshError):
    """Past what there can be: a level, a version, a page."""

    code = grpc.StatusCode.OUT_OF_RANGE


class DeadlineExceeded(MeshError):
    """No answer in time. What was asked may have happened all the same."""

    code = grpc.StatusCode.DEADLINE_EXCEEDED


class Unavailable(MeshError):
    """The mesh, or the owner of the session, could not be reached."""

    code = grpc.StatusCode.UNAVAILABLE


class Unimplemented(MeshError):
    code = grpc.StatusCode.UNIMPLEMENTED


class Internal(MeshError):
    code = grpc.StatusCode.INTERNAL


class Kicked(MeshError):
    """The player was removed from the session; `reason` says why."""

    code = grpc.StatusCode.PERMISSION_DENIED


class SessionEnded(MeshError):
    """The match is over: nothing can be sent any more."""

    code = grpc.StatusCode.FAILED_PRECONDITION


_BY_CODE: dict[grpc.StatusCode, type[MeshError]] = {
    kind.code: kind
    for kind in (
        InvalidArgument,
        NotFound,
        AlreadyExists,
        FailedPrecondition,
        PermissionDenied,
        Unauthenticated,
        ResourceExhausted,
        Aborted,
        OutOfRange,
        DeadlineExceeded,
        Unavailable,
        Unimplemented,
        Internal,
    )
}


def from_rpc(error: aio.AioRpcError) -> MeshError:
    """The typed form of a failed call, with its `google.rpc` details."""
    code = error.code()
    reason = ""
    metadata: dict[str, str] = {}
    fields: list[FieldError] = []
    retry_after: float | None = None
    for detail in _details(error):
        info = error_details_pb2.ErrorInfo()
        bad = error_details_pb2.BadRequest()
        retry = error_details_pb2.RetryInfo()
        if detail.Unpack(info):
            reason, metadata = info.reason, dict(info.metadata)
        elif detail.Unpack(bad):
            fields += [FieldError(item.field, item.description) for item in bad.field_violations]
        elif detail.Unpack(retry):
            retry_after = retry.retry_delay.ToTimedelta().total_seconds()
    return _BY_CODE.get(code, MeshError)(
        error.details() or code.name,
        code=code,
        reason=reason,
        metadata=metadata,
        fields=tuple(fields),
        retry_after=retry_after,
    )


def _details(error: aio.AioRpcError) -> list:  # type: ignore[type-arg]
    for key, value in error.trailing_metadata() or ():
        if key == _DETAILS_KEY and isinstance(value, bytes):
            status = status_pb2.Status()
            try:
                status.ParseFromString(value)
            except DecodeError:  # a proxy's trailer; code and message still say what happened
                return []
            return list(status.details)
    return []
