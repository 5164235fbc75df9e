"""Work beside answering: begun again when it fails, and over when the process ends."""

import asyncio
from contextlib import suppress

from services.chassis.background import background


async def test_it_goes_on_until_the_end() -> None:
    running = asyncio.Event()
    over: list[str] = []

    async def work() -> None:
        running.set()
        try:
            await asyncio.Event().wait()
        finally:
            over.append("over")

    async with background(work):
        await running.wait()
    assert over == ["over"]


async def test_it_ends_though_a_cancellation_was_lost() -> None:
    running = asyncio.Event()
    lost: list[str] = []

    async def work() -> None:
        with suppress(asyncio.CancelledError):
            running.set()
            await asyncio.Event().wait()
        lost.append("lost")
        await asyncio.Event().wait()

    async with asyncio.timeout(5):
        async with background(work):
            await running.wait()
    assert lost == ["lost"]
