"""GetReplay on journals in PostgreSQL."""

import asyncio
import contextlib
import itertools
from typing import Any

import grpc
import pytest
from arenamesh.combat.v1 import play_pb2, service_pb2, spectate_pb2

from services.chassis import clock
from tests.support import tokens
from tests.support.arenas import RATE
from tests.support.frames import world_of
from tests.support.recorded import Recorder, Recording
from tests.support.refusals import refusal
from tests.support.waiting import eventually
from tests.support.worker import Worker, worker

TICKS = 240


@pytest.fixture
async def played(recorder: Recorder) -> Recording:
    return await recorder.finished(3, TICKS, save_every=60)


def replay(combat: Worker, session_id: str, metadata: tokens.Metadata | None = None, **fields: Any) -> Any:
    request = service_pb2.GetReplayRequest(session_id=session_id, **fields)
    return combat.stub.GetReplay(request, metadata=metadata or tokens.player("eve"))


async def everything(call: Any) -> list[spectate_pb2.SpectatorFrame]:
    found = []
    while (answer := await call.read()) is not grpc.aio.EOF:
        found.append(answer.frame)
    assert await call.code() is grpc.StatusCode.OK, await call.details()
    return found


def kills(events: Any) -> list[bytes]:
    return [event.kill.SerializeToString() for event in events if event.HasField("kill")]


async def test_the_whole_match_is_shown(combat: Worker, played: Recording) -> None:
    session_id = played.session.session_id
    found = await everything(replay(combat, session_id))
    first, *pictures = found[:TICKS]
    assert [frame.tick for frame in (first, *pictures)] == list(range(1, TICKS + 1))
    assert first.welcome.session_id == session_id
    assert first.welcome.tick_rate_hz == RATE
    assert len(first.welcome.seats) == len(first.snapshot.entities)
    for before, after in itertools.pairwise([first, *pictures]):
        whole = after.tick % RATE == 0
        assert after.snapshot.baseline_tick == (0 if whole else before.tick)
    last = found[-1]
    assert [notice.kind for notice in last.notices] == [play_pb2.NOTICE_KIND_SESSION_ENDED]
    assert last.notices[0].reason == "END_REASON_REQUESTED"
    ended = [event for frame in found for event in frame.events if event.HasField("session_end")]
    assert len(ended) == 1


async def test_it_shows_what_was_played(combat: Worker, played: Recording) -> None:
    found = await everything(replay(combat, played.session.session_id))
    shown = play_pb2.PlayResponse.FromString(played.match.arena.snapshot(-1, 0)).snapshot
    assert world_of(found) == world_of([spectate_pb2.SpectatorFrame(snapshot=shown)])
    recorded = [each for record in played.records for each in kills(record.events)]
    assert [each for frame in found for each in kills(frame.events)] == recorded
    assert recorded


@pytest.mark.parametrize("start", [2, 60, 61, 62, 150, TICKS])
async def test_any_tick_can_be_the_first(combat: Worker, played: Recording, start: int) -> None:
    session_id = played.session.session_id
    whole = await everything(replay(combat, session_id))
    part = await everything(replay(combat, session_id, from_tick=start))
    assert part[0].welcome.session_id == session_id
    assert part[0].snapshot.baseline_tick == 0
    assert [frame.tick for frame in part] == [frame.tick for frame in whole[start - 1 :]]
    assert world_of(part[:1]) == world_of(whole[:start])
    assert world_of(part) == world_of(whole)
    assert kills(part[0].events) == kills(whole[start - 1].events)
    for ours, theirs in zip(part[1:], whole[start:], strict=True):
        assert ours == theirs


async def test_the_range_ends_where_it_should(combat: Worker, played: Recording) -> None:
    found = await everything(replay(combat, played.session.session_id, from_tick=100, to_tick=110))
    assert [frame.tick for frame in found] == list(range(100, 111))
    assert not found[-1].notices


async def test_one_player_can_be_followed(combat: Worker, played: Recording) -> None:
    session_id = played.session.session_id
    player = next(
        entity for _, entity, *_ in played.match.arena.results() if played.match.arena.seat(entity) >= 0
    )
    seat = played.match.arena.seat(player)
    found = await everything(replay(combat, session_id, from_tick=TICKS, follow_player_id=player))
    assert seat in {entity.slot for entity in found[0].snapshot.entities}
    stranger = replay(combat, session_id, follow_player_id="zoe")
    assert await refusal(stranger) == (grpc.StatusCode.FAILED_PRECONDITION, "NOT_JOINED")


async def test_it_plays_as_fast_as_asked(combat: Worker, played: Recording) -> None:
    began_s = clock.monotonic_s()
    found = await everything(replay(combat, played.session.session_id, from_tick=50, to_tick=100, speed=5.0))
    assert len(found) == 51
    assert clock.monotonic_s() - began_s >= 50 / RATE / 5


async def test_another_worker_shows_it_too(
    combat: Worker, played: Recording, database_url: str, redis_url: str
) -> None:
    async with worker(database_url=database_url, redis_url=redis_url, worker_name="w1") as other:
        one = await everything(replay(combat, played.session.session_id, from_tick=200))
        two = await everything(replay(other, played.session.session_id, from_tick=200))
    assert one == two


async def test_a_save_of_another_build_is_not_needed(
    combat: Worker, played: Recording, recorder: Recorder
) -> None:
    before = await everything(replay(combat, played.session.session_id, from_tick=200))
    await recorder.execute("UPDATE gameplay.combat_saves SET data = 'unreadable'")
    assert await everything(replay(combat, played.session.session_id, from_tick=200)) == before


async def test_what_cannot_be_asked(combat: Worker, played: Recording, recorder: Recorder) -> None:
    session_id = played.session.session_id
    late = replay(combat, session_id, from_tick=TICKS + 1)
    assert await refusal(late) == (grpc.StatusCode.OUT_OF_RANGE, "NOT_RECORDED")
    backwards = replay(combat, session_id, from_tick=9, to_tick=8)
    assert await refusal(backwards) == (grpc.StatusCode.INVALID_ARGUMENT, "FIELD_INVALID")
    assert await refusal(replay(combat, "none")) == (grpc.StatusCode.NOT_FOUND, "SESSION_NOT_FOUND")
    await recorder.execute("UPDATE gameplay.combat_sessions SET ruleset_hash = 'another'")
    changed = replay(combat, session_id)
    assert await refusal(changed) == (grpc.StatusCode.FAILED_PRECONDITION, "CONTENT_CHANGED")


async def test_a_damaged_journal_is_said_to_be(combat: Worker, played: Recording, recorder: Recorder) -> None:
    await recorder.execute(
        "DELETE FROM gameplay.combat_segments WHERE first_sequence = "
        "(SELECT max(first_sequence) FROM gameplay.combat_segments)"
    )
    found = replay(combat, played.session.session_id)
    assert await refusal(found) == (grpc.StatusCode.DATA_LOSS, "JOURNAL_DAMAGED")


async def test_too_many(recorder: Recorder, database_url: str, redis_url: str) -> None:
    session_id = (await recorder.finished(4, 100)).session.session_id
    async with worker(database_url=database_url, redis_url=redis_url, max_playbacks=1) as combat:
        first = replay(combat, session_id, speed=0.01)
        await first.read()
        found = await refusal(replay(combat, session_id))
        assert found == (grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_PLAYBACKS")
        first.cancel()

        async def free() -> bool:
            call = replay(combat, session_id, to_tick=1)
            with contextlib.suppress(grpc.aio.AioRpcError):
                await call.read()
            return await call.code() is grpc.StatusCode.OK

        await eventually(free)
        assert len(await everything(replay(combat, session_id))) > 100


async def test_a_reader_that_stops_is_ended(recorder: Recorder, database_url: str, redis_url: str) -> None:
    session_id = (await recorder.finished(5, 600)).session.session_id
    limits = {"write_timeout_s": 0.3, "close_timeout_s": 0.3}
    async with worker(database_url=database_url, redis_url=redis_url, **limits) as combat:
        options = [("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 1024)]
        async with grpc.aio.insecure_channel(f"127.0.0.1:{combat.server.port}", options=options) as channel:
            slow = replay(Worker(combat.server, channel), session_id)
            await slow.read()
            began_s = clock.monotonic_s()
            while clock.monotonic_s() - began_s < 1.0:
                await everything(replay(combat, session_id, to_tick=50))
            assert await refusal(slow) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "SLOW_READER")


async def test_a_worker_that_stops_says_so(recorder: Recorder, database_url: str, redis_url: str) -> None:
    session_id = (await recorder.finished(4, 100)).session.session_id
    async with worker(database_url=database_url, redis_url=redis_url) as combat:
        call = replay(combat, session_id, speed=0.01)
        await call.read()
        stopping = asyncio.create_task(combat.server.stop())
        assert await refusal(call) == (grpc.StatusCode.UNAVAILABLE, "DRAINING")
        await stopping


# -- while the match runs ---------------------------------------------------------------------------------


async def test_a_running_match_is_shown_as_far_as_it_is_committed(combat: Worker, recorder: Recorder) -> None:
    recording = Recording(6, recorder.catalogue)
    recording.play(50)
    session_id = await recorder.commit(recording)
    found = await everything(replay(combat, session_id))
    assert [frame.tick for frame in found] == list(range(1, 51))
    assert not any(frame.notices for frame in found)
    recording.play(30)
    await recorder.commit(recording)
    found = await everything(replay(combat, session_id, from_tick=51))
    assert [frame.tick for frame in found] == list(range(51, 81))


async def test_players_see_a_running_match_as_late_as_it_says(combat: Worker, recorder: Recorder) -> None:
    recording = Recording(6, recorder.catalogue, delay_s=1)
    recording.play(2 * RATE)
    session_id = await recorder.commit(recording)
    found = await everything(replay(combat, session_id))
    assert found[-1].tick == RATE
    found = await everything(replay(combat, session_id, tokens.operator()))
    assert found[-1].tick == 2 * RATE
    early = replay(combat, session_id, from_tick=RATE + 1)
    assert await refusal(early) == (grpc.StatusCode.OUT_OF_RANGE, "NOT_RECORDED")


async def test_who_plays_may_not_look(combat: Worker, recorder: Recorder) -> None:
    recording = Recording(6, recorder.catalogue)
    recording.play(50, save=True)
    recording.play(30)
    session_id = await recorder.commit(recording)
    arena = recording.match.arena
    seated = [player for _, player, *_ in arena.results() if arena.seat(player) >= 0]
    for player in seated[:3]:
        found = await refusal(replay(combat, session_id, tokens.player(player)))
        assert found == (grpc.StatusCode.PERMISSION_DENIED, "PLAYER_OF_MATCH")
    recording.end()
    await recorder.commit(recording)
    assert await everything(replay(combat, session_id, tokens.player(seated[0])))
