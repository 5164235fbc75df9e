"""Which answers wait for the journal, and for how much of it."""

from __future__ import annotations

from tests.support.arenas import Match


def test_a_move_waits_for_nothing_and_a_shot_for_its_own_record() -> None:
    match = Match()
    match.run(0.1)
    before = match.arena.barrier
    match.judge(match.move(0, match.feet(0)))
    assert (match.arena.awaits, match.arena.barrier) == (0, before)
    shot = match.judge(match.aim(0, 1))
    assert match.arena.awaits == match.arena.barrier == shot.journal_sequence == match.arena.sequence
    match.judge(match.move(1, match.feet(1)))
    assert (match.arena.awaits, match.arena.barrier) == (0, shot.journal_sequence)


def test_a_repeat_waits_as_its_first_verdict_did() -> None:
    match = Match()
    command = match.aim(0, 1)
    first = match.judge(command)
    assert match.judge(command).repeated
    assert match.arena.awaits >= first.journal_sequence


def test_what_is_refused_at_the_door_waits_for_nothing() -> None:
    match = Match()
    match.judge(match.aim(0, 1))
    foreign = match.aim(0, 1)
    match.send(foreign, binding=1)
    assert match.arena.awaits == 0


def test_a_frame_waits_for_the_last_of_its_commands_that_must() -> None:
    match = Match()
    verdicts = match.send(match.aim(0, 1), match.hurt(0, 1, 1), match.move(0, match.feet(0))).verdicts
    assert match.arena.awaits == verdicts[1].journal_sequence == verdicts[2].journal_sequence - 1


def test_a_quiet_tick_waits_for_nothing_and_one_that_respawns_does() -> None:
    match = Match()
    match.events()
    match.arena.advance(match.now)
    before = match.arena.barrier
    match.run(0.1)
    assert match.arena.barrier == before
    match.judge(match.hurt(0, 1, 1000))
    killed = match.arena.barrier
    match.run(8.0)
    assert match.arena.barrier > killed


def test_every_kind_can_be_made_volatile() -> None:
    match = Match(volatile_kinds=("move", "shot", "action", "damage"))
    before = match.arena.barrier
    match.send(match.aim(0, 1), match.use(0, "shield"))
    assert (match.arena.awaits, match.arena.barrier) == (0, before)
