"""How long an answer waits for the cache."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from services.chassis.write_through import WriteThrough


class Held:
    """A cache whose writes last until they are let go."""

    def __init__(self) -> None:
        self.writes: list[tuple[dict[str, int], asyncio.Future[None]]] = []

    async def put(self, versions: Mapping[str, int]) -> None:
        over = asyncio.get_running_loop().create_future()
        self.writes.append((dict(versions), over))
        await over


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_an_answer_waits_for_its_own_write_and_for_none_that_come_after_it() -> None:
    cache = Held()
    writing = WriteThrough(cache.put)
    writing.told({"a": 1})
    await settled()
    writing.told({"b": 1})
    writing.told({"b": 2})
    answer = asyncio.ensure_future(writing.flushed())
    await settled()
    assert [names for names, _ in cache.writes] == [{"a": 1}]
    cache.writes[0][1].set_result(None)
    await settled()
    assert [names for names, _ in cache.writes] == [{"a": 1}, {"b": 2}]
    assert not answer.done()
    writing.told({"c": 1})
    cache.writes[1][1].set_result(None)
    await settled()
    assert answer.done() and len(cache.writes) == 3
    later = asyncio.ensure_future(writing.flushed())
    await settled()
    assert not later.done()
    cache.writes[2][1].set_result(None)
    await settled()
    assert later.done()


async def test_who_leaves_early_does_not_end_the_write_of_the_others() -> None:
    cache = Held()
    writing = WriteThrough(cache.put)
    writing.told({"a": 1})
    first, second = (asyncio.ensure_future(writing.flushed()) for _ in range(2))
    await settled()
    first.cancel()
    await settled()
    assert first.cancelled() and not second.done()
    cache.writes[0][1].set_result(None)
    await second


async def test_with_nothing_to_write_there_is_nothing_to_wait_for() -> None:
    await asyncio.wait_for(WriteThrough(Held().put).flushed(), 1)
