"""Spectating behind the live edge, and from a tick of the past."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from arenamesh.combat.v1 import event_pb2, play_pb2, service_pb2, session_pb2, spectate_pb2

from services.chassis import clock
from tests.support import tokens
from tests.support.arenas import RATE
from tests.support.frames import world_of
from tests.support.random_match import PLAYERS
from tests.support.recorded import Recorder, Recording
from tests.support.refusals import refusal
from tests.support.worker import Worker, worker

POLL_S = 0.02


@pytest.fixture
async def near(database_url: str, redis_url: str) -> AsyncIterator[Worker]:
    """A worker that looks often."""
    async with worker(database_url=database_url, redis_url=redis_url, spectate_poll_s=POLL_S) as running:
        yield running


def watch(combat: Worker, session_id: str, metadata: tokens.Metadata | None = None, **fields: Any) -> Any:
    request = spectate_pb2.SpectateRequest(session_id=session_id, **fields)
    return combat.stub.Spectate(request, metadata=metadata or tokens.player("eve"))


async def frames(call: Any, through: int) -> list[spectate_pb2.SpectatorFrame]:
    """Up to the frame of a tick."""
    found: list[spectate_pb2.SpectatorFrame] = []
    while not found or found[-1].tick < through:
        answer = await call.read()
        assert answer is not grpc.aio.EOF, await call.details()
        found.append(answer.frame)
    return found


async def rest(call: Any) -> list[spectate_pb2.SpectatorFrame]:
    found = []
    while (answer := await call.read()) is not grpc.aio.EOF:
        found.append(answer.frame)
    assert await call.code() is grpc.StatusCode.OK, await call.details()
    return found


async def test_nothing_is_shown_early_and_everything_is_shown(near: Worker, recorder: Recorder) -> None:
    recording = Recording(11, recorder.catalogue, delay_s=1)
    recording.play(2 * RATE)
    session_id = await recorder.commit(recording)
    call = watch(near, session_id)
    (first,) = await frames(call, 1)
    assert first.tick == RATE
    assert first.welcome.session_id == session_id
    assert not first.snapshot.baseline_tick
    recording.play(10)
    await recorder.commit(recording)
    found = await frames(call, RATE + 10)
    assert [frame.tick for frame in found] == list(range(RATE + 1, RATE + 11))
    for before, after in itertools.pairwise([first, *found]):
        assert after.snapshot.baseline_tick in (0, before.tick)
    late = watch(near, session_id)
    (joined,) = await frames(late, 1)
    assert joined.tick == RATE + 10
    assert world_of([joined]) == world_of([first, *found])
    recording.play(10)
    await recorder.commit(recording)
    assert await frames(call, RATE + 20) == await frames(late, RATE + 20)


async def test_before_the_delay_has_passed_there_is_nobody(near: Worker, recorder: Recorder) -> None:
    recording = Recording(11, recorder.catalogue, delay_s=1)
    recording.play(10)
    session_id = await recorder.commit(recording)
    call = watch(near, session_id)
    (first,) = await frames(call, 0)
    assert first.tick == 0
    assert not first.snapshot.entities
    assert not first.welcome.seats
    recording.play(RATE)
    await recorder.commit(recording)
    found = await frames(call, 1)
    assert {event.join.player_id for event in found[-1].events if event.HasField("join")} >= {"p0", "p1"}
    assert len(found[-1].snapshot.entities) > 1


async def test_more_delay_can_be_asked_for(near: Worker, recorder: Recorder) -> None:
    recording = Recording(12, recorder.catalogue)
    recording.play(3 * RATE)
    session_id = await recorder.commit(recording)
    (first,) = await frames(watch(near, session_id, delay_s=2), 0)
    assert first.tick == RATE
    (first,) = await frames(watch(near, session_id, tokens.operator(), delay_s=1), 0)
    assert first.tick == 2 * RATE


async def test_the_past_is_caught_up_with(near: Worker, recorder: Recorder) -> None:
    recording = Recording(13, recorder.catalogue, delay_s=1)
    recording.play(4 * RATE, save=True)
    session_id = await recorder.commit(recording)
    began_s = clock.monotonic_s()
    call = watch(near, session_id, from_tick=10)
    found = await frames(call, 3 * RATE)
    assert [frame.tick for frame in found] == list(range(10, 3 * RATE + 1))
    assert found[0].welcome.session_id == session_id
    # Two of the three seconds lie further back than what is played at its own pace.
    assert clock.monotonic_s() - began_s < 3.0
    recording.play(5)
    await recorder.commit(recording)
    assert [frame.tick for frame in await frames(call, 3 * RATE + 5)] == list(
        range(3 * RATE + 1, 3 * RATE + 6)
    )
    early = watch(near, session_id, from_tick=3 * RATE + 6)
    assert await refusal(early) == (grpc.StatusCode.OUT_OF_RANGE, "NOT_RECORDED")


async def test_one_player_can_be_followed(near: Worker, recorder: Recorder) -> None:
    recording = Recording(13, recorder.catalogue)
    recording.play(2 * RATE)
    session_id = await recorder.commit(recording)
    either: tuple[dict[str, Any], ...] = ({"delay_s": 1}, {"from_tick": 5})
    for fields in either:
        (first, *_) = await frames(watch(near, session_id, follow_player_id="p2", **fields), 5)
        assert 2 in {entity.slot for entity in first.snapshot.entities}
        stranger = watch(near, session_id, follow_player_id="zoe", **fields)
        assert await refusal(stranger) == (grpc.StatusCode.FAILED_PRECONDITION, "NOT_JOINED")


@pytest.mark.parametrize("fields", [{}, {"from_tick": 1}], ids=["shared", "own"])
async def test_the_end_is_told_late(near: Worker, recorder: Recorder, fields: dict[str, Any]) -> None:
    recording = Recording(14, recorder.catalogue, delay_s=1)
    recording.play(2 * RATE)
    session_id = await recorder.commit(recording)
    call = watch(near, session_id, **fields)
    await frames(call, RATE)
    recording.end()
    ended_s = clock.monotonic_s()
    await recorder.commit(recording)
    found = await rest(call)
    assert clock.monotonic_s() - ended_s > 0.9
    assert [frame.tick for frame in found if frame.HasField("snapshot")][-2:] == [2 * RATE, 2 * RATE]
    assert any(event.HasField("session_end") for frame in found for event in frame.events)
    assert [notice.kind for notice in found[-1].notices] == [play_pb2.NOTICE_KIND_SESSION_ENDED]
    assert found[-1].notices[0].reason == "END_REASON_REQUESTED"
    late = watch(near, session_id, **fields)
    assert await refusal(late) == (grpc.StatusCode.FAILED_PRECONDITION, "SESSION_OVER")


async def test_players_need_enough_delay(near: Worker, recorder: Recorder) -> None:
    denied = (grpc.StatusCode.PERMISSION_DENIED, "PLAYER_OF_MATCH")
    for delay_s, allowed in ((0, False), (5, False), (30, True)):
        recording = Recording(15, recorder.catalogue, delay_s=delay_s)
        recording.play(40)
        session_id = await recorder.commit(recording)
        mine = watch(near, session_id, tokens.player("p1"), delay_s=1)
        if allowed:
            assert await frames(mine, 0)
        else:
            assert await refusal(mine) == denied
            assert await refusal(watch(near, session_id, tokens.player("p1"), from_tick=1)) in (
                denied,
                (grpc.StatusCode.OUT_OF_RANGE, "NOT_RECORDED"),
            )
        assert await frames(watch(near, session_id, delay_s=1), 0)


@pytest.mark.parametrize("fields", [{}, {"from_tick": 1}], ids=["shared", "own"])
async def test_who_watches_and_then_joins_watches_no_longer(
    near: Worker, recorder: Recorder, fields: dict[str, Any]
) -> None:
    recording = Recording(16, recorder.catalogue)
    recording.play(2 * RATE)
    session_id = await recorder.commit(recording)
    mine = watch(near, session_id, tokens.player("late"), delay_s=1, **fields)
    eves = watch(near, session_id, delay_s=1, **fields)
    await frames(mine, 1)
    arena, now = recording.match.arena, recording.match.now
    arena.leave(now, next(slot for slot in range(PLAYERS) if arena.player(slot)), event_pb2.LEAVE_REASON_LEFT)
    arena.join(now, "late", 0)
    recording.play(2 * RATE)
    await recorder.commit(recording)
    assert await refusal(mine) == (grpc.StatusCode.PERMISSION_DENIED, "PLAYER_OF_MATCH")
    assert await frames(eves, 3 * RATE)


async def test_too_many(recorder: Recorder, database_url: str, redis_url: str) -> None:
    recording = Recording(16, recorder.catalogue, delay_s=1)
    recording.play(2 * RATE)
    session_id = await recorder.commit(recording)
    limits = {"max_spectators": 3, "max_playbacks": 2}
    async with worker(database_url=database_url, redis_url=redis_url, **limits) as near:
        shared = [watch(near, session_id) for _ in range(2)]
        for call in shared:
            await frames(call, 1)
        own = watch(near, session_id, from_tick=1)
        await frames(own, 1)
        found = await refusal(watch(near, session_id))
        assert found == (grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_STREAMS")
        other = Recording(17, recorder.catalogue, delay_s=1)
        other.play(2 * RATE)
        found = await refusal(watch(near, await recorder.commit(other)))
        assert found == (grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_PLAYBACKS")


async def test_a_live_match_is_followed(combat: Worker) -> None:
    session = await combat.create(type=session_pb2.SESSION_TYPE_TRAINING, spectator_delay_s=1)
    await combat.join(session.session_id, "ann")
    await combat.begin(session.session_id)
    call = watch(combat, session.session_id)
    (first,) = await frames(call, 0)
    assert first.tick == 0
    found = await frames(call, 45)
    ticks = [frame.tick for frame in found]
    assert ticks == list(range(ticks[0], 46))
    state = await combat.stub.GetState(
        service_pb2.GetStateRequest(session_id=session.session_id), metadata=tokens.operator()
    )
    assert state.snapshot.tick - found[-1].tick >= session.tick_rate_hz
    request = service_pb2.EndSessionRequest(session_id=session.session_id)
    await combat.stub.EndSession(request, metadata=tokens.game_server())
    async with asyncio.timeout(20):
        found = await rest(call)
    assert found[-1].notices[0].kind == play_pb2.NOTICE_KIND_SESSION_ENDED
    assert found[-2].tick >= state.snapshot.tick
