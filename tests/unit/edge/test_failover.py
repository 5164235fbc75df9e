"""What is tried on another worker, what is not, and how long a worker may say nothing."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from arenamesh.combat.v1 import play_pb2, service_pb2

from services.edge.routes import RETRY_ELSEWHERE
from services.mesh.settings import ROOT
from tests.unit.edge.conftest import RunningEdge, Start, metadata
from tests.unit.edge.worker import Worker

UNAVAILABLE = grpc.StatusCode.UNAVAILABLE
NOT_HERE = ((RETRY_ELSEWHERE, "1"),)
# A hung worker's streams end after this; the aim for the whole way back is 3 s.
HUNG_S = 2.3


async def pair(edge: RunningEdge, session: str) -> tuple[Worker, Worker]:
    """The worker that the session's calls reach, and the other one; neither has been called yet."""
    request = service_pb2.GetSessionRequest(session_id=session)
    answer = await edge.stub.GetSession(request, metadata=metadata(session), timeout=5)
    first, second = sorted(edge.workers, key=lambda worker: worker.name != answer.session.map_id)
    first.calls.clear()
    return first, second


async def opened(edge: RunningEdge, session: str) -> tuple[Any, int]:
    """A Play stream that was answered, and by which worker."""
    stream = edge.stub.Play(metadata=metadata(session))
    await stream.write(play_pb2.PlayRequest(frame=1))
    return stream, (await stream.read()).tick


async def leave(edge: RunningEdge, session: str) -> None:
    request = service_pb2.LeaveSessionRequest(session_id=session)
    await edge.stub.LeaveSession(request, metadata=metadata(session), timeout=5)


async def test_a_read_is_tried_on_another_worker(start_edge: Start) -> None:
    edge = await start_edge(workers=2)
    first, second = await pair(edge, "s1")
    first.refusal = UNAVAILABLE
    assert (await edge.rest("GET", "/sessions/s1"))[1]["session"]["map_id"] == second.name


async def test_a_write_is_not_unless_the_worker_says_it_did_not_happen(start_edge: Start) -> None:
    edge = await start_edge(workers=2)
    first, second = await pair(edge, "s1")
    first.refusal = UNAVAILABLE
    status, _ = await edge.rest("POST", "/sessions/s1/leave", json={})
    assert status == 503
    assert (first.calls, second.calls) == (["LeaveSession"], [])

    first.refusal_metadata = NOT_HERE
    status, _ = await edge.rest("POST", "/sessions/s1/leave", json={})
    assert status == 200
    await leave(edge, "s1")
    assert (first.calls, second.calls) == (["LeaveSession"] * 3, ["LeaveSession"] * 2)


async def test_a_stream_opens_on_another_worker_when_the_first_has_not_the_session(start_edge: Start) -> None:
    edge = await start_edge(workers=2)
    first, second = await pair(edge, "s1")
    first.refusal, first.refusal_metadata = UNAVAILABLE, NOT_HERE
    stream, tick = await opened(edge, "s1")
    assert f"w{tick}" == second.name
    # The frames that were written before the retry are not lost, and later ones go on.
    await stream.write(play_pb2.PlayRequest(frame=2))
    assert (await stream.read()).tick == tick
    stream.cancel()


async def test_when_nobody_has_it_the_caller_hears_the_last_refusal(start_edge: Start) -> None:
    edge = await start_edge(workers=3)
    for worker in edge.workers:
        worker.refusal, worker.refusal_metadata = UNAVAILABLE, NOT_HERE
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await leave(edge, "s1")
    assert refused.value.code() is UNAVAILABLE
    assert refused.value.details() == "refused by the test"
    assert {len(worker.calls) for worker in edge.workers} <= {1, 2}


async def test_writes_and_streams_go_on_elsewhere_when_a_worker_is_gone(start_edge: Start) -> None:
    """Before any health check has noticed."""
    edge = await start_edge(workers=2)
    first, second = await pair(edge, "s1")
    await first.stop()
    await leave(edge, "s1")
    stream, tick = await opened(edge, "s1")
    assert f"w{tick}" == second.name
    stream.cancel()


async def test_replays_are_anybodys(start_edge: Start) -> None:
    edge = await start_edge()
    seen = set()
    for _ in range(60):
        _, answer = await edge.rest("POST", "/sessions/s1/replay:verify", json={})
        seen.add(answer["records"])
        call = edge.stub.GetReplay(service_pb2.GetReplayRequest(session_id="s1"), metadata=metadata("s1"))
        assert await call.read() is not grpc.aio.EOF
    assert seen == {"0", "1", "2"}
    assert all("GetReplay" in worker.calls for worker in edge.workers)


@asynccontextmanager
async def process(edge: RunningEdge, name: str) -> AsyncIterator[int]:
    """A worker as a process of its own: its process id."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.unit.edge.worker",
        name,
        stdout=asyncio.subprocess.PIPE,
        env=environment,
        cwd=ROOT,
    )
    try:
        assert child.stdout is not None
        worker = Worker(name)  # type: ignore[abstract]
        worker.port = int(await child.stdout.readline())
        edge.workers.append(worker)
        edge.publish()
        await edge.until_healthy(len(edge.workers))
        yield child.pid
    finally:
        child.kill()
        await child.wait()


async def test_the_streams_of_a_hung_worker_end_and_open_elsewhere(start_edge: Start) -> None:
    edge = await start_edge(workers=1)
    async with process(edge, "w1") as pid:
        streams = {name: await opened(edge, name) for name in (f"s{index}" for index in range(20))}
        hung = {name: stream for name, (stream, tick) in streams.items() if tick == 1}
        assert 0 < len(hung) < 20
        os.kill(pid, signal.SIGSTOP)
        begun = time.monotonic()
        async with asyncio.timeout(10):
            ends = await asyncio.gather(*(stream.read() for stream in hung.values()), return_exceptions=True)
        assert time.monotonic() - begun < HUNG_S
        assert {end.code() for end in ends if isinstance(end, grpc.aio.AioRpcError)} == {
            grpc.StatusCode.INTERNAL
        }
        for name in hung:
            stream, tick = await opened(edge, name)
            assert tick == 0
            stream.cancel()
        for stream, _ in streams.values():
            stream.cancel()


async def test_a_pause_of_a_worker_ends_nothing(start_edge: Start) -> None:
    edge = await start_edge(workers=1)
    async with process(edge, "w1") as pid:
        streams = [await opened(edge, f"s{index}") for index in range(20)]
        os.kill(pid, signal.SIGSTOP)
        await asyncio.sleep(0.5)  # the pause itself
        os.kill(pid, signal.SIGCONT)
        for stream, tick in streams:
            await stream.write(play_pb2.PlayRequest(frame=2))
            assert (await stream.read()).tick == tick
            stream.cancel()


async def test_an_idle_stream_is_left_alone(start_edge: Start) -> None:
    """The edge's pings are not held against it, by a server with the options of ours."""
    edge = await start_edge(workers=1)
    stream, _ = await opened(edge, "s1")
    await asyncio.sleep(3)  # idleness is what is tested: six pings
    await stream.write(play_pb2.PlayRequest(frame=2))
    assert (await stream.read()).tick == 0
    stream.cancel()
