"""The same inputs give the same bytes: twice, in another process, and from the journal."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from arenamesh.combat.v1 import event_pb2, journal_pb2, play_pb2, verdict_pb2

from native.arena import Arena
from native.journal import ticks
from tests.support.arenas import Match
from tests.support.random_match import RandomMatch

ROOT = Path(__file__).parents[3]
TICKS = 1500


def in_another_process(seed: int, ticks: int) -> str:
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "clients" / "python")]),
        "PYTHONHASHSEED": str(seed + 1),
    }
    command = [sys.executable, "-m", "tests.support.random_match", str(seed), str(ticks)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def replayed(match: RandomMatch, segments: list[bytes]) -> Arena:
    arena = match.twin()
    for segment in segments:
        arena.replay(segment)
    return arena


@pytest.fixture(scope="module", params=range(4))
def played(request: pytest.FixtureRequest) -> tuple[int, RandomMatch, str]:
    match = RandomMatch(request.param)
    return request.param, match, match.play(TICKS)


def test_another_process_comes_to_the_same(played: tuple[int, RandomMatch, str]) -> None:
    seed, _, fingerprint = played
    assert in_another_process(seed, TICKS) == fingerprint


def test_every_build_comes_to_the_same() -> None:
    """Matches of an older build must still verify. Another value here means that they do not: after a change
    of what is judged on purpose (a rule, the default ruleset, the journal) put the new one."""
    fingerprint = "57991c5cac0023e735213dd455be071ea648940ca361ce480c04ad6ecbff90e1"
    assert RandomMatch(3).play(400) == fingerprint


def test_a_match_exercises_the_core(played: tuple[int, RandomMatch, str]) -> None:
    """Otherwise the other tests here would prove little."""
    _, match, _ = played
    counters = match.arena.counters
    assert counters["commands"] > 5000
    assert counters["accepted"] > 500
    for name in (
        "hits",
        "kills",
        "repeated",
        "clamped_max_rewind",
        "moves",
        "actions",
        "damage",
        "bad_frames",
    ):
        assert counters[name] > 10, name


def test_the_journal_judges_to_the_same_state(played: tuple[int, RandomMatch, str]) -> None:
    _, match, _ = played
    arena = replayed(match, match.segments)
    assert arena.state_hash() == match.arena.state_hash()
    assert arena.sequence == match.arena.sequence
    assert arena.results() == match.arena.results()
    assert arena.take_events() == b""
    assert arena.take_journal() == b""


def test_a_replay_tells_the_events_again(played: tuple[int, RandomMatch, str]) -> None:
    """Taken step by step, as where it was played: what records say came of them is among them."""
    _, match, _ = played
    arena, events, kinds = match.twin(), list[event_pb2.Event](), ("spawn", "kill", "session_end")
    segment, begun = b"".join(match.segments), 0
    for _, end in [*ticks(segment), (0, len(segment))]:
        arena.replay(segment[begun:end], events=True)
        events += play_pb2.PlayResponse.FromString(arena.take_events()).events
        begun = end
    caused = [e for r in journal_pb2.JournalSegment.FromString(segment).records for e in r.events]
    assert [event for event in events if event.WhichOneof("kind") in kinds] == caused
    assert sum(event.HasField("shot") for event in events) > 100
    assert arena.state_hash() == match.arena.state_hash()


def test_a_match_goes_on_from_its_journal(played: tuple[int, RandomMatch, str]) -> None:
    """What a worker does that takes over: both play on and stay the same."""
    _, match, _ = played
    arena = replayed(match, match.segments)
    for _ in range(50):
        for frame, binding in match.some_frames():
            match.now += 1000
            answers = []
            for each in (match.arena, arena):
                try:
                    answers.append(each.judge(match.now, frame, binding))
                except ValueError as error:
                    answers.append(str(error).encode())
            assert answers[0] == answers[1]
        match.now = match.arena.tick * 20_000 + 20_000
        assert match.arena.advance(match.now) == arena.advance(match.now)
    assert match.arena.take_journal() == arena.take_journal()
    assert match.arena.take_events() == arena.take_events()
    assert match.arena.state_hash() == arena.state_hash()


def test_the_journal_is_numbered_without_gaps(played: tuple[int, RandomMatch, str]) -> None:
    _, match, _ = played
    records = [r for s in match.segments for r in journal_pb2.JournalSegment.FromString(s).records]
    assert [record.sequence for record in records] == list(range(1, len(records) + 1))
    ticks = [record.tick for record in records if record.HasField("tick")]
    assert [tick.tick for tick in ticks] == list(range(1, len(ticks) + 1))
    assert all((tick.state_hash != 0) == (tick.tick % 64 == 0) for tick in ticks)


def test_a_journal_does_not_change_what_is_judged() -> None:
    """Only what is written down."""
    loud, quiet = RandomMatch(5), RandomMatch(5, journal=False)
    loud.play(100)
    quiet.play(100)
    assert quiet.arena.state_hash() == loud.arena.state_hash()
    assert quiet.arena.sequence == loud.arena.sequence
    assert not any(quiet.segments)


def test_a_match_that_ends_by_itself_is_judged_to_the_same_end() -> None:
    match = RandomMatch(6, mode="battle_royale")
    match.play(600)
    assert match.arena.ended
    assert replayed(match, match.segments).state_hash() == match.arena.state_hash()


def test_a_frame_that_saw_past_its_tick_is_judged_the_same_again() -> None:
    match = Match()
    match.run(0.1)
    answer = match.send(match.aim(0, 1), match.move(1, match.feet(1)), view_tick=3, view_fraction=70_000)
    assert [verdict.reason for verdict in answer.verdicts] == [verdict_pb2.REASON_OUT_OF_RANGE] * 2
    arena = match.twin()
    arena.replay(match.arena.take_journal())
    assert arena.state_hash() == match.arena.state_hash()
