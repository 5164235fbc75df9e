"""What the durable core asks of whoever remembers: PostgreSQL, or a model of it in a simulation.

A session has one owner at a time and an epoch that rises with each change of it. Whoever remembers is the
only judge of both: a worker may believe it owns a session, a commit knows.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from services.combat.domain.session import Session


@dataclass(frozen=True, slots=True)
class Save:
    """A whole arena as `Arena.save` wrote it, right after the record `sequence`."""

    sequence: int
    tick: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Segment:
    """A run of journal records of one session, `first` to `last` without a gap."""

    session_id: str
    epoch: int
    first: int
    last: int
    tick: int
    """Of the arena after the last record."""
    time_us: int
    """Session clock of the last record."""
    payload: bytes
    """A JournalSegment."""
    save: Save | None = None
    """At `last`, or before it where runs were joined; committed together with the segment."""


class JournalStore(Protocol):
    """The journal of every session."""

    async def commit(self, owner: str, segments: Sequence[Segment]) -> frozenset[str]:
        """Makes the segments durable, in one transaction, at most one a session.

        Returns the sessions that are fenced: `owner` does not hold them at that epoch, or their journal
        does not end where the segment begins; nothing of those was written. A segment whose commit went
        through before and whose answer was lost counts as committed.

        Raises:
            Unavailable: unknown what became of them; ask again with the same segments.
        """

    async def read(self, session_id: str, after: int, limit: int) -> list[Segment]:
        """The segments that hold records after `after`, in order, at most `limit` of them; without saves."""

    async def save_before(self, session_id: str, tick: int | None = None) -> Save | None:
        """The newest save, or the newest one not after `tick`."""


class OwnershipStore(Protocol):
    """Who plays which session. Every method raises Unavailable when the store does not answer."""

    async def join(self, owner: str, name: str, asked: Callable[[str], None]) -> None:
        """Makes the worker known and alive until it dies or `beat` stays away. `asked` is called with the
        id of each session that another worker asks it to hand over. Again: renews it after a loss."""

    async def beat(self, owner: str) -> bool:
        """Still alive. False: it is not known (any more), and must `join` again."""

    async def leave(self, owner: str) -> None:
        """The worker stops; whatever it still holds is free for others at once."""

    async def claim(self, session_id: str, owner: str) -> Session | None:
        """The session; with `owner` and a new epoch when it is live and was nobody's, a dead worker's, or
        `owner`'s own: who claims it has no arena of it, and what it may have sent at the old epoch is fenced.

        As it is when another living worker holds it, or when it is over. None: there is no such session.
        """

    async def release(self, session_id: str, owner: str, epoch: int) -> bool:
        """Nobody's from now on. False: it was not `owner`'s at that epoch."""

    async def ask(self, session_id: str, holder: str) -> None:
        """Asks the living worker `holder` to hand the session over. Best effort."""

    async def held(self, owner: str) -> dict[str, int]:
        """The epoch of each live session that is `owner`'s."""

    async def orphans(self, owner: str, limit: int) -> list[str]:
        """Live sessions that have had no living owner for a while, and at once those of dead workers of
        `owner`'s name. In no order: workers that look at the same time should find different ones."""

    async def write(self, session: Session) -> bool:
        """Writes what can change of a session. False: it is over, or not `session.owner`'s at its epoch."""
