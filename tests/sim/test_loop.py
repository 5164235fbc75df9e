"""The loop keeps its promises: time jumps, stopped nodes wait, dead ones do nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from contextvars import Context
from typing import Any

import pytest

from services.chassis import clock
from tests.support.virtual_time import Loop, Node, StuckError, clocks


@pytest.fixture
def loop() -> Iterator[Loop]:
    loop = Loop()
    with clocks(loop, 1):
        yield loop
        loop.discard()
    assert loop.failures == []


def run(loop: Loop, main: Coroutine[Any, Any, None]) -> None:
    loop.run_until_complete(loop.create_task(main))


def test_time_jumps_to_the_next_timer(loop: Loop) -> None:
    order: list[str] = []

    async def main() -> None:
        loop.call_later(3600, order.append, "late")
        loop.call_later(60, order.append, "early")
        await asyncio.sleep(7200)

    run(loop, main())
    assert order == ["early", "late"]
    assert loop.now == pytest.approx(7200)


def test_timers_of_one_instant_run_in_the_order_they_were_set(loop: Loop) -> None:
    order: list[int] = []

    async def main() -> None:
        for number in range(100):
            loop.call_at(5.0, order.append, number)
        await asyncio.sleep(6)

    run(loop, main())
    assert order == list(range(100))


def test_a_cancelled_timer_does_not_run(loop: Loop) -> None:
    order: list[int] = []

    async def main() -> None:
        loop.call_later(1, order.append, 1).cancel()
        await asyncio.sleep(2)

    run(loop, main())
    assert order == []


def test_waiting_for_nothing_is_noticed(loop: Loop) -> None:
    async def main() -> None:
        await loop.create_future()

    with pytest.raises(StuckError):
        run(loop, main())


def test_a_stopped_node_goes_on_with_all_that_came_up(loop: Loop) -> None:
    node = Node("w0")
    seen: list[tuple[str, float]] = []

    async def work() -> None:
        await asyncio.sleep(1)
        seen.append(("first", loop.now))
        await asyncio.sleep(1)
        seen.append(("second", loop.now))

    async def main() -> None:
        loop.spawn(node, work())
        await asyncio.sleep(0.5)
        node.frozen = True
        await asyncio.sleep(9.5)
        assert seen == []
        loop.thaw(node)
        await asyncio.sleep(5)

    run(loop, main())
    assert [what for what, _ in seen] == ["first", "second"]
    assert [at for _, at in seen] == pytest.approx([10, 11])


def test_a_dead_node_does_nothing_more(loop: Loop) -> None:
    node = Node("w0")
    seen: list[str] = []

    async def work() -> None:
        # In a context of its own, as a match ticks: it belongs to the node all the same.
        loop.call_later(2, seen.append, "tick", context=Context())
        await asyncio.sleep(1)
        seen.append("work")

    async def main() -> None:
        loop.spawn(node, work())
        await asyncio.sleep(0.5)
        node.dead = True
        await asyncio.sleep(5)
        assert seen == []

    run(loop, main())


def test_each_node_has_its_own_clock(loop: Loop) -> None:
    read: list[float] = []

    async def work() -> None:
        begin = clock.monotonic_s()
        await asyncio.sleep(10)
        read.append(begin)
        read.append(clock.monotonic_s() - begin)
        read.append(loop.now)

    run_on = Node("fast", rate=1.25, origin_s=500)

    async def main() -> None:
        await loop.spawn(run_on, work())

    run(loop, main())
    assert read == [pytest.approx(500), pytest.approx(10), pytest.approx(8)]


def test_a_timer_is_never_early_on_the_clock_that_set_it(loop: Loop) -> None:
    node = Node("odd", rate=1.0017, origin_s=773.1)
    early = []

    async def work() -> None:
        for due_us in range(774_000_000, 784_000_000, 3_337):
            future = loop.create_future()
            loop.call_at(due_us / 1e6, future.set_result, None)
            await future
            if clock.monotonic_us() < due_us:
                early.append(due_us)

    async def main() -> None:
        await loop.spawn(node, work())

    run(loop, main())
    assert early == []


def test_the_clock_is_put_back() -> None:
    before = vars(clock).copy()
    loop = Loop()
    with clocks(loop, 1):
        assert clock.monotonic_s() == 0
    loop.discard()
    assert vars(clock) == before


def test_ids_and_keys_follow_from_the_seed() -> None:
    drawn = []
    for seed in (1, 1, 2):
        loop = Loop()
        with clocks(loop, seed):
            drawn.append((clock.new_id(), clock.secret_key64()))
        loop.discard()
    assert drawn[0] == drawn[1] != drawn[2]
    assert clock.is_id(drawn[0][0])
