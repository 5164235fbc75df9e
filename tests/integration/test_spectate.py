"""Live spectating."""

import asyncio
import itertools
from typing import Any

import grpc
import pytest
from arenamesh.combat.v1 import play_pb2, service_pb2, spectate_pb2

from tests.support import tokens
from tests.support.frames import world_of
from tests.support.refusals import refusal
from tests.support.worker import Worker, worker


@pytest.fixture
async def match(combat: Worker) -> str:
    """An active session of ann (seat 0) and bob (seat 1)."""
    session = await combat.create()
    await combat.join(session.session_id, "ann")
    await combat.join(session.session_id, "bob")
    await combat.begin(session.session_id)
    return session.session_id


def watch(combat: Worker, session_id: str, metadata: tokens.Metadata | None = None, **fields: Any) -> Any:
    request = spectate_pb2.SpectateRequest(session_id=session_id, **fields)
    return combat.stub.Spectate(request, metadata=metadata or tokens.player("eve"))


async def frames(call: Any, count: int) -> list[spectate_pb2.SpectatorFrame]:
    return [(await call.read()).frame for _ in range(count)]


async def test_the_first_frame_is_everything(combat: Worker, match: str) -> None:
    (first,) = await frames(watch(combat, match), 1)
    assert first.welcome.session_id == match
    assert not first.welcome.HasField("slot")
    assert [seat.player_id for seat in first.welcome.seats] == ["ann", "bob"]
    assert first.snapshot.baseline_tick == 0
    assert {entity.slot for entity in first.snapshot.entities} == {0, 1}


async def test_every_frame_is_a_difference_to_the_one_before(combat: Worker, match: str) -> None:
    found = await frames(watch(combat, match), 40)
    for before, after in itertools.pairwise(found):
        assert after.snapshot.baseline_tick in (0, before.tick)
        assert after.tick > before.tick
    full = [frame.tick for frame in found[1:] if not frame.snapshot.baseline_tick]
    assert 1 <= len(full) <= 2


async def test_differences_add_up_to_the_whole(combat: Worker, match: str) -> None:
    call = watch(combat, match)
    found = await frames(call, 5)
    damage = play_pb2.Damage(target=1, amount_milli=5000, source=play_pb2.DAMAGE_SOURCE_SCRIPT, bypass=True)
    request = service_pb2.ApplyDamageRequest(session_id=match, player_id="bob", direct=damage)
    await combat.stub.ApplyDamage(request, metadata=tokens.game_server())
    found += await frames(call, 5)
    late = await frames(watch(combat, match), 3)
    assert world_of(found)[1]["health_milli"] == world_of(late)[1]["health_milli"]
    assert world_of(found)[1]["health_milli"] < world_of(found[:5])[1]["health_milli"]


async def test_events_reach_spectators(combat: Worker, match: str) -> None:
    call = watch(combat, match)
    await frames(call, 1)
    await combat.join(match, "cat")
    while True:
        (frame,) = await frames(call, 1)
        joined = [event.join.player_id for event in frame.events if event.HasField("join")]
        if joined:
            assert joined == ["cat"]
            return


async def test_following_one_player(combat: Worker, match: str) -> None:
    (first,) = await frames(watch(combat, match, follow_player_id="bob"), 1)
    assert 1 in {entity.slot for entity in first.snapshot.entities}
    stranger = watch(combat, match, follow_player_id="zoe")
    assert await refusal(stranger) == (grpc.StatusCode.FAILED_PRECONDITION, "NOT_JOINED")


async def test_a_session_that_has_not_begun(combat: Worker) -> None:
    session = await combat.create()
    call = watch(combat, session.session_id)
    (first,) = await frames(call, 1)
    assert first.tick == 0
    await combat.join(session.session_id, "ann")
    (second,) = await frames(call, 1)
    assert [event.join.player_id for event in second.events] == ["ann"]
    await combat.begin(session.session_id)
    (third,) = await frames(call, 1)
    assert third.tick >= 1


async def test_the_end_of_the_session_ends_it(combat: Worker, match: str) -> None:
    call = watch(combat, match)
    await frames(call, 1)
    request = service_pb2.EndSessionRequest(session_id=match)
    await combat.stub.EndSession(request, metadata=tokens.game_server())
    notices: list[play_pb2.Notice] = []
    while (answer := await call.read()) is not grpc.aio.EOF:
        notices += answer.frame.notices
    assert [notice.kind for notice in notices] == [play_pb2.NOTICE_KIND_SESSION_ENDED]
    assert await call.code() is grpc.StatusCode.OK


async def test_a_player_may_not_watch_its_own_match(combat: Worker, match: str) -> None:
    found = await refusal(watch(combat, match, tokens.player("ann")))
    assert found == (grpc.StatusCode.PERMISSION_DENIED, "PLAYER_OF_MATCH")


async def test_who_watches_and_then_joins_watches_no_longer(combat: Worker, match: str) -> None:
    mine, eves = watch(combat, match, tokens.player("cat")), watch(combat, match)
    await frames(mine, 2)
    await frames(eves, 1)
    await combat.join(match, "cat")
    assert await refusal(mine) == (grpc.StatusCode.PERMISSION_DENIED, "PLAYER_OF_MATCH")
    assert await frames(eves, 10)


@pytest.mark.parametrize(
    ("fields", "code", "why"),
    [
        ({"session_id": ""}, grpc.StatusCode.INVALID_ARGUMENT, "FIELD_INVALID"),
        ({"session_id": "none"}, grpc.StatusCode.NOT_FOUND, "SESSION_NOT_FOUND"),
        ({"session_id": "none", "delay_s": 601}, grpc.StatusCode.INVALID_ARGUMENT, "FIELD_INVALID"),
    ],
    ids=str,
)
async def test_bad_requests(combat: Worker, fields: dict[str, Any], code: grpc.StatusCode, why: str) -> None:
    assert await refusal(watch(combat, **fields)) == (code, why)


async def test_too_many(database_url: str, redis_url: str) -> None:
    async with worker(database_url=database_url, redis_url=redis_url, max_spectators=2) as combat:
        session = await combat.create()
        first = watch(combat, session.session_id)
        await frames(first, 1)
        second = watch(combat, session.session_id)
        await frames(second, 1)
        found = await refusal(watch(combat, session.session_id))
        assert found == (grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_STREAMS")


async def test_a_spectator_that_stops_reading_is_ended_and_nobody_else_notices(
    database_url: str, redis_url: str
) -> None:
    limits = {"write_timeout_s": 0.3, "close_timeout_s": 0.3}
    async with worker(database_url=database_url, redis_url=redis_url, **limits) as combat:
        session = await combat.create(max_players=300, tick_rate_hz=128)
        await asyncio.gather(*(combat.join(session.session_id, f"p{number}") for number in range(300)))
        await combat.begin(session.session_id)
        options = [("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 1024)]
        async with grpc.aio.insecure_channel(f"127.0.0.1:{combat.server.port}", options=options) as channel:
            slow = watch(Worker(combat.server, channel), session.session_id)
            await slow.read()
            quick = watch(combat, session.session_id)
            last = 0
            while last < 900:
                (frame,) = await frames(quick, 1)
                assert frame.snapshot.baseline_tick in (0, last)
                last = frame.tick
            assert await refusal(slow) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "SLOW_READER")
