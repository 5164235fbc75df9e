"""A replay that comes to something else says where, and what of it differs."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from arenamesh.combat.v1 import journal_pb2, verdict_pb2

from native.arena import ReplayError
from tests.support.arenas import Match, at

Segment = journal_pb2.JournalSegment
Record = journal_pb2.JournalRecord


def short_match() -> tuple[Match, Segment]:
    """Every kind of record, evidence, hits of all three kinds, events and a checkpoint."""
    match = Match(mode="team_deathmatch", spawns=[at(0, team=1), at(1.5, team=2)])
    match.judge(match.hurt(0, 0, 50))
    match.judge(match.aim(0, 1, "knife"))
    match.judge(match.use(0, "medkit"))
    match.run(3)
    match.judge(match.aim(0, 1), view_tick=145)
    match.arena.leave(match.now, 1, 1)
    match.arena.end(match.now, 3)
    return match, Segment.FromString(match.arena.take_journal())


def refused(match: Match, segment: Segment | bytes) -> ReplayError:
    data = segment if isinstance(segment, bytes) else segment.SerializeToString()
    with pytest.raises(ReplayError) as caught:
        match.twin().replay(data)
    return caught.value


def test_every_kind_of_record_is_fed_again() -> None:
    match, segment = short_match()
    kinds = {record.WhichOneof("input") for record in segment.records}
    assert kinds == {"join", "leave", "start", "tick", "command", "end"}
    arena = match.twin()
    arena.replay(segment.SerializeToString())
    assert arena.state_hash() == match.arena.state_hash()
    assert arena.ended == 3


def first(segment: Segment, wanted: Callable[[Record], object]) -> Record:
    return next(record for record in segment.records if wanted(record))


def a_shot(segment: Segment) -> Record:
    def hit(record: Record) -> bool:
        return len(record.command.verdict.hits) > 0 and record.command.HasField("evidence")

    return first(segment, hit)


def the_last_shot(segment: Segment) -> Record:
    return [record for record in segment.records if record.command.HasField("evidence")][-1]


def change_hits(segment: Segment) -> Record:
    record = a_shot(segment)
    record.command.verdict.hits[0].dealt_milli += 1
    return record


def change_outcome(segment: Segment) -> Record:
    record = a_shot(segment)
    record.command.verdict.outcome = verdict_pb2.OUTCOME_REJECTED
    return record


def change_evidence(segment: Segment) -> Record:
    record = the_last_shot(segment)
    record.command.evidence.used_view_us -= 1
    return record


def change_unlisted(segment: Segment) -> Record:
    record = first(segment, lambda record: len(record.command.unlisted))
    record.command.unlisted[0].hit.slot += 1
    return record


def change_input(segment: Segment) -> Record:
    """What is judged of it is another shot."""
    record = the_last_shot(segment)
    record.command.command.shot.direction_z = 1.0
    return record


def change_hash(segment: Segment) -> Record:
    record = first(segment, lambda record: record.tick.state_hash)
    record.tick.state_hash ^= 1
    return record


def change_tick(segment: Segment) -> Record:
    record = first(segment, lambda record: record.HasField("tick"))
    record.tick.tick += 1
    return record


def change_tick_hits(segment: Segment) -> Record:
    record = first(segment, lambda record: len(record.tick.hits))
    record.tick.hits[0].hit.healed_milli += 1
    return record


def change_events(segment: Segment) -> Record:
    record = first(segment, lambda record: record.HasField("start"))
    del record.events[1]
    return record


def change_seat(segment: Segment) -> Record:
    record = segment.records[1]
    record.join.slot = 7
    return record


def change_team(segment: Segment) -> Record:
    record = segment.records[0]
    record.join.given_team = 2
    return record


def turn_back_time(segment: Segment) -> Record:
    record = segment.records[-1]
    record.time_us -= 1
    return record


CHANGES: dict[Callable[[Segment], Record], tuple[str, str]] = {
    change_hits: ("verdict of slot 0 command 2: hits differ", "hits"),
    change_outcome: ("verdict of slot 0 command 2: outcome differs", "outcome"),
    change_evidence: ("verdict of slot 0 command 4: evidence differs", "evidence"),
    change_unlisted: ("verdict of slot 0 command 2: unlisted hits differ", "unlisted hits"),
    change_input: ("verdict of slot 0 command 4: hits differ", "hits"),
    change_hash: ("tick 64: state hash differs", "state hash"),
    change_tick: ("tick 2: tick differs", "tick"),
    change_tick_hits: ("hits differ", "hits"),
    change_events: ("start: events differ", "events"),
    change_seat: ("join of slot 7: slot differs", "slot"),
    change_team: ("join of slot 0: given team differs", "given team"),
    turn_back_time: ("end: time differs", "time"),
}


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_record_that_was_changed_is_named(change: Callable[[Segment], Record]) -> None:
    match, segment = short_match()
    original = Segment.FromString(segment.SerializeToString())
    record = change(segment)
    error = refused(match, segment)
    ending, what = CHANGES[change]
    assert str(error).startswith(f"record {record.sequence}, ")
    assert str(error).endswith(ending)
    assert (error.sequence, error.what) == (record.sequence, what)
    assert Record.FromString(error.recorded) == record
    if change is not change_input:
        assert Record.FromString(error.judged) == original.records[record.sequence - 1]


def test_a_record_that_says_the_same_in_other_bytes() -> None:
    match, segment = short_match()
    data = segment.SerializeToString()
    start = data.index(b"\x2a\x00")  # the start's message, empty
    longer = data[:start] + b"\x2a\x80\x00" + data[start + 2 :]
    head = data.rindex(b"\x0a", 0, start)
    error = refused(match, longer[: head + 1] + bytes([data[head + 1] + 1]) + longer[head + 2 :])
    assert (error.sequence, error.what) == (3, "encoding")


def test_a_record_that_is_missing() -> None:
    match, segment = short_match()
    sixth = segment.records[5]
    del segment.records[4]
    error = refused(match, segment)
    assert str(error) == "record 6 follows record 4"
    assert (error.sequence, error.what, error.judged) == (5, "order", b"")
    assert Record.FromString(error.recorded) == sixth


def test_a_segment_that_cannot_be_read() -> None:
    match, segment = short_match()
    data = segment.SerializeToString()
    error = refused(match, data[:-1])
    last = segment.records[-1].sequence
    assert str(error) == f"the segment cannot be read after record {last - 1}"
    assert (error.sequence, error.what, error.recorded, error.judged) == (last, "unreadable", b"", b"")


def test_a_record_that_cannot_be_fed() -> None:
    match, segment = short_match()
    segment.records[1].join.player_id = ""
    error = refused(match, segment)
    assert str(error) == "record 2 cannot be fed: player_id has 0 bytes, not 1..64"
    assert (error.sequence, error.what, error.judged) == (2, "input", b"")
    assert Record.FromString(error.recorded) == segment.records[1]


def test_a_command_that_is_turned_away_at_the_door() -> None:
    match, segment = short_match()
    record = a_shot(segment)
    record.command.command.sequence = 1
    error = refused(match, segment)
    assert (
        str(error) == f"record {record.sequence}, verdict of slot 0 command 2: the arena judges nothing of it"
    )
    assert (error.sequence, error.what, error.judged) == (record.sequence, "input", b"")


def test_a_step_of_a_match_that_is_over() -> None:
    match, segment = short_match()
    late = segment.records.add(sequence=len(segment.records) + 1, time_us=match.now)
    late.tick.tick = match.arena.tick + 1
    error = refused(match, segment)
    assert (error.sequence, error.what) == (late.sequence, "input")


def test_whatever_was_altered_is_taken_or_named() -> None:
    """A record's time may be altered and judged to the same; nothing crashes."""
    match, segment = short_match()
    data, named = bytearray(segment.SerializeToString()), 0
    places = range(0, 8 * len(data), 29)
    for place in places:
        data[place // 8] ^= 1 << place % 8
        try:
            match.twin().replay(bytes(data))
        except ReplayError as error:
            assert 1 <= error.sequence <= len(segment.records)
            named += 1
        data[place // 8] ^= 1 << place % 8
    assert named > 0.8 * len(places)


def test_records_that_wait_are_not_lost_to_a_replay() -> None:
    match, segment = short_match()
    arena = match.twin()
    arena.join(0, "ann")
    with pytest.raises(ValueError, match="not taken yet"):
        arena.replay(segment.SerializeToString())
