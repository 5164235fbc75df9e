"""What PostgreSQL keeps, and what each statement of the durable core does to it, without time or faults.

Every method is one transaction: it happens as a whole, at one instant. What the ports promise is written
here a second time, as plainly as possible; `test_tables.py` holds both against each other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from services.combat.domain.session import Session
from services.combat.ports import Save, Segment


@dataclass(slots=True)
class Presence:
    """A row of combat_workers."""

    name: str
    asked: Callable[[str], None]
    beat_at: float
    backend_start: float
    backend: bool = True
    """Its connection is still there."""


@dataclass(slots=True)
class Written:
    """A committed segment, and by whom and when."""

    segment: Segment
    owner: str
    at: float


@dataclass(slots=True)
class Tables:
    """`time`: the database's clock, in seconds."""

    time: Callable[[], float]
    lease_s: float
    orphan_s: float
    sessions: dict[str, Session] = field(default_factory=dict)
    segments: dict[str, list[Written]] = field(default_factory=dict)
    saves: dict[str, list[Save]] = field(default_factory=dict)
    workers: dict[str, Presence] = field(default_factory=dict)
    claimed_at: dict[str, float] = field(default_factory=dict)
    started_at: float = -math.inf
    """When the server came up last."""
    cut_at: float = -math.inf
    """When a worker's presence broke last."""
    epochs: dict[tuple[str, int], tuple[str, float]] = field(default_factory=dict)
    """Who ever owned what, and from when on."""

    # -- the journal ------------------------------------------------------------------------------

    def commit(self, owner: str, segments: Sequence[Segment]) -> frozenset[str]:
        fenced = [segment.session_id for segment in segments if not self._commit(owner, segment)]
        return frozenset(fenced)

    def _commit(self, owner: str, segment: Segment) -> bool:
        row = self.sessions.get(segment.session_id)
        if row is None:
            return False
        if not self.holds(row, owner, segment):
            return False
        if self.committed_before(row, segment):
            return True
        if not self.follows(row, segment):
            return False
        # In place, though it is frozen: a copy a commit was a tenth of the simulation.
        for column, value in (
            ("journal_sequence", segment.last),
            ("journal_time_us", segment.time_us),
            ("journal_tick", segment.tick),
        ):
            object.__setattr__(row, column, value)
        self.segments.setdefault(segment.session_id, []).append(Written(segment, owner, self.time()))
        if segment.save is not None:
            self.saves.setdefault(segment.session_id, []).append(segment.save)
        return True

    def holds(self, row: Session, owner: str, segment: Segment) -> bool:
        return row.owner == owner and row.epoch == segment.epoch

    def committed_before(self, row: Session, segment: Segment) -> bool:
        return row.journal_sequence == segment.last

    def follows(self, row: Session, segment: Segment) -> bool:
        return row.journal_sequence == segment.first - 1

    def read(self, session_id: str, after: int, limit: int) -> list[Segment]:
        rows = [written.segment for written in self.segments.get(session_id, ())]
        wanted = sorted((row for row in rows if row.last > after), key=lambda row: row.last)
        return [replace(row, save=None) for row in wanted[:limit]]

    def save_before(self, session_id: str, tick: int | None) -> Save | None:
        saves = [save for save in self.saves.get(session_id, ()) if tick is None or save.tick <= tick]
        return max(saves, key=lambda save: save.sequence, default=None)

    # -- presence ---------------------------------------------------------------------------------

    def join(self, owner: str, name: str, asked: Callable[[str], None]) -> None:
        self.workers[owner] = Presence(name, asked, self.time(), self.time())

    def beat(self, owner: str) -> bool:
        presence = self.workers.get(owner)
        if presence is None or not presence.backend:
            return False
        presence.beat_at = self.time()
        return True

    def leave(self, owner: str) -> None:
        self.workers.pop(owner, None)

    def restarted(self) -> None:
        """The server is up again, without any of its connections."""
        self.started_at = self.time()
        for presence in self.workers.values():
            presence.backend = False

    def alive(self, owner: str) -> bool:
        presence = self.workers.get(owner)
        if presence is None or max(presence.beat_at, self.started_at) <= self.time() - self.lease_s:
            return False
        return presence.backend or presence.backend_start < self.started_at

    # -- ownership --------------------------------------------------------------------------------

    def claim(self, session_id: str, owner: str) -> Session | None:
        row = self.sessions.get(session_id)
        if row is not None and row.live and (row.owner == owner or not self.alive(row.owner)):
            row = self.sessions[session_id] = replace(row, owner=owner, epoch=row.epoch + 1)
            self.claimed_at[session_id] = self.time()
            self.epochs[session_id, row.epoch] = owner, self.time()
        return self.get(session_id)

    def release(self, session_id: str, owner: str, epoch: int) -> bool:
        row = self.sessions.get(session_id)
        if row is None or row.owner != owner or row.epoch != epoch:
            return False
        self.sessions[session_id] = replace(row, owner="")
        self.claimed_at[session_id] = self.time()
        return True

    def ask(self, session_id: str, holder: str) -> Callable[[], None] | None:
        """What the notification will do to the holder; None: nobody listens."""
        presence = self.workers.get(holder)
        if presence is None or not presence.backend:
            return None
        asked = presence.asked
        return lambda: asked(session_id)

    def held(self, owner: str) -> dict[str, int]:
        return {key: row.epoch for key, row in self.sessions.items() if row.owner == owner and row.live}

    def orphans(self, owner: str) -> list[str]:
        name = _name(owner)
        return [
            key
            for key, row in self.sessions.items()
            if row.live
            and not self.alive(row.owner)
            and (_name(row.owner) == name or self._alone_since(row) < self.time() - self.orphan_s)
        ]

    def _alone_since(self, row: Session) -> float:
        if not row.owner:
            return self.claimed_at.get(row.session_id, -math.inf)
        presence = self.workers.get(row.owner)
        return -math.inf if presence is None else presence.beat_at

    # -- the rows themselves ----------------------------------------------------------------------

    def get(self, session_id: str) -> Session | None:
        """The row as it is now: commits change the one in the table."""
        row = self.sessions.get(session_id)
        return None if row is None else replace(row)

    def insert(self, session: Session) -> bool:
        if session.session_id in self.sessions:
            return False
        self.sessions[session.session_id] = replace(session)
        self.epochs[session.session_id, session.epoch] = session.owner, self.time()
        return True

    def may_update(self, session: Session) -> bool:
        row = self.sessions.get(session.session_id)
        return row is not None and row.live and (row.owner, row.epoch) == (session.owner, session.epoch)

    def update(self, session: Session) -> bool:
        """Writes what can change, unless the row is over, or of another owner or epoch."""
        if not self.may_update(session):
            return False
        row = self.sessions[session.session_id]
        self.sessions[session.session_id] = replace(
            session,
            journal_sequence=row.journal_sequence,
            journal_time_us=row.journal_time_us,
            journal_tick=row.journal_tick,
        )
        return True


def _name(owner: str) -> str:
    return owner.split(".", 1)[0]
