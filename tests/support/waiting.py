"""Waiting for something that another process or a background task will do."""

import asyncio
from collections.abc import Awaitable, Callable


async def eventually(happened: Callable[[], Awaitable[bool]], within_s: float = 60.0) -> None:
    """Asks again and again. Raises TimeoutError when it does not happen in time."""
    async with asyncio.timeout(within_s):
        while not await happened():  # noqa: ASYNC110  # nobody there could set an event
            await asyncio.sleep(0.005)
