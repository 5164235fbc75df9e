"""One `run()` for all services: build, health, admin port, signals, drain."""

import asyncio
import gc
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

import grpc
import structlog
from google.protobuf.descriptor import ServiceDescriptor
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from services.chassis.admin import Admin, Check
from services.chassis.interceptors import wrap
from services.chassis.method import Behaviour, Interceptor, Method, methods_of
from services.chassis.settings import Settings

_log = structlog.get_logger()
_COLLECT_AFTER = (50_000, 20, 100)
"""So many new objects are there before the young ones are looked through; so many times before the older ones
are, too; and those before the oldest."""


def options(max_message_bytes: int, waiting: int = 20_000) -> list[tuple[str, int]]:
    """Channel arguments of every server. `waiting`: calls that may wait to be taken up."""
    return [
        # A second process on the port must fail to bind, not share it: sessions are sticky.
        ("grpc.so_reuseport", 0),
        # The edge pings twice a second; the default would end its connections as abused.
        ("grpc.http2.min_ping_interval_without_data_ms", 100),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.max_receive_message_length", max_message_bytes),
        # Windows that grow with the link would buffer megabytes for a reader that stopped.
        ("grpc.http2.bdp_probe", 0),
        ("grpc.http2.lookahead_bytes", 65536),
        ("grpc.max_metadata_size", 16384),
        # From 1,000 on the runtime would turn calls away, more and more of them up to 3,000: with CANCELLED,
        # as if it had been the caller's wish.
        ("grpc.server.max_pending_requests", waiting),
        ("grpc.server.max_pending_requests_hard_limit", waiting),
    ]


def handlers(
    service: ServiceDescriptor, servicer: object, interceptors: Sequence[Interceptor]
) -> grpc.GenericRpcHandler:
    """Every method of the contract, found by name on `servicer`, inside the interceptors.

    Raises:
        AccessUndeclaredError: a method does not say who may call it.
        AttributeError: the servicer lacks a method.
    """
    table = {}
    for method in methods_of(service):
        behaviour: Behaviour = getattr(servicer, method.name)
        if not asyncio.iscoroutinefunction(behaviour):
            raise TypeError(f"{method.name}: must be a coroutine; streams use context.read() and write()")
        table[method.name] = _handler(method, wrap(method, behaviour, interceptors))
    return grpc.method_handlers_generic_handler(service.full_name, table)


def _handler(method: Method, behaviour: Behaviour) -> "grpc.RpcMethodHandler[bytes, bytes]":
    make = {
        "unary": grpc.unary_unary_rpc_method_handler,
        "server_stream": grpc.unary_stream_rpc_method_handler,
        "client_stream": grpc.stream_unary_rpc_method_handler,
        "bidi_stream": grpc.stream_stream_rpc_method_handler,
    }[method.kind]
    return make(behaviour)  # no serialisers: see interceptors/codec.py


async def _nothing() -> None:
    return None


@dataclass
class Server:
    """A gRPC server with health, and the admin port beside it. `services`: of the contract, each with what
    answers it."""

    settings: Settings
    services: Sequence[tuple[ServiceDescriptor, object]]
    interceptors: Sequence[Interceptor]
    checks: Mapping[str, Check]
    # Say goodbye to streams, save, hand over. Calls still come in meanwhile: refuse them.
    on_drain: Callable[[], Awaitable[None]] = _nothing
    port: int = field(init=False, default=0)
    admin_port: int = field(init=False, default=0)

    async def start(self) -> None:
        """Binds both ports and serves. Raises RuntimeError when a port is taken."""
        settings = self.settings
        self._health = health.aio.HealthServicer()
        self._admin = Admin(self.checks)
        self._grpc = grpc.aio.server(
            options=options(settings.max_message_bytes, settings.max_concurrent_rpcs),
            maximum_concurrent_rpcs=settings.max_concurrent_rpcs,
        )
        self._grpc.add_generic_rpc_handlers(
            [handlers(service, servicer, self.interceptors) for service, servicer in self.services]
        )
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._grpc)
        self.port = self._grpc.add_insecure_port(f"{settings.host}:{settings.port}")
        await self._grpc.start()
        self.admin_port = await self._admin.start(settings.host, settings.admin_port)
        for service, _ in self.services:
            await self._health.set(service.full_name, health_pb2.HealthCheckResponse.SERVING)
        _log.info("serving", port=self.port, admin_port=self.admin_port)

    def drain(self) -> None:
        """From now on the process is not ready."""
        self._admin.drain()

    async def stop(self) -> None:
        """Says NOT_SERVING, drains, waits for open calls up to `drain_s`, then ends them."""
        _log.info("draining", seconds=self.settings.drain_s)
        self.drain()
        await self._health.enter_graceful_shutdown()
        try:
            # With the port still open: whoever calls is told why, and where else to try.
            await self.on_drain()
        finally:
            await self._grpc.stop(self.settings.drain_s)
            await self._admin.stop()
        _log.info("stopped")


async def run(server: Server) -> None:
    """Serves until SIGTERM or SIGINT, then drains. A second signal ends the process at once."""
    loop = asyncio.get_running_loop()
    asked = asyncio.Event()

    def stop(number: signal.Signals) -> None:
        _log.info("stop asked", signal=number.name)
        asked.set()
        for each in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(each)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number)
    await server.start()
    # What is loaded by now stays as long as the process. Looking through its hundred thousand objects now and
    # then would stop everything for a tenth of a second each time.
    gc.collect()
    gc.freeze()
    # Later, players and sessions are remembered, which are as many objects again, and nearly nothing that is
    # thrown away has cycles. With the interpreter's own thresholds a third of the time goes into looking.
    gc.set_threshold(*_COLLECT_AFTER)
    await asked.wait()
    await server.stop()
