"""Told means durable: what waits for a commit, what does not, and what happens when none comes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import grpc
import pytest
from arenamesh.combat.v1 import play_pb2, service_pb2, session_pb2

from services.chassis import migrate
from services.combat.schema import SCHEMA, migrations
from tests.support import postgres as postgres_server
from tests.support import tokens
from tests.support.refusals import reason
from tests.support.waiting import eventually
from tests.support.worker import Stream, Worker, refused, worker

UNAVAILABLE = grpc.StatusCode.UNAVAILABLE
ENDED = session_pb2.SESSION_STATUS_ENDED


class Disk:
    """Holds every commit of the journal back while it is held."""

    def __init__(self, url: str) -> None:
        self._url = url

    @asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        connection = await asyncpg.connect(self._url)
        try:
            async with connection.transaction():
                await connection.execute("LOCK TABLE gameplay.combat_segments IN EXCLUSIVE MODE")
                yield
        finally:
            await connection.close()


@pytest.fixture
def disk(database_url: str) -> Disk:
    return Disk(database_url)


async def begun(combat: Worker) -> str:
    """An active session of ann (seat 0) and bob (seat 1), everything of it durable."""
    session = await combat.create()
    await combat.join(session.session_id, "ann")
    await combat.join(session.session_id, "bob")
    await combat.begin(session.session_id)
    match = await combat.matches.open(session.session_id)
    # The spawns of the first tick are told too.
    stream = await combat.play(session.session_id, tokens.game_server())
    await stream.until(lambda answer: any(event.HasField("spawn") for event in answer.events))
    await combat.matches.committer.flush(match)
    stream.call.cancel()
    return session.session_id


def hurt(sequence: int, amount_milli: int = 1000) -> play_pb2.Command:
    damage = play_pb2.Damage(
        target=1, amount_milli=amount_milli, source=play_pb2.DAMAGE_SOURCE_SCRIPT, bypass=True
    )
    return play_pb2.Command(slot=0, sequence=sequence, damage=damage)


def move(sequence: int, slot: int = 0) -> play_pb2.Command:
    return play_pb2.Command(
        slot=slot, sequence=sequence, move=play_pb2.Move(mode=play_pb2.MOVE_MODE_WALK, x=1e6)
    )


async def send(stream: Stream, frame: int, *commands: play_pb2.Command) -> None:
    await stream.send(play_pb2.PlayRequest(frame=frame, commands=commands))


def killed(answer: play_pb2.PlayResponse) -> bool:
    return any(event.HasField("kill") for event in answer.events)


def verdicts(stream: Stream) -> list[Any]:
    return [verdict for answer in stream.seen for verdict in answer.verdicts]


async def later(stream: Stream, ticks: int = 5) -> None:
    """Snapshots go on, whatever waits."""
    last = max(answer.snapshot.tick for answer in stream.seen)
    await stream.until(lambda answer: answer.snapshot.tick > last + ticks)


async def judged(combat: Worker, session_id: str, sequence: int) -> None:
    match = combat.matches._live[session_id]

    async def done() -> bool:
        return match.arena.last_sequence(0) == sequence

    await eventually(done)


async def row(database_url: str, session_id: str) -> asyncpg.Record:
    connection = await asyncpg.connect(database_url)
    try:
        found = await connection.fetchrow("SELECT * FROM gameplay.combat_sessions WHERE id = $1", session_id)
    finally:
        await connection.close()
    assert found is not None
    return found


# -- waiting ------------------------------------------------------------------------------------------


async def test_a_verdict_waits_for_its_commit_and_later_ones_of_the_stream_for_it(
    combat: Worker, disk: Disk
) -> None:
    session_id = await begun(combat)
    server = await combat.play(session_id, tokens.game_server())
    bob = await combat.play(session_id, tokens.player("bob"))
    async with disk.held():
        await send(server, 1, hurt(1, amount_milli=1_000_000_000))
        await judged(combat, session_id, 1)
        await send(server, 2, move(2))
        await judged(combat, session_id, 2)
        # Another stream's moves need no commit, and pictures never wait.
        assert (await bob.commands(move(1, slot=1)))[0].sequence == 1
        await later(bob)
        await later(server)
        assert verdicts(server) == []
        assert not any(map(killed, bob.seen))
        durable = max(answer.durable_through for answer in server.seen)
    answer = await server.until(lambda answer: answer.verdicts)
    assert [verdict.sequence for verdict in answer.verdicts] == [1, 2]
    assert answer.acked_frame == 2
    assert answer.durable_through >= answer.verdicts[0].journal_sequence > durable
    if not any(map(killed, bob.seen)):
        await bob.until(killed)


async def test_whoever_closes_its_side_still_gets_its_answers(combat: Worker, disk: Disk) -> None:
    session_id = await begun(combat)
    stream = await combat.play(session_id, tokens.game_server())
    async with disk.held():
        await send(stream, 1, hurt(1), move(2))
        await stream.call.done_writing()
        await judged(combat, session_id, 2)
    await stream.rest()
    assert [verdict.sequence for verdict in verdicts(stream)] == [1, 2]


async def test_a_stream_with_too_many_answers_waiting_is_not_read(
    database_url: str, redis_url: str, disk: Disk
) -> None:
    async with worker(database_url=database_url, redis_url=redis_url, held_replies=4) as combat:
        session_id = await begun(combat)
        stream = await combat.play(session_id, tokens.game_server())
        async with disk.held():
            for number in range(1, 11):
                await send(stream, number, hurt(number))
            await judged(combat, session_id, 4)
            await later(stream)
            assert combat.matches._live[session_id].arena.last_sequence(0) == 4
        await stream.until(lambda answer: answer.acked_frame == 10)
        assert [verdict.sequence for verdict in verdicts(stream)] == list(range(1, 11))


async def test_single_calls_wait_too(combat: Worker, disk: Disk) -> None:
    session_id = await begun(combat)
    server = tokens.game_server()
    damage = service_pb2.ApplyDamageRequest(session_id=session_id, player_id="ann", direct=hurt(1).damage)
    walk = service_pb2.UpdatePositionRequest(session_id=session_id, player_id="ann", move=move(1).move)
    leave = service_pb2.LeaveSessionRequest(session_id=session_id, player_id="bob")
    async with disk.held():
        calls: list[Awaitable[Any]] = [
            combat.join(session_id, "cat"),
            combat.stub.ApplyDamage(damage, metadata=server),
            combat.stub.LeaveSession(leave, metadata=server),
        ]
        waiting = [asyncio.ensure_future(call) for call in calls]
        assert (await combat.stub.UpdatePosition(walk, metadata=server)).verdict.sequence

        async def all_judged() -> bool:
            arena = combat.matches._live[session_id].arena
            return arena.seat("cat") >= 0 and arena.seat("bob") < 0 and arena.last_sequence(0) == 2

        await eventually(all_judged)
        assert not any(call.done() for call in waiting)
    await asyncio.gather(*waiting)


async def test_an_end_is_told_when_it_is_written(combat: Worker, disk: Disk, database_url: str) -> None:
    session_id = await begun(combat)
    stream = await combat.play(session_id, tokens.game_server())
    request = service_pb2.EndSessionRequest(session_id=session_id)
    metadata = (*tokens.game_server(), ("idempotency-key", "end"))
    async with disk.held():
        await send(stream, 1, hurt(1))
        await judged(combat, session_id, 1)
        ending = asyncio.ensure_future(combat.stub.EndSession(request, metadata=metadata))

        async def ended() -> bool:
            return bool(combat.matches._live[session_id].arena.ended)

        await eventually(ended)
        call = combat.join(session_id, "cat")
        assert await refused(call, grpc.StatusCode.UNAVAILABLE) == "SESSION_ENDING"
        assert (await row(database_url, session_id))["status"] == "ACTIVE"
        assert not ending.done()
    answer = await ending
    assert answer.session.status == ENDED
    notices = [notice.reason for message in await stream.rest() for notice in message.notices]
    assert notices == ["END_REASON_REQUESTED"]
    assert [verdict.sequence for verdict in verdicts(stream)] == [1]
    over = await row(database_url, session_id)
    assert over["status"] == "ENDED"
    assert over["journal_sequence"] == answer.session.journal_sequence
    assert await combat.stub.EndSession(request, metadata=metadata) == answer


# -- when no commit comes ------------------------------------------------------------------------------

IMPATIENT = {"commit_wait_s": 0.2, "database_command_s": 60.0}


async def how_it_ended(stream: Stream) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stream.rest()
    return caught.value.code(), reason(caught.value)


async def test_without_an_answer_everything_stands_still_and_then_goes_on(
    database_url: str, redis_url: str, disk: Disk
) -> None:
    async with worker(database_url=database_url, redis_url=redis_url, **IMPATIENT) as combat:
        session_id = await begun(combat)
        match = combat.matches._live[session_id]
        stream = await combat.play(session_id, tokens.game_server())
        ann = await combat.play(session_id, tokens.player("ann"))
        server = tokens.game_server()
        damage = service_pb2.ApplyDamageRequest(session_id=session_id, player_id="ann", direct=hurt(9).damage)
        end = service_pb2.EndSessionRequest(session_id=session_id)
        async with disk.held():
            await send(stream, 1, hurt(1))
            assert await how_it_ended(stream) == (UNAVAILABLE, "JOURNAL_UNAVAILABLE")
            assert await how_it_ended(ann) == (UNAVAILABLE, "JOURNAL_UNAVAILABLE")
            assert verdicts(stream) == []
            tick, now_us, state = match.arena.tick, match.now_us(), match.arena.state_hash()
            calls: list[Awaitable[Any]] = [
                combat.create(),
                combat.join(session_id, "cat"),
                combat.stub.ApplyDamage(damage, metadata=server),
                combat.stub.EndSession(end, metadata=server),
                combat.play(session_id, tokens.player("ann")),
            ]
            for call in calls:
                assert await refused(call, UNAVAILABLE) == "JOURNAL_UNAVAILABLE"
            assert (match.arena.tick, match.now_us(), match.arena.state_hash()) == (tick, now_us, state)

        async def going() -> bool:
            return match.arena.tick > tick

        await eventually(going)
        # What was judged and not told is there, and the time in between never was.
        assert match.now_us() - now_us < 5_000_000
        again = await combat.play(session_id, tokens.game_server())
        (repeat, after) = await again.commands(hurt(1), hurt(2))
        assert (repeat.repeated, after.repeated) == (True, False)
        assert after.hits[0].health_milli == repeat.hits[0].health_milli - 1000


async def test_an_end_under_way_comes_through_in_the_end(
    database_url: str, redis_url: str, disk: Disk
) -> None:
    fast = {"persist_seconds": 0.02}
    async with worker(database_url=database_url, redis_url=redis_url, **(IMPATIENT | fast)) as combat:
        session_id = await begun(combat)
        request = service_pb2.EndSessionRequest(session_id=session_id)
        metadata = (*tokens.game_server(), ("idempotency-key", "end"))
        async with disk.held():
            call = combat.stub.EndSession(request, metadata=metadata)
            assert await refused(call, UNAVAILABLE) == "JOURNAL_UNAVAILABLE"

        async def written() -> bool:
            return bool((await row(database_url, session_id))["status"] == "ENDED")

        await eventually(written)
        assert (await combat.stub.EndSession(request, metadata=metadata)).session.status == ENDED


async def test_postgresql_stops_and_starts_under_a_match(redis_url: str) -> None:
    limits = {"commit_wait_s": 2.0, "database_wait_s": 0.5, "lease_s": 0.6, "heartbeat_s": 0.05}
    with postgres_server.running() as server:
        connection = await asyncpg.connect(server.url())
        await migrate.migrate(connection, SCHEMA, migrations())
        await connection.close()
        async with worker(database_url=server.url(), redis_url=redis_url, **limits) as combat:
            session_id = await begun(combat)
            stream = await combat.play(session_id, tokens.game_server())
            told = await stream.commands(hurt(1))
            await asyncio.to_thread(server.stop)
            await send(stream, 2, hurt(2))
            assert await how_it_ended(stream) == (UNAVAILABLE, "JOURNAL_UNAVAILABLE")
            match = combat.matches._live[session_id]
            now_us = match.now_us()
            call = combat.join(session_id, "cat")
            assert await refused(call, UNAVAILABLE) == "JOURNAL_UNAVAILABLE"
            await asyncio.to_thread(server.start)

            async def back() -> bool:
                try:
                    await combat.join(session_id, "cat")
                except grpc.aio.AioRpcError as error:
                    assert error.code() is UNAVAILABLE, error
                    return False
                return True

            await eventually(back)
            assert combat.matches._live[session_id] is match
            assert match.session.epoch == 1
            assert match.now_us() - now_us < 5_000_000
            again = await combat.play(session_id, tokens.game_server())
            (first, second) = await again.commands(hurt(1), hurt(2))
            assert (first.repeated, second.repeated) == (True, True)
            assert first.hits == told[0].hits
            assert second.hits[0].health_milli == first.hits[0].health_milli - 1000
