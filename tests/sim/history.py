"""What the clients did and what they were told, and what is wrong with it at the moment it is told."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from arenamesh.combat.v1 import event_pb2, journal_pb2, play_pb2, verdict_pb2

from services.combat.ports import Segment
from tests.sim.tables import Tables, Written

VOLATILE = "move"
CLOCKS_DIFFER = 0.01
"""A lease is this much longer at most on the slowest clock than on the database's."""


@dataclass(slots=True)
class Sent:
    """A command. `told`: its first verdict."""

    player_id: str
    command: play_pb2.Command
    at: float
    told: verdict_pb2.Verdict | None = None
    told_at: float = 0.0
    times: int = 0

    @property
    def durable(self) -> bool:
        """Whether its verdict must be one that stays."""
        told = self.told
        return told is not None and told.journal_sequence > 0 and not self.volatile

    @property
    def volatile(self) -> bool:
        return self.command.HasField(VOLATILE)


@dataclass(slots=True)
class Seated:
    """A join that was answered."""

    player_id: str
    slot: int
    at: float


@dataclass(slots=True)
class History:
    """Of one session."""

    session_id: str
    tables: Tables
    sent: dict[tuple[str, int], Sent] = field(default_factory=dict)
    """By player and command sequence."""
    seated: list[Seated] = field(default_factory=list)
    created: bool = False
    ended: bool = False
    """EndSession was answered."""
    events: list[list[event_pb2.Event]] = field(default_factory=list)
    """Told, by stream."""
    reads: int = 0
    violations: list[str] = field(default_factory=list)

    @property
    def durable(self) -> int:
        """The last record committed by now."""
        row = self.tables.sessions.get(self.session_id)
        return 0 if row is None else row.journal_sequence

    def wrong(self, text: str) -> None:
        self.violations.append(f"{self.tables.time():.6f} {self.session_id}: {text}")

    def invoked(self, player_id: str, command: play_pb2.Command) -> None:
        self.sent[player_id, command.sequence] = Sent(player_id, command, self.tables.time())

    def told_seat(self, player_id: str, slot: int) -> None:
        """A join was answered."""
        self.seated.append(Seated(player_id, slot, self.tables.time()))
        if (player_id, slot) not in joined(self.tables.segments.get(self.session_id, ())):
            self.wrong(f"{player_id} was given seat {slot} before that was durable")

    def told_of_seat(self, verdict: verdict_pb2.Verdict) -> None:
        """A verdict reached somebody else than its player."""
        for seated in self.seated:
            if seated.slot == verdict.slot:
                self.told(seated.player_id, verdict)
                return

    def told(self, player_id: str, verdict: verdict_pb2.Verdict) -> None:
        """A verdict reached its player; the first, or one more of the same."""
        sent = self.sent.get((player_id, verdict.sequence))
        if sent is None:
            self.wrong(f"{player_id} was told of command {verdict.sequence}, which it never sent")
            return
        if not verdict.journal_sequence:
            return
        if not sent.volatile and verdict.journal_sequence > self.durable:
            self.wrong(
                f"{player_id} was told the verdict of command {verdict.sequence}, record "
                f"{verdict.journal_sequence}, while only {self.durable} was durable"
            )
        verdict.repeated = False
        sent.times += 1
        if sent.told is None:
            sent.told = verdict
            sent.told_at = self.tables.time()
        elif sent.told != verdict and not sent.volatile:
            self.wrong(
                f"command {verdict.sequence} of {player_id} was told twice, differently: "
                f"{_line(sent.told)} and {_line(verdict)}"
            )

    def told_durable(self, through: int) -> None:
        if through > self.durable:
            self.wrong(f"told that {through} is durable, while only {self.durable} was")

    def told_over(self) -> None:
        """Somebody heard that the session has ended."""
        row = self.tables.sessions[self.session_id]
        rows = self.tables.segments.get(self.session_id)
        if row.live and not (rows and ends(rows[-1].segment)):
            self.wrong(f"told that the session is over, while it is {row.status} and goes on in the journal")

    def read(self, sequence: int, at: float) -> None:
        """The state up to record `sequence` was shown at a time."""
        self.reads += 1
        # A worker whose presence broke is taken for dead before it can know; for a lease at most.
        cut = at - self.tables.cut_at < 2 * self.tables.lease_s
        known = self.durable_at(at - self.tables.lease_s * (1 if cut else CLOCKS_DIFFER))
        if sequence < known:
            self.wrong(f"a read at {at:.6f} showed record {sequence}; {known} was durable")

    def durable_at(self, at: float) -> int:
        rows = self.tables.segments.get(self.session_id, ())
        return max((written.segment.last for written in rows if written.at <= at), default=0)


def ends(segment: Segment) -> bool:
    """Whether the match is over with the last record."""
    last = journal_pb2.JournalSegment.FromString(segment.payload).records[-1]
    return any(event.HasField("session_end") for event in last.events)


def joined(rows: Iterable[Written]) -> set[tuple[str, int]]:
    """Every player and seat that the journal knows."""
    records = (
        record
        for row in rows
        for record in journal_pb2.JournalSegment.FromString(row.segment.payload).records
    )
    return {(record.join.player_id, record.join.slot) for record in records if record.HasField("join")}


def _line(message: verdict_pb2.Verdict) -> str:
    return str(message).replace("\n", " ")
