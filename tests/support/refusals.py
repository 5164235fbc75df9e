"""How a call failed, as the contract of errors says it."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]


async def failure(call: Awaitable[Any], code: grpc.StatusCode, domain: str) -> grpc.aio.AioRpcError:
    """The error of a call that must fail with `code`, and whose reason must be one of `domain`."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    assert caught.value.code() is code, caught.value
    assert info(caught.value).domain == domain
    return caught.value


async def refusal(call: Any) -> tuple[grpc.StatusCode, str]:
    """Code and reason of a stream that must be refused, whatever it sends before."""
    try:
        while await call.read() is not grpc.aio.EOF:
            pass
        error = await ended(call)
    except grpc.aio.AioRpcError as raised:
        error = raised
    return error.code(), reason(error)


async def ended(call: Any) -> grpc.aio.AioRpcError:
    """How a stream ended, which a reader of `EOF` is not told."""
    return grpc.aio.AioRpcError(
        await call.code(), await call.initial_metadata(), await call.trailing_metadata(), await call.details()
    )


def reason(error: grpc.aio.AioRpcError) -> str:
    """The ErrorInfo reason of a failed call."""
    return str(info(error).reason)


def info(error: grpc.aio.AioRpcError) -> Any:
    """The ErrorInfo of a failed call."""
    found = error_details_pb2.ErrorInfo()
    for detail in details(error):
        if detail.Unpack(found):
            return found
    raise AssertionError(f"no ErrorInfo in {error!r}")


def violations(error: grpc.aio.AioRpcError) -> dict[str, str]:
    """What is wrong with the fields of a failed call, by path."""
    bad = error_details_pb2.BadRequest()
    for each in details(error):
        if each.Is(bad.DESCRIPTOR):
            each.Unpack(bad)
    return {each.field: each.description for each in bad.field_violations}


def details(error: grpc.aio.AioRpcError) -> Any:
    """The details of a failed call, packed."""
    status = status_pb2.Status()
    status.ParseFromString(dict(error.trailing_metadata())["grpc-status-details-bin"])
    return status.details
