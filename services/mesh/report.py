"""What the supervisor tells people and programs. Every message is one event, a flat dict:

    {"event": "begin", "step": "PostgreSQL"}
    {"event": "done", "step": "PostgreSQL", "seconds": 0.8, "note": "created"}
    {"event": "skipped", "step": "page", "reason": "Node is not installed ..."}
    {"event": "note", "text": "..."}
    {"event": "part", "part": "w0", "state": "waiting", "reason": "ended with signal SIGKILL"}
    {"event": "ready", "seconds": 4.2, "edge": "http://...", ...}
    {"event": "stopping"} / {"event": "stopped", "seconds": 1.1}
    {"event": "error", "message": "...", "hint": "..."}

`--json` prints them as they are; a detached supervisor writes them to its log, where the starter reads them.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.status import Status

from services.mesh.errors import StartError

Event = dict[str, Any]
Sink = Callable[[Event], None]


class Report:
    """Turns what happens into events."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def tell(self, event: str, **fields: Any) -> None:
        # A reader that went away must not take the mesh with it.
        with suppress(BrokenPipeError):
            self._sink({"event": event, **fields})

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """A stretch of the start, timed. An exception ends it without `done`."""
        step, begun = Step(), time.monotonic()
        self.tell("begin", step=name)
        yield step
        self.tell("done", step=name, seconds=round(time.monotonic() - begun, 2), note=step.note)

    def failed(self, error: StartError) -> None:
        self.tell("error", message=error.message, hint=error.hint)


class Step:
    note = ""


def json_lines(event: Event) -> None:
    print(json.dumps(event), flush=True)


class Plain:
    """Lines for logs and pipes."""

    def __call__(self, event: Event) -> None:
        line = sentence(event)
        if line:
            print(line, file=sys.stderr if event["event"] == "error" else sys.stdout, flush=True)


class Terminal:
    """The same lines with colour, and what is going on right now below them."""

    def __init__(self) -> None:
        self._console = Console(highlight=False)
        self._running: list[str] = []
        self._status: Status | None = None

    def __call__(self, event: Event) -> None:
        if event["event"] == "begin":
            self._running.append(event["step"])
        elif event["event"] in ("done", "skipped"):
            self._running.remove(event["step"])
        elif event["event"] in ("ready", "error", "stopping"):
            self._running.clear()
        line = sentence(event)
        if line:
            self._console.print(_STYLES.get(event["event"], "{}").format(escape(line)))
        self._show()

    def _show(self) -> None:
        if self._status is not None and not self._running:
            self._status.stop()
            self._status = None
        elif self._running:
            text = ", ".join(self._running)
            if self._status is None:
                self._status = self._console.status(text)
                self._status.start()
            self._status.update(text)


_STYLES = {
    "done": "[green]{}[/]",
    "error": "[bold red]{}[/]",
    "ready": "[bold]{}[/]",
    "part": "[yellow]{}[/]",
}


def for_people() -> Sink:
    return Terminal() if sys.stdout.isatty() else Plain()


def sentence(event: Event) -> str:
    """An event in words; empty for those that need none."""
    words = _WORDS.get(event["event"])
    return words(event) if words else ""


def _summary(event: Event) -> str:
    lines = [f"Ready in {event['seconds']:.1f} s.", ""]
    rows = {
        "page": event["page"],
        "REST": f"{event['rest']}  {event['paths']}",
        "gRPC": event["grpc"],
        "database": event["database"],
        "redis": event["redis"],
        "logs": event["logs"],
    }
    lines += [f"  {name:<10} {value}" for name, value in rows.items() if value]
    return "\n".join([*lines, ""])


def _reason(text: str, before: str) -> str:
    return before + text if text else ""


_WORDS: dict[str, Callable[[Event], str]] = {
    "done": lambda event: f"  {event['step']:<12} {event['seconds']:6.2f} s{_reason(event['note'], ', ')}",
    "skipped": lambda event: f"  {event['step']:<12} not done. {event['reason']}",
    "note": lambda event: f"  {event['text']}",
    "part": lambda event: f"  {event['part']} is {event['state']}{_reason(event['reason'], ': ')}",
    "ready": _summary,
    "stopping": lambda _: "Stopping.",
    "stopped": lambda event: f"Stopped in {event['seconds']:.1f} s.",
    "error": lambda event: event["message"] + _reason(event["hint"], "\n"),
}
