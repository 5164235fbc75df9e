"""The journals as PostgreSQL holds them after a run, read with protobuf alone: no code of the worker's."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import NamedTuple

import asyncpg
from arenamesh.combat.v1 import journal_pb2


class Command(NamedTuple):
    """A judged command as a record says it."""

    slot: int
    player: str
    seating: int
    """How often anybody had sat down in the session when this player did: numbers begin anew with it."""
    sequence: int
    outcome: int


@dataclass(slots=True)
class Segment:
    first: int
    last: int
    epoch: int
    payload: bytes
    checksum: int

    @property
    def intact(self) -> bool:
        return zlib.crc32(self.payload) == self.checksum


@dataclass(slots=True)
class Journal:
    """Everything that is remembered of one session."""

    session: str
    status: str
    epoch: int
    sequence: int
    """What the session's row says is committed."""
    segments: list[Segment] = field(default_factory=list)


@dataclass(slots=True)
class Records:
    """What a journal's records say."""

    sequences: list[int] = field(default_factory=list)
    commands: dict[int, Command] = field(default_factory=dict)
    """By journal sequence."""
    players: set[str] = field(default_factory=set)
    """Who ever sat down."""
    left: set[str] = field(default_factory=set)
    ended: bool = False


def read_records(journal: Journal) -> Records:
    """Raises DecodeError when a segment is not a JournalSegment."""
    found = Records()
    seats: dict[int, tuple[str, int]] = {}
    for segment in journal.segments:
        for record in journal_pb2.JournalSegment.FromString(segment.payload).records:
            found.sequences.append(record.sequence)
            match record.WhichOneof("input"):
                case "join":
                    found.players.add(record.join.player_id)
                    seats[record.join.slot] = (record.join.player_id, record.sequence)
                case "leave":
                    found.left.add(seats.pop(record.leave.slot, ("", 0))[0])
                case "end":
                    found.ended = True
                case "command":
                    verdict = record.command.verdict
                    player, seating = seats.get(verdict.slot, ("", 0))
                    found.commands[record.sequence] = Command(
                        verdict.slot, player, seating, verdict.sequence, verdict.outcome
                    )
    return found


async def fetch(connection: asyncpg.Connection[asyncpg.Record]) -> dict[str, Journal]:
    """The journal of every session, by id."""
    rows = await connection.fetch(
        "SELECT id, status, epoch, journal_sequence FROM gameplay.combat_sessions ORDER BY id"
    )
    journals = {
        row["id"]: Journal(row["id"], row["status"], row["epoch"], row["journal_sequence"]) for row in rows
    }
    async with connection.transaction():
        # Piece by piece: a long run's journal is larger than a reply may be.
        async for row in connection.cursor(
            "SELECT session_id, first_sequence, last_sequence, epoch, checksum, payload"
            " FROM gameplay.combat_segments ORDER BY session_id, first_sequence, last_sequence"
        ):
            segment = Segment(
                row["first_sequence"], row["last_sequence"], row["epoch"], row["payload"], row["checksum"]
            )
            journals[row["session_id"]].segments.append(segment)
    return journals
