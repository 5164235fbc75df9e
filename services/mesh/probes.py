"""Whether a part answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import aiohttp

POLL_S = 0.05
_TIMEOUT = aiohttp.ClientTimeout(total=2.0)


async def until(answers: Callable[[], Awaitable[bool]]) -> None:
    """Asks until the answer is yes. What is asked is another process: there is no event to wait for."""
    while not await answers():  # noqa: ASYNC110
        await asyncio.sleep(POLL_S)


async def get(session: aiohttp.ClientSession, url: str) -> str | None:
    """The body of a 200, or None for everything else."""
    try:
        async with session.get(url, timeout=_TIMEOUT) as response:
            return await response.text() if response.status == 200 else None
    except (aiohttp.ClientError, TimeoutError, OSError):
        return None
