"""The benches' light clients speak to real servers as full ones do."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from services.chassis.server import options
from tests.bench.http1 import Web
from tests.bench.http2 import Call, StreamEnded
from tests.bench.unary import OK, RESOURCE_EXHAUSTED, UNAVAILABLE

MESSAGES = [b"", b"a", b"b" * 100_000]


async def _echo(requests: AsyncIterator[bytes], _context: Any) -> AsyncIterator[bytes]:
    async for request in requests:
        if request == b"end":
            return
        yield request


@pytest.fixture
async def target() -> AsyncIterator[str]:
    server = grpc.aio.server(options=options(1 << 20))
    handler = grpc.method_handlers_generic_handler(
        "test.Echo", {"Echo": grpc.stream_stream_rpc_method_handler(_echo)}
    )
    server.add_generic_rpc_handlers((handler,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield f"127.0.0.1:{port}"
    await server.stop(None)


async def test_a_stream_carries_messages_of_any_size_both_ways(target: str) -> None:
    arrived: asyncio.Queue[bytes] = asyncio.Queue()
    call = await Call.open(target, "/test.Echo/Echo", [("x-any", "thing")], arrived.put_nowait)
    try:
        for message in MESSAGES:
            call.send(message)
        async with asyncio.timeout(10):
            assert [await arrived.get() for _ in MESSAGES] == MESSAGES
            call.send(b"end")
            with pytest.raises(StreamEnded):
                await call.ended
    finally:
        call.close()


async def test_calls_of_the_web_wait_for_each_other_on_one_connection() -> None:
    async def answer(request: web.Request) -> web.Response:
        if request.path == "/full":
            return web.Response(status=429)
        if request.path == "/away":
            assert request.transport is not None
            request.transport.close()
        return web.json_response([request.headers["x-any"], await request.text()], status=202)

    app = web.Application()
    app.router.add_post("/{path}", answer)
    async with TestServer(app) as server:
        opened = await Web.open(f"127.0.0.1:{server.port}")
        answers: asyncio.Queue[tuple[int, bytes]] = asyncio.Queue()
        try:
            for number in range(3):
                sent = ("b" * number * 50_000).encode()
                opened.call(
                    "/echo",
                    sent,
                    lambda *answer: answers.put_nowait(answer),
                    [("x-any", str(number))],
                )
            opened.call("/full", b"", lambda *answer: answers.put_nowait(answer))
            async with asyncio.timeout(10):
                for number in range(3):
                    code, body = await answers.get()
                    assert (code, json.loads(body)) == (OK, [str(number), "b" * number * 50_000])
                assert (await answers.get())[0] == RESOURCE_EXHAUSTED
                opened.call("/away", b"", lambda *answer: answers.put_nowait(answer), [("x-any", "")])
                assert (await answers.get())[0] == UNAVAILABLE
                opened.call("/echo", b"again", lambda *answer: answers.put_nowait(answer), [("x-any", "")])
                assert await answers.get() == (OK, b'["", "again"]')
        finally:
            opened.close()
