"""What must be true when a simulation is over, from the journal and from what the clients were told."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator

from arenamesh.combat.v1 import event_pb2, journal_pb2, play_pb2

from native.arena import Arena
from services.combat.domain.session import Session, SessionStatus
from tests.sim.history import History, ends, joined
from tests.sim.tables import Written

_KIND = "kind"


def check(history: History, arena: Callable[[Session], Arena]) -> tuple[list[str], Arena | None]:
    """Everything that is wrong with a session, and the arena that its journal leads to."""
    row = history.tables.sessions.get(history.session_id)
    if row is None:
        return (["the session was created and is not there"] if history.created else []), None
    rows = history.tables.segments.get(history.session_id, [])
    records = [record for written in rows for record in _records(written)]
    wrong = [*_rows(history, row, rows), *_sequence(records)]
    if not wrong:
        wrong += [*_commands(history, records), *_verdicts(history, records), *_joins(history, rows)]
        wrong += [*_events(history, records), *_end(history, row, rows)]
    replayed = arena(row)
    try:
        replayed.replay(b"".join(written.segment.payload for written in rows))
    except ValueError as error:
        wrong.append(f"the journal does not verify: {error}")
    return wrong, replayed


def _records(written: Written) -> list[journal_pb2.JournalRecord]:
    return list(journal_pb2.JournalSegment.FromString(written.segment.payload).records)


def _rows(history: History, row: Session, rows: list[Written]) -> Iterator[str]:
    last = epoch = 0
    for written in rows:
        segment = written.segment
        if segment.first != last + 1:
            yield f"the journal goes from {last} to {segment.first}"
        if segment.epoch < epoch:
            yield f"epoch {segment.epoch} wrote after epoch {epoch}"
        epochs = history.tables.epochs
        owner, _ = epochs.get((history.session_id, segment.epoch), ("nobody", 0.0))
        _, ended = epochs.get((history.session_id, segment.epoch + 1), ("", math.inf))
        if owner != written.owner:
            yield f"{written.owner} wrote in epoch {segment.epoch}, which is {owner}'s"
        if written.at > ended:
            yield f"epoch {segment.epoch} wrote at {written.at:.6f}, after the next began at {ended:.6f}"
        last, epoch = segment.last, segment.epoch
    if row.journal_sequence != last:
        yield f"the row says {row.journal_sequence}, the journal ends with {last}"


def _sequence(records: list[journal_pb2.JournalRecord]) -> Iterator[str]:
    for expected, record in enumerate(records, 1):
        if record.sequence != expected:
            yield f"record {expected} bears the number {record.sequence}"
            return


def _commands(history: History, records: list[journal_pb2.JournalRecord]) -> Iterator[str]:
    """Each was sent by somebody, and had its effect once."""
    players: dict[int, str] = {}
    judged: set[tuple[str, int]] = set()
    for record in records:
        if record.HasField("join"):
            players[record.join.slot] = record.join.player_id
        elif record.HasField("command"):
            command = record.command.command
            key = players.get(command.slot, ""), command.sequence
            sent = history.sent.get(key)
            if key in judged:
                yield f"command {key[1]} of {key[0]} had two effects, the second in record {record.sequence}"
            if sent is None:
                yield f"record {record.sequence} holds command {key[1]} of {key[0]}, which nobody sent"
            elif not _same(sent.command, command):
                yield f"record {record.sequence} holds another command {key[1]} of {key[0]} than was sent"
            judged.add(key)


def _same(one: play_pb2.Command, other: play_pb2.Command) -> bool:
    kind = one.WhichOneof(_KIND)
    return kind is not None and kind == other.WhichOneof(_KIND) and getattr(one, kind) == getattr(other, kind)


def _verdicts(history: History, records: list[journal_pb2.JournalRecord]) -> Iterator[str]:
    """What was told for good is there, at its place, as it was told."""
    for (player, sequence), sent in history.sent.items():
        if sent.told is None or not sent.durable:
            continue
        at = sent.told.journal_sequence
        if at > len(records):
            yield f"command {sequence} of {player} was answered with record {at}, which is lost"
        elif records[at - 1].command.verdict != sent.told:
            yield f"command {sequence} of {player} was answered otherwise than record {at} says"


def _joins(history: History, rows: list[Written]) -> Iterator[str]:
    known = joined(rows)
    for seated in history.seated:
        if (seated.player_id, seated.slot) not in known:
            yield f"{seated.player_id} was given seat {seated.slot}, which the journal does not know"


def _events(history: History, records: list[journal_pb2.JournalRecord]) -> Iterator[str]:
    """What was shown happened, and was shown once a stream."""
    happened = Counter(_key(event) for record in records for event in record.events)
    for record in records:
        if record.HasField("join"):
            join = record.join
            event = event_pb2.JoinEvent(slot=join.slot, player_id=join.player_id, team=join.given_team)
            happened["join", event.SerializeToString()] += 1
    for told in history.events:
        for key, times in Counter(_key(event) for event in told).items():
            if key[0] in _JOURNALLED and times > happened[key]:
                yield f"a stream was told {times} times of a {key[0]} that happened {happened[key]} times"


_JOURNALLED = ("join", "spawn", "kill", "session_end")


def _key(event: event_pb2.Event) -> tuple[str, bytes]:
    kind = event.WhichOneof(_KIND) or ""
    if kind == "join":
        return kind, event.join.SerializeToString()
    return kind, event.SerializeToString()


def _end(history: History, row: Session, rows: list[Written]) -> Iterator[str]:
    over = bool(rows) and ends(rows[-1].segment)
    if history.ended and row.live and not over:
        yield f"the session was ended, and is {row.status}"
    if row.status is SessionStatus.ENDED and not over:
        yield "the session is ENDED, and its journal does not end"
