"""Once warm, judging takes no memory: neither Python objects nor the C heap grow."""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Callable

import pytest
from arenamesh.combat.v1 import play_pb2

from native.arena import ALL_SLOTS
from tests.support.arenas import Match, make_rules

FRAMES = 5_000
WARM_UP = 500


class MallInfo(ctypes.Structure):
    """struct mallinfo2 of glibc."""

    _fields_ = (
        ("arena", ctypes.c_size_t),
        ("ordblks", ctypes.c_size_t),
        ("smblks", ctypes.c_size_t),
        ("hblks", ctypes.c_size_t),
        ("hblkhd", ctypes.c_size_t),
        ("usmblks", ctypes.c_size_t),
        ("fsmblks", ctypes.c_size_t),
        ("uordblks", ctypes.c_size_t),
        ("fordblks", ctypes.c_size_t),
        ("keepcost", ctypes.c_size_t),
    )


@pytest.fixture(scope="module")
def heap_in_use() -> Callable[[], int]:
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "mallinfo2"):
        pytest.skip("the C library has no mallinfo2")
    libc.mallinfo2.restype = MallInfo

    def in_use() -> int:
        info = libc.mallinfo2()
        return int(info.uordblks) + int(info.hblkhd)

    return in_use


def frames_of(match: Match, count: int) -> list[bytes]:
    """Shots, moves, actions and direct damage of everybody, with rising sequences, and some repeats."""
    frames: list[bytes] = []
    for number in range(count):
        slot, other = number % 4, (number + 1) % 4
        commands = [
            match.aim(slot, other),
            match.shot(slot, match.eye(match.feet(slot)), (20, 20, 9), "rocket_launcher"),
            match.move(slot, match.feet(slot)),
            match.use(slot, "heal_pulse"),
            match.hurt(slot, other, 40),
        ]
        frames.append(play_pb2.PlayRequest(frame=number, commands=commands).SerializeToString())
        if number % 10 == 9:
            frames.append(frames[-1])
    return frames


@pytest.mark.parametrize("journal", [True, False])
def test_judging_takes_no_memory(heap_in_use: Callable[[], int], journal: bool) -> None:
    rules = make_rules(modes__deathmatch__score_limit=0, modes__deathmatch__respawn_s=0)
    match = Match(rules, players=["a", "b", "c", "d"], max_players=4, journal=journal)
    match.run(0.02)
    frames = frames_of(match, WARM_UP + FRAMES)
    arena, now = match.arena, match.now
    judge, advance, take_events, take_journal = (
        arena.judge,
        arena.advance,
        arena.take_events,
        arena.take_journal,
    )
    snapshot = arena.snapshot

    def play(some: list[bytes]) -> None:
        nonlocal now
        for frame in some:
            judge(now, frame, ALL_SLOTS)
            now += 5_000
            advance(now)
            take_events()
            take_journal()
            snapshot(0, 0)

    play(frames[:WARM_UP])
    timed = frames[WARM_UP:]
    play([])
    gc.collect()
    gc.disable()
    try:
        heap, blocks = heap_in_use(), sys.getallocatedblocks()
        play(timed)
        blocks_after, heap_after = sys.getallocatedblocks(), heap_in_use()
    finally:
        gc.enable()
    assert arena.counters["commands"] > 5 * FRAMES
    assert arena.counters["accepted"] > FRAMES
    assert heap_after - heap == 0
    # The clock's two integers and what the interpreter keeps for itself; not one block for each frame.
    assert abs(blocks_after - blocks) < 16


def test_a_verdict_of_the_journal_not_taken_grows_it_between_calls_only(
    heap_in_use: Callable[[], int],
) -> None:
    """A caller that takes the journal late pays once, at the entry of a call; then it has room for good."""
    match = Match()
    frame = play_pb2.PlayRequest(commands=[match.hurt(0, 1, 0.001) for _ in range(1000)]).SerializeToString()
    before = heap_in_use()
    match.arena.judge(0, frame, ALL_SLOTS)
    assert heap_in_use() > before
    match.arena.take_journal()
    frame = play_pb2.PlayRequest(commands=[match.hurt(0, 1, 0.001) for _ in range(1000)]).SerializeToString()
    before = heap_in_use()
    answer = match.arena.judge(0, frame, ALL_SLOTS)
    assert heap_in_use() - before <= len(answer) + 64
