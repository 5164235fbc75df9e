"""The Play stream as the client lives on it: verdicts, reconnects, resends, limits, the end."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import grpc
import pytest
from arenamesh.client import Backoff, Mesh, SessionEnded, commands, connect
from arenamesh.client.errors import InvalidArgument, Kicked, NotFound, Unauthenticated, Unavailable
from arenamesh.combat.v1 import event_pb2, play_pb2, snapshot_pb2, verdict_pb2

from tests.unit.client.conftest import FAST, OPTIONS, Combat, Script, Stream, frames, serve, soon, welcome


def shots(count: int, slot: int = 0) -> list[play_pb2.Command]:
    return [commands.shot(0, (0.0, 0.0, 1.6), (1.0, 0.0, 0.0), slot=slot) for _ in range(count)]


def play_tasks() -> list[asyncio.Task[object]]:
    return [task for task in asyncio.all_tasks() if task.get_name().startswith("play ")]


def notice(kind: play_pb2.NoticeKind, reason: str = "") -> play_pb2.PlayResponse:
    return play_pb2.PlayResponse(notices=[play_pb2.Notice(kind=kind, reason=reason)])


def dies_after(count: int, code: grpc.StatusCode, *, judges: int = 0) -> Script:
    """Welcomes, judges `judges` commands, and drops the stream once it has read `count`."""

    async def script(service: Combat, context: Stream) -> None:
        await context.write(welcome(last_sequence=len(service.judged)))
        read = 0
        async for request in frames(service, context):
            answer = play_pb2.PlayResponse()
            for command in request.commands:
                read += 1
                if read <= judges:
                    answer.verdicts.append(service.verdict(command))
            await context.write(answer)
            if read >= count:
                await context.abort(code, "the worker is gone")

    return script


async def test_verdicts_come_back_in_command_order(mesh: Mesh, service: Combat) -> None:
    async with mesh.play("s1", OPTIONS) as match:
        assert match.slot == 3
        first, second = await match.judge(*shots(2))
        batch = await match.send(*shots(1))
        (third,) = await batch
        assert [first.sequence, second.sequence, third.sequence] == [1, 2, 3]
        assert {first.slot, second.slot, third.slot} == {3}, "a player's commands get the player's seat"
        assert batch.judged
        assert match.unanswered == 0
        assert [verdict.sequence for verdict in match.verdicts.take()] == [1, 2, 3]
        await soon(lambda: len(match.rtt_s) > 0)
        assert 0 <= match.rtt_s[0] < 5
    numbers = [request.frame for request in service.frames]
    assert numbers == sorted(set(numbers)), "frame numbers rise"


async def test_sequences_go_on_after_those_already_judged(mesh: Mesh, service: Combat) -> None:
    async def script(service: Combat, context: Stream) -> None:
        await context.write(welcome(last_sequence=41))
        async for request in frames(service, context):
            await context.write(
                play_pb2.PlayResponse(verdicts=[service.verdict(command) for command in request.commands])
            )

    service.scripts = [script]
    async with mesh.play("s1", OPTIONS) as match:
        (verdict,) = await match.judge(*shots(1))
        assert verdict.sequence == 42


async def test_a_game_server_numbers_each_seat_past_its_predecessor(mesh: Mesh, service: Combat) -> None:
    async def script(service: Combat, context: Stream) -> None:
        answer = welcome(slot=None)
        answer.welcome.seats.add(slot=0, player_id="ann", last_sequence=41)
        await context.write(answer)
        async for request in frames(service, context):
            await context.write(
                play_pb2.PlayResponse(verdicts=[service.verdict(command) for command in request.commands])
            )

    service.scripts = [script]
    async with mesh.play("s1", OPTIONS) as match:
        assert match.slot is None
        verdicts = await match.judge(*shots(2, slot=0), *shots(2, slot=9))
        assert [(v.slot, v.sequence) for v in verdicts] == [(0, 42), (0, 43), (9, 1), (9, 2)]


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INTERNAL])
async def test_a_lost_stream_comes_back_and_resends_what_was_not_judged(
    mesh: Mesh, service: Combat, code: grpc.StatusCode
) -> None:
    service.scripts = [dies_after(5, code, judges=2), serve]
    async with mesh.play("s1", OPTIONS) as match:
        batches = [await match.send(*shots(1)) for _ in range(5)]
        verdicts = [(await batch)[0] for batch in batches]
        assert [verdict.sequence for verdict in verdicts] == [1, 2, 3, 4, 5]
        assert match.reconnects == 1
    assert sorted(service.judged) == [(3, n) for n in range(1, 6)]
    assert service.streams == 2


async def test_a_verdict_lost_on_the_way_is_asked_for_again(mesh: Mesh, service: Combat) -> None:
    async def judges_and_dies(service: Combat, context: Stream) -> None:
        await context.write(welcome())
        async for request in frames(service, context):
            for command in request.commands:
                service.verdict(command)
            if request.commands:
                await context.abort(grpc.StatusCode.UNAVAILABLE, "before the verdict was out")

    service.scripts = [judges_and_dies, serve]
    async with mesh.play("s1", OPTIONS) as match:
        (verdict,) = await match.judge(*shots(1))
        assert verdict.repeated
    assert len(service.judged) == 1, "judged once"


async def test_moved_reconnects_at_once_and_draining_waits_for_the_end(mesh: Mesh, service: Combat) -> None:
    async def moved(service: Combat, context: Stream) -> None:
        await context.write(welcome())
        await context.write(notice(play_pb2.NOTICE_KIND_MOVED))
        async for _ in frames(service, context):
            pass

    async def draining(service: Combat, context: Stream) -> None:
        await context.write(welcome())
        await context.write(notice(play_pb2.NOTICE_KIND_DRAINING))
        async for request in frames(service, context):
            await context.write(
                play_pb2.PlayResponse(verdicts=[service.verdict(c) for c in request.commands])
            )
            if request.commands:
                await context.abort(grpc.StatusCode.UNAVAILABLE, "stopped")

    service.scripts = [moved, draining, serve]
    async with mesh.play("s1", OPTIONS) as match:
        await soon(lambda: service.streams == 2)
        await match.judge(*shots(1))  # the draining worker still judges
        await soon(lambda: service.streams == 3)
        kinds = [item.kind for item in match.notices.take()]
        assert kinds == [play_pb2.NOTICE_KIND_MOVED, play_pb2.NOTICE_KIND_DRAINING]


async def test_durable_sequence_is_where_the_next_stream_resumes(mesh: Mesh, service: Combat) -> None:
    async def first(service: Combat, context: Stream) -> None:
        await context.write(welcome())
        await context.write(play_pb2.PlayResponse(durable_through=17))
        await context.abort(grpc.StatusCode.UNAVAILABLE, "gone")

    service.scripts = [first, serve]
    async with mesh.play("s1", OPTIONS) as match:
        await soon(lambda: match.reconnects == 1)
    assert [hello.resume_sequence for hello in service.hellos] == [0, 17]


async def test_verdicts_of_a_resume_are_told_once(mesh: Mesh, service: Combat) -> None:
    """The new stream brings again what the old one had told, and what it had not."""

    async def first(service: Combat, context: Stream) -> None:
        await context.write(welcome())
        async for request in frames(service, context):
            judged = [service.verdict(command) for command in request.commands]
            if judged:
                await context.write(play_pb2.PlayResponse(verdicts=judged[:1], durable_through=1))
                await context.abort(grpc.StatusCode.INTERNAL, "killed between two verdicts")

    async def resumed(service: Combat, context: Stream) -> None:
        await context.write(welcome(last_sequence=2))
        missed = [service.verdict(command) for command in service.judged.values()]
        await context.write(play_pb2.PlayResponse(verdicts=missed, durable_through=2))
        async for request in frames(service, context):
            await context.write(
                play_pb2.PlayResponse(verdicts=[service.verdict(command) for command in request.commands])
            )

    service.scripts = [first, resumed]
    async with mesh.play("s1", OPTIONS) as match:
        verdicts = await match.judge(*shots(2))
        assert [verdict.sequence for verdict in verdicts] == [1, 2]
        await match.judge(*shots(1))
        assert [verdict.sequence for verdict in match.verdicts.take()] == [1, 2, 3]
        assert match.durable_through == 2
    assert [hello.resume_sequence for hello in service.hellos] == [0, 1]


async def test_the_first_way_back_is_tried_at_once(target: str, service: Combat) -> None:
    service.scripts = [dies_after(1, grpc.StatusCode.INTERNAL, judges=1), serve]
    patient = replace(OPTIONS, backoff=Backoff(first_s=3600, max_s=3600))
    async with connect(target, token="t0") as mesh, mesh.play("s1", patient) as match, asyncio.timeout(5):
        await match.judge(*shots(1))
        await match.judge(*shots(1))
        assert match.reconnects == 1


async def test_a_silent_stream_is_given_up_for_another(mesh: Mesh, service: Combat) -> None:
    async def hangs(service: Combat, context: Stream) -> None:
        await context.write(welcome())
        async for _ in frames(service, context):
            pass

    service.scripts = [hangs, serve]
    async with mesh.play("s1", replace(OPTIONS, silence_s=0.1)) as match:
        (verdict,) = await match.judge(*shots(1))
        assert verdict.sequence == 1
        assert match.reconnects == 1


async def test_a_stream_that_only_answers_pings_is_kept(mesh: Mesh, service: Combat) -> None:
    async with mesh.play("s1", replace(OPTIONS, silence_s=0.1)) as match:
        await soon(lambda: len(match.rtt_s) >= 15)
        assert match.reconnects == 0


async def test_leaving_a_silent_match_is_not_held_up(mesh: Mesh, service: Combat) -> None:
    async def hangs(service: Combat, context: Stream) -> None:
        await context.write(welcome())
        async for _ in frames(service, context):
            pass

    service.scripts = [hangs]
    async with asyncio.timeout(5), mesh.play("s1", replace(OPTIONS, silence_s=0.02)):
        await soon(lambda: service.streams > 1)
    assert play_tasks() == []


async def test_a_refusal_that_stays_is_raised_and_not_tried_again(mesh: Mesh, service: Combat) -> None:
    async def unknown(service: Combat, context: Stream) -> None:
        await context.abort(grpc.StatusCode.NOT_FOUND, "no such session")

    service.scripts = [unknown]
    with pytest.raises(NotFound, match="no such session"):
        async with mesh.play("s1", OPTIONS):
            pass
    assert service.streams == 1


async def test_a_refused_frame_breaks_the_match_for_everyone_who_waits(mesh: Mesh, service: Combat) -> None:
    service.scripts = [dies_after(1, grpc.StatusCode.INVALID_ARGUMENT)]
    async with mesh.play("s1", OPTIONS) as match:
        with pytest.raises(InvalidArgument):
            await match.judge(*shots(1))
        with pytest.raises(InvalidArgument):
            await match.send(*shots(1))
        with pytest.raises(InvalidArgument):
            await anext(match.events)


async def test_tries_are_bounded(mesh: Mesh, service: Combat) -> None:
    service.scripts = [dies_after(0, grpc.StatusCode.UNAVAILABLE)]
    async with mesh.play("s1", OPTIONS) as match:
        with pytest.raises(Unavailable):
            await anext(match.events)
    assert service.streams == FAST.attempts


async def test_kicked_is_final_and_says_why(mesh: Mesh, service: Combat) -> None:
    async def kicks(service: Combat, context: Stream) -> None:
        await context.write(welcome())
        await context.write(notice(play_pb2.NOTICE_KIND_KICKED, "SPEED_HACK"))
        async for _ in frames(service, context):
            pass

    service.scripts = [kicks]
    async with mesh.play("s1", OPTIONS) as match:
        with pytest.raises(Kicked) as caught:
            await match.judge(*shots(1))
        assert caught.value.reason == "SPEED_HACK"
    assert service.streams == 1


async def test_the_end_of_the_session_ends_the_match_in_peace(mesh: Mesh, service: Combat) -> None:
    async def ends(service: Combat, context: Stream) -> None:
        await context.write(welcome())
        async for request in frames(service, context):
            if not request.commands:
                continue
            await context.write(play_pb2.PlayResponse(verdicts=[service.verdict(request.commands[0])]))
            end = event_pb2.SessionEndEvent(reason=event_pb2.END_REASON_SCORE_LIMIT, winner=4)
            await context.write(play_pb2.PlayResponse(events=[event_pb2.Event(session_end=end)]))
            await context.write(notice(play_pb2.NOTICE_KIND_SESSION_ENDED))
            return

    service.scripts = [ends]
    async with mesh.play("s1", OPTIONS) as match:
        first, second = await match.send(*shots(1)), await match.send(*shots(1))
        await first
        with pytest.raises(SessionEnded):
            await second
        assert [event.WhichOneof("kind") async for event in match.events] == ["session_end"]
        assert match.result is not None
        assert match.result.winner == 4
        with pytest.raises(SessionEnded):
            await match.send(*shots(1))
    assert service.streams == 1


async def test_send_waits_while_too_much_is_unanswered(mesh: Mesh, service: Combat) -> None:
    release = asyncio.Event()

    async def slow(service: Combat, context: Stream) -> None:
        await context.write(welcome())
        async for request in frames(service, context):
            await release.wait()
            await context.write(
                play_pb2.PlayResponse(verdicts=[service.verdict(c) for c in request.commands])
            )

    service.scripts = [slow]
    async with mesh.play("s1", OPTIONS, unanswered_max=4) as match:
        await match.send(*shots(3))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await match.send(*shots(2))
        assert match.unanswered == 3, "what did not fit was not sent"
        release.set()
        await match.judge(*shots(2))
        assert match.unanswered == 0


async def test_leaving_fails_what_is_unanswered_and_leaves_no_task(mesh: Mesh, service: Combat) -> None:
    async def silent(service: Combat, context: Stream) -> None:
        await context.write(welcome())
        async for _ in frames(service, context):
            pass

    service.scripts = [silent]
    async with mesh.play("s1", OPTIONS) as match:
        batch = await match.send(*shots(1))
    with pytest.raises(SessionEnded):
        await batch
    assert [event async for event in match.events] == []
    assert play_tasks() == []


async def test_cancelling_the_opening_leaves_no_task(mesh: Mesh, service: Combat) -> None:
    reached = asyncio.Event()

    async def mute(service: Combat, context: Stream) -> None:
        reached.set()
        await asyncio.Event().wait()

    async def enter() -> None:
        async with mesh.play("s1", OPTIONS):
            pytest.fail("never welcomed")

    service.scripts = [mute]
    task = asyncio.create_task(enter())
    await reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert play_tasks() == []


async def test_snapshots_build_on_each_other_and_are_acknowledged(mesh: Mesh, service: Combat) -> None:
    full = snapshot_pb2.Snapshot(
        tick=10, entities=[snapshot_pb2.Entity(slot=3, x_mm=1000, flags=1, health_milli=100_000)]
    )
    delta = snapshot_pb2.Snapshot(
        tick=11, baseline_tick=10, entities=[snapshot_pb2.Entity(slot=3, x_mm=1200)]
    )
    lost = snapshot_pb2.Snapshot(tick=13, baseline_tick=12)

    async def script(service: Combat, context: Stream) -> None:
        await context.write(welcome())
        for snapshot, acked in ((full, 10), (delta, 11), (lost, 0)):
            await context.write(play_pb2.PlayResponse(snapshot=snapshot))
            async for request in frames(service, context):
                if request.acked_snapshot == acked:
                    break
        await context.write(play_pb2.PlayResponse(snapshot=full))
        async for _ in frames(service, context):
            pass

    service.scripts = [script]
    async with mesh.play("s1", OPTIONS) as match:
        while await match.next_snapshot() < 11:
            pass
        player = match.world.player(3)
        assert player is not None
        assert player.position == (1.2, 0.0, 0.0)
        assert player.health == 100, "what a delta leaves out is unchanged"
        assert player.alive
        async with asyncio.timeout(5):
            assert await match.next_snapshot() == 10, "after a lost baseline a full one is asked for"


async def test_a_stream_refused_for_its_token_gets_a_fresh_one(target: str, service: Combat) -> None:
    handed_out = 0

    async def token() -> str:
        nonlocal handed_out
        handed_out += 1
        return f"t{handed_out}"

    async def stale(service: Combat, context: Stream) -> None:
        await context.abort(grpc.StatusCode.UNAUTHENTICATED, "expired")

    service.scripts = [stale, serve]
    async with connect(target, token=token, backoff=FAST) as mesh, mesh.play("s1", OPTIONS) as match:
        await match.judge(*shots(1))
    assert service.tokens == ["Bearer t1", "Bearer t2"]
    service.scripts = [stale]
    async with connect(target, token="fixed") as mesh:
        with pytest.raises(Unauthenticated):
            async with mesh.play("s1", OPTIONS):
                pass


async def test_a_frame_has_a_limit(mesh: Mesh) -> None:
    async with mesh.play("s1", OPTIONS) as match:
        with pytest.raises(ValueError, match="1 to 1024"):
            await match.send(*shots(1025))
        with pytest.raises(ValueError, match="1 to 1024"):
            await match.send()
        verdicts = await match.judge(*shots(1024))
        assert {verdict.outcome for verdict in verdicts} == {verdict_pb2.OUTCOME_ACCEPTED}
