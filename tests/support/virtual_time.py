"""An event loop whose clock jumps to the next timer as soon as nothing is left to do."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Deadlock(Exception):
    """Everything waits, and no timer will change that."""


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """For code that knows only loop time. Begins at 0."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0

    def time(self) -> float:
        return self._now

    def _run_once(self) -> None:
        loop: Any = self
        if not loop._ready and not loop._stopping:
            timers = [timer for timer in loop._scheduled if not timer.cancelled()]
            if not timers:
                raise Deadlock
            self._now = max(self._now, min(timer.when() for timer in timers))
        super()._run_once()  # type: ignore[misc]


def run(main: Coroutine[Any, Any, T]) -> T:
    """As `asyncio.run`, in virtual time. Raises Deadlock instead of waiting for ever."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main)
