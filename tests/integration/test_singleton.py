"""Work that one process at a time does, by a lock in PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from services.chassis.singleton import Singleton
from tests.support.waiting import eventually


class Work:
    """Counts who is at it."""

    def __init__(self) -> None:
        self.now = 0
        self.begun = 0

    async def __call__(self) -> None:
        self.now += 1
        self.begun += 1
        try:
            await asyncio.Event().wait()
        finally:
            self.now -= 1

    async def once(self) -> bool:
        return self.begun == 1

    async def twice(self) -> bool:
        return self.begun == 2


@asynccontextmanager
async def running(url: str, name: str, work: Work) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(Singleton(url, name, standby_s=0.02).run(work))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_one_of_two_works_and_the_other_takes_over(database_url: str) -> None:
    works, other = [Work(), Work()], Work()

    async def begun() -> bool:
        return sum(work.begun for work in works) == 1

    async def taken_over() -> bool:
        return all(work.begun == 1 for work in works)

    async with (
        running(database_url, "work", works[0]) as first,
        running(database_url, "work", works[1]) as second,
        running(database_url, "another", other),
    ):
        await eventually(begun)
        await eventually(other.once)
        (first if works[0].now else second).cancel()
        await eventually(taken_over)
        assert (sum(work.now for work in works), other.now) == (1, 1)
    assert (sum(work.now for work in works), other.now) == (0, 0)


async def test_who_loses_the_lock_stops_and_asks_again(database_url: str) -> None:
    work = Work()
    raw = await asyncpg.connect(database_url)
    async with running(database_url, "work", work):
        await eventually(work.once)
        await raw.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'work'"
        )
        await eventually(work.twice)
        assert work.now == 1
    await raw.close()


async def test_work_that_fails_is_heard(database_url: str) -> None:
    async def fails() -> None:
        raise LookupError("our fault")

    try:
        async with asyncio.timeout(10):
            await Singleton(database_url, "work", standby_s=0.02).run(fails)
    except LookupError as error:
        assert str(error) == "our fault"
    else:
        raise AssertionError
