"""mesh.gamification: keys, retries, pages, and a subscription that neither loses nor repeats anything."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any

import grpc
import pytest
from arenamesh.client import Mesh, MetricRecord, connect
from arenamesh.client import gamification as client
from arenamesh.client.errors import FailedPrecondition, NotFound, Unavailable
from arenamesh.gamification.v1 import (
    achievement_pb2,
    achievement_service_pb2,
    metric_pb2,
    metric_service_pb2,
    notification_service_pb2,
    quest_pb2,
    quest_service_pb2,
    reward_pb2,
    reward_service_pb2,
)
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message_factory import GetMessageClass
from google.rpc import status_pb2  # type: ignore[import-untyped]
from grpc import aio
from grpc_status import rpc_status

from tests.unit.client.conftest import FAST, details, refusal

AWAY = refusal(grpc.StatusCode.UNAVAILABLE, "away")
METHODS: dict[str, MethodDescriptor] = {
    f"/{service.full_name}/{method.name}": method
    for module in (
        achievement_service_pb2,
        metric_service_pb2,
        notification_service_pb2,
        quest_service_pb2,
        reward_service_pb2,
    )
    for service in module.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}


class Service(grpc.GenericRpcHandler):
    """Answers, refusals and streams one after another, the last one again and again; first the empty one.

    A stream is a list of sequences of events; a negative one is the newest, without an event; a refusal in it
    ends it.
    """

    def __init__(self) -> None:
        self.script: list[Any] = []
        self.requests: list[Any] = []

    def service(self, call: grpc.HandlerCallDetails) -> Any:
        method = METHODS[call.method]

        def next_one(request: Any) -> Any:
            self.requests.append(request)
            if not self.script:
                return GetMessageClass(method.output_type)()
            return self.script.pop(0) if len(self.script) > 1 else self.script[0]

        async def unary(request: Any, context: Any) -> Any:
            answer = next_one(request)
            if isinstance(answer, status_pb2.Status):
                await refuse(context, answer)
            return answer

        async def stream(request: Any, context: Any) -> AsyncIterator[Any]:
            for item in next_one(request):
                if isinstance(item, status_pb2.Status):
                    await refuse(context, item)
                answer = notification_service_pb2.SubscribeResponse(newest=abs(item))
                if item > 0:
                    answer.event.sequence = item
                yield answer

        make = (
            grpc.unary_stream_rpc_method_handler
            if method.server_streaming
            else grpc.unary_unary_rpc_method_handler
        )
        return make(
            stream if method.server_streaming else unary,
            request_deserializer=GetMessageClass(method.input_type).FromString,
            response_serializer=lambda message: message.SerializeToString(),
        )


async def refuse(context: Any, with_: Any) -> None:
    status = rpc_status.to_status(with_)
    await context.abort(status.code, status.details, status.trailing_metadata)


@pytest.fixture
async def service() -> Service:
    return Service()


@pytest.fixture
async def mesh(service: Service) -> AsyncIterator[Mesh]:
    server = aio.server(options=[("grpc.so_reuseport", 0)])
    server.add_generic_rpc_handlers((service,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with connect(f"127.0.0.1:{port}", token="t0", backoff=FAST) as found:
        yield found
    await server.stop(0)


def test_every_call_of_the_contract_has_a_method() -> None:
    parts = (client.Gamification, client.Achievements, client.Metrics, client.Quests, client.Rewards)
    source = "".join(inspect.getsource(part) for part in parts)
    assert len(METHODS) > 30
    for method in METHODS.values():
        assert f"self._stub.{method.name}" in source


async def test_every_write_has_a_key_that_it_keeps_over_its_tries(mesh: Mesh, service: Service) -> None:
    ours = mesh.gamification
    achievement = achievement_pb2.Achievement(id="a")
    quest, reward = quest_pb2.Quest(id="q"), reward_pb2.Reward(id="r")
    event = reward_pb2.REWARD_SOURCE_EVENT
    writes: list[Any] = [
        lambda key: ours.metrics.record(MetricRecord(user_id="ada", metric="kills"), request_id=key),
        lambda key: ours.metrics.define(metric_pb2.Metric(id="kills"), request_id=key),
        lambda key: ours.metrics.resolve("x", release=True, request_id=key),
        lambda key: ours.achievements.create(achievement, request_id=key),
        lambda key: ours.achievements.update(achievement, bring_over=True, request_id=key),
        lambda key: ours.achievements.advance("a", "ada", {"kills": 2}, request_id=key),
        lambda key: ours.quests.create(quest, request_id=key),
        lambda key: ours.quests.update(quest, expected_version=3, request_id=key),
        lambda key: ours.quests.start("q", "ada", request_id=key),
        lambda key: ours.quests.complete_step("q", "s", request_id=key),
        lambda key: ours.quests.abandon("q", request_id=key),
        lambda key: ours.rewards.create(reward, request_id=key),
        lambda key: ours.rewards.distribute("r", "ada", source=event, source_id="e", request_id=key),
        lambda key: ours.rewards.claim("g", request_id=key),
        lambda key: ours.rewards.claim_item("sword", request_id=key),
        lambda key: ours.rewards.revoke("g", "cheated", request_id=key),
    ]
    keyed = [method for method in METHODS.values() if "request_id" in method.input_type.fields_by_name]
    for write in writes:
        await write("")
        answered = service.requests.pop()
        name = answered.DESCRIPTOR.name.removesuffix("Request")
        (method,) = [each for each in keyed if each.name == name]
        keyed.remove(method)
        service.script = [AWAY, GetMessageClass(method.output_type)()]
        await write("")
        first, second = service.requests
        assert first == second
        assert first.request_id
        assert first.request_id != answered.request_id
        service.script = []
        await write("mine")
        assert service.requests.pop().request_id == "mine"
        service.requests.clear()
    assert keyed == []


async def test_what_is_asked_for_arrives(mesh: Mesh, service: Service) -> None:
    at = datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
    await mesh.gamification.achievements.advance("a", "ada", {"kills": 5}, occurred_at=at, checkpoint=True)
    (request,) = service.requests
    assert (request.id, request.user_id, dict(request.metrics)) == ("a", "ada", {"kills": 5})
    assert (request.occurred_at.ToDatetime(UTC), request.checkpoint) == (at, True)
    source = reward_pb2.REWARD_SOURCE_SEASON
    await mesh.gamification.rewards.distribute("r", "ada", source=source, source_id="s1", cycle=2)
    granted = service.requests[-1]
    assert (granted.source, granted.source_id, granted.cycle) == (source, "s1", 2)
    balance = reward_pb2.Balance(currency="gold", amount=7)
    service.script = [reward_service_pb2.GetWalletResponse(balances=[balance])]
    assert await mesh.gamification.rewards.wallet() == {"gold": 7}
    assert service.requests[-1].user_id == "me"
    item = reward_pb2.InventoryItem(id="sword", quantity=2)
    service.script = [reward_service_pb2.GetInventoryResponse(items=[item])]
    assert await mesh.gamification.rewards.inventory("ada") == {"sword": item}
    unmet = details("STEP_UNMET", kills="2")
    service.script = [refusal(grpc.StatusCode.FAILED_PRECONDITION, "not yet", unmet)]
    with pytest.raises(FailedPrecondition) as not_yet:
        await mesh.gamification.quests.complete_step("q", "s")
    assert (not_yet.value.reason, not_yet.value.metadata) == ("STEP_UNMET", {"kills": "2"})


async def test_lists_are_fetched_as_they_are_read(mesh: Mesh, service: Service) -> None:
    def page(ids: list[str], token: str) -> reward_service_pb2.ListPendingRewardsResponse:
        answer = reward_service_pb2.ListPendingRewardsResponse(next_page_token=token)
        for each in ids:
            answer.distributions.add(id=each)
        return answer

    service.script = [page(["g1", "g2"], "more"), page(["g3"], "")]
    assert [grant.id async for grant in mesh.gamification.rewards.pending("ada")] == ["g1", "g2", "g3"]
    asked = [(request.user_id, request.page_token) for request in service.requests]
    assert asked == [("ada", ""), ("ada", "more")]


async def told(mesh: Mesh, count: int, **how: Any) -> list[int]:
    """The first answers: sequences of events, and the newest as a negative one."""
    found: list[int] = []
    async with aclosing(mesh.gamification.subscribe("ada", **how)) as answers:
        async for answer in answers:
            found.append(answer.event.sequence or -answer.newest)
            if len(found) == count:
                break
    return found


def asked_after(service: Service) -> list[int | None]:
    return [
        request.after_sequence if request.HasField("after_sequence") else None for request in service.requests
    ]


class TestSubscribe:
    async def test_a_lost_stream_goes_on_behind_what_was_told(self, mesh: Mesh, service: Service) -> None:
        service.script = [[-7, 8, AWAY], [AWAY], [-9, 8, 9, 10, AWAY], [-11, 11]]
        assert await told(mesh, 5) == [-7, 8, 9, 10, 11]
        assert asked_after(service) == [None, 8, 8, 10]

    async def test_what_came_while_the_first_stream_was_lost_is_told(
        self, mesh: Mesh, service: Service
    ) -> None:
        service.script = [[-7, AWAY], [-9, 8, 9]]
        assert await told(mesh, 3) == [-7, 8, 9]
        assert asked_after(service) == [None, 7]

    async def test_it_begins_after_a_sequence_on_demand(self, mesh: Mesh, service: Service) -> None:
        service.script = [[-2, 1, 2]]
        assert await told(mesh, 3, after_sequence=0) == [-2, 1, 2]
        assert asked_after(service) == [0]

    async def test_a_refusal_that_stays_is_raised(self, mesh: Mesh, service: Service) -> None:
        service.script = [[refusal(grpc.StatusCode.NOT_FOUND, "nobody")]]
        with pytest.raises(NotFound):
            await told(mesh, 1)
        assert len(service.requests) == 1

    async def test_tries_end(self, mesh: Mesh, service: Service) -> None:
        service.script = [[AWAY]]
        with pytest.raises(Unavailable):
            await told(mesh, 1)
        assert len(service.requests) == FAST.attempts
