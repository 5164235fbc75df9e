"""Work that nobody waits for."""

import asyncio
from collections.abc import Coroutine
from contextvars import Context
from typing import Any

import structlog

from services.chassis.errors import DomainError

_log = structlog.get_logger()


class Chores:
    """What fails is in the log. `tasks`: those that are not over, in the order of their beginning."""

    def __init__(self) -> None:
        self.tasks: dict[asyncio.Task[None], None] = {}

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(_logged(work), context=Context())
        self.tasks[task] = None
        task.add_done_callback(lambda done: self.tasks.pop(done, None))

    def cancel(self) -> None:
        for task in self.tasks:
            task.cancel()


async def _logged(work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except DomainError as error:
        _log.warning("put off", reason=error.reason)
    except Exception:
        _log.exception("background work failed")
