"""A burst of calls that comes faster than they can be taken up."""

from __future__ import annotations

import asyncio
from typing import Any

from arenamesh.progression.v1 import service_pb2
from grpc import aio

from services.chassis.method import Context
from services.chassis.server import handlers, options
from tests.bench.unary import OK, Channel

SERVICE = service_pb2.DESCRIPTOR.services_by_name["ProgressionService"]
# More than the runtime lets wait by itself.
CALLS = 4_000


class Echo:
    """Answers every call with its request."""

    def __getattr__(self, name: str) -> Any:
        if name not in SERVICE.methods_by_name:
            raise AttributeError(name)

        async def answer(request: bytes, _context: Context) -> bytes:
            return request

        return answer


async def test_nobody_is_turned_away() -> None:
    server = aio.server(options=options(65536))
    server.add_generic_rpc_handlers((handlers(SERVICE, Echo(), ()),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    channel = await Channel.open(f"127.0.0.1:{port}", ())
    try:
        codes: list[int] = []
        over = asyncio.get_running_loop().create_future()

        def done(code: int, answer: bytes) -> None:
            codes.append(code)
            if len(codes) == CALLS:
                over.set_result(None)

        for _ in range(CALLS):
            channel.call(f"/{SERVICE.full_name}/GetParagonLevels", b"x" * 40, done)
        await asyncio.wait({over, channel.ended}, timeout=30, return_when=asyncio.FIRST_COMPLETED)
        assert over.done()
        assert codes == [OK] * CALLS
    finally:
        channel.close()
        await server.stop(None)
