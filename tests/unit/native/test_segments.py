"""Records are found in a segment where protobuf finds them, and a damaged segment is refused."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from arenamesh.combat.v1 import journal_pb2, play_pb2, verdict_pb2
from google.protobuf.message import DecodeError

from native.arena import ALL_SLOTS
from native.journal import index, ticks, verdicts
from tests.support.arenas import Match
from tests.support.draw import Draw, cases, draws
from tests.support.random_match import MODES, RandomMatch

Records = list[journal_pb2.JournalRecord]
FIND: dict[str, Callable[[bytes], object]] = {
    "index": index,
    "ticks": ticks,
    "verdicts": lambda segment: verdicts(segment, 0, ALL_SLOTS),
}
find = pytest.mark.parametrize("found", FIND.values(), ids=FIND)


def parsed(segment: bytes) -> Records:
    return list(journal_pb2.JournalSegment.FromString(segment).records)


def summary(record: journal_pb2.JournalRecord) -> tuple[int, int, int, int, bool]:
    """As `index` gives it."""
    name = record.WhichOneof("input")
    kind = record.DESCRIPTOR.fields_by_name[name].number
    slots = {"join": record.join.slot, "leave": record.leave.slot, "command": record.command.verdict.slot}
    return record.sequence, record.time_us, kind, slots.get(name, -1), bool(record.events)


def answers(records: Records, after: int, slot: int) -> list[verdict_pb2.Verdict]:
    return [
        record.command.verdict
        for record in records
        if record.HasField("command") and record.sequence > after
        if slot in (ALL_SLOTS, record.command.verdict.slot)
    ]


@pytest.fixture(scope="module", params=range(len(MODES)))
def played(request: pytest.FixtureRequest) -> RandomMatch:
    match = RandomMatch(request.param)
    match.play(700)
    return match


@cache
def small_segment() -> bytes:
    """One record of every kind, and one with evidence, hits and events."""
    match = Match(max_players=2, spawns=[{"at": [x, 0, 0], "yaw": 0, "team": 0} for x in (0, 1.5)])
    match.judge(match.hurt(0, 0, 50))
    match.judge(match.aim(0, 1, "knife"))
    match.judge(match.use(0, "medkit"))
    match.run(0.1)
    match.judge(match.hurt(0, 1, 1000))
    match.arena.leave(match.now, 1, 2)
    match.arena.end(match.now, 3)
    return match.arena.take_journal()


# ---- whole segments -----------------------------------------------------------------------------


def test_records_are_found_where_protobuf_finds_them(played: RandomMatch) -> None:
    for segment in played.segments:
        records, found = parsed(segment), index(segment)
        assert [row[:5] for row in found] == [summary(record) for record in records]
        for record, (*_, offset, size) in zip(records, found, strict=True):
            assert journal_pb2.JournalRecord.FromString(segment[offset : offset + size]) == record
    assert {row[2] for segment in played.segments for row in index(segment)} >= {3, 4, 5, 6, 7}


def test_a_segment_is_cut_at_its_ticks(played: RandomMatch) -> None:
    for segment in played.segments:
        begun, parts = 0, []
        for tick, end in ticks(segment):
            part = parsed(segment[begun:end])
            assert part[-1].tick.tick == tick
            assert [record.HasField("tick") for record in part].count(True) == 1
            parts += part
            begun = end
        rest = parsed(segment[begun:])
        assert not any(record.HasField("tick") for record in rest)
        assert parts + rest == parsed(segment)


def test_verdicts_are_those_of_the_seat_after_the_sequence(played: RandomMatch) -> None:
    segment = b"".join(played.segments)
    records = parsed(segment)
    for slot in (ALL_SLOTS, 0, 5, 999):
        for after in (0, records[len(records) // 2].sequence, records[-1].sequence, 2**63):
            response = play_pb2.PlayResponse.FromString(verdicts(segment, after, slot))
            assert list(response.verdicts) == answers(records, after, slot)
    assert play_pb2.PlayResponse.FromString(verdicts(segment, 0, 5)).verdicts


def test_the_verdicts_are_the_bytes_that_were_answered() -> None:
    match = Match()
    request = play_pb2.PlayRequest(commands=[match.aim(0, 1), match.hurt(1, 0, 1)])
    answer = match.arena.judge(0, request.SerializeToString(), ALL_SLOTS)
    assert verdicts(match.arena.take_journal(), 0, ALL_SLOTS) in answer


@pytest.mark.parametrize("slot", [-2, 1000, 2**20])
def test_verdicts_of_no_seat(slot: int) -> None:
    with pytest.raises(ValueError, match=f"slot is {slot}"):
        verdicts(b"", 0, slot)


def test_a_segment_of_no_records() -> None:
    assert (index(b""), ticks(b""), verdicts(b"", 0, ALL_SLOTS)) == ([], [], b"")


# ---- damaged ones -------------------------------------------------------------------------------


@find
def test_a_segment_that_was_cut(found: Callable[[bytes], object]) -> None:
    segment = small_segment()
    ends = [0] + [offset + size for *_, offset, size in index(segment)]
    for cut in range(len(segment)):
        if cut in ends:
            found(segment[:cut])
            continue
        begun = max(end for end in ends if end < cut)
        with pytest.raises(ValueError, match=f"cannot be read from byte {begun} on"):
            found(segment[:cut])
    with pytest.raises(ValueError, match=f"cannot be read from byte {len(segment)} on"):
        found(segment + b"\x12\x00")


def test_every_flipped_bit_is_refused_or_read_as_protobuf_reads_it() -> None:
    segment = bytearray(small_segment())
    refused = 0
    for place in range(8 * len(segment)):
        segment[place // 8] ^= 1 << place % 8
        refused += not read_as_protobuf_does(bytes(segment))
        segment[place // 8] ^= 1 << place % 8
    assert 0.05 < refused / (8 * len(segment)) < 0.6


@cases(draws)
def test_whatever_is_spliced_in_is_refused_or_read_as_protobuf_reads_it(draw: Draw) -> None:
    segment, place = small_segment(), draw.whole(0, 900)
    read_as_protobuf_does(
        segment[:place] + draw.randbytes(draw.whole(0, 8)) + segment[place + draw.whole(0, 8) :]
    )


def read_as_protobuf_does(data: bytes) -> bool:
    """Whether the segment is read. It may be though protobuf cannot: not all that is inside is looked at."""
    try:
        found = index(data)
    except ValueError as error:
        for each in FIND.values():
            with pytest.raises(ValueError, match=str(error)):
                each(data)
        return False
    assert sum(size for *_, size in found) < len(data) or not data
    assert len(ticks(data)) == [row[2] for row in found].count(6)
    try:
        records = parsed(data)
    except DecodeError:
        return True
    assert [row[:5] for row in found] == [summary(record) for record in records]
    answered = play_pb2.PlayResponse.FromString(verdicts(data, 0, ALL_SLOTS)).verdicts
    assert list(answered) == answers(records, 0, ALL_SLOTS)
    return True


def one_record(**fields: Any) -> journal_pb2.JournalRecord:
    return journal_pb2.JournalRecord(sequence=1, **fields)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        one_record().SerializeToString(),
        one_record(start={}).SerializeToString() * 2,
        one_record(start={}).SerializeToString() + one_record(end={}).SerializeToString()[2:],
        one_record(start={}).SerializeToString() + b"\x10\x01",
        b"\x10" + b"\xff" * 9 + b"\x01" + one_record(start={}).SerializeToString()[2:],
        one_record(command={"verdict": {"slot": 1}}).SerializeToString()[:-1] + b"\xff",
    ],
    ids=["nothing", "no input", "twice", "two inputs", "time behind it", "time below zero", "bad verdict"],
)
@find
def test_a_record_that_cannot_be(found: Callable[[bytes], object], body: bytes) -> None:
    with pytest.raises(ValueError, match="cannot be read from byte 0 on"):
        found(b"\x0a" + bytes([len(body)]) + body)
