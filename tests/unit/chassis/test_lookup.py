"""Lookups that are asked for at the same time are one."""

from __future__ import annotations

import asyncio

import pytest

from services.chassis.lookup import Lookup


class Shelf:
    """Counts looks; knows squares of what is not negative. While `held`, a look waits."""

    def __init__(self, batch: int = 100) -> None:
        self.looks: list[list[int]] = []
        self.held: asyncio.Event | None = None
        self.begun = asyncio.Event()
        self.lookup = Lookup(self._read, batch=batch)

    async def _read(self, keys: list[int]) -> dict[int, int]:
        self.looks.append(keys)
        self.begun.set()
        if self.held is not None:
            await self.held.wait()
        if 13 in keys:
            raise ConnectionError("away")
        return {key: key * key for key in keys if key >= 0}


async def test_together_and_each_once() -> None:
    shelf = Shelf()
    assert await asyncio.gather(*map(shelf.lookup.get, [3, 1, 3, -1])) == [9, 1, 9, None]
    assert shelf.looks == [[3, 1, -1]]


async def test_more_than_one_look_takes() -> None:
    shelf = Shelf(batch=2)
    assert await asyncio.gather(*map(shelf.lookup.get, range(5))) == [0, 1, 4, 9, 16]
    assert shelf.looks == [[0, 1], [2, 3], [4]]


async def test_who_comes_during_a_look_has_a_later_one() -> None:
    """What was read for somebody before may be old already."""
    shelf = Shelf()
    shelf.held = asyncio.Event()
    first = asyncio.create_task(shelf.lookup.get(2))
    await shelf.begun.wait()
    second = asyncio.create_task(shelf.lookup.get(2))
    await asyncio.sleep(0)
    shelf.held.set()
    assert [await first, await second] == [4, 4]
    assert shelf.looks == [[2], [2]]


async def test_a_fault_is_told_to_whoever_asked_and_the_next_look_is_another() -> None:
    shelf = Shelf(batch=2)
    found = await asyncio.gather(*map(shelf.lookup.get, [13, 1, 2]), return_exceptions=True)
    assert [type(each) for each in found] == [ConnectionError, ConnectionError, int]
    assert await shelf.lookup.get(1) == 1


async def test_who_leaves_does_not_take_the_others_along() -> None:
    shelf = Shelf()
    shelf.held = asyncio.Event()
    leaving, staying = (asyncio.create_task(shelf.lookup.get(5)) for _ in range(2))
    await shelf.begun.wait()
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    shelf.held.set()
    assert await staying == 25
