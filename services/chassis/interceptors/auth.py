"""Verifies the bearer token and the role, and makes the caller known to the handler. A public method has a
caller only when a token that counts came along; with one that does not, it is answered as without."""

from typing import Any

import structlog

from services.chassis import auth as identity
from services.chassis.method import Behaviour, Context, Interceptor, Method


def auth(verifier: identity.Verifier) -> Interceptor:
    def around(method: Method, behaviour: Behaviour) -> Behaviour:
        async def handle(request: Any, context: Context) -> Any:
            metadata = dict(context.invocation_metadata() or ())
            if method.access.public:
                caller = verifier.known(metadata)
            else:
                caller = verifier.verify(metadata)
                identity.require(caller, method.access.roles)
            if caller is not None:
                identity.bind(caller)
                structlog.contextvars.bind_contextvars(player_id=caller.subject)
            return await behaviour(request, context)

        return handle

    return around
