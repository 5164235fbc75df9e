"""VerifyReplay: what was not tampered with is proved, what was is found."""

import zlib
from collections.abc import Callable

import grpc
import pytest
from arenamesh.combat.v1 import journal_pb2, play_pb2, service_pb2, verdict_pb2

from tests.support import tokens
from tests.support.recorded import Recorder, Recording
from tests.support.worker import Worker, refused, worker

TICKS = 300
Records = list[journal_pb2.JournalRecord]


@pytest.fixture
async def played(recorder: Recorder) -> Recording:
    return await recorder.finished(7, TICKS, save_every=100)


async def verify(combat: Worker, recording: Recording) -> service_pb2.VerifyReplayResponse:
    request = service_pb2.VerifyReplayRequest(session_id=recording.session.session_id)
    return await combat.stub.VerifyReplay(request, metadata=tokens.operator())


async def tamper(
    recorder: Recorder, recording: Recording, sequence: int, change: Callable[[Records], None]
) -> None:
    """Changes the segment that holds a record, with a checksum that fits."""
    where = "WHERE first_sequence <= $1 AND last_sequence >= $1"
    async with recorder.database.connection() as connection:
        payload = await connection.fetchval(f"SELECT payload FROM gameplay.combat_segments {where}", sequence)
        segment = journal_pb2.JournalSegment.FromString(payload)
        records = list(segment.records)
        change(records)
        data = journal_pb2.JournalSegment(records=records).SerializeToString()
        assert data != payload
        await connection.execute(
            f"UPDATE gameplay.combat_segments SET payload = $2, checksum = $3 {where}",
            sequence, data, zlib.crc32(data),
        )  # fmt: skip


def a_hit(recording: Recording) -> journal_pb2.JournalRecord:
    return next(
        record
        for record in recording.records[len(recording.records) // 2 :]
        if any(hit.dealt_milli > 1000 for hit in record.command.verdict.hits)
    )


async def test_an_untouched_journal_is_proved(combat: Worker, played: Recording) -> None:
    proof = await verify(combat, played)
    assert proof.verified, proof.first_difference
    assert not proof.first_difference_sequence
    assert proof.records == played.records[-1].sequence
    assert proof.checkpoints == sum(bool(record.tick.state_hash) for record in played.records)
    assert proof.checkpoints == TICKS // 64
    assert proof.played_us == played.records[-1].time_us
    assert proof.took_us > 0


async def test_a_running_match_is_proved_as_far_as_it_goes(combat: Worker, recorder: Recorder) -> None:
    recording = Recording(8, recorder.catalogue)
    recording.play(100)
    await recorder.commit(recording)
    proof = await verify(combat, recording)
    assert proof.verified
    assert proof.records == recording.records[-1].sequence


async def test_a_session_of_which_nothing_is_recorded(combat: Worker) -> None:
    session = await combat.create()
    request = service_pb2.VerifyReplayRequest(session_id=session.session_id)
    proof = await combat.stub.VerifyReplay(request, metadata=tokens.operator())
    assert proof.verified
    assert proof.records == 0


async def test_a_flipped_verdict_is_found(combat: Worker, played: Recording, recorder: Recorder) -> None:
    sequence = a_hit(played).sequence

    def reject(records: Records) -> None:
        record = next(record for record in records if record.sequence == sequence)
        record.command.verdict.outcome = verdict_pb2.OUTCOME_REJECTED

    await tamper(recorder, played, sequence, reject)
    proof = await verify(combat, played)
    assert not proof.verified
    assert proof.first_difference_sequence == sequence
    assert "outcome" in proof.first_difference
    assert proof.records < played.records[-1].sequence


async def test_changed_damage_is_found(combat: Worker, played: Recording, recorder: Recorder) -> None:
    sequence = a_hit(played).sequence

    def soften(records: Records) -> None:
        record = next(record for record in records if record.sequence == sequence)
        record.command.verdict.hits[0].dealt_milli -= 1

    await tamper(recorder, played, sequence, soften)
    proof = await verify(combat, played)
    assert proof.first_difference_sequence == sequence
    assert "hits" in proof.first_difference
    assert "As recorded: At " in proof.first_difference
    assert "As judged again: At " in proof.first_difference


async def test_a_record_that_was_taken_out_is_found(
    combat: Worker, played: Recording, recorder: Recorder
) -> None:
    sequence = a_hit(played).sequence
    await tamper(
        recorder,
        played,
        sequence,
        lambda records: records.remove(next(record for record in records if record.sequence == sequence)),
    )
    proof = await verify(combat, played)
    assert not proof.verified
    assert proof.first_difference_sequence in (sequence, sequence + 1)


async def test_a_payload_with_another_checksum_is_found(
    combat: Worker, played: Recording, recorder: Recorder
) -> None:
    await recorder.execute("UPDATE gameplay.combat_segments SET checksum = 1 WHERE first_sequence = 1")
    proof = await verify(combat, played)
    assert not proof.verified
    assert proof.first_difference_sequence == 1
    assert "checksum" in proof.first_difference


@pytest.mark.parametrize("which", ["min", "max"])
async def test_a_missing_segment_is_found(
    combat: Worker, played: Recording, recorder: Recorder, which: str
) -> None:
    await recorder.execute(
        "DELETE FROM gameplay.combat_segments WHERE first_sequence = "
        f"(SELECT {which}(first_sequence) FROM gameplay.combat_segments)"
    )
    proof = await verify(combat, played)
    assert not proof.verified
    if which == "min":
        assert proof.first_difference_sequence == 1
        assert "missing" in proof.first_difference
    else:
        assert proof.first_difference_sequence == proof.records + 1
        assert "ends with" in proof.first_difference


async def test_a_journal_that_is_gone_is_not_proved(
    combat: Worker, played: Recording, recorder: Recorder
) -> None:
    await recorder.execute("DELETE FROM gameplay.combat_segments")
    proof = await verify(combat, played)
    assert (proof.verified, proof.records, proof.first_difference_sequence) == (False, 0, 1)


async def test_swapped_segments_are_found(combat: Worker, played: Recording, recorder: Recorder) -> None:
    async with recorder.database.connection() as connection:
        rows = await connection.fetch(
            "SELECT first_sequence, last_sequence, payload, checksum FROM gameplay.combat_segments "
            "ORDER BY first_sequence OFFSET 1 LIMIT 2"
        )
        for row, other in (rows, rows[::-1]):
            await connection.execute(
                "UPDATE gameplay.combat_segments SET payload = $2, checksum = $3 WHERE last_sequence = $1",
                row["last_sequence"], other["payload"], other["checksum"],
            )  # fmt: skip
    proof = await verify(combat, played)
    assert not proof.verified
    assert proof.first_difference_sequence in (rows[0]["first_sequence"], rows[1]["first_sequence"])


async def test_an_epoch_that_falls_is_found(combat: Worker, played: Recording, recorder: Recorder) -> None:
    await recorder.execute("UPDATE gameplay.combat_segments SET epoch = 5 WHERE first_sequence = 1")
    proof = await verify(combat, played)
    assert not proof.verified
    assert "epoch" in proof.first_difference


async def test_an_end_that_was_cut_off_is_found(
    combat: Worker, played: Recording, recorder: Recorder
) -> None:
    """Also when the session's row was made to fit."""
    last = played.records[-1].sequence
    await recorder.execute("DELETE FROM gameplay.combat_segments WHERE last_sequence = $1", last)
    await recorder.execute(
        "UPDATE gameplay.combat_sessions SET journal_sequence = "
        "(SELECT max(last_sequence) FROM gameplay.combat_segments)"
    )
    proof = await verify(combat, played)
    assert not proof.verified
    assert "has ended" in proof.first_difference


async def test_another_key_is_found(combat: Worker, played: Recording, recorder: Recorder) -> None:
    await recorder.execute("UPDATE gameplay.combat_sessions SET arena_key = 99")
    proof = await verify(combat, played)
    assert not proof.verified


async def test_who_may_ask(combat: Worker, played: Recording) -> None:
    request = service_pb2.VerifyReplayRequest(session_id=played.session.session_id)
    call = combat.stub.VerifyReplay(request, metadata=tokens.player("eve"))
    await refused(call, grpc.StatusCode.PERMISSION_DENIED)


async def test_a_match_that_changed_hands_is_proved_and_shown_as_one(
    database_url: str, redis_url: str
) -> None:
    stores = {"database_url": database_url, "redis_url": redis_url}
    async with worker(**stores, worker_name="w1") as second:
        async with worker(**stores, worker_name="w0") as first:
            session_id = (await first.create(max_players=4)).session_id
            for player in ("ann", "ben"):
                await first.join(session_id, player)
            await first.begin(session_id)
            await hurt(first, session_id, "ann", 1)
        await second.join(session_id, "cat")
        await hurt(second, session_id, "ben", 2)
        ending = service_pb2.EndSessionRequest(session_id=session_id)
        session = (await second.stub.EndSession(ending, metadata=tokens.game_server())).session
        request = service_pb2.VerifyReplayRequest(session_id=session_id)
        proof = await second.stub.VerifyReplay(request, metadata=tokens.operator())
        assert proof.verified, proof.first_difference
        replay = service_pb2.GetReplayRequest(session_id=session_id)
        call = second.stub.GetReplay(replay, metadata=tokens.player("eve"))
        ticks = [answer.frame.tick async for answer in call if answer.frame.HasField("snapshot")]
        assert ticks[: session.journal_tick] == list(range(1, session.journal_tick + 1))
        listing = service_pb2.ListVerdictsRequest(session_id=session_id)
        found = (await second.stub.ListVerdicts(listing, metadata=tokens.operator())).records
        assert [record.command.command.damage.target for record in found] == [1, 2]


async def hurt(combat: Worker, session_id: str, player_id: str, target: int) -> None:
    damage = play_pb2.Damage(
        target=target, amount_milli=5000, source=play_pb2.DAMAGE_SOURCE_SCRIPT, bypass=True
    )
    request = service_pb2.ApplyDamageRequest(session_id=session_id, player_id=player_id, direct=damage)
    await combat.stub.ApplyDamage(request, metadata=tokens.game_server())
