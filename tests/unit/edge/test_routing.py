"""A session is one worker's, however it is called."""

from __future__ import annotations

import asyncio
from collections import Counter

import grpc
import pytest
from arenamesh.combat.v1 import play_pb2, service_pb2

from services.mesh import probes
from tests.unit.edge.conftest import RunningEdge, Start, metadata

IDS = [f"session-{index}" for index in range(40)]


async def owner(edge: RunningEdge, session: str) -> str:
    request = service_pb2.GetSessionRequest(session_id=session)
    answer = await edge.stub.GetSession(request, metadata=metadata(session), timeout=5)
    return str(answer.session.map_id)


async def test_every_way_of_calling_reaches_the_same_worker(start_edge: Start) -> None:
    edge = await start_edge()
    owners = {session: await owner(edge, session) for session in IDS}
    assert set(owners.values()) == {"w0", "w1", "w2"}
    for session in IDS:
        _, by_rest = await edge.rest("GET", f"/sessions/{session}")
        assert by_rest["session"]["map_id"] == owners[session]
        before = {worker.name: len(worker.calls) for worker in edge.workers}
        await edge.rest("POST", f"/sessions/{session}/leave", json={})
        (by_post,) = [worker.name for worker in edge.workers if len(worker.calls) > before[worker.name]]
        assert by_post == owners[session]
        stream = edge.stub.Play(metadata=metadata(session))
        await stream.write(play_pb2.PlayRequest())
        assert f"w{(await stream.read()).tick}" == owners[session]
        stream.cancel()


async def test_a_session_is_born_where_it_will_be_looked_for(start_edge: Start) -> None:
    edge = await start_edge()
    for index in range(20):
        body = {"session": {"name": str(index), "type": "SESSION_TYPE_DUEL"}}
        # A request id of the caller's own would choose the worker, and with it the id: it is replaced.
        status, created = await edge.rest("POST", "/sessions", json=body, headers={"x-request-id": "mine"})
        assert status == 200
        session = created["session"]
        assert session["session_id"] != "mine"
        assert await owner(edge, session["session_id"]) == session["map_id"]


async def test_forged_routing_headers_change_nothing(start_edge: Start) -> None:
    edge = await start_edge()
    for session, other in zip(IDS, reversed(IDS), strict=True):
        expected = await owner(edge, session)
        forged = {"x-session-id": other, "x-envoy-original-path": f"/api/v1/combat/sessions/{other}"}
        _, by_rest = await edge.rest("GET", f"/sessions/{session}", headers=forged)
        assert by_rest["session"]["map_id"] == expected
        by_grpc = await edge.stub.GetSession(
            service_pb2.GetSessionRequest(session_id=session),
            metadata=(
                *metadata(session),
                ("x-envoy-original-path", f"/api/v1/combat/sessions/{other}"),
            ),
        )
        assert by_grpc.session.map_id == expected


async def test_calls_about_no_session_go_to_everybody(start_edge: Start) -> None:
    edge = await start_edge()
    seen: Counter[str] = Counter()
    for _ in range(60):
        _, answer = await edge.rest("GET", "/sessions")
        seen[answer["sessions"][0]["map_id"]] += 1
    assert set(seen) == {"w0", "w1", "w2"}


async def test_a_worker_keeps_its_sessions_on_a_new_port(start_edge: Start) -> None:
    edge = await start_edge()
    before = {session: await owner(edge, session) for session in IDS}
    worker = edge.workers[1]
    old_port = worker.port
    await worker.stop()
    await edge.until_healthy(2)
    await worker.start()
    assert worker.port != old_port
    edge.publish()
    await edge.until_healthy(3)

    async def as_before() -> bool:
        return {session: await owner(edge, session) for session in IDS} == before

    # Envoy's threads get the new table a moment after its main thread counts the worker as healthy.
    async with asyncio.timeout(10):
        await probes.until(as_before)


async def test_sessions_of_healthy_workers_stay_when_one_is_gone(start_edge: Start) -> None:
    edge = await start_edge()
    before = {session: await owner(edge, session) for session in IDS}
    await edge.workers[2].stop()
    await edge.until_healthy(2)
    expected = {session: {name} if name != "w2" else {"w0", "w1"} for session, name in before.items()}

    async def where_they_belong() -> bool:
        return all([await owner(edge, session) in expected[session] for session in IDS])

    async with asyncio.timeout(10):
        await probes.until(where_they_belong)


async def test_nobody_healthy_is_unavailable_in_both_tongues(start_edge: Start) -> None:
    edge = await start_edge(workers=1)
    await edge.workers[0].stop()
    await edge.until_healthy(0)
    status, body = await edge.rest("GET", "/sessions/s1")
    assert (status, body["code"]) == (503, grpc.StatusCode.UNAVAILABLE.value[0])
    with pytest.raises(grpc.aio.AioRpcError) as failure:
        await owner(edge, "s1")
    assert failure.value.code() == grpc.StatusCode.UNAVAILABLE
