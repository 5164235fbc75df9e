"""What the clients did and what came of it, and what was done to the mesh: one JSON object a line.

    {"at": 1.25, "event": "invoke", "op": 7, "call": "play", "session": "...", "commands": [[0, 12], [1, 9]]}
    {"at": 1.26, "event": "ok", "op": 7, "verdicts": [[0, 12, 345, 1, true], [1, 9, 346, 1, true]]}
    {"at": 1.31, "event": "info", "op": 8, "error": "UNAVAILABLE: ..."}
    {"at": 2.00, "event": "fault", "fault": 0, "kind": "worker-kill", "targets": ["w0"], "sessions": ["..."]}
    {"at": 2.90, "event": "healed", "fault": 0}

Times are seconds since the run began. `ok`: it happened as told. `fail`: it did not. `info`: nobody knows;
verdicts that came all the same are listed. A command is (seat, sequence); a verdict is (seat, sequence,
journal sequence, outcome, durable).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, NamedTuple


class Told(NamedTuple):
    """A verdict as a client was told it."""

    slot: int
    sequence: int
    journal: int
    """Position in the session's journal; 0: refused before it could have an effect."""
    outcome: int
    durable: bool
    """Of a class that is told only once it is committed."""


@dataclass(slots=True)
class Operation:
    """One call, or one frame of a stream."""

    call: str
    session: str
    begun: float
    commands: list[tuple[int, int]] = field(default_factory=list)
    player: str = ""
    ended: float | None = None
    """When the client heard of it; None: never."""
    result: str = "info"
    error: str = ""
    verdicts: list[Told] = field(default_factory=list)

    @property
    def durable(self) -> list[Told]:
        """Verdicts that must never be lost."""
        return [told for told in self.verdicts if told.durable and told.journal]


@dataclass(slots=True)
class Fault:
    kind: str
    targets: list[str]
    sessions: list[str]
    """Whose service it could interrupt."""
    begun: float
    healed: float | None = None
    """When every part ran again; None: never."""
    load: float = 0.0
    """Acknowledged commands a second just before."""


@dataclass(slots=True)
class History:
    """A whole run, as the checker reads it."""

    operations: list[Operation] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)


class Recorder:
    """Writes a history. Its clock is the run's clock."""

    def __init__(self, path: Path) -> None:
        self._file: IO[str] = path.open("w")
        self._origin = time.monotonic()
        self._next = 0
        self.acknowledged = 0
        """Durable commands so far."""
        self.newest: dict[str, float] = {}
        """Of each session, the latest time at which a command was sent that was acknowledged since."""

    def now(self) -> float:
        return time.monotonic() - self._origin

    def invoke(
        self, call: str, session: str = "", commands: Sequence[tuple[int, int]] = (), player: str = ""
    ) -> tuple[int, float]:
        """The operation's number, and when it began."""
        self._next += 1
        begun = self.now()
        line = {"at": begun, "event": "invoke", "op": self._next, "call": call, "session": session}
        if commands:
            line["commands"] = commands
        if player:
            line["player"] = player
        self._write(line)
        return self._next, begun

    def ok(self, op: tuple[int, float], session: str = "", verdicts: Sequence[Told] = ()) -> None:
        self._write({"at": self.now(), "event": "ok", "op": op[0], "session": session, "verdicts": verdicts})
        self._acknowledge(op, session, verdicts)

    def fail(self, op: tuple[int, float], error: object) -> None:
        self._write({"at": self.now(), "event": "fail", "op": op[0], "error": str(error)})

    def info(self, op: tuple[int, float], error: object, verdicts: Sequence[Told] = ()) -> None:
        self._write(
            {"at": self.now(), "event": "info", "op": op[0], "error": str(error), "verdicts": verdicts}
        )
        self._acknowledge(op, "", verdicts)

    def fault(
        self, number: int, kind: str, targets: Sequence[str], sessions: Iterable[str], load: float
    ) -> None:
        self._write(
            {
                "at": self.now(),
                "event": "fault",
                "fault": number,
                "kind": kind,
                "targets": targets,
                "sessions": sorted(sessions),
                "load": load,
            }
        )

    def healed(self, number: int) -> None:
        self._write({"at": self.now(), "event": "healed", "fault": number})

    def close(self) -> None:
        self._file.close()

    def _acknowledge(self, op: tuple[int, float], session: str, verdicts: Sequence[Told]) -> None:
        durable = sum(told.durable and told.journal > 0 for told in verdicts)
        self.acknowledged += durable
        if durable and session:
            self.newest[session] = max(self.newest.get(session, 0.0), op[1])

    def _write(self, line: dict[str, Any]) -> None:
        line["at"] = round(line["at"], 6)
        self._file.write(json.dumps(line, separators=(",", ":")) + "\n")


def load(path: Path) -> History:
    """Reads what a Recorder wrote. Operations are in the order of their beginning."""
    history = History()
    operations: dict[int, Operation] = {}
    readers: dict[str, Callable[[dict[str, Any]], None]] = {}

    def invoke(line: dict[str, Any]) -> None:
        commands = [(slot, sequence) for slot, sequence in line.get("commands", ())]
        operations[line["op"]] = Operation(
            line["call"], line["session"], line["at"], commands, line.get("player", "")
        )

    def end(line: dict[str, Any]) -> None:
        operation = operations[line["op"]]
        operation.ended, operation.result = line["at"], line["event"]
        operation.error = line.get("error", "")
        # A session's id is known only when it was created.
        operation.session = operation.session or line.get("session", "")
        operation.verdicts = [Told(*told) for told in line.get("verdicts", ())]

    def fault(line: dict[str, Any]) -> None:
        history.faults.append(
            Fault(line["kind"], line["targets"], line["sessions"], line["at"], load=line["load"])
        )

    def healed(line: dict[str, Any]) -> None:
        history.faults[line["fault"]].healed = line["at"]

    readers = {"invoke": invoke, "ok": end, "fail": end, "info": end, "fault": fault, "healed": healed}
    with path.open() as lines:
        for text in lines:
            line = json.loads(text)
            readers[line["event"]](line)
    history.operations = list(operations.values())
    return history
