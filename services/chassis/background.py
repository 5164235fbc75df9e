"""What a process does beside answering."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

import structlog

from services.chassis.db import Connection, Database
from services.chassis.errors import Overloaded, Unavailable
from services.chassis.idempotency import Idempotency
from services.chassis.inbox import Inbox
from services.chassis.settings import Settings

_AGAIN_S = 1.0
_CANCEL_S = 0.2
_PURGE_ROWS = 10_000
_log = structlog.get_logger()

Work = Callable[[], Awaitable[object]]


@asynccontextmanager
async def background(*work: Work) -> AsyncIterator[None]:
    """Does all of it until the end. What fails is begun again."""
    tasks = [asyncio.create_task(_for_ever(each)) for each in work]
    try:
        yield
    finally:
        await _end(tasks)


async def _end(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Whoever goes on is cancelled again: before Python 3.12 `asyncio.wait_for`, with which Redis' client
    writes, loses a cancellation that comes when its write is done."""
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=_CANCEL_S)


async def _for_ever(work: Work) -> None:
    while True:
        try:
            await work()
        except Exception:
            _log.exception("work in the background failed")
        await asyncio.sleep(_AGAIN_S)


async def regularly(work: Work, *, every_s: float, failing: str) -> None:
    """For ever, with a pause in between. While the database is away or has too much to do, it is left for the
    next time; `failing`: what the log says of that."""
    while True:
        try:
            await work()
        except (Unavailable, Overloaded) as error:
            _log.warning(failing, reason=error.reason)
        await asyncio.sleep(every_s)


async def forgetting(
    database: Database, page: Callable[[Connection], Awaitable[bool]], *, every_s: float
) -> None:
    """For ever: forgets what was kept for a time. `page`: deletes what one transaction may of it, and says
    whether there may be more."""

    async def forget() -> None:
        while await database.transaction(page):
            pass

    await regularly(forget, every_s=every_s, failing="nothing is forgotten")


async def keep_house(database: Database, schema: str, settings: Settings) -> None:
    """For ever: forgets answers and handled events of `schema` whose time is over."""
    answers, handled = Idempotency(schema), Inbox(schema)
    keep_answers = timedelta(hours=settings.idempotency_hours)
    keep_handled = timedelta(days=settings.inbox_keep_days)

    async def page(connection: Connection) -> bool:
        await answers.purge(connection, keep_answers)
        return await handled.purge(connection, keep_handled, _PURGE_ROWS) == _PURGE_ROWS

    await forgetting(database, page, every_s=settings.purge_s)
