"""What the edge does for a service whose processes are all alike, path by path of its contract."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import grpc
import pytest
from arenamesh.progression.v1 import paragon_pb2, service_pb2
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from grpc import aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from services.chassis import auth
from services.chassis.server import options
from services.edge import endpoints
from services.edge.backends import ANYWHERE, Backend, bindings, is_read, is_stream
from services.edge.endpoints import Endpoint
from services.edge.routes import RETRY_ELSEWHERE
from services.mesh.ports import LOOPBACK
from tests.unit.edge.conftest import RunningEdge, Start, bearer

NO_BODY: dict[str, Any] = {"get": None, "post": {}}
(PROGRESSION,) = (backend for backend in ANYWHERE if backend.cluster == "progression")


class Recorder(grpc.GenericRpcHandler):
    """A service that answers every call with nothing, and remembers it. Refuses while `refusal` is set."""

    def __init__(self, backend: Backend) -> None:
        self.calls: list[tuple[str, Message]] = []
        self.refusal: grpc.StatusCode | None = None
        self.refusal_metadata: tuple[tuple[str, str], ...] = ()
        self._backend = backend
        self._server = aio.server(options=options(1 << 20))

    async def start(self) -> int:
        servicer = health.aio.HealthServicer()
        self._server.add_generic_rpc_handlers((self,))
        health_pb2_grpc.add_HealthServicer_to_server(servicer, self._server)
        await servicer.set(self._backend.contract.full_name, health_pb2.HealthCheckResponse.SERVING)
        port = self._server.add_insecure_port(f"{LOOPBACK}:0")
        await self._server.start()
        return port

    async def stop(self) -> None:
        await self._server.stop(None)

    def service(self, call: grpc.HandlerCallDetails) -> Any:
        service, _, name = call.method.rpartition("/")
        if service != f"/{self._backend.contract.full_name}":
            return None
        method = self._backend.contract.methods_by_name[name]

        async def unary(request: Message, context: Any) -> Message:
            self.calls.append((name, request))
            if self.refusal is not None:
                await context.abort(self.refusal, "refused by the test", self.refusal_metadata)
            return GetMessageClass(method.output_type)()

        async def stream(request: Message, context: Any) -> AsyncIterator[Message]:
            yield await unary(request, context)

        make = (
            grpc.unary_stream_rpc_method_handler if is_stream(method) else grpc.unary_unary_rpc_method_handler
        )
        return make(
            stream if is_stream(method) else unary,
            request_deserializer=GetMessageClass(method.input_type).FromString,
            response_serializer=lambda message: message.SerializeToString(),
        )


class Faced:
    """An edge with recorders of one service behind it."""

    def __init__(self, edge: RunningEdge, recorders: list[Recorder]) -> None:
        self.edge = edge
        self.recorders = recorders

    async def __call__(
        self, verb: str, path: str, *, by: dict[str, str] | None = None, **options: Any
    ) -> tuple[int, Any]:
        headers = bearer() if by is None else by
        url = f"http://{self.edge.address}{path}"
        async with self.edge.http.request(verb, url, headers=headers, **options) as response:
            return response.status, await response.json()

    def calls(self) -> list[tuple[str, Any]]:
        """Since this was last asked."""
        found = [call for recorder in self.recorders for call in recorder.calls]
        for recorder in self.recorders:
            recorder.calls.clear()
        return found


@pytest.fixture
async def faced(start_edge: Start) -> AsyncIterator[Faced]:
    edge: RunningEdge = await start_edge(workers=1)
    recorders = [Recorder(PROGRESSION), Recorder(PROGRESSION)]
    ports = [await recorder.start() for recorder in recorders]
    found = [Endpoint(f"p{index}", LOOPBACK, port) for index, port in enumerate(ports)]
    endpoints.publish(edge.folder, PROGRESSION.cluster, found)
    await edge.until_healthy(2, PROGRESSION.cluster)
    yield Faced(edge, recorders)
    for recorder in recorders:
        await recorder.stop()


async def test_every_path_of_the_contract_reaches_the_service_with_a_token_only(faced: Faced) -> None:
    for method in PROGRESSION.contract.methods:
        for verb, template in bindings(method):
            path, json = template.format(type="raid"), NO_BODY[verb]
            status, _ = await faced(verb.upper(), path, json=json)
            assert (status, [name for name, _ in faced.calls()]) == (200, [method.name]), path
            status, answer = await faced(verb.upper(), path, by={}, json=json)
            assert (status, answer["code"], faced.calls()) == (401, 16, []), path


@pytest.mark.parametrize("name", ["characterId", "character_id"])
async def test_both_spellings_of_a_field_work(faced: Faced, name: str) -> None:
    for path in ("/paragon/levels", "/mastery/rewards", "/mastery/raid/rewards", "/progression/watch"):
        assert (await faced("GET", f"{path}?{name}=hero-1"))[0] == 200
        ((_, request),) = faced.calls()
        assert request.character_id == "hero-1"
    for path in ("/paragon/distribute", "/paragon/points"):
        version = {"characterId": "expectedVersion", "character_id": "expected_version"}[name]
        body: dict[str, Any] = {name: "hero-1", version: "7", "points": {"luck": 3}}
        assert (await faced("POST", path, json=body))[0] == 200
        ((_, request),) = faced.calls()
        points = paragon_pb2.AttributePoints(luck=3)
        assert request == service_pb2.DistributeParagonPointsRequest(
            character_id="hero-1", expected_version=7, points=points
        )


async def test_the_type_of_mastery_is_in_the_path_or_asked_for(faced: Faced) -> None:
    for path in ("/mastery/rewards?character_id=h&type=raid", "/mastery/raid/rewards?characterId=h"):
        assert (await faced("GET", path))[0] == 200
        assert faced.calls() == [
            ("GetMasteryRewards", service_pb2.GetMasteryRewardsRequest(character_id="h", type="raid"))
        ]


async def test_what_the_contract_does_not_have_is_refused_at_the_edge(faced: Faced) -> None:
    for verb, path, expected, code in (
        ("GET", "/paragon/levels?character=h", 400, 3),
        ("GET", "/paragon/none", 404, 5),
        ("POST", "/paragon/levels", 404, 5),
        ("GET", "/mastery/raid", 404, 5),
    ):
        status, answer = await faced(verb, path)
        assert (status, answer["code"]) == (expected, code), path
    assert faced.calls() == []


async def test_only_reads_are_tried_again_whatever_became_of_them(faced: Faced) -> None:
    for recorder in faced.recorders:
        recorder.refusal = grpc.StatusCode.UNAVAILABLE
    for method in PROGRESSION.contract.methods:
        verb, template = next(bindings(method))
        status, _ = await faced(verb.upper(), template.format(type="raid"), json=NO_BODY[verb])
        assert status == 503
        tries = len(faced.calls())
        assert (tries > 1) == is_read(method), method.name


async def test_a_write_goes_elsewhere_when_nothing_came_of_it(faced: Faced) -> None:
    for recorder in faced.recorders:
        recorder.refusal = grpc.StatusCode.UNAVAILABLE
        recorder.refusal_metadata = ((RETRY_ELSEWHERE, "1"),)
    await faced("POST", "/prestige/reset", json={"character_id": "h"})
    assert len(faced.calls()) > 1
    faced.recorders[0].refusal = None
    statuses = await asyncio.gather(*(faced("POST", "/prestige/reset", json={}) for _ in range(10)))
    assert {status for status, _ in statuses} == {200}


async def test_a_player_over_the_limit_is_told_so_on_every_path(start_edge: Start) -> None:
    edge: RunningEdge = await start_edge(workers=1, player_requests_per_second=5)
    ask = Faced(edge, [])
    for prefix in PROGRESSION.prefixes:
        ada, server = bearer(f"ada{prefix}", auth.Role.PLAYER), bearer()
        statuses = await asyncio.gather(*(ask("GET", f"{prefix}none", by=ada) for _ in range(30)))
        assert {status for status, _ in statuses} == {404, 429}, prefix
        statuses = await asyncio.gather(*(ask("GET", f"{prefix}none", by=server) for _ in range(30)))
        assert {status for status, _ in statuses} == {404}, prefix


async def test_nobody_there_is_unavailable(faced: Faced) -> None:
    for recorder in faced.recorders:
        await recorder.stop()
    await faced.edge.until_healthy(0, PROGRESSION.cluster)
    status, answer = await faced("GET", "/prestige/info?characterId=h")
    assert (status, answer["code"]) == (503, 14)


async def test_a_browser_may_ask_from_elsewhere(faced: Faced) -> None:
    headers = {"origin": "http://localhost:5173", "access-control-request-method": "POST"}
    for path in ("/paragon/points", f"{PROGRESSION.path}WatchProgress"):
        async with faced.edge.http.options(f"http://{faced.edge.address}{path}", headers=headers) as response:
            assert response.status == 200
            assert response.headers["access-control-allow-origin"] == "http://localhost:5173"


async def test_forged_names_take_nothing_from_a_players_bucket(start_edge: Start) -> None:
    edge: RunningEdge = await start_edge(workers=1, player_requests_per_second=5)
    forged = {"x-role": "player", "x-subject": "ada"}

    async def status(http: aiohttp.ClientSession, path: str) -> int:
        async with http.get(f"http://{edge.address}{path}", headers=forged) as response:
            return response.status

    for path in ("/", "/health", "/metrics", "/no-such-page"):
        found = await asyncio.gather(*(status(edge.http, path) for _ in range(30)))
        assert 429 not in found, path
