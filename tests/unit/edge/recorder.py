"""Services behind the edge that answer anything and remember it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from grpc import aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from services.chassis.server import options
from services.edge.backends import Backend, grpc_path
from services.mesh.ports import LOOPBACK


class Recorder(grpc.GenericRpcHandler):
    """Services that answer every call with nothing, or with what `answers` has, and remember it.

    They refuse while `refusal` is set. `heard`: the metadata of the calls.
    """

    def __init__(self, backend: Backend) -> None:
        self.calls: list[tuple[str, Message]] = []
        self.heard: list[dict[str, str]] = []
        self.answers: dict[str, list[Message]] = {}
        self.refusal: grpc.StatusCode | None = None
        self.refusal_metadata: tuple[tuple[str, str | bytes], ...] = ()
        self._backend = backend
        self._server = aio.server(options=options(1 << 20))

    async def start(self) -> int:
        servicer = health.aio.HealthServicer()
        self._server.add_generic_rpc_handlers((self,))
        health_pb2_grpc.add_HealthServicer_to_server(servicer, self._server)
        for contract in self._backend.contracts:
            await servicer.set(contract.full_name, health_pb2.HealthCheckResponse.SERVING)
        port = self._server.add_insecure_port(f"{LOOPBACK}:0")
        await self._server.start()
        return port

    async def stop(self) -> None:
        await self._server.stop(None)

    def service(self, call: grpc.HandlerCallDetails) -> Any:
        found = [method for method in self._backend.methods if grpc_path(method) == call.method]
        if not found:
            return None
        (method,) = found

        async def answers(request: Message, context: Any) -> list[Message]:
            self.calls.append((method.name, request))
            self.heard.append(dict(context.invocation_metadata()))
            if self.refusal is not None:
                await context.abort(self.refusal, "refused by the test", self.refusal_metadata)
            return self.answers.get(method.name) or [GetMessageClass(method.output_type)()]

        async def unary(request: Message, context: Any) -> Message:
            return (await answers(request, context))[0]

        async def collected(requests: AsyncIterator[Message], context: Any) -> Message:
            return [(await answers(request, context))[0] async for request in requests][-1]

        async def stream(request: Message, context: Any) -> AsyncIterator[Message]:
            for answer in await answers(request, context):
                yield answer

        make: Any = grpc.unary_unary_rpc_method_handler
        how: Any = unary
        if method.server_streaming:
            make, how = grpc.unary_stream_rpc_method_handler, stream
        elif method.client_streaming:
            make, how = grpc.stream_unary_rpc_method_handler, collected
        return make(
            how,
            request_deserializer=GetMessageClass(method.input_type).FromString,
            response_serializer=lambda message: message.SerializeToString(),
        )
