"""mesh.progression: keys, retries, and a watch that neither loses nor repeats an event."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from arenamesh.client import ExperienceAward, Mesh, Progression, connect
from arenamesh.client.errors import Aborted, NotFound, Unauthenticated, Unavailable
from arenamesh.client.retry import SETTLED_S, Backoff, Resumption
from arenamesh.progression.v1 import service_pb2, service_pb2_grpc
from google.rpc import status_pb2  # type: ignore[import-untyped]
from grpc import aio
from grpc_status import rpc_status

from tests.unit.client.conftest import FAST, details, refusal

AWAY = refusal(grpc.StatusCode.UNAVAILABLE, "away")
UNKNOWN = refusal(grpc.StatusCode.NOT_FOUND, "no such character", details("CHARACTER_NOT_FOUND"))


class Service(service_pb2_grpc.ProgressionServiceServicer):
    """Answers, refusals and streams one after another, the last one again and again.

    A stream is a list of versions of events; a negative one is how the character stands, without an event;
    a refusal in it ends it.
    """

    def __init__(self) -> None:
        self.script: list[Any] = []
        self.requests: list[Any] = []
        self.tokens: list[str] = []

    def next(self, request: Any, context: Any) -> Any:
        self.requests.append(request)
        self.tokens.append(str(dict(context.invocation_metadata())["authorization"]))
        return self.script.pop(0) if len(self.script) > 1 else self.script[0]

    async def WatchProgress(self, request: Any, context: Any) -> AsyncIterator[Any]:
        for item in self.next(request, context):
            if isinstance(item, status_pb2.Status):
                await refuse(context, item)
            answer = service_pb2.WatchProgressResponse()
            answer.progress.version = abs(item)
            if item > 0:
                answer.event.version = item
            yield answer


async def refuse(context: Any, with_: Any) -> None:
    status = rpc_status.to_status(with_)
    await context.abort(status.code, status.details, status.trailing_metadata)


async def _unary(self: Service, request: Any, context: Any) -> Any:
    answer = self.next(request, context)
    if isinstance(answer, status_pb2.Status):
        await refuse(context, answer)
    return answer


for _method in service_pb2.DESCRIPTOR.services_by_name["ProgressionService"].methods:
    if not _method.server_streaming:
        setattr(Service, _method.name, _unary)


@pytest.fixture
async def service() -> Service:
    return Service()  # type: ignore[abstract]


@pytest.fixture
async def target(service: Service) -> AsyncIterator[str]:
    server = aio.server(options=[("grpc.so_reuseport", 0)])
    service_pb2_grpc.add_ProgressionServiceServicer_to_server(service, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield f"127.0.0.1:{port}"
    await server.stop(0)


@pytest.fixture
async def mesh(target: str) -> AsyncIterator[Mesh]:
    async with connect(target, token="t0", backoff=FAST) as mesh:
        yield mesh


async def watched(mesh: Mesh, count: int, **how: Any) -> list[int]:
    """Versions of the first answers."""
    found: list[int] = []
    async for answer in mesh.progression.watch_progress("hero", **how):
        found.append(answer.progress.version)
        if len(found) == count:
            break
    return found


def test_every_call_of_the_contract_has_a_method() -> None:
    source = inspect.getsource(Progression)
    for method in service_pb2.DESCRIPTOR.services_by_name["ProgressionService"].methods:
        assert f"self._stub.{method.name}" in source


async def test_an_award_keeps_one_key_over_its_tries(mesh: Mesh, service: Service) -> None:
    results = [service_pb2.AwardResult(character_id="hero", version=2)]
    service.script = [AWAY, service_pb2.AwardExperienceResponse(results=results)]
    award = ExperienceAward(character_id="hero", source="boss", experience=500)
    assert await mesh.progression.award(award, award) == results
    first, second = service.requests
    assert first == second
    assert first.request_id
    assert list(first.awards) == [award, award]
    await mesh.progression.award(award, request_id="mine")
    assert service.requests[-1].request_id == "mine"


async def test_writes_say_which_version_they_mean(mesh: Mesh, service: Service) -> None:
    service.script = [service_pb2.DistributeParagonPointsResponse(version=8)]
    assert (await mesh.progression.distribute("hero", luck=3, expected_version=0)).version == 8
    assert (await mesh.progression.distribute("hero", strength=1)).version == 8
    named, free = service.requests
    assert (named.points.luck, named.expected_version) == (3, 0)
    assert named.HasField("expected_version")
    assert not free.HasField("expected_version")
    assert named.request_id != free.request_id
    service.script = [refusal(grpc.StatusCode.ABORTED, "changed", details("STALE_VERSION", version="8"))]
    with pytest.raises(Aborted) as stale:
        await mesh.progression.reset_prestige("hero", expected_version=7)
    assert (stale.value.reason, stale.value.metadata) == ("STALE_VERSION", {"version": "8"})


async def test_history_is_fetched_as_it_is_read(mesh: Mesh, service: Service) -> None:
    def page(versions: list[int], token: str) -> service_pb2.GetHistoryResponse:
        answer = service_pb2.GetHistoryResponse(next_page_token=token)
        for version in versions:
            answer.events.add(version=version)
        return answer

    service.script = [page([5, 4], "more"), page([3], "")]
    assert [event.version async for event in mesh.progression.history("hero")] == [5, 4, 3]
    assert [request.page_token for request in service.requests] == ["", "more"]


class TestWatch:
    async def test_a_lost_stream_goes_on_behind_what_was_told(self, mesh: Mesh, service: Service) -> None:
        service.script = [[-7, 8, AWAY], [AWAY], [8, 9, 10, AWAY], [11]]
        assert await watched(mesh, 5) == [7, 8, 9, 10, 11]
        after = [
            request.after_version if request.HasField("after_version") else None
            for request in service.requests
        ]
        assert after == [None, 8, 8, 10]

    async def test_it_begins_after_a_version_on_demand(self, mesh: Mesh, service: Service) -> None:
        service.script = [[4, 5]]
        assert await watched(mesh, 2, after_version=3) == [4, 5]
        assert service.requests[0].after_version == 3

    async def test_a_stream_that_ends_in_peace_is_opened_again(self, mesh: Mesh, service: Service) -> None:
        service.script = [[-1], [2], [3]]
        assert await watched(mesh, 3) == [1, 2, 3]

    async def test_a_refusal_that_stays_is_raised(self, mesh: Mesh, service: Service) -> None:
        service.script = [[UNKNOWN]]
        with pytest.raises(NotFound) as unknown:
            await watched(mesh, 1)
        assert unknown.value.reason == "CHARACTER_NOT_FOUND"
        assert len(service.requests) == 1

    async def test_tries_end(self, mesh: Mesh, service: Service) -> None:
        service.script = [[AWAY]]
        with pytest.raises(Unavailable):
            await watched(mesh, 1)
        assert len(service.requests) == FAST.attempts

    async def test_a_token_that_ran_out_is_renewed_once(self, target: str, service: Service) -> None:
        expired = [refusal(grpc.StatusCode.UNAUTHENTICATED, "expired")]
        made = iter(["old", "new", "newer"])
        async with connect(target, token=lambda: next(made), backoff=FAST) as mesh:
            service.script = [expired, [-1]]
            assert await watched(mesh, 1) == [1]
            assert service.tokens == ["Bearer old", "Bearer new"]
            service.script = [expired]
            with pytest.raises(Unauthenticated):
                await watched(mesh, 1)


def test_a_stream_that_lived_long_starts_the_count_of_tries_anew() -> None:
    lost = Unavailable("lost")
    resumption = Resumption(Backoff(attempts=3), renewable=False)
    waits = [resumption.wait(lost, lived_s=lived) for lived in (0, 0, SETTLED_S + 1, 0, 0)]
    assert [wait is None for wait in waits] == [False, False, False, False, True]
    assert waits[0] is not None
    assert waits[0] <= 0.02
    assert Resumption(Backoff(), renewable=True).wait(NotFound("gone"), lived_s=9) is None
    patient = Unavailable("wait", retry_after=3.0)
    assert Resumption(Backoff(), renewable=True).wait(patient, lived_s=0) == 3.0
