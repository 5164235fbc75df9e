"""Every change of a character goes through here: commands that wait are committed together.

The next transaction begins when the last one is over and takes whatever came meanwhile, so a quiet process
commits at once, a busy one commits more at a time, and nobody waits longer than two commits.

Who may change a character first is settled by its row's lock; who enrols it, stores the answer to a key or
notes an event first, by what is unique. A transaction that loses is run again from the start, and then sees
what the other one did. So nothing is claimed before it is done, and nothing has to be given back.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextvars import Context
from typing import NamedTuple

import asyncpg
import structlog

from services.chassis import clock
from services.chassis.db import Connection, Database
from services.chassis.errors import DomainError, Overloaded, Unavailable
from services.chassis.idempotency import Idempotency
from services.chassis.inbox import Inbox
from services.chassis.metrics import (
    PROGRESSION_COMMIT_COMMANDS,
    PROGRESSION_COMMIT_SECONDS,
    PROGRESSION_LEDGER_RERUNS,
    PROGRESSION_LEDGER_WAITING,
)
from services.chassis.outbox import Outbox
from services.chassis.sql import Statement, together
from services.progression.batch import Answer, Batch, Command, Decide, Recorded, Tell
from services.progression.domain.character import Character
from services.progression.domain.definition import Definitions
from services.progression.projection import Levels, levels
from services.progression.schema import SCHEMA
from services.progression.store import ProgressionStore

__all__ = ["GROUP", "TOPIC", "Answer", "Command", "Decide", "Ledger", "Listener", "Recorded", "Tell"]

TOPIC = "game.progression.events"
GROUP = "progression"
"""Of the events that come in."""

Listener = Callable[[Sequence[Character], Sequence[Recorded]], None]
"""Told after each commit, before anybody has an answer of it: the characters that were changed, or spoken of
by an answer that is given again, as they are now, and what was appended, in order. Must not wait."""
_log = structlog.get_logger()
_MAX_RUNS = 10
"""Of a batch that keeps losing against other processes."""
_EACH = 4
"""Characters and events of a command, on average, for which there is room in a transaction."""

_OF_A_COMMAND = {"22", "23", "54"}
"""Classes of SQLSTATE: values, constraints and sizes. Others, such as a full disk, no command has caused."""


class _Waiting(NamedTuple):
    command: Command
    answer: asyncio.Future[bytes]


class Ledger:
    """One a process. Every method belongs to the event loop.

    `database`: a dedicated one, since every answer waits for it: no other traffic should take its connection.
    `batch`: commands that one transaction takes at most; fewer when they ask for more than _EACH characters
    or decide more than _EACH events on average, so that none takes long. `waiting`: commands that may wait
    for one. `tell`: what other services hear of each event; it goes to the outbox with it.
    """

    def __init__(
        self,
        database: Database,
        definitions: Definitions,
        *,
        tell: Tell,
        batch: int = 256,
        waiting: int = 4096,
    ) -> None:
        self._database = database
        self._definitions = definitions
        self._tell = tell
        self._batch = batch
        self._limit = waiting
        self._store = ProgressionStore()
        self._idempotency = Idempotency(SCHEMA)
        self._inbox = Inbox(SCHEMA)
        self._outbox = Outbox(SCHEMA)
        self._queue: deque[_Waiting] = deque()
        self._awake: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._closing = False
        self._commit_s = 0.0
        self.listeners: list[Listener] = []

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

    async def run(self, command: Command) -> bytes:
        """The command's answer; durable when it returns. A caller that is cancelled meanwhile does not know
        whether it was done: with a key, asking again tells.

        Raises:
            DomainError: what the command decided. Nothing of it happened.
            FailedPrecondition: IDEMPOTENCY_KEY_REUSED.
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
        PROGRESSION_LEDGER_WAITING.set(len(self._queue))
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
            if batch := self._take():
                await self._commit(batch)
            elif self._closing:
                return
            else:
                self._awake = asyncio.get_running_loop().create_future()
                await self._awake
                self._awake = None

    def _wake(self) -> None:
        if self._awake is not None and not self._awake.done():
            self._awake.set_result(None)

    def _take(self) -> list[_Waiting]:
        """The next ones, without those whose callers have gone."""
        batch: list[_Waiting] = []
        characters = 0
        while self._queue and len(batch) < self._batch and characters < self._batch * _EACH:
            waiting = self._queue.popleft()
            if not waiting.answer.done():
                batch.append(waiting)
                characters += len(waiting.command.character_ids)
        PROGRESSION_LEDGER_WAITING.set(len(self._queue))
        return batch

    async def _commit(self, batch: list[_Waiting]) -> None:
        """Answers everybody in the batch."""
        begin = clock.monotonic_s()
        try:
            outcomes = await self._persist([waiting.command for waiting in batch])
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
        PROGRESSION_COMMIT_SECONDS.observe(self._commit_s)
        PROGRESSION_COMMIT_COMMANDS.observe(len(outcomes))
        self._queue.extendleft(reversed(batch[len(outcomes) :]))
        for waiting, outcome in zip(batch, outcomes, strict=False):
            if isinstance(outcome, BaseException):
                _fail(waiting, outcome)
            elif not waiting.answer.done():
                waiting.answer.set_result(outcome)

    async def _isolate(self, batch: list[_Waiting], error: Exception) -> None:
        """Something in the batch cannot be committed: the others need not suffer for it."""
        if len(batch) == 1:
            _log.error("command failed", error=repr(error), characters=batch[0].command.character_ids)
            _fail(batch[0], error)
            return
        half = len(batch) // 2
        await self._commit(batch[:half])
        await self._commit(batch[half:])

    async def _persist(self, commands: Sequence[Command]) -> list[bytes | Exception]:
        """The answer or the error of each, when all is durable; of the first ones, when they decided so much
        that the others have to wait for the next transaction."""
        for _ in range(_MAX_RUNS - 1):
            try:
                return await self._attempt(commands)
            except asyncpg.UniqueViolationError as error:
                PROGRESSION_LEDGER_RERUNS.labels(error.table_name or "").inc()
        return await self._attempt(commands)

    async def _attempt(self, commands: Sequence[Command]) -> list[bytes | Exception]:
        batch, outcomes, characters = await self._database.transaction(
            lambda connection: self._transact(connection, commands)
        )
        if characters:
            self._tell_listeners(characters, batch.recorded)
        return outcomes

    async def _transact(
        self, connection: Connection, commands: Sequence[Command]
    ) -> tuple[Batch, list[bytes | Exception], list[Character]]:
        batch = await self._load(connection, commands)
        outcomes = []
        for command in commands:
            outcomes.append(_outcome(batch, command))
            if len(batch.recorded) >= self._batch * _EACH:
                break
        changed = batch.changed(self._levels)
        changes = batch.changes(changed)
        # Those whose locks every transaction may want come last, so that they are held for the shortest.
        parts: dict[str, Statement] = {}
        if batch.recorded:
            parts["append"] = self._store.appending(batch.recorded, batch.requests)
        if batch.answers:
            parts["answers"] = self._idempotency.storing(batch.answers)
        if batch.events:
            parts["events"] = self._inbox.noting(GROUP, batch.events)
        if batch.envelopes:
            parts["outbox"] = self._outbox.putting(TOPIC, batch.envelopes)
        parts |= self._store.putting(changes)
        if parts:
            text, arguments = together(parts)
            await connection.execute(text, *arguments)
        return batch, outcomes, batch.spoken_of(changed)

    async def _load(self, connection: Connection, commands: Sequence[Command]) -> Batch:
        """Locks and loads what the commands need. Keys and events are looked up after the locks: whoever
        repeats a command waits for the first one there."""
        names = {name for command in commands for name in command.character_ids}
        await self._store.lock(connection, names)
        rows = await self._store.load(connection, names)
        answers = await self._idempotency.stored(
            connection, [command.key for command in commands if command.key is not None]
        )
        seen = await self._inbox.seen(
            connection, GROUP, {command.event for command in commands if command.event}
        )
        return Batch(rows, answers, seen, clock.now(), self._tell)

    def _levels(self, character: Character) -> Levels:
        return levels(self._definitions.of(character), character)

    # -- telling ----------------------------------------------------------------------------------

    def _tell_listeners(self, characters: Sequence[Character], recorded: Sequence[Recorded]) -> None:
        for listener in self.listeners:
            try:
                listener(characters, recorded)
            except Exception:
                # It is committed: who waits for the answer must get it.
                _log.exception("not told", listener=listener.__qualname__)


def _outcome(batch: Batch, command: Command) -> bytes | Exception:
    try:
        return batch.run(command)
    except DomainError as error:
        return error
    except Exception as error:
        _log.exception("command failed", characters=command.character_ids)
        return error


def _fail(waiting: _Waiting, error: BaseException) -> None:
    if not waiting.answer.done():
        waiting.answer.set_exception(error)


def _closed(*, elsewhere: bool = False) -> Unavailable:
    return Unavailable(
        "This process is stopping.", reason="LEDGER_CLOSED", retry_after_s=0.5, elsewhere=elsewhere
    )


def _refused() -> Unavailable:
    return Unavailable("Changes cannot be written now.", reason="LEDGER_UNAVAILABLE", retry_after_s=0.5)
