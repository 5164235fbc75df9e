"""What happens above each limit of the edge."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import grpc
import pytest
from arenamesh.combat.v1 import play_pb2, service_pb2

from services.chassis import auth
from tests.support.edge import bearer
from tests.unit.edge.conftest import RunningEdge, Start, metadata

EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED


async def statuses(edge: RunningEdge, calls: int, subject: str, role: auth.Role) -> list[int]:
    async def call() -> int:
        status, _ = await edge.rest("GET", "/sessions", headers=bearer(subject, role))
        return status

    return await asyncio.gather(*(call() for _ in range(calls)))


async def test_each_player_has_a_bucket_and_a_game_server_has_none(start_edge: Start) -> None:
    edge = await start_edge(workers=1, player_requests_per_second=10)
    ada = await statuses(edge, 60, "ada", auth.Role.PLAYER)
    assert set(ada) == {200, 429}
    assert ada.count(200) >= 20
    assert await statuses(edge, 10, "ben", auth.Role.PLAYER) == [200] * 10
    assert await statuses(edge, 60, "server", auth.Role.GAME_SERVER) == [200] * 60


async def test_over_the_bucket_it_is_told_when_to_try_again(start_edge: Start) -> None:
    edge = await start_edge(workers=1, player_requests_per_second=5)
    headers = bearer("ada", auth.Role.PLAYER)

    async def call() -> tuple[int, str | None]:
        url = f"http://{edge.address}/api/v1/combat/sessions"
        async with edge.http.get(url, headers=headers) as response:
            return response.status, response.headers.get("retry-after")

    assert set(await asyncio.gather(*(call() for _ in range(40)))) == {(200, None), (429, "1")}


async def test_over_the_bucket_grpc_is_told_resource_exhausted(start_edge: Start) -> None:
    edge = await start_edge(workers=1, player_requests_per_second=10)

    async def call() -> grpc.StatusCode:
        caller = metadata("s1", subject="ada", role=auth.Role.PLAYER)
        try:
            await edge.stub.ListSessions(service_pb2.ListSessionsRequest(), metadata=caller)
        except grpc.aio.AioRpcError as error:
            return error.code()
        return grpc.StatusCode.OK

    assert set(await asyncio.gather(*(call() for _ in range(60)))) == {grpc.StatusCode.OK, EXHAUSTED}


async def test_a_call_that_does_not_end_is_cut_and_a_stream_is_not(start_edge: Start) -> None:
    edge = await start_edge(workers=1, unary_seconds=1)
    stream = edge.stub.Play(metadata=metadata("s1"))
    with pytest.raises(grpc.aio.AioRpcError):
        await edge.stub.GetState(service_pb2.GetStateRequest(session_id="s1"), metadata=metadata("s1"))
    # The stream is older than the limit of a unary call by now.
    await stream.write(play_pb2.PlayRequest())
    assert (await stream.read()).tick == 0
    stream.cancel()


async def test_a_deadline_of_the_callers_own_is_kept(start_edge: Start) -> None:
    edge = await start_edge(workers=1)
    status, body = await edge.rest("GET", "/sessions/s1/state", headers={"grpc-timeout": "200m"})
    assert (status, body["code"]) == (504, grpc.StatusCode.DEADLINE_EXCEEDED.value[0])


async def test_a_quiet_stream_is_ended(start_edge: Start) -> None:
    edge = await start_edge(workers=1, stream_idle_seconds=1)
    stream = edge.stub.Play(metadata=metadata("s1"))
    await stream.write(play_pb2.PlayRequest())
    assert (await stream.read()).tick == 0
    with pytest.raises(grpc.aio.AioRpcError):
        await stream.read()


async def test_a_large_rest_body_is_refused(start_edge: Start) -> None:
    edge = await start_edge(workers=1, max_rest_body_bytes=4096)
    body = {"session": {"name": "x" * 8192, "type": "SESSION_TYPE_DUEL"}}
    status, answer = await edge.rest("POST", "/sessions", json=body)
    assert (status, answer["code"]) == (413, EXHAUSTED.value[0])
    assert edge.workers[0].calls == []


async def test_streams_over_the_limit_are_refused_not_queued(start_edge: Start) -> None:
    edge = await start_edge(workers=1, max_requests=2)
    streams = [edge.stub.Play(metadata=metadata("s1")) for _ in range(2)]
    for stream in streams:
        await stream.write(play_pb2.PlayRequest())
        await stream.read()
    status, _ = await edge.rest("POST", "/sessions/s1/leave", json={})
    assert status == 503
    for stream in streams:
        stream.cancel()


async def test_the_access_log_is_json_and_holds_no_token(start_edge: Start, tmp_path: Path) -> None:
    edge = await start_edge(workers=1)
    await edge.rest("GET", "/sessions/s1", headers=bearer("ada", auth.Role.PLAYER))
    # Envoy writes it when its buffer is old or on request.
    async with edge.http.post(f"{edge.admin}/reopen_logs") as response:
        assert response.status == 200
    log = tmp_path / "access.log"
    async with asyncio.timeout(15):
        while not log.exists() or not log.read_text():  # noqa: ASYNC110 - another process writes it
            await asyncio.sleep(0.05)
    text = log.read_text()
    line = json.loads(text.splitlines()[0])
    assert line["path"] == "/api/v1/combat/sessions/s1"
    assert (line["subject"], line["status"], line["grpc_status"]) == ("ada", 200, "OK")
    assert "Bearer" not in text
