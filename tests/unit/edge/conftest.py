"""A real Envoy before small gRPC servers that say which of them answered."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from arenamesh.combat.v1 import service_pb2_grpc
from google.protobuf.message import Message

from services.edge.backends import ANYWHERE
from tests.support.edge import Edge, bearer, running
from tests.unit.edge.recorder import Recorder
from tests.unit.edge.worker import Worker


@dataclass
class RunningEdge(Edge):
    """With `workers` of combat behind it."""

    workers: list[Worker]

    @property
    def stub(self) -> Any:
        return service_pb2_grpc.CombatServiceStub(self.channel)

    def publish(self) -> None:
        self.route_to("combat", {worker.name: worker.port for worker in self.workers})

    async def until_healthy(self, count: int, cluster: str = "combat") -> None:
        await super().until_healthy(count, cluster)

    async def rest(self, verb: str, path: str, **options: Any) -> tuple[int, Any]:
        """Of combat."""
        return await self.call(verb, f"/api/v1/combat{path}", **options)


def metadata(session: str, **caller: Any) -> tuple[tuple[str, str], ...]:
    return (*bearer(**caller).items(), ("x-session-id", session))


Start = Callable[..., Any]


@pytest.fixture
async def start_edge(tmp_path: Path) -> AsyncIterator[Start]:
    """Starts an edge with so many workers, and settings other than the default."""
    async with AsyncExitStack() as stack:

        async def start(workers: int = 3, **changed: Any) -> RunningEdge:
            found = []
            for index in range(workers):
                # The other methods answer UNIMPLEMENTED, as the generated class does.
                worker = Worker(f"w{index}")  # type: ignore[abstract]
                await worker.start()
                stack.push_async_callback(worker.stop)
                found.append(worker)
            edge = await stack.enter_async_context(running(tmp_path, **changed))
            behind = RunningEdge(**vars(edge), workers=found)
            behind.publish()
            await behind.until_healthy(workers)
            return behind

        yield start


class Faced:
    """An edge with two recorders of each service behind it."""

    def __init__(self, edge: RunningEdge, of: dict[str, list[Recorder]]) -> None:
        self.edge = edge
        self.of = of

    @property
    def recorders(self) -> list[Recorder]:
        return [recorder for cluster in self.of.values() for recorder in cluster]

    def answer(self, name: str, *answers: Message) -> None:
        """What a method says from now on."""
        for recorder in self.recorders:
            recorder.answers[name] = list(answers)

    async def __call__(
        self, verb: str, path: str, *, by: dict[str, str] | None = None, **options: Any
    ) -> tuple[int, Any]:
        return await self.edge.call(verb, path, by=by, **options)

    def calls(self) -> list[tuple[str, Any]]:
        """Since this was last asked."""
        found = [call for recorder in self.recorders for call in recorder.calls]
        for recorder in self.recorders:
            recorder.calls.clear()
        return found


@pytest.fixture
async def faced(start_edge: Start) -> AsyncIterator[Faced]:
    edge: RunningEdge = await start_edge(workers=1)
    faced = Faced(edge, {backend.cluster: [Recorder(backend), Recorder(backend)] for backend in ANYWHERE})
    for cluster, recorders in faced.of.items():
        ports = [await recorder.start() for recorder in recorders]
        edge.route_to(cluster, {f"{cluster}{index}": port for index, port in enumerate(ports)})
    for cluster in faced.of:
        await edge.until_healthy(2, cluster)
    yield faced
    for recorder in faced.recorders:
        await recorder.stop()
