"""One process that serves several services of the contract, and methods that anybody may call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import ModuleType
from typing import Any

import grpc
import pytest
from arenamesh.gamification.v1 import metric_service_pb2, reward_service_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.chassis.auth import Principal, known_principal
from services.chassis.interceptors import standard
from services.chassis.metrics import PROGRESSION
from services.chassis.server import Server
from services.chassis.settings import Settings
from tests.support import tokens

REWARDS = reward_service_pb2.DESCRIPTOR.services_by_name["RewardService"]
METRICS = metric_service_pb2.DESCRIPTOR.services_by_name["MetricService"]


class Empty:
    """Answers every method of a service with an empty answer."""

    def __init__(self, messages: ModuleType) -> None:
        self._messages = messages

    def __getattr__(self, name: str) -> Any:
        async def answer(_request: Any, _context: Any) -> Any:
            return getattr(self._messages, f"{name}Response")()

        return answer


class Rewards(Empty):
    def __init__(self, messages: ModuleType) -> None:
        super().__init__(messages)
        self.callers: list[Principal | None] = []

    async def GetKeys(self, _request: Any, _context: Any) -> Any:
        self.callers.append(known_principal())
        return reward_service_pb2.GetKeysResponse()


@pytest.fixture
def rewards() -> Rewards:
    return Rewards(reward_service_pb2)


@pytest.fixture
async def server(rewards: Rewards) -> AsyncIterator[Server]:
    settings = Settings(port=0, admin_port=0, drain_s=0.2)
    built = Server(
        settings=settings,
        services=[(REWARDS, rewards), (METRICS, Empty(metric_service_pb2))],
        interceptors=standard(settings, error_domain="test.arenamesh", service_metrics=PROGRESSION),
        checks={},
    )
    await built.start()
    yield built
    await built.stop()


@pytest.fixture
async def channel(server: Server) -> AsyncIterator[Any]:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as opened:
        yield opened


async def called(
    channel: Any, path: str, metadata: tokens.Metadata = (), request: bytes = b""
) -> grpc.StatusCode:
    try:
        await channel.unary_unary(f"/arenamesh.gamification.v1.{path}")(request, metadata=metadata)
    except grpc.aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK


async def test_each_service_answers_and_is_healthy(channel: Any) -> None:
    wallet = reward_service_pb2.GetWalletRequest(user_id="ann").SerializeToString()
    for path, request in {"RewardService/GetWallet": wallet, "MetricService/ListMetrics": b""}.items():
        assert await called(channel, path, tokens.operator(), request) is grpc.StatusCode.OK
    health: Any = health_pb2_grpc.HealthStub(channel)
    for name in ("", REWARDS.full_name, METRICS.full_name):
        answer: Any = await health.Check(health_pb2.HealthCheckRequest(service=name))
        assert answer.status == health_pb2.HealthCheckResponse.SERVING, name


async def test_each_service_says_that_it_drains(server: Server, channel: Any) -> None:
    stub: Any = health_pb2_grpc.HealthStub(channel)
    watches: Any = [
        stub.Watch(health_pb2.HealthCheckRequest(service=service.full_name)) for service in (REWARDS, METRICS)
    ]
    for watch in watches:
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
    stopping = asyncio.create_task(server.stop())
    for watch in watches:
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
        watch.cancel()
    await stopping


@pytest.mark.parametrize(
    ("metadata", "caller"),
    [((), None), ((("authorization", "Bearer a.b.c"),), None), (tokens.player("ann"), "ann")],
)
async def test_a_public_method_needs_no_token(
    channel: Any, rewards: Rewards, metadata: tokens.Metadata, caller: str | None
) -> None:
    assert await called(channel, "RewardService/GetKeys", metadata) is grpc.StatusCode.OK
    assert [known and known.subject for known in rewards.callers] == [caller]


async def test_the_others_do(channel: Any) -> None:
    for path in ("RewardService/GetWallet", "MetricService/ListMetrics"):
        assert await called(channel, path) is grpc.StatusCode.UNAUTHENTICATED
