"""A bounded queue between the stream's reader and whoever wants to look."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Generic, TypeVar

T = TypeVar("T")


class Feed(Generic[T]):
    """What arrived, oldest first, for one reader: `async for item in feed`, or `feed.take()` in a game loop.

    Holds at most `limit` items. When nobody reads, the oldest make room for the newest and are counted in
    `missed`: a feed never holds up the match. Iteration ends when the match ends and raises what broke it.
    """

    def __init__(self, limit: int) -> None:
        self._items: deque[T] = deque(maxlen=limit)
        self._wake = asyncio.Event()
        self._closed = False
        self._error: Exception | None = None
        self.missed = 0

    def publish(self, items: Iterable[T]) -> None:
        for item in items:
            self.missed += len(self._items) == self._items.maxlen
            self._items.append(item)
        self._wake.set()

    def close(self, error: Exception | None = None) -> None:
        """Ends the iteration after what is held; with `error`, by raising it."""
        self._closed = True
        self._error = error
        self._wake.set()

    def take(self) -> list[T]:
        """Everything that is held now, without waiting."""
        items = list(self._items)
        self._items.clear()
        return items

    def __aiter__(self) -> Feed[T]:
        return self

    async def __anext__(self) -> T:
        while not self._items:
            if self._closed:
                if self._error is not None:
                    raise self._error
                raise StopAsyncIteration
            self._wake.clear()
            await self._wake.wait()
        return self._items.popleft()
