"""Commands that wait are committed together.

The next transaction begins when the last one is over and takes whatever came meanwhile, so a quiet process
commits at once, a busy one commits more at a time, and nobody waits longer than two commits.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from typing import Generic, NamedTuple, TypeVar

import asyncpg
import structlog

from services.chassis import clock
from services.chassis.errors import DomainError, Overloaded, Unavailable
from services.chassis.metrics import CommitMetrics

C = TypeVar("C")
T = TypeVar("T")
Persist = Callable[[Sequence[C]], Awaitable[list[bytes | Exception]]]
"""The answer or the error of each command, when all is durable; of the first ones only, when they decided so
much that the others have to wait for the next transaction. It must be a transaction: what it raises has not
happened. When it loses against another process (asyncpg.UniqueViolationError) it is run again from the
start, and then sees what the other one did."""

_log = structlog.get_logger()
_MAX_RUNS = 10
"""Of a batch that keeps losing against other processes."""
_EACH = 4
"""Size of a command, on average, for which there is room in a transaction."""

_OF_A_COMMAND = {"22", "23", "54"}
"""Classes of SQLSTATE: values, constraints and sizes. Others, such as a full disk, no command has caused."""


class _Waiting(NamedTuple, Generic[C]):
    command: C
    answer: asyncio.Future[bytes]


def _one(_command: object) -> int:
    return 1


class GroupCommit(Generic[C]):
    """One a process. Every method belongs to the event loop.

    `batch`: commands that one transaction takes at most; fewer when they are larger than four on average by
    `size`, so that none takes long: see `room`. `waiting`: commands that may wait for one.

    `every_s`: how soon a transaction begins after one of many commands, at the earliest, unless it is full:
    where the round trips of one cost more than what it does, few large ones leave more of the processor than
    many small ones.
    """

    def __init__(
        self,
        persist: Persist[C],
        *,
        batch: int,
        waiting: int,
        metrics: CommitMetrics,
        size: Callable[[C], int] = _one,
        every_s: float = 0.0,
    ) -> None:
        self._persist = persist
        self._batch = batch
        self._limit = waiting
        self._metrics = metrics
        self._size = size
        self._every_s = every_s
        self._rests_until_s = 0.0
        self._resting = False
        self._queue: deque[_Waiting[C]] = deque()
        self._awake: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._closing = False
        self._commit_s = 0.0

    @property
    def room(self) -> int:
        """What the sizes of one transaction's commands may add up to."""
        return self._batch * _EACH

    # -- life -------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begins to commit."""
        # Its own context: what it logs must not appear under whichever call came first.
        self._task = asyncio.get_running_loop().create_task(self._work(), context=Context())

    async def close(self) -> None:
        """Commits what waits, and takes no more."""
        self._closing = True
        self._wake()
        if self._task is not None:
            try:
                await self._task
            finally:
                self._task = None
                for waiting in self._queue:
                    _fail(waiting, _closed())
                self._queue.clear()

    async def run(self, command: C) -> bytes:
        """The command's answer; durable when it returns. A caller that is cancelled meanwhile does not know
        whether it was done: with a key, asking again tells.

        Raises:
            Exception: what `persist` has for the command. Nothing of it happened.
            Overloaded: LEDGER_OVERLOADED, too many wait. Nothing happened.
            Unavailable: LEDGER_CLOSED, LEDGER_UNAVAILABLE, nothing happened; DATABASE_UNAVAILABLE, it may
                have happened or not.
        """
        if self._closing or self._task is None:
            raise _closed(elsewhere=True)
        if len(self._queue) >= self._limit:
            raise self._overloaded()
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._queue.append(_Waiting(command, answer))
        self._metrics.waiting.set(len(self._queue))
        if not self._resting or len(self._queue) >= self._batch:
            self._wake()
        return await answer

    def _overloaded(self) -> Overloaded:
        return Overloaded(
            "Too many changes wait to be committed.",
            reason="LEDGER_OVERLOADED",
            # As long as it should take until half of them are done.
            retry_after_s=max(0.05, self._commit_s * self._limit / self._batch / 2),
        )

    # -- committing -------------------------------------------------------------------------------

    async def _work(self) -> None:
        while True:
            await self._rest()
            if batch := self._take():
                if len(batch) > 1:
                    self._rests_until_s = clock.monotonic_s() + self._every_s
                await self._commit(batch)
            elif self._closing:
                return
            else:
                await self._woken()

    async def _rest(self) -> None:
        """Until the next transaction may begin; not when it is full or the last."""
        left_s = self._rests_until_s - clock.monotonic_s()
        if left_s > 0 and 0 < len(self._queue) < self._batch and not self._closing:
            self._resting = True
            timer = asyncio.get_running_loop().call_later(left_s, self._wake)
            await self._woken()
            timer.cancel()
            self._resting = False

    async def _woken(self) -> None:
        self._awake = asyncio.get_running_loop().create_future()
        await self._awake
        self._awake = None

    def _wake(self) -> None:
        if self._awake is not None and not self._awake.done():
            self._awake.set_result(None)

    def _take(self) -> list[_Waiting[C]]:
        """The next ones, without those whose callers have gone."""
        batch: list[_Waiting[C]] = []
        size = 0
        while self._queue and len(batch) < self._batch and size < self.room:
            waiting = self._queue.popleft()
            if not waiting.answer.done():
                batch.append(waiting)
                size += self._size(waiting.command)
        self._metrics.waiting.set(len(self._queue))
        return batch

    async def _commit(self, batch: list[_Waiting[C]]) -> None:
        """Answers everybody in the batch."""
        begin = clock.monotonic_s()
        try:
            outcomes = await self._persisted([waiting.command for waiting in batch])
        except Unavailable as error:
            for waiting in batch:
                _fail(waiting, error)
            return
        except Exception as error:
            if isinstance(error, asyncpg.PostgresError) and (error.sqlstate or "")[:2] not in _OF_A_COMMAND:
                _log.error("commit refused", error=repr(error))
                for waiting in batch:
                    _fail(waiting, _refused())
            else:
                await self._isolate(batch, error)
            return
        except BaseException:
            for waiting in batch:
                _fail(waiting, _closed())
            raise
        self._commit_s = clock.monotonic_s() - begin
        self._metrics.seconds.observe(self._commit_s)
        self._metrics.commands.observe(len(outcomes))
        self._queue.extendleft(reversed(batch[len(outcomes) :]))
        for waiting, outcome in zip(batch, outcomes, strict=False):
            if isinstance(outcome, BaseException):
                _fail(waiting, outcome)
            elif not waiting.answer.done():
                waiting.answer.set_result(outcome)

    async def _persisted(self, commands: Sequence[C]) -> list[bytes | Exception]:
        for _ in range(_MAX_RUNS - 1):
            try:
                return await self._persist(commands)
            except asyncpg.UniqueViolationError as error:
                self._metrics.reruns.labels(error.table_name or "").inc()
        return await self._persist(commands)

    async def _isolate(self, batch: list[_Waiting[C]], error: Exception) -> None:
        """Something in the batch cannot be committed: the others need not suffer for it."""
        if len(batch) == 1:
            _log.error("command failed", error=repr(error), command=repr(batch[0].command))
            _fail(batch[0], error)
            return
        half = len(batch) // 2
        await self._commit(batch[:half])
        await self._commit(batch[half:])


def outcome(decide: Callable[[C], T], command: C) -> T | Exception:
    """What `decide` makes of a command, or why it does not: that is the command's own, and keeps no other of
    the batch from being committed."""
    try:
        return decide(command)
    except DomainError as error:
        return error
    except Exception as error:
        _log.exception("command failed", command=repr(command))
        return error


def _fail(waiting: _Waiting[C], error: BaseException) -> None:
    if not waiting.answer.done():
        waiting.answer.set_exception(error)


def _closed(*, elsewhere: bool = False) -> Unavailable:
    return Unavailable(
        "This process is stopping.", reason="LEDGER_CLOSED", retry_after_s=0.5, elsewhere=elsewhere
    )


def _refused() -> Unavailable:
    return Unavailable("Changes cannot be written now.", reason="LEDGER_UNAVAILABLE", retry_after_s=0.5)
