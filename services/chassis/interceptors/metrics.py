"""Counts and times every call, by method and by the code it ended with."""

import asyncio
from typing import Any

import grpc

from services.chassis import clock
from services.chassis.method import Behaviour, Context, Interceptor, Method
from services.chassis.metrics import GRPC_HANDLED, GRPC_HANDLING_SECONDS, GRPC_STARTED, ServiceMetrics
from services.chassis.status import code_of


def metrics(service: ServiceMetrics) -> Interceptor:
    """`service`: the service's own request metrics, fed beside the common ones."""

    def around(method: Method, behaviour: Behaviour) -> Behaviour:
        labels = (method.kind, method.service, method.name)
        started = GRPC_STARTED.labels(*labels)
        seconds = GRPC_HANDLING_SECONDS.labels(*labels)
        own_seconds = service.request_seconds.labels(method.name)

        async def handle(request: Any, context: Context) -> Any:
            started.inc()
            begin = clock.monotonic_s()
            code = grpc.StatusCode.OK
            try:
                return await behaviour(request, context)
            except asyncio.CancelledError:
                code = grpc.StatusCode.CANCELLED
                raise
            except grpc.aio.BaseError:
                code = grpc.StatusCode.CANCELLED
                raise
            except Exception as error:
                code = code_of(error)
                raise
            finally:
                elapsed = clock.monotonic_s() - begin
                GRPC_HANDLED.labels(*labels, code.name).inc()
                seconds.observe(elapsed)
                own_seconds.observe(elapsed)
                if code is not grpc.StatusCode.OK:
                    service.errors.labels(method.name, code.name).inc()

        return handle

    return around
