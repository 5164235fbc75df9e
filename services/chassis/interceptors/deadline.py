"""Bounds unary calls. A stream lives as long as its two ends want."""

import asyncio
from collections.abc import Mapping
from typing import Any

from services.chassis.errors import DeadlineExceeded
from services.chassis.method import Behaviour, Context, Interceptor, Method


def deadline(limit_s: float, longer_s: Mapping[str, float]) -> Interceptor:
    """The client's deadline counts when it is shorter than `limit_s`, or than what `longer_s` has for the
    method."""

    def around(method: Method, behaviour: Behaviour) -> Behaviour:
        if method.request_streaming or method.response_streaming:
            return behaviour
        most_s = longer_s.get(method.name, limit_s)

        async def handle(request: Any, context: Context) -> Any:
            remaining: float | None = context.time_remaining()
            allowed = most_s if remaining is None else min(most_s, remaining)
            try:
                async with asyncio.timeout(allowed) as timer:
                    return await behaviour(request, context)
            except TimeoutError as error:
                if not timer.expired():
                    raise
                raise DeadlineExceeded(
                    "The call took too long.", reason="DEADLINE_EXCEEDED", retry_after_s=1.0
                ) from error

        return handle

    return around
