"""Turns of who judges again, and how segments are cut for them."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from native.journal import index
from services.chassis import clock
from services.combat.ports import Segment
from services.combat.replay.playback import SLICE_S, Slices, behind, pieces
from tests.support.random_match import RandomMatch


@pytest.fixture(scope="module")
def segment() -> bytes:
    match = RandomMatch(1)
    match.play(600)
    return b"".join(match.segments)


def test_pieces_are_short_and_add_up(segment: bytes) -> None:
    found = list(pieces(segment))
    assert b"".join(found) == segment
    assert len(found) > 2
    assert all(len(piece) < 65_536 + 4_096 for piece in found)
    assert [e[0] for piece in found for e in index(piece)] == [e[0] for e in index(segment)]
    assert list(pieces(b"")) == []


@pytest.mark.parametrize("sequence", [0, 1, 100])
def test_what_is_behind_a_record(segment: bytes, sequence: int) -> None:
    entries = index(segment)
    whole = Segment("s", 1, 1, entries[-1][0], 600, 0, segment)
    assert index(behind(whole, sequence))[0][0] == sequence + 1
    assert behind(whole, entries[-1][0]) == b""


async def test_everybody_together_takes_one_slice_and_then_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    time = itertools.count()
    monkeypatch.setattr(clock, "monotonic_s", lambda: next(time) * SLICE_S / 4)  # each piece: a quarter
    rests: list[float] = []
    sleep = asyncio.sleep

    async def rest(seconds: float) -> None:
        rests.append(seconds)
        await sleep(0)

    monkeypatch.setattr(asyncio, "sleep", rest)
    slices = Slices()
    done: list[str] = []

    async def work(name: str) -> None:
        for _ in range(6):
            await slices.run(lambda: done.append(name))

    await asyncio.gather(work("a"), work("b"))
    assert sorted(done) == ["a"] * 6 + ["b"] * 6
    assert rests == [SLICE_S, SLICE_S]
    assert {"a", "b"} == set(done[:8])


async def test_work_that_fails_is_charged_too(monkeypatch: pytest.MonkeyPatch) -> None:
    time = itertools.count()
    monkeypatch.setattr(clock, "monotonic_s", lambda: next(time) * SLICE_S)
    slices = Slices()

    def fail() -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        await slices.run(fail)
    rested = asyncio.get_running_loop().time()
    await slices.run(lambda: None)
    assert asyncio.get_running_loop().time() - rested >= SLICE_S / 2
