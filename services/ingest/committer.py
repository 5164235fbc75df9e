"""Every event goes through here: requests that wait are committed together.

Which of two equal events is first is settled by what is unique; a transaction that loses is run again from
the start, and then sees what the other one did. In one process the second of two waits for the first, and has
its answer.
"""

from collections.abc import Sequence

from services.chassis import clock
from services.chassis.db import Database
from services.chassis.errors import DomainError
from services.chassis.group_commit import GroupCommit
from services.chassis.metrics import INGEST_COMMITS
from services.ingest.batch import Batch, Command, Item, Loaded, Rejection
from services.ingest.domain.gcra import Charge, Rate
from services.ingest.limits import Rates
from services.ingest.refused import Refused
from services.ingest.store import IngestStore


class Committer:
    """One a process. Every method belongs to the event loop.

    `database`: a dedicated one, since every answer waits for it. `producer` and `player`: the rates of each.
    `pause_s`: how long a throttled player is asked to wait, at most. `batch`: requests that one transaction
    takes at most; fewer when they have more than four events on average. `waiting`: requests that may wait
    for one. `every_s`: see `GroupCommit`.
    """

    def __init__(
        self,
        database: Database,
        rates: Rates,
        refused: Refused,
        *,
        producer: Rate,
        player: Rate,
        pause_s: float,
        batch: int = 256,
        waiting: int = 4096,
        every_s: float = 0.0,
    ) -> None:
        self._database = database
        self._rates = rates
        self._refused = refused
        self._producer = producer
        self._player = player
        self._pause_s = pause_s
        self._store = IngestStore()
        self._commits = GroupCommit(
            self._persist,
            batch=batch,
            waiting=waiting,
            metrics=INGEST_COMMITS,
            every_s=every_s,
            size=lambda command: len(command.items),
        )

    def start(self) -> None:
        """Begins to commit."""
        self._commits.start()

    async def close(self) -> None:
        """Commits what waits, and takes no more."""
        await self._commits.close()

    async def run(self, command: Command) -> bytes:
        """The command's answer; durable when it returns.

        Raises:
            DomainError: what the command's answer raises. Nothing of it was accepted.
            FailedPrecondition: IDEMPOTENCY_KEY_REUSED.
            Overloaded, Unavailable: see `GroupCommit.run`.
        """
        return await self._commits.run(command)

    async def _persist(self, commands: Sequence[Command]) -> list[bytes | Exception]:
        async with self._database.connection() as connection:
            loaded = await self._store.load(connection, commands)
        await self._charge(commands, loaded)
        now = clock.now()
        batch = Batch(loaded, now, self._pause_s)
        outcomes = [_outcome(batch, command) for command in commands]
        if batch.changes:
            text, arguments = self._store.writing(batch.changes, now)
            await self._database.statement(text, *arguments)
        self._refused.count(batch.refused)
        return outcomes

    async def _charge(self, commands: Sequence[Command], loaded: Loaded) -> None:
        """All that are new, in one look at the rates. Of two equal events in one batch both are charged."""
        new = [
            (command.producer, item)
            for command in commands
            for item in command.items
            if item.verdict is None and not loaded.knows(item)
        ]
        if not new:
            return
        verdicts = await self._rates.take([self._charges(producer, item) for producer, item in new])
        for (_, item), verdict in zip(new, verdicts, strict=True):
            item.verdict = verdict

    def _charges(self, producer: str, item: Item | Rejection) -> list[Charge]:
        charges = [Charge(f"producer:{producer}", self._producer)]
        if isinstance(item, Item):
            charges.append(Charge(f"player:{item.event.player_id}", self._player))
        return charges


def _outcome(batch: Batch, command: Command) -> bytes | Exception:
    try:
        return batch.run(command)
    except DomainError as error:
        return error
