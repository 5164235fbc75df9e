"""Verifies the bearer token and the role, and makes the caller known to the handler. A public method has no
caller: its handler must not ask for one."""

from typing import Any

import structlog

from services.chassis import auth as identity
from services.chassis.method import Behaviour, Context, Interceptor, Method


def auth(verifier: identity.Verifier) -> Interceptor:
    def around(method: Method, behaviour: Behaviour) -> Behaviour:
        if method.access.public:
            return behaviour

        async def handle(request: Any, context: Context) -> Any:
            caller = verifier.verify(dict(context.invocation_metadata() or ()))
            identity.require(caller, method.access.roles)
            identity.bind(caller)
            structlog.contextvars.bind_contextvars(player_id=caller.subject)
            return await behaviour(request, context)

        return handle

    return around
