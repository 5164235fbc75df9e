"""The generated stubs serve synchronous programs too: a game server need not know asyncio."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import grpc
import grpc_testing
import pytest
from arenamesh.combat.v1 import play_pb2, service_pb2, service_pb2_grpc

SERVICE = service_pb2.DESCRIPTOR.services_by_name["CombatService"]
METADATA = (("x-session-id", "s1"),)


@pytest.fixture
def channel() -> grpc_testing.Channel:
    return grpc_testing.channel([SERVICE], grpc_testing.strict_real_time())


def test_a_unary_call_carries_its_session_and_brings_the_answer(channel: grpc_testing.Channel) -> None:
    stub = service_pb2_grpc.CombatServiceStub(channel)
    asked = service_pb2.JoinSessionRequest(session_id="s1", player_id="ann")
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(stub.JoinSession, asked, timeout=10, metadata=METADATA)
        metadata, request, call = channel.take_unary_unary(SERVICE.methods_by_name["JoinSession"])
        reply = service_pb2.JoinSessionResponse()
        reply.seat.slot = 7
        call.terminate(reply, (), grpc.StatusCode.OK, "")
        assert answer.result(10).seat.slot == 7
    assert request == asked
    assert METADATA[0] in metadata


def test_play_is_a_stream_of_frames_both_ways(channel: grpc_testing.Channel) -> None:
    stub = service_pb2_grpc.CombatServiceStub(channel)
    frames = [
        play_pb2.PlayRequest(hello=play_pb2.Hello(session_id="s1", protocol=1)),
        play_pb2.PlayRequest(frame=1),
    ]
    answers = stub.Play(iter(frames), metadata=METADATA)
    _, call = channel.take_stream_stream(SERVICE.methods_by_name["Play"])
    assert [call.take_request() for _ in frames] == frames
    call.send_response(play_pb2.PlayResponse(acked_frame=1))
    assert next(answers).acked_frame == 1
    call.terminate((), grpc.StatusCode.UNAVAILABLE, "the worker is draining")
    with pytest.raises(grpc.RpcError) as ended:
        next(answers)
    assert ended.value.code() is grpc.StatusCode.UNAVAILABLE
