"""What a replay says when an arena does not judge a record to what is written: which part of it differs."""

from __future__ import annotations

from collections.abc import Mapping

Fields = dict[int, list[int | bytes]]
"""Values by field number, in their order: of varints the number, of anything else the bytes."""

FIXED = {1: 8, 5: 4}
LENGTH = 2

# What people call the fields of JournalRecord, and those of the messages in it that are looked into.
Names = Mapping[int, "str | tuple[str, Names]"]
VERDICT: Names = {
    1: "slot",
    2: "sequence",
    3: "outcome",
    4: "reason",
    6: "journal sequence",
    7: "rewind",
    8: "clamp",
    9: "hits",
    10: "correction",
    11: "ammo",
}
COMMAND: Names = {
    1: "command",
    2: "acknowledged snapshot",
    3: "trust",
    4: ("verdict", VERDICT),
    5: "evidence",
    6: "unlisted hits",
}
TICK: Names = {1: "tick", 2: "state hash", 3: "hits"}
RECORD: Names = {
    1: "sequence",
    2: "time",
    3: ("join", {1: "slot", 2: "player", 3: "team", 4: "given team"}),
    4: ("leave", {1: "slot", 2: "reason"}),
    5: "start",
    6: ("tick", TICK),
    7: ("command", COMMAND),
    8: ("end", {1: "reason"}),
    9: "events",
}


class ReplayError(ValueError):
    """A segment that an arena does not judge to what is written in it.

    `sequence`: the first record that differs. `what` of it: `unreadable`, `order` (it is missing), `input`
    (the arena does not take it), `encoding`, or the part that differs, in words: `time`, `outcome`, `hits`,
    `evidence`, `events`, `state hash` ... `recorded`, `judged`: that JournalRecord as it was read and as the
    arena judged it; b"" where there is none.
    """

    def __init__(
        self, message: str, *, sequence: int, what: str, recorded: bytes = b"", judged: bytes = b""
    ) -> None:
        super().__init__(message)
        self.sequence = sequence
        self.what = what
        self.recorded = recorded
        self.judged = judged


def differing(sequence: int, recorded: bytes, judged: bytes) -> ReplayError:
    """The error that names what differs between two JournalRecord messages, not equal."""
    if judged:
        what = _first(recorded, judged, RECORD) or "encoding"
        ending = f"{what} {'differ' if what.endswith('s') else 'differs'}"
    else:
        what, ending = "input", "the arena judges nothing of it"
    message = f"record {sequence}, {_place(recorded)}: {ending}"
    return ReplayError(message, sequence=sequence, what=what, recorded=recorded, judged=judged)


def _first(recorded: bytes, judged: bytes, names: Names) -> str:
    """The first field, by number, that differs; '' when none does, or one of them cannot be read."""
    try:
        theirs, ours = _fields(recorded), _fields(judged)
    except ValueError:
        return ""
    for number in sorted(theirs.keys() | ours.keys()):
        a, b = theirs.get(number, []), ours.get(number, [])
        if a == b:
            continue
        name = names.get(number, f"field {number}")
        if isinstance(name, str):
            return name
        name, inner = name
        return _first(_message(a), _message(b), inner) or name
    return ""


def _place(record: bytes) -> str:
    """Where one is in the match, by the record's input."""
    fields = _fields(record)
    (kind,) = fields.keys() & {3, 4, 5, 6, 7, 8}
    inner = _fields(_message(fields[kind]))
    if kind == 7:
        verdict = _fields(_message(inner.get(4, [])))
        return f"verdict of slot {_number(verdict, 1)} command {_number(verdict, 2)}"
    if kind == 6:
        return f"tick {_number(inner, 1)}"
    if kind in (3, 4):
        return f"{'join' if kind == 3 else 'leave'} of slot {_number(inner, 1)}"
    return "start" if kind == 5 else "end"


def _message(values: list[int | bytes]) -> bytes:
    return values[-1] if values and isinstance(values[-1], bytes) else b""


def _number(fields: Fields, number: int) -> int:
    value = fields.get(number, [0])[-1]
    return value if isinstance(value, int) else 0


def _fields(message: bytes) -> Fields:
    found: Fields = {}
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        value: int | bytes
        if tag & 7 == 0:
            value, at = _varint(message, at)
        else:
            size, at = _varint(message, at) if tag & 7 == LENGTH else (FIXED.get(tag & 7, len(message)), at)
            value, at = message[at : at + size], at + size
            if at > len(message):
                raise ValueError("cut off")
        found.setdefault(tag >> 3, []).append(value)
    return found


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(message):
        value |= (message[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if message[at - 1] < 0x80:
            return value, at
    raise ValueError("cut off")
