"""What the chassis knows of an RPC method, read from the contract."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from services.chassis.auth import Access, access_table

Context = grpc.aio.ServicerContext[Any, Any]
# Takes the request (bytes outside the codec, a message inside; an iterator nobody uses for a client
# stream) and answers. Streams read and write through the context.
Behaviour = Callable[[Any, Context], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Method:
    """One RPC. `kind` is `unary`, `server_stream`, `client_stream` or `bidi_stream`."""

    service: str
    name: str
    access: Access
    request: type[Message]
    request_streaming: bool
    response_streaming: bool

    @property
    def kind(self) -> str:
        kinds = {(False, False): "unary", (False, True): "server_stream", (True, False): "client_stream"}
        return kinds.get((self.request_streaming, self.response_streaming), "bidi_stream")


Interceptor = Callable[[Method, Behaviour], Behaviour]


def methods_of(service: ServiceDescriptor) -> list[Method]:
    """Every method of a service.

    Raises:
        AccessUndeclaredError: a method does not say who may call it.
    """
    access = access_table(service)
    return [
        Method(
            service=service.full_name,
            name=method.name,
            access=access[method.name],
            request=GetMessageClass(method.input_type),
            request_streaming=method.client_streaming,
            response_streaming=method.server_streaming,
        )
        for method in service.methods
    ]
