"""Whether a history and the journals that remain of it agree: what was told is remembered, once, in order."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from google.protobuf.message import DecodeError

from tests.chaos.history import Fault, History, Operation, Told
from tests.chaos.journal import Command, Journal, Records, read_records

# A run with less load than this before a fault says nothing about it.
LEAST_LOAD = 100.0
# After everything runs again, so soon must every live session accept a new command.
STUCK_S = 10.0


@dataclass(slots=True)
class Findings:
    """What is wrong, in sentences. Nothing anywhere: the run is good."""

    lost: list[str] = field(default_factory=list)
    """Acknowledged and not remembered as told."""
    doubled: list[str] = field(default_factory=list)
    """Happened twice."""
    forked: list[str] = field(default_factory=list)
    """Two histories of one session: gaps, overlaps, epochs that fall, one number told to two commands."""
    stuck: list[str] = field(default_factory=list)
    """Accepted nothing after a fault had healed."""
    void: list[str] = field(default_factory=list)
    """Proves nothing: too little load."""
    different: list[str] = field(default_factory=list)
    """A journal that does not verify, or statistics that are not its sum."""

    @property
    def good(self) -> bool:
        return not any(self.counts().values())

    def counts(self) -> dict[str, int]:
        return {
            "lost": len(self.lost),
            "doubled": len(self.doubled),
            "forked": len(self.forked),
            "stuck": len(self.stuck),
            "different": len(self.different),
            "void": len(self.void),
        }

    def sentences(self) -> list[str]:
        return [f"{name}: {sentence}" for name in self.counts() for sentence in getattr(self, name)]


def check(history: History, journals: Mapping[str, Journal], *, stuck_s: float = STUCK_S) -> Findings:
    """Compares a history with what the database holds after it. Replays and statistics: see `audit`."""
    findings = Findings()
    records = {}
    for session, journal in journals.items():
        _check_shape(journal, findings)
        try:
            records[session] = read_records(journal)
        except DecodeError:
            findings.forked.append(f"session {session}: a segment cannot be read")
            continue
        _check_sequence(journal, records[session], findings)
        _check_once(session, records[session], findings)
    _check_told(history, journals, records, findings)
    _check_alive(history, stuck_s, findings)
    findings.void += [
        f"only {fault.load:.0f} commands/s before the {fault.kind} at {fault.begun:.1f} s"
        for fault in history.faults
        if fault.load < LEAST_LOAD
    ]
    return findings


def _check_shape(journal: Journal, findings: Findings) -> None:
    """Segments follow one another, epochs never fall, and the row ends where they do."""
    last, epoch = 0, 0
    for segment in journal.segments:
        where = f"session {journal.session}: segment {segment.first}-{segment.last}"
        if segment.first != last + 1:
            findings.forked.append(f"{where} follows {last}")
        if segment.epoch < epoch:
            findings.forked.append(f"{where} is of epoch {segment.epoch}, after {epoch}")
        if not segment.intact:
            findings.forked.append(f"{where} does not match its checksum")
        last, epoch = segment.last, max(epoch, segment.epoch)
    if journal.sequence != last:
        findings.forked.append(
            f"session {journal.session}: its row says {journal.sequence}, its journal ends at {last}"
        )
    if journal.epoch < epoch:
        findings.forked.append(f"session {journal.session}: epoch {journal.epoch} after {epoch}")


def _check_sequence(journal: Journal, records: Records, findings: Findings) -> None:
    expected = 1
    for sequence in records.sequences:
        if sequence != expected:
            findings.forked.append(f"session {journal.session}: record {sequence} in the place of {expected}")
            return
        expected += 1
    if expected != journal.sequence + 1:
        findings.forked.append(
            f"session {journal.session}: {expected - 1} records, its row says {journal.sequence}"
        )


def _check_once(session: str, records: Records, findings: Findings) -> None:
    seen: dict[tuple[int, str, int, int], int] = {}
    for journal, command in records.commands.items():
        key = (command.slot, command.player, command.seating, command.sequence)
        if key in seen:
            findings.doubled.append(
                f"session {session}: command {command.sequence} of seat {command.slot} is in records "
                f"{seen[key]} and {journal}"
            )
        seen[key] = journal


def _check_told(
    history: History, journals: Mapping[str, Journal], records: Mapping[str, Records], findings: Findings
) -> None:
    told_at: dict[tuple[str, int], tuple[int, int]] = {}
    where: dict[str, dict[tuple[int, int], list[Command]]] = {
        session: _by_number(found) for session, found in records.items()
    }
    for operation in history.operations:
        session = operation.session
        for told in operation.durable:
            command = (told.slot, told.sequence)
            before = told_at.setdefault((session, told.journal), command)
            if before != command:
                findings.forked.append(
                    f"session {session}: record {told.journal} was told to be command {before[1]} of seat "
                    f"{before[0]} and command {command[1]} of seat {command[0]}"
                )
            _check_verdict(session, told, records.get(session), where.get(session, {}), findings)
        if operation.result == "ok":
            _check_call(operation, journals.get(session), records.get(session), findings)


def _check_verdict(
    session: str,
    told: Told,
    records: Records | None,
    where: Mapping[tuple[int, int], list[Command]],
    findings: Findings,
) -> None:
    found = records.commands.get(told.journal) if records else None
    if found and (found.slot, found.sequence, found.outcome) == (told.slot, told.sequence, told.outcome):
        return
    name = f"session {session}: command {told.sequence} of seat {told.slot}, told as record {told.journal}"
    elsewhere = where.get((told.slot, told.sequence), [])
    if any(command.outcome == told.outcome for command in elsewhere):
        findings.forked.append(f"{name}, is another record")
    elif elsewhere:
        findings.lost.append(f"{name} with outcome {told.outcome}, has outcome {elsewhere[0].outcome}")
    else:
        findings.lost.append(f"{name}, is not there")


def _check_call(
    operation: Operation, journal: Journal | None, records: Records | None, findings: Findings
) -> None:
    """What calls other than commands were told."""
    session = operation.session
    if operation.call == "create" and journal is None:
        findings.lost.append(f"session {session} was created and is not there")
    if operation.call == "join" and (records is None or operation.player not in records.players):
        findings.lost.append(f"session {session}: {operation.player} sat down and is not there")
    elif operation.call == "join" and records is not None and operation.player in records.left:
        findings.lost.append(f"session {session}: {operation.player} lost the seat")
    if operation.call == "end" and (journal is None or journal.status != "ENDED"):
        findings.lost.append(f"session {session} was ended and is {journal.status if journal else 'gone'}")


def _by_number(records: Records) -> dict[tuple[int, int], list[Command]]:
    found = defaultdict(list)
    for command in records.commands.values():
        found[command.slot, command.sequence].append(command)
    return found


# -- life --------------------------------------------------------------------------------------


@dataclass(slots=True)
class Life:
    """When a session could be expected to accept commands, and when it did."""

    begun: float
    ended: float = float("inf")
    accepted: list[tuple[float, float]] = field(default_factory=list)
    """(sent, heard) of operations with a durable verdict, by when they were heard."""


def lives(history: History) -> dict[str, Life]:
    """Of every session that accepted anything."""
    found: dict[str, Life] = {}
    for operation in history.operations:
        session = operation.session
        if operation.ended is not None and operation.durable:
            life = found.setdefault(session, Life(operation.ended))
            life.begun = min(life.begun, operation.ended)
            life.accepted.append((operation.begun, operation.ended))
    for operation in history.operations:
        # From the asking on, whatever the answer was.
        if operation.call == "end" and operation.session in found:
            life = found[operation.session]
            life.ended = min(life.ended, operation.begun)
    for life in found.values():
        life.accepted.sort(key=lambda accepted: accepted[1])
    return found


def recovery(life: Life, fault: Fault) -> float | None:
    """Seconds from the fault to the first answer to something that was sent after it. None: the session was
    not there, or never answered."""
    if life.begun > fault.begun or life.ended < fault.begun:
        return None
    return next((heard - fault.begun for sent, heard in life.accepted if sent > fault.begun), None)


def pause(life: Life, begun: float, ended: float) -> float | None:
    """The longest time between two answers around [begun, ended]. None: the session was not there."""
    if life.begun > begun or life.ended < ended:
        return None
    times = [heard for _, heard in life.accepted if begun - 1 <= heard <= ended + 1]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    return max(gaps) if gaps else None


def _check_alive(history: History, stuck_s: float, findings: Findings) -> None:
    for fault in history.faults:
        if fault.healed is None:
            findings.stuck.append(f"the mesh never recovered from the {fault.kind} at {fault.begun:.1f} s")
    for session, life in lives(history).items():
        for fault in history.faults:
            healed = fault.healed
            if healed is None or life.begun > healed or life.ended < healed + stuck_s:
                continue
            if not any(sent > healed and heard <= healed + stuck_s for sent, heard in life.accepted):
                findings.stuck.append(
                    f"session {session} accepted nothing for {stuck_s:g} s after the {fault.kind} at "
                    f"{fault.begun:.1f} s had healed"
                )
