"""Outermost: gives the call its log context, and turns every error into a status with details."""

from typing import Any

import grpc
import structlog

from services.chassis import clock
from services.chassis.errors import DomainError
from services.chassis.method import Behaviour, Context, Interceptor, Method
from services.chassis.status import to_status

_log = structlog.get_logger()


def errors(error_domain: str) -> Interceptor:
    """`error_domain`: the domain of ErrorInfo, such as `combat.arenamesh`."""

    def around(method: Method, behaviour: Behaviour) -> Behaviour:
        async def handle(request: Any, context: Context) -> Any:
            metadata = dict(context.invocation_metadata() or ())
            structlog.contextvars.bind_contextvars(
                request_id=metadata.get("x-request-id") or clock.new_id(),
                session_id=metadata.get("x-session-id", ""),
            )
            try:
                return await behaviour(request, context)
            except (grpc.aio.AbortError, grpc.aio.InternalError):
                # The status is on its way, or the client is gone: the runtime needs to see these itself.
                # CancelledError passes by untouched, as it must.
                raise
            except Exception as error:
                if not isinstance(error, DomainError):
                    _log.exception("rpc failed", method=method.name)
                await context.abort_with_status(to_status(error, error_domain))

        return handle

    return around
