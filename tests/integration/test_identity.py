"""Who gets in: tokens and roles, on calls and on streams."""

from collections.abc import Awaitable
from typing import Any

import grpc
import jwt
import pytest
from arenamesh.combat.v1 import service_pb2
from google.protobuf.message_factory import GetMessageClass

from services.chassis import clock
from services.chassis.auth import DEVELOPMENT_SECRET, Role, access_table
from tests.support import tokens
from tests.support.refusals import ended, reason
from tests.support.worker import Worker

SERVICE = service_pb2.DESCRIPTOR.services_by_name["CombatService"]
METHODS = {method.name: method for method in SERVICE.methods}
PATH = f"/{SERVICE.full_name}"


def expired() -> tokens.Metadata:
    return tokens.bearer("ann", Role.GAME_SERVER, lifetime_s=-1)


def forged() -> tokens.Metadata:
    return tokens.bearer("ann", Role.GAME_SERVER, secret="another-secret-of-at-least-32-bytes!")


def unsigned() -> tokens.Metadata:
    now = clock.unix_s()
    claims = {"iss": "arenamesh", "aud": "arenamesh", "sub": "a", "role": "operator", "iat": now}
    token = jwt.encode(claims | {"exp": now + 60}, "", algorithm="none")
    return (("authorization", f"Bearer {token}"),)


def foreign() -> tokens.Metadata:
    now = clock.unix_s()
    claims = {"iss": "other", "aud": "arenamesh", "sub": "a", "role": "operator", "iat": now}
    token = jwt.encode(claims | {"exp": now + 60}, DEVELOPMENT_SECRET, algorithm="HS256")
    return (("authorization", f"Bearer {token}"),)


BAD: dict[str, tuple[tokens.Metadata, str]] = {
    "missing": ((), "TOKEN_MISSING"),
    "expired": (expired(), "TOKEN_EXPIRED"),
    "forged": (forged(), "TOKEN_INVALID"),
    "unsigned": (unsigned(), "TOKEN_INVALID"),
    "of another issuer": (foreign(), "TOKEN_INVALID"),
    "not a token": ((("authorization", "Bearer abc"),), "TOKEN_INVALID"),
    "not a bearer": ((("authorization", "Basic YTpi"),), "TOKEN_INVALID"),
}


async def called(combat: Worker, name: str, metadata: tokens.Metadata) -> Any:
    """Calls a method with an empty request; returns the error it ends with, or None."""
    method = METHODS[name]
    empty = GetMessageClass(method.input_type)().SerializeToString()
    channel: Any = combat.channel
    try:
        if method.client_streaming:
            call = channel.stream_stream(f"{PATH}/{name}")(metadata=metadata)
            await call.done_writing()
            await call.read()
        elif method.server_streaming:
            call = channel.unary_stream(f"{PATH}/{name}")(empty, metadata=metadata)
            await call.read()
        else:
            await channel.unary_unary(f"{PATH}/{name}")(empty, metadata=metadata)
            return None
    except grpc.aio.AioRpcError as error:
        return error
    return None if await call.code() is grpc.StatusCode.OK else await ended(call)


@pytest.mark.parametrize("bad", BAD)
async def test_bad_tokens_on_every_method(combat: Worker, bad: str) -> None:
    metadata, why = BAD[bad]
    for name in METHODS:
        error = await called(combat, name, metadata)
        assert (error.code(), reason(error)) == (grpc.StatusCode.UNAUTHENTICATED, why), name


async def test_every_role_on_every_method(combat: Worker) -> None:
    table = access_table(SERVICE)
    for role in Role:
        for name, access in table.items():
            error = await called(combat, name, tokens.bearer("x", role))
            denied = error is not None and error.code() is grpc.StatusCode.PERMISSION_DENIED
            assert denied == (role not in access.roles), (role, name)
            if denied:
                assert reason(error) == "ROLE_NOT_ALLOWED"


async def test_health_needs_no_token(combat: Worker) -> None:
    channel: Any = combat.channel
    answer = await channel.unary_unary("/grpc.health.v1.Health/Check")(b"")
    assert answer == b"\x08\x01"


async def test_an_unknown_method(combat: Worker) -> None:
    channel: Any = combat.channel
    call: Awaitable[Any] = channel.unary_unary(f"{PATH}/Nothing")(b"", metadata=tokens.player("ann"))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_an_oversized_call(combat: Worker) -> None:
    request = service_pb2.GetSessionRequest(session_id="x" * 70_000)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await combat.stub.GetSession(request, metadata=tokens.player("ann"))
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_deadline_of_the_client(combat: Worker) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await combat.stub.ListSessions(
            service_pb2.ListSessionsRequest(), metadata=tokens.player("ann"), timeout=0
        )
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
