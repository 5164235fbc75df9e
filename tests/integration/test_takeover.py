"""Sessions that change their worker: by death, on request, at a stop, and behind a sleeper's back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import asyncpg
import grpc
import pytest
from arenamesh.combat.v1 import event_pb2, play_pb2, service_pb2, session_pb2, verdict_pb2

from tests.support import tokens
from tests.support.refusals import info, reason
from tests.support.waiting import eventually
from tests.support.worker import Stream, Worker, refused, worker

WAITING = session_pb2.SESSION_STATUS_WAITING
ACTIVE = session_pb2.SESSION_STATUS_ACTIVE
ENDED = session_pb2.SESSION_STATUS_ENDED
ABORTED = session_pb2.SESSION_STATUS_ABORTED
MOVED = (grpc.StatusCode.UNAVAILABLE, "SESSION_MOVED", [play_pb2.NOTICE_KIND_MOVED])

Start = Callable[..., Awaitable[Worker]]


@pytest.fixture
async def start(database_url: str, redis_url: str) -> AsyncIterator[Start]:
    """Starts workers on one database."""
    async with AsyncExitStack() as stack:

        async def start(name: str, **changes: Any) -> Worker:
            where = {"database_url": database_url, "redis_url": redis_url, "worker_name": name}
            # No sweeper unless a test wants one.
            patient = {"sweep_s": 600.0}
            return await stack.enter_async_context(worker(**(where | patient | changes)))

        yield start


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


async def begun(combat: Worker) -> str:
    """An active session of ann (seat 0) and bob (seat 1)."""
    session = await combat.create()
    await combat.join(session.session_id, "ann")
    await combat.join(session.session_id, "bob")
    await combat.begin(session.session_id)
    return session.session_id


def hurt(sequence: int, *, slot: int = 0, target: int = 1) -> play_pb2.Command:
    damage = play_pb2.Damage(
        target=target, amount_milli=1000, source=play_pb2.DAMAGE_SOURCE_SCRIPT, bypass=True
    )
    return play_pb2.Command(slot=slot, sequence=sequence, damage=damage)


def move(sequence: int, slot: int = 0) -> play_pb2.Command:
    return play_pb2.Command(
        slot=slot, sequence=sequence, move=play_pb2.Move(mode=play_pb2.MOVE_MODE_WALK, x=1e6)
    )


async def how_it_ended(stream: Stream) -> tuple[grpc.StatusCode, str, list[play_pb2.NoticeKind]]:
    start = len(stream.seen)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stream.rest()
    kinds = [notice.kind for answer in stream.seen[start:] for notice in answer.notices]
    return caught.value.code(), reason(caught.value), kinds


async def state(combat: Worker, session_id: str) -> service_pb2.GetStateResponse:
    request = service_pb2.GetStateRequest(session_id=session_id)
    return await combat.stub.GetState(request, metadata=tokens.operator())


async def row(database: asyncpg.Connection, session_id: str) -> asyncpg.Record:
    found = await database.fetchrow("SELECT * FROM gameplay.combat_sessions WHERE id = $1", session_id)
    assert found is not None
    return found


# -- death --------------------------------------------------------------------------------------------


async def test_a_dead_workers_session_goes_on_where_it_was(start: Start) -> None:
    first, second = await start("w0"), await start("w1")
    session_id = await begun(first)
    stream = await first.play(session_id, tokens.game_server())
    told = await stream.commands(hurt(1), hurt(2), move(3), hurt(1, slot=1, target=0))
    match = first.matches._live[session_id]
    match.suspend()
    await first.matches.committer.flush(match)
    first.kill()
    left = (match.arena.state_hash(), match.arena.tick, match.arena.now_us, match.arena.sequence)
    assert (await second.get(session_id)).status == ACTIVE
    there = await second.matches.open(session_id)
    there.suspend()
    assert (there.arena.tick, there.arena.sequence) == (left[1], left[3])
    assert there.arena.state_hash() == left[0]
    # The match paused: its clock goes on from the last record.
    assert there.now_us() - left[2] < 1_000_000
    there.resume()
    again = await second.play(session_id, tokens.game_server())
    repeats = await again.commands(hurt(1), hurt(2), move(3), hurt(1, slot=1, target=0))
    assert all(verdict.repeated for verdict in repeats)
    for verdict in repeats:
        verdict.repeated = False
    assert repeats == told
    (after,) = await again.commands(hurt(4))
    assert after.hits[0].health_milli == told[1].hits[0].health_milli - 1000
    await again.until(lambda answer: answer.snapshot.tick > left[1] + 3)
    assert (await second.get(session_id)).player_count == 2


async def test_only_what_needs_no_commit_can_be_lost_and_only_behind_the_last_one(start: Start) -> None:
    first, second = await start("w0", flush_seconds=600), await start("w1")
    session_id = await begun(first)
    stream = await first.play(session_id, tokens.game_server())
    await stream.commands(move(1))
    (durable,) = await stream.commands(hurt(2))
    await stream.commands(move(3))
    first.kill()
    again = await second.play(session_id, tokens.game_server())
    assert [seat.last_sequence for seat in again.welcome.seats] == [2, 0]
    (repeat, lost) = await again.commands(hurt(2), move(3))
    assert repeat.repeated
    assert repeat.hits == durable.hits
    assert not lost.repeated


async def test_who_needs_no_stream_keeps_the_seat(start: Start) -> None:
    """The next owner does not know who had a stream; players behind a game server never did."""
    first = await start("w0")
    served, called, silent = [await begun(first) for _ in range(3)]
    first.kill()
    second = await start("w1", reconnect_seconds=1)
    stream = await second.play(served, tokens.game_server())
    assert (await second.get(called)).player_count == 2
    request = service_pb2.ApplyDamageRequest(session_id=called, player_id="ann", direct=hurt(1).damage)
    await second.stub.ApplyDamage(request, metadata=tokens.game_server())
    await second.matches.open(silent)  # the last one: when its seats are empty, the others had their time

    async def seats_are_empty() -> bool:
        return (await second.get(silent)).player_count == 0

    await eventually(seats_are_empty)
    assert [(await second.get(session)).player_count for session in (served, called)] == [2, 1]
    await stream.commands(hurt(1))


async def test_nobody_waits_for_a_dead_worker(start: Start, database: asyncpg.Connection) -> None:
    """Death is known by the lost connection: neither the lease nor the hand-over is waited for."""
    patient = {"lease_s": 600.0, "handover_wait_s": 600.0}
    first, second = await start("w0", **patient), await start("w1", **patient)
    session_id = await begun(first)
    first.kill()
    await second.join(session_id, "cat")
    found = await row(database, session_id)
    assert found["owner"].startswith("w1.")
    assert found["epoch"] == 2


async def test_a_silent_worker_is_dead_after_its_lease(start: Start, database: asyncpg.Connection) -> None:
    first = await start("w0")
    second = await start("w1", handover_wait_s=0.05)
    session_id = await begun(first)
    ownership: Any = first.matches.ownership
    ownership._task.cancel()  # its connection stays
    call = second.join(session_id, "cat")
    first_asked = first.matches._live[session_id]
    first_asked.suspend()  # a process that is stopped hands nothing over
    assert await refused(call, grpc.StatusCode.UNAVAILABLE) == "SESSION_NOT_HERE"
    await database.execute(
        "UPDATE gameplay.combat_workers SET heartbeat_at = heartbeat_at - interval '10 s' WHERE name = 'w0'"
    )

    async def taken() -> bool:
        """As soon as the server itself is older than a lease: silence counts from its start."""
        try:
            await second.join(session_id, "cat")
        except grpc.aio.AioRpcError as error:
            assert reason(error) == "SESSION_NOT_HERE"
            return False
        return True

    await eventually(taken)
    assert (await row(database, session_id))["epoch"] == 2


async def test_orphans_are_found_by_the_sweeper(start: Start, database: asyncpg.Connection) -> None:
    first = await start("w0")
    ids = [await begun(first) for _ in range(3)]
    first.kill()
    second = await start("w1", sweep_s=0.02, orphan_s=0.1)

    async def taken() -> bool:
        return set(ids) <= set(second.matches.counts())

    await eventually(taken)
    for session_id in ids:
        assert (await row(database, session_id))["owner"].startswith("w1.")


async def test_a_new_process_takes_up_what_the_last_one_of_its_name_left(start: Start) -> None:
    first = await start("w0")
    session_id = await begun(first)
    first.kill()
    again = await start("w0", orphan_s=600.0)

    async def taken() -> bool:
        return session_id in again.matches.counts()

    await eventually(taken)
    assert (await again.get(session_id)).status == ACTIVE


async def test_an_end_that_was_not_written_is_written_by_the_next_owner(
    start: Start, database: asyncpg.Connection
) -> None:
    first, second = await start("w0"), await start("w1")
    session_id = await begun(first)
    match = first.matches._live[session_id]
    match.end(event_pb2.END_REASON_REQUESTED)
    await first.matches.committer.flush(match)
    first.kill()
    call = second.join(session_id, "cat")
    assert await refused(call, grpc.StatusCode.FAILED_PRECONDITION) == "SESSION_OVER"

    async def written() -> bool:
        return bool((await row(database, session_id))["status"] == "ENDED")

    await eventually(written)
    assert (await row(database, session_id))["ended_at"] is not None


async def test_a_start_that_did_not_happen_happens_at_the_next_owner(
    start: Start, database: asyncpg.Connection
) -> None:
    first, second = await start("w0"), await start("w1")
    session = await first.create()
    await first.join(session.session_id, "ann")
    first.kill()
    await database.execute("UPDATE gameplay.combat_sessions SET status = 'ACTIVE', started_at = created_at")
    stream = await second.play(session.session_id, tokens.player("ann"))
    await stream.until(lambda answer: answer.snapshot.tick >= 1)


async def test_a_complete_session_that_did_not_begin_begins(
    start: Start, database: asyncpg.Connection
) -> None:
    first, second = await start("w0"), await start("w1")
    session = await first.create(min_players=2)
    await first.join(session.session_id, "ann")
    match = first.matches._live[session.session_id]
    match.join("bob", 0)
    await match.durable()
    first.kill()
    stream = await second.play(session.session_id, tokens.player("ann"))
    await stream.until(lambda answer: answer.snapshot.tick >= 1)
    assert (await row(database, session.session_id))["status"] == "ACTIVE"


async def test_content_that_changed(start: Start, database: asyncpg.Connection) -> None:
    first = await start("w0")
    session_id = await begun(first)
    first.kill()
    await database.execute("UPDATE gameplay.combat_sessions SET map_hash = 'another'")
    second = await start("w1")
    call = second.join(session_id, "cat")
    assert await refused(call, grpc.StatusCode.FAILED_PRECONDITION) == "CONTENT_CHANGED"
    assert (await row(database, session_id))["owner"] == ""
    await start("w2", sweep_s=0.02, orphan_s=0.0)

    async def given_up() -> bool:
        return bool((await row(database, session_id))["status"] == "ABORTED")

    await eventually(given_up)


async def test_a_journal_that_is_damaged(start: Start, database: asyncpg.Connection) -> None:
    first, second = await start("w0"), await start("w1")
    session_id = await begun(first)
    await (await first.play(session_id, tokens.game_server())).commands(hurt(1))
    first.kill()
    await database.execute("UPDATE gameplay.combat_segments SET checksum = checksum + 1")
    call = second.join(session_id, "cat")
    assert await refused(call, grpc.StatusCode.DATA_LOSS) == "JOURNAL_DAMAGED"


# -- requests -----------------------------------------------------------------------------------------


async def test_a_living_worker_hands_over_when_asked(start: Start, database: asyncpg.Connection) -> None:
    first, second = await start("w0", flush_seconds=600), await start("w1")
    session_id = await begun(first)
    stream = await first.play(session_id, tokens.game_server())
    told = [*await stream.commands(hurt(1)), *await stream.commands(move(2))]
    ending = asyncio.create_task(how_it_ended(stream))
    await second.join(session_id, "cat")
    assert await ending == MOVED
    assert session_id not in first.matches.counts()
    # Nothing is lost, not even what needed no commit; a save made it short.
    again = await second.play(session_id, tokens.game_server())
    repeats = await again.commands(hurt(1), move(2))
    assert [(verdict.repeated, verdict.sequence) for verdict in repeats] == [(True, 1), (True, 2)]
    assert repeats[0].hits == told[0].hits
    found = await row(database, session_id)
    assert (found["owner"].split(".")[0], found["epoch"]) == ("w1", 2)
    saves = await database.fetchval("SELECT count(*) FROM gameplay.combat_saves")
    assert saves == 1


async def test_a_session_that_just_came_stays(start: Start) -> None:
    first = await start("w0", handover_wait_s=0.1)
    second = await start("w1", residence_s=600.0)
    session_id = await begun(first)
    await second.join(session_id, "cat")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await first.join(session_id, "dan")
    assert (caught.value.code(), reason(caught.value)) == (grpc.StatusCode.UNAVAILABLE, "SESSION_NOT_HERE")
    assert dict(info(caught.value).metadata)["owner"].startswith("w1.")
    assert dict(caught.value.trailing_metadata())["x-retry-elsewhere"] == "1"
    assert await second.join(session_id, "dan") == 3


async def test_many_ask_at_once_and_one_gets_it(start: Start) -> None:
    first, second = await start("w0"), await start("w1")
    session_id = await begun(first)
    seats = await asyncio.gather(*(second.join(session_id, f"p{number}") for number in range(8)))
    assert sorted(seats) == list(range(2, 10))


async def test_the_same_request_on_two_workers(start: Start) -> None:
    first, second = await start("w0"), await start("w1")
    duel = session_pb2.Session(name="once", type=session_pb2.SESSION_TYPE_DUEL, min_players=0)
    create = service_pb2.CreateSessionRequest(session=duel, request_id="create-1")
    made = await first.stub.CreateSession(create, metadata=tokens.game_server())
    assert await second.stub.CreateSession(create, metadata=tokens.game_server()) == made
    keyed = (*tokens.game_server(), ("idempotency-key", "begin-1"))
    begin = service_pb2.UpdateSessionRequest(
        session_id=made.session.session_id, session=session_pb2.Session(status=ACTIVE)
    )
    answer = await first.stub.UpdateSession(begin, metadata=keyed)
    first.kill()
    assert await second.stub.UpdateSession(begin, metadata=keyed) == answer
    keyed = (*tokens.game_server(), ("idempotency-key", "end-1"))
    end = service_pb2.EndSessionRequest(session_id=made.session.session_id)
    ended = await second.stub.EndSession(end, metadata=keyed)
    assert ended.session.status == ENDED
    third = await start("w2")
    assert await third.stub.EndSession(end, metadata=keyed) == ended
    call = third.stub.EndSession(end, metadata=tokens.game_server())
    assert await refused(call, grpc.StatusCode.FAILED_PRECONDITION) == "SESSION_OVER"


# -- a stop -------------------------------------------------------------------------------------------


async def test_a_stopping_worker_hands_everything_over(start: Start, database: asyncpg.Connection) -> None:
    first, second = await start("w0"), await start("w1")
    ids = [await begun(first) for _ in range(12)]
    streams = [await first.play(session_id, tokens.game_server()) for session_id in ids]
    for stream in streams:
        await stream.commands(hurt(1), move(2))
    endings = [asyncio.create_task(how_it_ended(stream)) for stream in streams]
    await first.matches.drain()
    assert await asyncio.gather(*endings) == [MOVED] * len(ids)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await first.join(ids[0], "cat")
    assert reason(caught.value) == "DRAINING"
    assert dict(caught.value.trailing_metadata())["x-retry-elsewhere"] == "1"
    assert await database.fetchval("SELECT count(*) FROM gameplay.combat_sessions WHERE owner = ''") == 12
    for session_id in ids:
        again = await second.play(session_id, tokens.game_server())
        (repeat,) = await again.commands(move(2))
        assert repeat.repeated


# -- zombies ------------------------------------------------------------------------------------------


async def test_a_zombie_is_fenced_and_tells_nothing(start: Start) -> None:
    first, second = await start("w0", flush_seconds=600), await start("w1")
    session_id = await begun(first)
    stream = await first.play(session_id, tokens.game_server(), snapshot_rate_hz=1)
    await stream.commands(hurt(1))
    zombie: Any = first.matches._live[session_id]
    zombie._ticking.cancel()  # so that only the command below has anything to commit
    first.hush()
    await second.join(session_id, "cat")
    await stream.send(play_pb2.PlayRequest(frame=2, commands=[hurt(2)]))
    start_of_end = len(stream.seen)
    assert await how_it_ended(stream) == MOVED
    assert not [verdict for answer in stream.seen[start_of_end:] for verdict in answer.verdicts]
    again = await second.play(session_id, tokens.game_server())
    assert [seat.last_sequence for seat in again.welcome.seats] == [1, 0, 0]
    (verdict,) = await again.commands(hurt(2))
    assert not verdict.repeated


async def test_a_sleeper_finds_out_before_it_answers(start: Start) -> None:
    first, second = await start("w0", flush_seconds=600), await start("w1")
    session = await first.create()
    first.hush()
    await second.join(session.session_id, "ann")
    ownership: Any = first.matches.ownership
    ownership._alive_s -= 10.0
    request = service_pb2.GetStateRequest(session_id=session.session_id)
    call = first.stub.GetState(request, metadata=tokens.operator())
    assert await refused(call, grpc.StatusCode.UNAVAILABLE) == "OWNERSHIP_UNSURE"
    assert (await first.get(session.session_id)).player_count in (0, 1)  # as the row has it
    assert session.session_id in first.matches.counts()
    ownership._task = asyncio.create_task(ownership._beat())

    async def awake() -> bool:
        return first.matches.ownership.sure and session.session_id not in first.matches.counts()

    await eventually(awake)
    assert await first.join(session.session_id, "bob") == 1


# -- resuming -----------------------------------------------------------------------------------------


async def test_a_stream_that_comes_back_is_told_what_it_missed(start: Start) -> None:
    first, second = await start("w0"), await start("w1")
    session_id = await begun(first)
    stream = await first.play(session_id, tokens.game_server())
    await stream.commands(hurt(1))
    seen = max(answer.durable_through for answer in stream.seen)
    assert seen > 0
    missed = await stream.commands(hurt(2), move(3), hurt(1, slot=1, target=0))
    first.kill()
    again = await second.play(session_id, tokens.game_server(), resume_sequence=seen)
    answer = await again.until(lambda answer: answer.durable_through)
    told = [verdict for message in again.seen for verdict in message.verdicts]
    assert told == missed
    assert answer.durable_through >= missed[-1].journal_sequence
    # A player is told of its own seat only.
    own = await second.play(session_id, tokens.player("bob"), resume_sequence=seen)
    await own.until(lambda answer: answer.durable_through)
    assert [verdict for message in own.seen for verdict in message.verdicts] == missed[2:]


async def test_a_stream_cannot_come_back_from_too_far(start: Start) -> None:
    combat = await start("w0", resume_records=2)
    session_id = await begun(combat)
    stream = await combat.play(session_id, tokens.game_server())
    await stream.commands(hurt(1), hurt(2), hurt(3), hurt(4))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await combat.play(session_id, tokens.game_server(), resume_sequence=1)
    assert reason(caught.value) == "RESUME_TOO_OLD"
    assert (await stream.commands(hurt(5)))[0].outcome == verdict_pb2.OUTCOME_ACCEPTED
