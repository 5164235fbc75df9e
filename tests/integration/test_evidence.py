"""GetVerdict and ListVerdicts on journals in PostgreSQL."""

import math
from typing import Any

import grpc
import pytest
from arenamesh.combat.v1 import journal_pb2, service_pb2, verdict_pb2

from tests.support import tokens
from tests.support.recorded import Recorder, Recording
from tests.support.worker import Worker, refused, worker


@pytest.fixture
async def played(recorder: Recorder) -> Recording:
    return await recorder.finished(9, 400, save_every=100)


async def verdict(combat: Worker, recording: Recording, sequence: int) -> service_pb2.GetVerdictResponse:
    request = service_pb2.GetVerdictRequest(session_id=recording.session.session_id, sequence=sequence)
    return await combat.stub.GetVerdict(request, metadata=tokens.operator())


async def verdicts(combat: Worker, recording: Recording, **fields: Any) -> service_pb2.ListVerdictsResponse:
    request = service_pb2.ListVerdictsRequest(session_id=recording.session.session_id, **fields)
    return await combat.stub.ListVerdicts(request, metadata=tokens.operator())


async def all_pages(combat: Worker, recording: Recording, **fields: Any) -> list[journal_pb2.JournalRecord]:
    found: list[journal_pb2.JournalRecord] = []
    token = ""
    while True:
        page = await verdicts(combat, recording, page_token=token, **fields)
        found += page.records
        token = page.next_page_token
        if not token:
            return found


def commands(recording: Recording) -> list[journal_pb2.JournalRecord]:
    return [record for record in recording.records if record.HasField("command")]


def seatings(recording: Recording) -> dict[int, dict[int, str]]:
    """Who sat where, by record."""
    seats: dict[int, str] = {}
    found = {}
    for record in recording.records:
        if record.HasField("join"):
            seats[record.join.slot] = record.join.player_id
        elif record.HasField("leave"):
            seats.pop(record.leave.slot, None)
        found[record.sequence] = dict(seats)
    return found


async def test_every_record_can_be_asked_for(combat: Worker, played: Recording) -> None:
    step = max(1, len(played.records) // 150)
    for record in played.records[::step]:
        answer = await verdict(combat, played, record.sequence)
        if record.command.HasField("evidence"):
            evidence, shot = answer.record.command.evidence, record.command.command.shot
            assert evidence.ray[:3] == [shot.origin_x, shot.origin_y, shot.origin_z]
            assert math.hypot(*evidence.ray[3:]) == pytest.approx(1.0, abs=1e-12)
            evidence.ClearField("ray")
        assert answer.record == record
        assert answer.explanation


async def test_a_hit_is_explained(combat: Worker, played: Recording) -> None:
    seats = seatings(played)
    names = recorder_names(played)
    hits = [record for record in commands(played) if record.command.command.HasField("shot")]
    hits = [record for record in hits if any(not hit.reason for hit in record.command.verdict.hits)]
    assert hits
    for record in hits[:20]:
        said = (await verdict(combat, played, record.sequence)).explanation
        judged = record.command
        assert seats[record.sequence][judged.command.slot] in said
        assert names[judged.command.shot.weapon] in said
        assert "turned back" in said
        for hit in judged.verdict.hits:
            assert seats[record.sequence - 1].get(hit.slot, f"seat {hit.slot}") in said
            if not hit.reason and not hit.healed_milli:
                assert f"{hit.dealt_milli / 1000:.1f} from health" in said


def recorder_names(recording: Recording) -> list[str]:
    return [name.replace("_", " ") for name in recording.match.rules.weapon_names]


async def test_a_refusal_is_explained(combat: Worker, played: Recording) -> None:
    rejected = [r for r in commands(played) if r.command.verdict.outcome == verdict_pb2.OUTCOME_REJECTED]
    reasons = {record.command.verdict.reason: record for record in rejected}
    assert len(reasons) > 5
    for record in reasons.values():
        said = (await verdict(combat, played, record.sequence)).explanation
        assert "refused" in said or "did nothing to" in said, said


async def test_what_is_not_there(combat: Worker, played: Recording) -> None:
    last = played.records[-1].sequence
    assert await refused(verdict(combat, played, last + 1), grpc.StatusCode.NOT_FOUND) == "RECORD_NOT_FOUND"
    request = service_pb2.GetVerdictRequest(session_id="none", sequence=1)
    call = combat.stub.GetVerdict(request, metadata=tokens.operator())
    assert await refused(call, grpc.StatusCode.NOT_FOUND) == "SESSION_NOT_FOUND"
    request = service_pb2.GetVerdictRequest(session_id=played.session.session_id, sequence=1)
    call = combat.stub.GetVerdict(request, metadata=tokens.player("eve"))
    await refused(call, grpc.StatusCode.PERMISSION_DENIED)


async def test_pages_add_up(combat: Worker, played: Recording) -> None:
    expected = commands(played)
    assert await all_pages(combat, played, page_size=97) == expected
    middle = expected[len(expected) // 2].sequence
    found = await all_pages(combat, played, page_size=200, after_sequence=middle)
    assert found == expected[len(expected) // 2 + 1 :]


async def test_every_record_can_be_listed(combat: Worker, played: Recording) -> None:
    assert await all_pages(combat, played, page_size=1000, every_record=True) == played.records
    mixed = verdicts(combat, played, every_record=True, player_id="p1")
    assert await refused(mixed, grpc.StatusCode.INVALID_ARGUMENT) == "FIELD_INVALID"


async def test_filters(combat: Worker, played: Recording) -> None:
    seats = seatings(played)
    expected = commands(played)
    for outcome in (verdict_pb2.OUTCOME_CORRECTED, verdict_pb2.OUTCOME_REJECTED):
        found = await all_pages(combat, played, outcome=outcome)
        assert found == [record for record in expected if record.command.verdict.outcome == outcome]
        assert found
    for player in ("p3", "p17"):
        found = await all_pages(combat, played, player_id=player, page_size=11)
        assert found == [r for r in expected if seats[r.sequence].get(r.command.command.slot) == player]
        half = expected[len(expected) // 2].sequence
        later = await all_pages(combat, played, player_id=player, page_size=11, after_sequence=half)
        assert later == [record for record in found if record.sequence > half]
    assert await all_pages(combat, played, player_id="nobody") == []


async def test_a_page_looks_at_so_much_only(recorder: Recorder, database_url: str, redis_url: str) -> None:
    recording = await recorder.finished(10, 200)
    async with worker(database_url=database_url, redis_url=redis_url, verdict_scan=100) as combat:
        page = await verdicts(combat, recording, player_id="nobody")
        assert not page.records
        assert page.next_page_token
        assert await all_pages(combat, recording, page_size=200) == commands(recording)


async def test_a_token_belongs_to_its_filter(combat: Worker, played: Recording) -> None:
    page = await verdicts(combat, played, page_size=5)
    other = verdicts(combat, played, page_size=5, page_token=page.next_page_token, player_id="p1")
    assert await refused(other, grpc.StatusCode.INVALID_ARGUMENT) == "PAGE_TOKEN_INVALID"
