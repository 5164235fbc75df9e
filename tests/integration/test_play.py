"""The Play stream against real arenas: opening it, playing, every way it ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import grpc
import pytest
from arenamesh.combat.v1 import event_pb2, play_pb2, service_pb2, session_pb2, verdict_pb2

from services.chassis.auth import Role
from tests.support import tokens
from tests.support.refusals import reason, refusal
from tests.support.waiting import eventually
from tests.support.worker import Stream, Worker, worker

PROTECTED_US = 3_000_000  # after a spawn, in the mode `battle_royale`
REJECTED = verdict_pb2.OUTCOME_REJECTED


def move(slot: int, sequence: int, **fields: Any) -> play_pb2.Command:
    return play_pb2.Command(
        slot=slot, sequence=sequence, move=play_pb2.Move(mode=play_pb2.MOVE_MODE_WALK, **fields)
    )


@pytest.fixture
async def match(combat: Worker) -> str:
    """An active session of ann (seat 0) and bob (seat 1)."""
    session = await combat.create()
    await combat.join(session.session_id, "ann")
    await combat.join(session.session_id, "bob")
    await combat.begin(session.session_id)
    return session.session_id


async def ended(stream: Stream) -> tuple[grpc.StatusCode, str, list[str]]:
    """How a stream ends: code, reason, and the notices before it."""
    start = len(stream.seen)
    try:
        await stream.rest()
        code, why = grpc.StatusCode.OK, ""
    except grpc.aio.AioRpcError as error:
        code, why = error.code(), reason(error)
    notices = [notice.reason for answer in stream.seen[start:] for notice in answer.notices]
    return code, why, notices


def raw(combat: Worker, metadata: tokens.Metadata) -> grpc.aio.StreamStreamCall[bytes, bytes]:
    """A stream that speaks bytes."""
    play: Any = combat.channel.stream_stream("/arenamesh.combat.v1.CombatService/Play")
    return cast("grpc.aio.StreamStreamCall[bytes, bytes]", play(metadata=metadata))


async def opened(
    combat: Worker, metadata: tokens.Metadata, first: bytes | None
) -> tuple[grpc.StatusCode, str]:
    """How a stream ends whose first frame is these bytes, or that closes without one."""
    call = raw(combat, metadata)
    if first is not None:
        await call.write(first)
    await call.done_writing()
    return await refusal(call)


# -- opening ------------------------------------------------------------------------------------------


async def test_a_player_is_welcomed_to_its_seat(combat: Worker, match: str) -> None:
    stream = await combat.play(match, tokens.player("bob"))
    welcome = stream.welcome
    assert (welcome.session_id, welcome.slot, welcome.tick_rate_hz) == (match, 1, 30)
    assert (welcome.map_id, welcome.ruleset_name) == ("yard", "default")
    assert [(seat.slot, seat.player_id) for seat in welcome.seats] == [(0, "ann"), (1, "bob")]
    first = stream.seen[0]
    assert first.snapshot.baseline_tick == 0
    assert {entity.slot for entity in first.snapshot.entities} >= {1}


async def test_a_game_server_has_no_seat_and_sees_everybody(combat: Worker, match: str) -> None:
    stream = await combat.play(match, tokens.game_server())
    assert not stream.welcome.HasField("slot")
    assert {entity.slot for entity in stream.seen[0].snapshot.entities} == {0, 1}


def hello(session_id: str, **fields: Any) -> bytes:
    given: dict[str, Any] = {"session_id": session_id, "protocol": 1}
    asked = play_pb2.Hello(**(given | fields))
    return play_pb2.PlayRequest(hello=asked).SerializeToString()


@pytest.mark.parametrize(
    ("first", "code", "why"),
    [
        (None, grpc.StatusCode.INVALID_ARGUMENT, "HELLO_MISSING"),
        (b"", grpc.StatusCode.INVALID_ARGUMENT, "HELLO_MISSING"),
        (b"\xff\xff\xff", grpc.StatusCode.INVALID_ARGUMENT, "MALFORMED"),
        (b"\x0a\x7f", grpc.StatusCode.INVALID_ARGUMENT, "MALFORMED"),
        (b"\x10\x01", grpc.StatusCode.INVALID_ARGUMENT, "HELLO_MISSING"),
        (hello("S") + b"\x10\x01", grpc.StatusCode.INVALID_ARGUMENT, "HELLO_NOT_ALONE"),
        (hello("S", protocol=0), grpc.StatusCode.FAILED_PRECONDITION, "PROTOCOL_UNSUPPORTED"),
        (hello("S", protocol=2), grpc.StatusCode.FAILED_PRECONDITION, "PROTOCOL_UNSUPPORTED"),
        (hello(""), grpc.StatusCode.INVALID_ARGUMENT, "FIELD_INVALID"),
        (hello("a b"), grpc.StatusCode.INVALID_ARGUMENT, "FIELD_INVALID"),
        (hello("S", snapshot_rate_hz=129), grpc.StatusCode.INVALID_ARGUMENT, "FIELD_INVALID"),
        (hello("nowhere"), grpc.StatusCode.NOT_FOUND, "SESSION_NOT_FOUND"),
    ],
    ids=str,
)
async def test_a_bad_first_frame(
    combat: Worker, first: bytes | None, code: grpc.StatusCode, why: str
) -> None:
    assert await opened(combat, tokens.player("ann"), first) == (code, why)


async def test_a_player_without_a_seat(combat: Worker, match: str) -> None:
    found = await opened(combat, tokens.player("eve"), hello(match))
    assert found == (grpc.StatusCode.FAILED_PRECONDITION, "NOT_JOINED")


async def test_a_session_that_is_over(combat: Worker, match: str) -> None:
    request = service_pb2.EndSessionRequest(session_id=match)
    await combat.stub.EndSession(request, metadata=tokens.game_server())
    found = await opened(combat, tokens.player("ann"), hello(match))
    assert found == (grpc.StatusCode.FAILED_PRECONDITION, "SESSION_OVER")


async def test_a_first_frame_that_never_comes(database_url: str, redis_url: str) -> None:
    async with worker(database_url=database_url, redis_url=redis_url, hello_timeout_s=0.05) as combat:
        stream = Stream(combat.stub.Play(metadata=tokens.player("ann")))
        assert (await ended(stream))[:2] == (grpc.StatusCode.DEADLINE_EXCEEDED, "HELLO_TIMEOUT")


async def test_too_many_game_servers(database_url: str, redis_url: str) -> None:
    async with worker(database_url=database_url, redis_url=redis_url, max_server_streams=1) as combat:
        session = await combat.create()
        await combat.play(session.session_id, tokens.game_server())
        found = await opened(combat, tokens.game_server("gs-2"), hello(session.session_id))
        assert found == (grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_STREAMS")


# -- playing ------------------------------------------------------------------------------------------


async def test_verdicts_in_command_order(combat: Worker, match: str) -> None:
    stream = await combat.play(match, tokens.game_server(), snapshot_rate_hz=1)
    commands = [move(slot, sequence) for sequence in (1, 2, 3) for slot in (1, 0)]
    verdicts = await stream.commands(*commands)
    assert [(v.slot, v.sequence) for v in verdicts] == [(c.slot, c.sequence) for c in commands]


async def test_many_frames_at_once_lose_nothing(combat: Worker, match: str) -> None:
    stream = await combat.play(match, tokens.player("ann"))
    count = 300

    async def send() -> None:
        for number in range(1, count + 1):
            await stream.send(play_pb2.PlayRequest(frame=number, commands=[move(0, number)]))

    sending = asyncio.create_task(send())
    last = await stream.until(lambda answer: answer.acked_frame == count)
    await sending
    sequences = [verdict.sequence for answer in stream.seen for verdict in answer.verdicts]
    assert sequences == list(range(1, count + 1))
    assert last.acked_frame == count


async def test_a_repeat_answers_with_the_first_verdict(combat: Worker, match: str) -> None:
    stream = await combat.play(match, tokens.player("ann"))
    (first,) = await stream.commands(move(0, 1, x=1e6))
    (again,) = await stream.commands(move(0, 1))
    assert again.repeated
    again.repeated = False
    assert again == first


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (move(1, 1), verdict_pb2.REASON_FOREIGN_SLOT),
        (move(99, 1), verdict_pb2.REASON_FOREIGN_SLOT),
        (move(0, 0), verdict_pb2.REASON_BAD_SEQUENCE),
        (play_pb2.Command(slot=0, sequence=1), verdict_pb2.REASON_NO_KIND),
        (move(0, 1, x=float("nan")), verdict_pb2.REASON_OUT_OF_RANGE),
        (move(0, 1, z=float("inf")), verdict_pb2.REASON_OUT_OF_RANGE),
        (
            play_pb2.Command(slot=0, sequence=1, shot=play_pb2.Shot(weapon=99, direction_x=1)),
            verdict_pb2.REASON_UNKNOWN_WEAPON,
        ),
        (
            play_pb2.Command(
                slot=0,
                sequence=1,
                damage=play_pb2.Damage(target=1, amount_milli=1000, source=play_pb2.DAMAGE_SOURCE_SCRIPT),
            ),
            verdict_pb2.REASON_NOT_TRUSTED,
        ),
    ],
    ids=str,
)
async def test_a_bad_command_is_rejected_and_the_stream_goes_on(
    combat: Worker, match: str, command: play_pb2.Command, why: int
) -> None:
    stream = await combat.play(match, tokens.player("ann"))
    (verdict,) = await stream.commands(command)
    assert (verdict.outcome, verdict.reason) == (REJECTED, why)
    (after,) = await stream.commands(move(0, 5))
    assert after.sequence == 5


async def test_a_game_server_is_trusted_with_damage(combat: Worker, match: str) -> None:
    stream = await combat.play(match, tokens.game_server())
    damage = play_pb2.Damage(
        target=1, amount_milli=7000, source=play_pb2.DAMAGE_SOURCE_ENVIRONMENT, bypass=True
    )
    (verdict,) = await stream.commands(play_pb2.Command(slot=1, sequence=1, damage=damage))
    assert verdict.outcome == verdict_pb2.OUTCOME_ACCEPTED
    assert [(hit.slot, hit.dealt_milli) for hit in verdict.hits] == [(1, 7000)]


async def test_commands_before_the_start_are_refused(combat: Worker) -> None:
    session = await combat.create()
    slot = await combat.join(session.session_id, "ann")
    stream = await combat.play(session.session_id, tokens.player("ann"))
    (verdict,) = await stream.commands(move(slot, 1))
    assert verdict.reason == verdict_pb2.REASON_NOT_ACTIVE
    await combat.begin(session.session_id)
    await stream.until(lambda answer: answer.snapshot.tick >= 1)


async def test_pings_are_answered(combat: Worker, match: str) -> None:
    stream = await combat.play(match, tokens.player("ann"))
    await stream.send(play_pb2.PlayRequest(frame=1, ping_us=123456))
    answer = await stream.until(lambda answer: answer.pong_us)
    assert answer.pong_us == 123456


async def test_ticks_keep_their_pace(combat: Worker, match: str) -> None:
    stream = await combat.play(match, tokens.player("ann"))
    first = await stream.until(lambda answer: answer.HasField("snapshot") and answer.snapshot.tick)
    last = await stream.until(lambda answer: answer.snapshot.tick >= first.snapshot.tick + 15)
    elapsed_us = last.server_time_us - first.server_time_us
    assert elapsed_us == pytest.approx((last.snapshot.tick - first.snapshot.tick) * 1e6 / 30, abs=2)


async def test_snapshots_are_differences_to_what_was_acknowledged(combat: Worker, match: str) -> None:
    stream = await combat.play(match, tokens.player("ann"))
    held = await stream.until(lambda answer: answer.snapshot.tick)
    await stream.send(play_pb2.PlayRequest(frame=1, acked_snapshot=held.snapshot.tick))
    delta = await stream.until(lambda answer: answer.snapshot.baseline_tick)
    assert delta.snapshot.baseline_tick == held.snapshot.tick


async def test_a_new_stream_starts_from_nothing(combat: Worker, match: str) -> None:
    """What an earlier stream acknowledged, its successor does not hold."""
    old = await combat.play(match, tokens.player("ann"))
    held = await old.until(lambda answer: answer.snapshot.tick)
    await old.send(play_pb2.PlayRequest(frame=1, acked_snapshot=held.snapshot.tick))
    await old.until(lambda answer: answer.snapshot.baseline_tick)
    new = await combat.play(match, tokens.player("ann"))
    for _ in range(3):
        await new.until(lambda answer: answer.HasField("snapshot"))
    assert {answer.snapshot.baseline_tick for answer in new.seen} == {0}


async def test_the_snapshot_rate_is_the_clients(combat: Worker, match: str) -> None:
    stream = await combat.play(match, tokens.player("ann"), snapshot_rate_hz=10)
    ticks: list[int] = []
    while len(ticks) < 4:
        answer = await stream.next()
        if answer.HasField("snapshot") and answer.snapshot.tick:
            ticks.append(answer.snapshot.tick)
    assert all(tick % 3 == 0 for tick in ticks[1:])


async def test_everybody_hears_of_events(combat: Worker, match: str) -> None:
    ann = await combat.play(match, tokens.player("ann"))
    server = await combat.play(match, tokens.game_server())
    await combat.join(match, "cat")
    for stream in (ann, server):
        answer = await stream.until(lambda answer: any(event.HasField("join") for event in answer.events))
        assert [event.join.player_id for event in answer.events if event.HasField("join")] == ["cat"]


async def test_waiting_players_hear_of_events_too(combat: Worker) -> None:
    session = await combat.create()
    await combat.join(session.session_id, "ann")
    stream = await combat.play(session.session_id, tokens.player("ann"))
    await combat.join(session.session_id, "bob")
    answer = await stream.until(lambda answer: any(event.join.player_id == "bob" for event in answer.events))
    assert answer.tick == 0


# -- endings ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "frame",
    [
        b"\xff",
        b"\x0a",
        b"\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        b"\x32\x05\x08",
        b"\x32\x04\x2a\x02\x0d\x00",
        b"\x33",
        b"\x00\x00",
        b"\x36\x01",
        b"".join(b"\x32\x02\x10\x01" for _ in range(1025)),
    ],
    ids=lambda frame: frame[:12].hex(),
)
async def test_a_frame_that_cannot_be_read_ends_only_its_stream(
    combat: Worker, match: str, frame: bytes
) -> None:
    bob = await combat.play(match, tokens.player("bob"))
    call = raw(combat, tokens.player("ann"))
    await call.write(hello(match))
    await call.read()
    await call.write(frame)
    code, why = await refusal(call)
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert why
    assert (await bob.commands(move(1, 1)))[0].sequence == 1


async def test_an_oversized_message(combat: Worker, match: str) -> None:
    stream = await combat.play(match, tokens.player("ann"))
    await stream.send(play_pb2.PlayRequest(hello=play_pb2.Hello(session_id="x" * 65536)))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stream.rest()
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_closing_ends_it_well(combat: Worker, match: str) -> None:
    stream = await combat.play(match, tokens.player("ann"))
    await stream.send(play_pb2.PlayRequest(frame=9, commands=[move(0, 1)]))
    await stream.call.done_writing()
    answers = await stream.rest()
    assert [verdict.sequence for answer in answers for verdict in answer.verdicts] == [1]


async def test_the_second_stream_of_a_player_replaces_the_first(combat: Worker, match: str) -> None:
    first = await combat.play(match, tokens.player("ann"))
    second = await combat.play(match, tokens.player("ann"))
    assert await ended(first) == (grpc.StatusCode.FAILED_PRECONDITION, "REPLACED", ["REPLACED"])
    assert (await second.commands(move(0, 1)))[0].sequence == 1


async def test_a_token_that_expires(combat: Worker, match: str) -> None:
    stream = await combat.play(match, tokens.bearer("ann", lifetime_s=2))
    assert (await ended(stream))[:2] == (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_EXPIRED")


async def test_the_session_ends(combat: Worker, match: str) -> None:
    ann = await combat.play(match, tokens.player("ann"))
    server = await combat.play(match, tokens.game_server())
    request = service_pb2.EndSessionRequest(session_id=match)
    await combat.stub.EndSession(request, metadata=tokens.game_server())
    for stream in (ann, server):
        code, _, notices = await ended(stream)
        assert (code, notices) == (grpc.StatusCode.OK, ["END_REASON_REQUESTED"])
        events = [event for answer in stream.seen for event in answer.events]
        assert [e.session_end.reason for e in events if e.HasField("session_end")] == [
            event_pb2.END_REASON_REQUESTED
        ]


async def test_the_arena_ends_the_session(combat: Worker) -> None:
    """A duel of the last one standing: the arena finds the end by itself, the database hears of it."""
    session = await combat.create(type=session_pb2.SESSION_TYPE_BATTLE_ROYALE, max_players=2)
    for name in ("ann", "bob"):
        await combat.join(session.session_id, name)
    await combat.begin(session.session_id)
    stream = await combat.play(session.session_id, tokens.game_server(), snapshot_rate_hz=1)
    kill = play_pb2.Damage(
        target=1, amount_milli=1_000_000, source=play_pb2.DAMAGE_SOURCE_SCRIPT, bypass=True
    )
    await stream.until(lambda answer: answer.server_time_us > PROTECTED_US)
    command = play_pb2.Command(slot=0, sequence=1, damage=kill)
    await stream.send(play_pb2.PlayRequest(frame=1, commands=[command]))
    code, _, notices = await ended(stream)
    assert (code, notices) == (grpc.StatusCode.OK, ["END_REASON_LAST_STANDING"])

    async def is_written() -> bool:
        return (await combat.get(session.session_id)).status == session_pb2.SESSION_STATUS_ENDED

    await eventually(is_written)


async def test_a_client_that_cancels_leaves_nothing_behind(combat: Worker, match: str) -> None:
    for _ in range(20):
        stream = await combat.play(match, tokens.player("ann"))
        stream.call.cancel()
    last = await combat.play(match, tokens.player("ann"))
    assert (await last.commands(move(0, 1)))[0].sequence == 1


# -- seats and streams --------------------------------------------------------------------------------


@pytest.fixture
async def impatient(database_url: str, redis_url: str) -> AsyncIterator[Worker]:
    async with worker(database_url=database_url, redis_url=redis_url, reconnect_seconds=0.3) as running:
        yield running


def disconnected(slot: int) -> Any:
    def seen(answer: play_pb2.PlayResponse) -> bool:
        return any(entity.slot == slot and entity.flags & 128 for entity in answer.snapshot.entities)

    return seen


async def test_a_dropped_stream_keeps_the_seat_and_reconnects(combat: Worker, match: str) -> None:
    bob = await combat.play(match, tokens.game_server())
    ann = await combat.play(match, tokens.player("ann"))
    await ann.commands(move(0, 1), move(0, 2))
    ann.call.cancel()
    await bob.until(disconnected(0))
    again = await combat.play(match, tokens.player("ann"))
    assert (again.welcome.slot, again.welcome.last_sequence) == (0, 2)
    (repeat,) = await again.commands(move(0, 2))
    assert repeat.repeated
    server = await combat.play(match, tokens.game_server())
    assert [seat.last_sequence for seat in server.welcome.seats] == [2, 0]


async def test_a_seat_is_given_up_in_the_end(impatient: Worker) -> None:
    session = await impatient.create()
    for name in ("ann", "bob"):
        await impatient.join(session.session_id, name)
    await impatient.begin(session.session_id)
    server = await impatient.play(session.session_id, tokens.game_server())
    ann = await impatient.play(session.session_id, tokens.player("ann"))
    ann.call.cancel()
    answer = await server.until(lambda answer: any(event.HasField("leave") for event in answer.events))
    leaves = [event.leave for event in answer.events if event.HasField("leave")]
    assert [(leave.slot, leave.reason) for leave in leaves] == [(0, event_pb2.LEAVE_REASON_TIMED_OUT)]
    assert (await impatient.get(session.session_id)).player_count == 1


async def test_coming_back_stops_the_clock(impatient: Worker) -> None:
    session = await impatient.create()
    await impatient.join(session.session_id, "ann")
    await impatient.begin(session.session_id)
    first = await impatient.play(session.session_id, tokens.player("ann"))
    first.call.cancel()
    again = await impatient.play(session.session_id, tokens.player("ann"))
    await again.until(lambda answer: answer.snapshot.tick > 20)
    assert (await impatient.get(session.session_id)).player_count == 1


async def test_leaving_ends_the_stream(combat: Worker, match: str) -> None:
    stream = await combat.play(match, tokens.player("ann"))
    request = service_pb2.LeaveSessionRequest(session_id=match)
    await combat.stub.LeaveSession(request, metadata=tokens.player("ann"))
    assert await ended(stream) == (grpc.StatusCode.OK, "", ["LEAVE_REASON_LEFT"])


# -- slow readers -------------------------------------------------------------------------------------

SMALL_WINDOW = [("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 1024)]


async def test_a_slow_reader_is_ended_and_nobody_else_notices(database_url: str, redis_url: str) -> None:
    limits = {"write_timeout_s": 0.3, "close_timeout_s": 0.3}
    async with worker(database_url=database_url, redis_url=redis_url, **limits) as combat:
        session = await combat.create(max_players=300, tick_rate_hz=128)
        await asyncio.gather(*(combat.join(session.session_id, f"p{number}") for number in range(300)))
        await combat.begin(session.session_id)
        async with grpc.aio.insecure_channel(
            f"127.0.0.1:{combat.server.port}", options=SMALL_WINDOW
        ) as channel:
            slow = Worker(combat.server, channel)
            stream = await slow.play(session.session_id, tokens.game_server())
            other = await combat.play(session.session_id, tokens.player("p1"), snapshot_rate_hz=10)
            # Never reads again while full snapshots of 300 players keep coming.
            await other.until(lambda answer: answer.tick > 128)
            assert (await ended(stream))[:2] == (grpc.StatusCode.RESOURCE_EXHAUSTED, "SLOW_READER")
        verdicts = await other.commands(move(1, 1))
        assert [verdict.sequence for verdict in verdicts] == [1]


# -- roles --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.SERVICE])
async def test_who_may_not_play(combat: Worker, match: str, role: Role) -> None:
    found = await opened(combat, tokens.bearer("x", role), hello(match))
    assert found == (grpc.StatusCode.PERMISSION_DENIED, "ROLE_NOT_ALLOWED")
