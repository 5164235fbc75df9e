"""What every command goes through before it is judged by its kind, and the frame around it."""

from __future__ import annotations

import pytest
from arenamesh.combat.v1 import event_pb2, journal_pb2, play_pb2, verdict_pb2

from native.arena import ALL_SLOTS, FrameError
from tests.support.arenas import Match, make_rules

ACCEPTED = verdict_pb2.OUTCOME_ACCEPTED
REJECTED = verdict_pb2.OUTCOME_REJECTED


def refused(match: Match, command: play_pb2.Command, reason: int, **frame: int) -> verdict_pb2.Verdict:
    verdict = match.judge(command, **frame)
    assert (verdict.outcome, verdict.reason) == (REJECTED, reason), verdict
    return verdict


def test_the_answer_names_tick_time_frame_and_ping() -> None:
    match = Match()
    match.run(0.1)
    match.now += 1234
    answer = match.send(frame=7, ping_us=99)
    assert (answer.tick, answer.server_time_us, answer.acked_frame, answer.pong_us) == (5, 101_234, 7, 99)
    assert not answer.verdicts


def test_verdicts_come_in_the_order_of_commands() -> None:
    match = Match()
    commands = [match.aim(0, 1), match.aim(1, 0), match.hurt(0, 1, 1), match.use(0, "shield")]
    verdicts = match.send(*commands).verdicts
    assert [(v.slot, v.sequence) for v in verdicts] == [(c.slot, c.sequence) for c in commands]
    first = verdicts[0].journal_sequence
    assert [v.journal_sequence for v in verdicts] == list(range(first, first + 4))
    assert match.arena.sequence == first + 3


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (b"\x10", "TRUNCATED"),
        (b"\x32\x05\x08", "TRUNCATED"),
        (b"\x00", "BAD_TAG"),
        (b"\x10" + b"\xff" * 10, "TOO_LONG"),
        (b"\x32\x00" * 5, "TOO_MANY"),
        (b"\x0a\x03\x0a\x01\xff", "BAD_TEXT"),
    ],
)
def test_a_frame_that_cannot_be_read_changes_nothing(frame: bytes, reason: str) -> None:
    match = Match(max_commands=4)
    before = match.arena.state_hash()
    with pytest.raises(FrameError) as error:
        match.arena.judge(0, frame, ALL_SLOTS)
    assert error.value.reason == reason
    assert match.arena.state_hash() == before
    assert match.arena.counters["bad_frames"] == 1


def test_a_hello_is_left_to_the_service() -> None:
    match = Match()
    answer = match.send(match.aim(0, 1), hello=play_pb2.Hello(session_id="s", protocol=1))
    assert answer.verdicts[0].outcome == ACCEPTED


def test_a_player_speaks_for_its_own_seat_only() -> None:
    match = Match()
    (verdict,) = match.send(match.aim(0, 1), binding=1).verdicts
    assert (verdict.outcome, verdict.reason) == (REJECTED, verdict_pb2.REASON_FOREIGN_SLOT)


@pytest.mark.parametrize("slot", [5, 8, 4_000_000_000])
def test_a_seat_nobody_has(slot: int) -> None:
    match = Match()
    refused(match, play_pb2.Command(slot=slot, sequence=1), verdict_pb2.REASON_UNKNOWN_SLOT)


def test_a_match_that_does_not_run_judges_nothing_and_keeps_the_sequence_free() -> None:
    match = Match(start=False)
    command = match.move(0, (0, 0, 0))
    refused(match, command, verdict_pb2.REASON_NOT_ACTIVE)
    assert match.arena.last_sequence(0) == 0
    match.arena.start(0)
    assert not match.judge(command).repeated
    match.arena.end(0, event_pb2.END_REASON_REQUESTED)
    refused(match, match.move(0, (0, 0, 0)), verdict_pb2.REASON_NOT_ACTIVE)
    assert match.judge(command).repeated, "what was judged is still answered"


def test_what_is_refused_at_the_door_leaves_no_record() -> None:
    match = Match()
    before = match.arena.sequence, match.arena.state_hash()
    for command in (play_pb2.Command(slot=7, sequence=1), match.aim(0, 1, sequence=0)):
        assert match.judge(command).journal_sequence == 0
    assert (match.arena.sequence, match.arena.state_hash()) == before


def test_a_repeat_gets_the_first_verdict_and_has_no_effect() -> None:
    match = Match()
    command = match.aim(0, 1)
    first = match.judge(command)
    assert first.hits[0].dealt_milli > 0
    before = match.arena.state_hash()
    again = match.judge(command)
    assert again.repeated
    again.repeated = False
    assert again == first
    assert match.arena.state_hash() == before
    assert match.arena.counters["repeated"] == 1


def test_a_rejected_command_is_repeated_too() -> None:
    match = Match()
    command = match.aim(0, 1, weapon=31)
    first = refused(match, command, verdict_pb2.REASON_UNKNOWN_WEAPON)
    again = match.judge(command)
    assert (again.repeated, again.reason) == (True, first.reason)


def test_the_last_32_verdicts_are_held() -> None:
    match = Match()
    commands = [match.hurt(0, 1, 0.001) for _ in range(40)]
    match.send(*commands)
    for command in commands[:8]:
        refused(match, command, verdict_pb2.REASON_REPEAT_TOO_OLD)
    for command in commands[8:]:
        assert match.judge(command).repeated


def test_long_verdicts_push_the_oldest_out_first() -> None:
    """The ring of a seat holds 4 KiB: verdicts with many hits leave room for fewer of them."""
    players = [f"p{i}" for i in range(20)]
    rules = make_rules(
        actions__heal_pulse__area_m=90, actions__heal_pulse__cooldown_s=0, actions__heal_pulse__cost=0
    )
    match = Match(rules, mode="raid", players=players, max_players=20)
    commands = [match.use(0, "heal_pulse") for _ in range(40)]
    first = {verdict.sequence: verdict for verdict in match.send(*commands).verdicts}
    assert all(len(verdict.hits) == 16 for verdict in first.values())
    repeated = [command.sequence for command in commands if match.judge(command).repeated]
    assert repeated == list(range(41 - len(repeated), 41)), "the newest, without a gap"
    assert 4 <= len(repeated) < 32
    for command in commands[-len(repeated) :]:
        again = match.judge(command)
        again.repeated = False
        assert again == first[again.sequence]


def test_sequences_may_skip_but_not_return_to_a_gap() -> None:
    match = Match()
    assert match.judge(match.aim(0, 1, sequence=5)).outcome == ACCEPTED
    match.run(0.2)
    assert match.judge(match.aim(0, 1, sequence=9)).outcome == ACCEPTED
    assert match.arena.last_sequence(0) == 9
    refused(match, match.aim(0, 1, sequence=7), verdict_pb2.REASON_BAD_SEQUENCE)
    refused(match, match.aim(0, 1, sequence=3), verdict_pb2.REASON_REPEAT_TOO_OLD)
    refused(match, match.aim(0, 1, sequence=0), verdict_pb2.REASON_BAD_SEQUENCE)


def test_values_out_of_range_reject_their_command_only() -> None:
    match = Match()
    good, bad, after = match.aim(0, 1), match.aim(0, 1), match.use(0, "shield")
    bad.shot.origin_x = float("nan")
    verdicts = match.send(good, bad, after).verdicts
    assert [v.outcome for v in verdicts] == [ACCEPTED, REJECTED, ACCEPTED]
    assert verdicts[1].reason == verdict_pb2.REASON_OUT_OF_RANGE


def test_a_command_without_a_kind() -> None:
    match = Match()
    refused(match, match.command(0), verdict_pb2.REASON_NO_KIND)


def test_a_command_of_more_than_512_bytes_is_refused_unread() -> None:
    match = Match()
    raw = match.aim(0, 1).SerializeToString() + b"\x7a\xff\x07" + bytes(1023)
    frame = b"\x32" + bytes([len(raw) & 0x7F | 0x80, len(raw) >> 7]) + raw
    answer = play_pb2.PlayResponse.FromString(match.arena.judge(0, frame, ALL_SLOTS))
    assert answer.verdicts[0].reason == verdict_pb2.REASON_OUT_OF_RANGE
    assert answer.verdicts[0].journal_sequence == 0


def test_the_dead_and_the_stunned_do_nothing() -> None:
    match = Match(players=["ann", "ben", "cat"])
    match.judge(match.use(0, "stun_bolt", 1))
    for command in (match.aim(1, 0), match.move(1, match.feet(1)), match.use(1, "shield")):
        refused(match, command, verdict_pb2.REASON_STUNNED)
    match.judge(match.hurt(0, 1, 1000))
    for command in (match.aim(1, 0), match.move(1, (0, 0, 0)), match.use(1, "shield")):
        refused(match, command, verdict_pb2.REASON_DEAD)


def test_direct_damage_is_for_trusted_streams() -> None:
    match = Match()
    (verdict,) = match.send(match.hurt(0, 1, 5), binding=0).verdicts
    assert (verdict.outcome, verdict.reason) == (REJECTED, verdict_pb2.REASON_NOT_TRUSTED)
    assert match.judge(match.hurt(0, 1, 5)).hits[0].dealt_milli == 5000


def test_direct_damage_needs_a_living_target() -> None:
    match = Match()
    refused(match, match.hurt(0, 6, 5), verdict_pb2.REASON_BAD_TARGET)
    match.judge(match.hurt(0, 1, 1000))
    refused(match, match.hurt(0, 1, 5), verdict_pb2.REASON_DEAD)
    assert match.judge(match.hurt(1, 0, 5)).outcome == ACCEPTED, "the dead may still be credited"


def test_an_acknowledgement_moves_the_baseline_of_its_seat() -> None:
    match = Match()
    match.run(0.2)
    match.send(binding=1, acked_snapshot=8)
    assert (match.arena.acked(0), match.arena.acked(1)) == (0, 8)
    match.send(binding=1, acked_snapshot=6)
    assert match.arena.acked(1) == 8, "a late frame takes nothing back"
    match.send(binding=1, acked_snapshot=900)
    assert match.arena.acked(1) == 8, "nothing was sent of that tick yet"
    match.send(acked_snapshot=5)
    assert match.arena.acked(ALL_SLOTS) == 5


def test_time_does_not_run_backwards() -> None:
    match = Match()
    match.run(1)
    match.judge(match.aim(0, 1))
    match.now = 1000
    verdict = match.judge(match.aim(0, 1))
    assert verdict.reason == verdict_pb2.REASON_FIRE_RATE
    records = journal_pb2.JournalSegment.FromString(match.arena.take_journal()).records
    times = [record.time_us for record in records]
    assert times == sorted(times)


def test_counters_add_up() -> None:
    match = Match()
    match.send(match.aim(0, 1), match.aim(0, 1), match.move(1, match.feet(1)), match.use(0, "shield"))
    counters = match.arena.counters
    assert counters["commands"] == 4
    assert counters["accepted"] + counters["corrected"] + counters["rejected"] == 4
    assert (counters["shots"], counters["moves"], counters["actions"], counters["frames"]) == (2, 1, 1, 1)
