"""A match that is saved and restored goes on as if nothing had happened."""

from __future__ import annotations

import copy
import hashlib
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from arenamesh.combat.v1 import play_pb2, verdict_pb2
from hypothesis import given, settings

from native.arena import ALL_SLOTS, Arena
from tests.support.arenas import TICK_US, Match, at, make_rules, make_world
from tests.support.draw import Draw, cases, draws
from tests.support.random_match import MODES, PLAYERS, RandomMatch

ROOT = Path(__file__).parents[3]
HEAD = 8 + 4  # magic and format
CHECK = 16


def outcome(arena: Arena, now: int, frame: bytes, binding: int) -> bytes:
    try:
        return arena.judge(now, frame, binding)
    except ValueError as error:
        return str(error).encode()


def everything(arena: Arena) -> list[Any]:
    """All that an arena can be asked."""
    slots = [slot for slot in range(PLAYERS) if arena.player(slot)]
    back = [0, arena.tick, max(0, arena.tick - 1), max(0, arena.tick - 40), max(0, arena.tick - 70)]
    return [
        (arena.active, arena.ended, arena.tick, arena.sequence, arena.winner, arena.players),
        [(slot, arena.player(slot), arena.team(slot), arena.last_sequence(slot)) for slot in slots],
        [arena.seat(arena.player(slot)) for slot in slots],
        [arena.acked(slot) for slot in (ALL_SLOTS, *slots)],
        arena.results(),
        [arena.snapshot(viewer, tick) for viewer in (ALL_SLOTS, *slots) for tick in back],
        arena.take_events(),
        arena.take_journal(),
        arena.state_hash(),
    ]


def go_on(match: RandomMatch, arena: Arena, ticks: int) -> None:
    """The same inputs for both, and the same of all that comes out."""
    for _ in range(ticks):
        match.look()
        for frame, binding in match.some_frames():
            match.now += match.draw.randrange(500)
            match.frames.append((frame, binding))
            assert outcome(match.arena, match.now, frame, binding) == outcome(
                arena, match.now, frame, binding
            )
        if match.draw.random() < 0.1:
            slot = match.draw.randrange(PLAYERS)
            if match.arena.player(slot):
                match.arena.leave(match.now, slot, 1)
                arena.leave(match.now, slot, 1)
                match.sequences.pop(slot, None)
            name = f"p{match.draw.randrange(2 * PLAYERS)}"
            assert match.arena.join(match.now, name) == arena.join(match.now, name)
        match.now = match.arena.tick * TICK_US + TICK_US
        assert match.arena.advance(match.now) == arena.advance(match.now)
    assert everything(match.arena) == everything(arena)


@settings(max_examples=settings().max_examples // 20)
@given(draws)
def test_both_go_on_alike(draw: Draw) -> None:
    match = RandomMatch(draw.randrange(1000))
    match.play(draw.whole(0, 120))
    match.arena.take_events()  # those of before are the saver's to tell
    saved = match.arena.save()
    arena = match.twin()
    arena.restore(saved)
    assert arena.save() == saved == match.arena.save()
    assert everything(arena) == everything(match.arena)
    go_on(match, arena, 3)


@pytest.mark.parametrize("seed", range(len(MODES)))
def test_both_go_on_alike_for_long(seed: int) -> None:
    match = RandomMatch(seed)
    arena = match.twin()
    for _ in range(4):
        match.play(200)
        arena.restore(match.arena.save())
        go_on(match, arena, 60)


def tail_in_another_process(seed: int, saved: bytes, tail: bytes) -> str:
    program = (
        "import sys\n"
        "from tests.support.random_match import RandomMatch\n"
        "size = int(sys.argv[2])\n"
        "data = sys.stdin.buffer.read()\n"
        "arena = RandomMatch(int(sys.argv[1])).twin()\n"
        "arena.restore(data[:size])\n"
        "arena.replay(data[size:])\n"
        "print(arena.save().hex())\n"
    )
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "clients" / "python")]),
        "PYTHONHASHSEED": "7",
    }
    command = [sys.executable, "-c", program, str(seed), str(len(saved))]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, input=saved + tail, capture_output=True, check=True
    )
    return done.stdout.decode().strip()


def test_another_process_goes_on_from_it_and_the_records_since() -> None:
    match = RandomMatch(2)
    match.play(300)
    saved = match.arena.save()
    match.segments.clear()
    match.play(100)
    restored = bytes.fromhex(tail_in_another_process(2, saved, b"".join(match.segments)))
    arena = match.twin()
    arena.restore(restored)
    assert arena.state_hash() == match.arena.state_hash()
    # Frames that only acknowledge are in no record: what is shown may differ, what is judged does not.
    assert arena.results() == match.arena.results()
    assert arena.sequence == match.arena.sequence


# ---- what is in it ----------------------------------------------------------------------------


def restored(match: Match) -> Arena:
    arena = match.twin()
    arena.restore(match.arena.save())
    return arena


def test_before_the_start_and_after_the_end() -> None:
    for players in ((), ("ann", "ben")):
        match = Match(start=False, players=players)
        arena = restored(match)
        assert arena.state_hash() == match.arena.state_hash()
        assert arena.snapshot(ALL_SLOTS, 0) == match.arena.snapshot(ALL_SLOTS, 0)
        arena.start(0)
        match.arena.start(0)
        assert arena.state_hash() == match.arena.state_hash()
    match.run(1)
    match.arena.end(match.now, 3)
    assert restored(match).ended == 3


def test_first_verdicts_are_given_again() -> None:
    match = Match()
    shot = match.aim(0, 1)
    first = match.judge(shot)
    arena = restored(match)
    frame = play_pb2.PlayRequest(commands=[shot]).SerializeToString()
    (again,) = play_pb2.PlayResponse.FromString(arena.judge(0, frame, ALL_SLOTS)).verdicts
    assert again.repeated
    again.repeated = False
    assert again == first


def test_a_cast_a_rocket_and_a_fire_go_on() -> None:
    match = Match(
        mode="team_deathmatch", players=[("ann", 1), ("ben", 2)], spawns=[at(0, team=1), at(25, team=2)]
    )
    match.judge(match.use(0, "fire_field", point=match.feet(1)))
    match.run(0.5)
    match.judge(match.use(1, "medkit"))
    match.judge(match.aim(0, 1, "rocket_launcher"))
    match.run(0.1)
    other = copy.copy(match)
    other.arena = restored(match)
    match.run(3)
    other.run(3)
    assert other.arena.state_hash() == match.arena.state_hash()
    assert match.health(1) < 100_000


def test_people_are_known_again() -> None:
    match = Match(players=["ann", "ben"])
    match.judge(match.hurt(0, 1, 30))
    match.arena.leave(0, 0, 1)
    arena = restored(match)
    assert (arena.seat("ann"), arena.seat("ben")) == (-1, 1)
    assert arena.join(0, "ann") == 0
    assert [row[1] for row in arena.results()] == ["ann", "ben"]
    assert arena.results()[0][6] == 30_000
    arena.leave(0, 1, 1)
    assert arena.seat("ben") == -1


def test_what_is_only_shown_is_there_too() -> None:
    match = Match()
    match.run(1)
    match.send(binding=1, acked_snapshot=40)
    match.arena.connected(0, False)
    match.run(0.02)
    arena = restored(match)
    assert arena.acked(1) == 40
    assert arena.snapshot(1, 40) == match.arena.snapshot(1, 40)
    match.run(0.02)
    arena.advance(match.now)
    assert arena.snapshot(0, 0) == match.arena.snapshot(0, 0)


def test_counters_stay_with_the_process() -> None:
    match = Match()
    match.judge(match.aim(0, 1))
    arena = restored(match)
    assert arena.counters["commands"] == 0
    assert arena.counters["bad_frames"] == 0


def test_an_arena_can_be_put_back_any_number_of_times() -> None:
    match = RandomMatch(1)
    match.play(100)
    saved, state = match.arena.save(), match.arena.state_hash()
    for _ in range(20):
        match.play(5)
        match.arena.restore(saved)
        assert match.arena.state_hash() == state


def test_records_that_wait_are_not_lost() -> None:
    match = Match()
    saved = match.arena.save()
    with pytest.raises(ValueError, match="records of before are not taken yet"):
        match.arena.restore(saved)


# ---- what is refused --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small() -> tuple[Match, bytes]:
    match = Match(max_players=3, mode="team_deathmatch", spawns=[at(0, team=1), at(9, team=2)])
    match.judge(match.aim(0, 1))
    match.judge(match.aim(1, 0, "rocket_launcher"))
    match.judge(match.use(0, "shield"))
    match.run(0.1)
    match.arena.take_journal()
    return match, match.arena.save()


def refused(match: Match, data: bytes) -> str:
    """Why; and the arena has not changed."""
    arena = match.twin()
    before = arena.save()
    with pytest.raises(ValueError) as caught:
        arena.restore(data)
    assert arena.save() == before
    return str(caught.value)


def test_every_flipped_byte_is_refused(small: tuple[Match, bytes]) -> None:
    match, saved = small
    arena = match.twin()
    for place in range(len(saved)):
        for bit in (1, 0x80):
            flipped = bytearray(saved)
            flipped[place] ^= bit
            with pytest.raises(ValueError):
                arena.restore(bytes(flipped))
    arena.restore(saved)
    assert arena.state_hash() == match.arena.state_hash()


def test_every_cut_is_refused(small: tuple[Match, bytes]) -> None:
    match, saved = small
    arena = match.twin()
    for size in range(len(saved)):
        with pytest.raises(ValueError):
            arena.restore(saved[:size])
    assert refused(match, saved + b"\0") == "the saved match is damaged: its check sum differs"


def test_what_is_something_else(small: tuple[Match, bytes]) -> None:
    match, saved = small
    assert refused(match, b"") == "this is no saved match"
    assert refused(match, b"PNG" + saved) == "this is no saved match"
    newer = saved[:8] + (2).to_bytes(4, "little") + saved[12:]
    assert refused(match, newer) == "the saved match has format 2, not 1"


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"key": 1}, "key"),
        ({"mode": "duel"}, "mode"),
        ({"max_players": 4}, "max_players"),
        ({"tick_rate": 30}, "tick_rate"),
        ({"tick_rate": 30, "key": 5}, "tick_rate and another key"),
    ],
)
def test_other_options_are_named(small: tuple[Match, bytes], options: dict[str, Any], what: str) -> None:
    match, saved = small
    with pytest.raises(ValueError, match=rf"the saved match is of another {what}$"):
        match.twin(**options).restore(saved)


def test_another_ruleset_or_map_is_named(small: tuple[Match, bytes]) -> None:
    match, saved = small
    other = Arena(make_rules(weapons__rifle__damage=31), match.world, **match.options)
    with pytest.raises(ValueError, match=r"of another ruleset$"):
        other.restore(saved)
    other = Arena(match.rules, make_world([at(1), at(2)]), **match.options)
    with pytest.raises(ValueError, match=r"of another map$"):
        other.restore(saved)


def test_options_that_change_no_verdict_may_differ(small: tuple[Match, bytes]) -> None:
    match, saved = small
    arena = match.twin(max_commands=5, journal=False)
    arena.restore(saved)
    assert arena.state_hash() == match.arena.state_hash()


def sealed(saved: bytes, content: bytes) -> bytes:
    """With a check sum that fits, as nobody would have written it by accident."""
    return saved[:HEAD] + hashlib.blake2b(content, digest_size=CHECK).digest() + content


@cases(draws)
def test_a_forgery_leads_nowhere(small: tuple[Match, bytes], draw: Draw) -> None:
    match, saved = small
    content = bytearray(saved[HEAD + CHECK :])
    for _ in range(draw.randint(1, 4)):
        content[draw.randrange(8 * 8, len(content))] = draw.choice(
            (0, 1, 0x7F, 0x80, 0xFF, draw.randrange(256))
        )
    if draw.chance(0.2):
        del content[draw.randrange(8 * 8, len(content)) :]
    arena = match.twin()
    try:
        arena.restore(sealed(saved, bytes(content)))
    except ValueError:
        arena.restore(saved)
    # What is only shown may have been forged; whatever it is, the arena goes on.
    arena.advance(match.now + 100_000)
    arena.snapshot(ALL_SLOTS, 0)
    arena.save()


def test_a_state_that_hashes_otherwise_is_refused(small: tuple[Match, bytes]) -> None:
    match, saved = small
    content = bytearray(saved[HEAD + CHECK :])
    content[7 * 8] ^= 1
    assert refused(match, sealed(saved, bytes(content))) == (
        "the saved match has not the state hash it was saved with"
    )


# ---- what it costs ----------------------------------------------------------------------------


def test_a_large_match_is_restored_in_time() -> None:
    """64 players after 10,000 records: restored, and 200 records replayed, in a fraction of 50 ms."""
    match = crowded()
    while match.arena.sequence < 10_000:
        turn(match)
    match.arena.take_journal()
    saved, sequence = match.arena.save(), match.arena.sequence
    while match.arena.sequence < sequence + 200:
        turn(match)
    tail = match.arena.take_journal()
    best = 1.0
    for _ in range(5):
        begun = time.perf_counter()
        arena = match.twin()
        arena.restore(saved)
        arena.replay(tail)
        best = min(best, time.perf_counter() - begun)
    assert arena.state_hash() == match.arena.state_hash()
    assert arena.sequence >= 10_200
    assert best < 0.05
    assert len(saved) < 600_000


def test_a_large_match_is_judged_again_much_faster_than_it_was_played() -> None:
    match = crowded()
    begun_us = match.now
    while match.now < begun_us + 3_000_000:
        turn(match)
    segment = match.arena.take_journal()
    best = 1.0
    for _ in range(3):
        arena = match.twin()
        begun = time.perf_counter()
        arena.replay(segment)
        best = min(best, time.perf_counter() - begun)
    assert arena.state_hash() == match.arena.state_hash()
    assert 3.0 / best > 50


def crowded() -> Match:
    draw = random.Random(64)
    spawns = [at(draw.uniform(-45, 45), draw.uniform(-45, 45)) for _ in range(64)]
    rules = make_rules(player__health=1e6, weapons__rifle__magazine=0, modes__deathmatch__score_limit=0)
    match = Match(rules, spawns=spawns, players=[f"p{i}" for i in range(64)], max_players=64)
    match.run(0.1)
    return match


def turn(match: Match) -> None:
    """A tenth of a second: everybody moves each tick and shoots once."""
    draw = random.Random(match.arena.tick)
    places = {e.slot: (e.x_mm / 1000, e.y_mm / 1000, e.z_mm / 1000) for e in match.state().entities}
    for _ in range(5):
        places = {slot: (x, y + 0.05, z) for slot, (x, y, z) in places.items()}
        match.send(*(match.move(slot, place) for slot, place in places.items()))
        match.run(0.02)
        match.arena.take_events()
    aims = [match.shot(slot, match.eye(place), places[draw.randrange(64)]) for slot, place in places.items()]
    verdicts = match.send(*(a for a in aims), view_tick=match.arena.tick - 2).verdicts
    assert any(verdict.outcome == verdict_pb2.OUTCOME_ACCEPTED for verdict in verdicts)
