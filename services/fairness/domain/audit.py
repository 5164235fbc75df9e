"""The log of everything that was done to players: each line holds the hash of the one before it, so none
can be changed, taken out or put in between without all that follow becoming wrong.

The hash is SHA-256 over the fields of a line as text, each in UTF-8 after its length in bytes (four bytes,
the greatest first): the hash before in hexadecimal, the sequence, the time in microseconds since 1970,
actor, action, player, flag, details.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

GENESIS = bytes(32)
"""What the first line holds as the hash before it."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TICK = timedelta(microseconds=1)
_LENGTH = 4


@dataclass(frozen=True, slots=True)
class Entry:
    """What was done. `actor`: `operator:<subject>`, `player:<subject>`, `detector:<id>@<version>` or
    `service:fairness`. `details`: JSON; exactly this text is hashed."""

    at: datetime
    actor: str
    action: str
    player_id: str
    flag_id: str
    details: str


@dataclass(frozen=True, slots=True)
class Line:
    """An entry in its place, from 1 without gaps."""

    sequence: int
    entry: Entry
    previous: bytes
    hash: bytes


@dataclass(frozen=True, slots=True)
class Head:
    """The end of the log: sequence and hash of its last line."""

    sequence: int = 0
    hash: bytes = GENESIS


def entry(
    at: datetime, actor: str, action: str, *, player_id: str = "", flag_id: str = "", **details: object
) -> Entry:
    """`details`: what JSON can hold; times come as text."""
    text = json.dumps(details, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return Entry(at, actor, action, player_id, flag_id, text)


def hash_of(previous: bytes, sequence: int, it: Entry) -> bytes:
    """See above."""
    texts = (
        *(previous.hex(), str(sequence), str((it.at - _EPOCH) // _TICK)),
        *(it.actor, it.action, it.player_id, it.flag_id, it.details),
    )
    digest = hashlib.sha256()
    for text in texts:
        encoded = text.encode()
        digest.update(len(encoded).to_bytes(_LENGTH, "big"))
        digest.update(encoded)
    return digest.digest()


def chained(head: Head, entries: Iterable[Entry]) -> tuple[list[Line], Head]:
    """The lines behind a head, and the head then."""
    lines = []
    for it in entries:
        sequence = head.sequence + 1
        line = Line(sequence, it, head.hash, hash_of(head.hash, sequence, it))
        lines.append(line)
        head = Head(line.sequence, line.hash)
    return lines, head


class Chain:
    """Whether lines, given in order, are the log."""

    def __init__(self) -> None:
        self.head = Head()
        """As the lines so far say."""

    def faults(self, line: Line) -> Iterator[str]:
        """What is wrong with the next one."""
        if line.sequence != self.head.sequence + 1:
            yield f"follows line {self.head.sequence}"
        if line.previous != self.head.hash:
            yield "does not hold the hash of the line before"
        if line.hash != hash_of(line.previous, line.sequence, line.entry):
            yield "is not what was hashed"
        self.head = Head(line.sequence, line.hash)

    def faults_at_end(self, head: Head) -> Iterator[str]:
        """What is wrong with the end of the log, by its head as it is kept beside the lines."""
        if head != self.head:
            yield f"the log ends with line {self.head.sequence}, not with line {head.sequence} as it did"
