"""Innermost: bytes in, a checked message to the handler, bytes out.

The server registers every method with identity serialisers, so that a request that cannot be decoded
is the caller's INVALID_ARGUMENT like any other, and a stream may speak bytes where that is faster.
"""

from typing import Any

from google.protobuf.message import DecodeError

from services.chassis.errors import InvalidArgument
from services.chassis.method import Behaviour, Context, Method
from services.chassis.validation import check


def codec(method: Method, behaviour: Behaviour) -> Behaviour:
    """Streams write bytes themselves, and a client stream reads them."""
    if method.request_streaming:
        return behaviour
    decode = method.request.FromString

    async def handle(data: bytes, context: Context) -> bytes | None:
        try:
            request: Any = decode(data)
        except DecodeError as error:
            raise InvalidArgument("The request is not a valid message.", reason="MALFORMED") from error
        check(request)
        answer = await behaviour(request, context)
        return None if answer is None else answer.SerializeToString()

    return handle
