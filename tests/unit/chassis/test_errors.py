"""Every error of the domain has one code, and travels with its details."""

from typing import Any

import grpc
import pytest
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]

from services.chassis import errors
from services.chassis.status import code_of, to_status

CODES = {
    errors.InvalidArgument: grpc.StatusCode.INVALID_ARGUMENT,
    errors.OutOfRange: grpc.StatusCode.OUT_OF_RANGE,
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


def details(status: grpc.Status) -> status_pb2.Status:
    parsed = status_pb2.Status()
    parsed.ParseFromString(dict(status.trailing_metadata)["grpc-status-details-bin"])
    return parsed


def unpacked(any_message: any_pb2.Any, kind: Any) -> Any:
    message = kind()
    assert any_message.Unpack(message)
    return message


def subclasses(cls: type[errors.DomainError]) -> set[type[errors.DomainError]]:
    return set(cls.__subclasses__()).union(*(subclasses(each) for each in cls.__subclasses__()))


def test_every_error_of_the_domain_is_in_this_table() -> None:
    assert {cls for cls in subclasses(errors.DomainError) if cls.__module__ == errors.__name__} == set(CODES)


@pytest.mark.parametrize(("cls", "code"), CODES.items())
def test_code(cls: type[errors.DomainError], code: grpc.StatusCode) -> None:
    status = to_status(cls("text", reason="WHY"), "combat.arenamesh")
    assert status.code is code
    assert details(status).message == "text"
    assert details(status).code == code.value[0]


def test_a_subclass_takes_the_code_of_its_nearest_ancestor() -> None:
    class Full(errors.ResourceExhausted):
        pass

    assert code_of(Full("x", reason="FULL")) is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_details() -> None:
    error = errors.InvalidArgument(
        "two faults",
        reason="FIELD_INVALID",
        metadata={"limit": "5"},
        violations=[errors.FieldViolation("a.b", "too big"), errors.FieldViolation("c", "missing")],
        retry_after_s=1.5,
    )
    parsed = details(to_status(error, "combat.arenamesh"))
    info, bad, retry = parsed.details
    info = unpacked(info, error_details_pb2.ErrorInfo)
    assert (info.reason, info.domain, dict(info.metadata)) == (
        "FIELD_INVALID",
        "combat.arenamesh",
        {"limit": "5"},
    )
    bad = unpacked(bad, error_details_pb2.BadRequest)
    assert [(v.field, v.description) for v in bad.field_violations] == [("a.b", "too big"), ("c", "missing")]
    assert unpacked(retry, error_details_pb2.RetryInfo).retry_delay.ToMilliseconds() == 1500


def test_an_error_of_ours_is_told_to_nobody() -> None:
    status = to_status(ValueError("password=hunter2"), "combat.arenamesh")
    assert status.code is grpc.StatusCode.INTERNAL
    parsed = details(status)
    assert "hunter2" not in str(parsed)
    assert [unpacked(each, error_details_pb2.ErrorInfo).reason for each in parsed.details] == ["INTERNAL"]
