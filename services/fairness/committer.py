"""Every change of a player goes through here: commands that wait are committed together.

Who may change a player first is settled by its row's lock; who creates it, stores the answer to a key or
notes an event first, by what is unique. A transaction that loses is run again from the start, and then sees
what the other one did. The log's end is locked last, and only by who has something to write there.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import structlog

from services.chassis import clock
from services.chassis.db import Connection, Database
from services.chassis.group_commit import GroupCommit, outcome
from services.chassis.metrics import FAIRNESS_COMMITS, FAIRNESS_FLAGS, FAIRNESS_OBSERVATIONS
from services.fairness import audit_log
from services.fairness.audit_log import AuditLog
from services.fairness.batch import Batch, Changes, Command
from services.fairness.detectors import DetectorStore
from services.fairness.domain.audit import Entry, Line
from services.fairness.domain.evidence import Evidence, build
from services.fairness.domain.happened import Limits, Opened, PeersOf, opened_entry
from services.fairness.store import Asked, PlayerStore

Encode = Callable[[Evidence], bytes]
"""As it is kept."""
_log = structlog.get_logger()


class _Committed(NamedTuple):
    outcomes: list[bytes | Exception]
    changes: Changes
    lines: list[Line]


class Committer:
    """One a process. Every method belongs to the event loop.

    `database`: a dedicated one, since every answer waits for it: no other traffic should take its connection.
    `peers`: whom players are compared with, such as `PeerBook.peers`. `encode`: evidence, as it is kept.
    `batch`: commands that one transaction takes at most; fewer when they have more than four players on
    average. `waiting`: commands that may wait for one.
    """

    def __init__(
        self,
        database: Database,
        detectors: DetectorStore,
        peers: PeersOf,
        encode: Encode,
        limits: Limits,
        *,
        batch: int = 256,
        waiting: int = 4096,
    ) -> None:
        self._database = database
        self._detectors = detectors
        self._peers = peers
        self._encode = encode
        self._limits = limits
        self._audit = AuditLog()
        self._store = PlayerStore(self._audit)
        self._commits = GroupCommit(
            self._persist, batch=batch, waiting=waiting, metrics=FAIRNESS_COMMITS, size=_size
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
            DomainError: what the command decided. Nothing of it happened.
            FailedPrecondition: IDEMPOTENCY_KEY_REUSED.
            Overloaded, Unavailable: see `GroupCommit.run`.
        """
        return await self._commits.run(command)

    # -- committing -------------------------------------------------------------------------------

    async def _persist(self, commands: Sequence[Command]) -> list[bytes | Exception]:
        committed = await self._database.transaction(lambda connection: self._transact(connection, commands))
        self._tell(committed)
        return committed.outcomes

    async def _transact(self, connection: Connection, commands: Sequence[Command]) -> _Committed:
        loaded, revision = await self._store.load(connection, Asked.by(commands))
        catalogue = await self._detectors.at_least(connection, revision)
        batch = Batch(loaded, catalogue, clock.now(), self._peers, self._limits)
        outcomes = [outcome(batch.run, command) for command in commands]
        changes = batch.changes
        evidence = await self._proved(connection, changes)
        lines = await self._lines(connection, changes, evidence)
        kept = {flag_id: self._encode(it) for flag_id, it in evidence.items()}
        statement = self._store.writing(changes, lines, kept, batch.now)
        if statement is not None:
            await connection.execute(statement.text, *statement.arguments)
        return _Committed(outcomes, changes, lines)

    async def _proved(self, connection: Connection, changes: Changes) -> dict[str, Evidence]:
        """By flag, of those just raised."""
        opened = changes.opened
        if not opened:
            return {}
        inputs = await self._store.inputs(connection, opened, changes.observations)
        found = {}
        for each, given in zip(opened, inputs, strict=True):
            if len(given) != each.track.inputs:
                _log.error("evidence is not whole", flag=each.flag.id, inputs=len(given))
            found[each.flag.id] = build(each.detector, given, each.track.carried, each.finding)
        return found

    async def _lines(
        self, connection: Connection, changes: Changes, evidence: dict[str, Evidence]
    ) -> list[Line]:
        if not changes.log:
            return []

        def entry(it: Entry | Opened) -> Entry:
            return opened_entry(it, evidence[it.flag.id].digest) if isinstance(it, Opened) else it

        return await self._audit.lines(connection, [entry(it) for it in changes.log])

    # -- telling ----------------------------------------------------------------------------------

    def _tell(self, committed: _Committed) -> None:
        FAIRNESS_OBSERVATIONS.inc(len(committed.changes.observations))
        for it in committed.changes.opened:
            FAIRNESS_FLAGS.labels(it.detector.id, it.flag.mode.name.lower()).inc()
        audit_log.told(committed.lines)


def _size(command: Command) -> int:
    return max(1, len(command.player_ids))
