"""Several things at once."""

import asyncio
from collections.abc import Awaitable, Coroutine, Sequence
from typing import Any


async def together(work: Sequence[Awaitable[None]]) -> None:
    """All of it to its end, before the first failure is raised."""
    for outcome in await asyncio.gather(*work, return_exceptions=True):
        if outcome is not None:
            raise outcome


async def until_one_ends(*work: Coroutine[Any, Any, None]) -> None:
    """Cancels the others then, and raises what it raised."""
    tasks = [asyncio.create_task(each) for each in work]
    try:
        ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for each in ended:
            each.result()
    finally:
        for each in tasks:
            each.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
