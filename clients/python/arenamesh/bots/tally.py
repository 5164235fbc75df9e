"""What the bots did, counted, and how it is shown."""

from __future__ import annotations

import sys
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from arenamesh.combat.v1 import play_pb2, verdict_pb2


@dataclass
class Tally:
    """Counts over all matches of a fleet."""

    matches: int = 0
    kills: int = 0
    moves: int = 0
    corrections: int = 0
    shots: int = 0
    hits: int = 0
    actions: int = 0
    rejections: dict[str, int] = field(default_factory=dict)
    """By reason."""
    reconnects: int = 0
    rtt_s: deque[float] = field(default_factory=lambda: deque(maxlen=2048))
    started: float = field(default_factory=time.monotonic)
    processor_s: float = field(default_factory=time.process_time)

    def judged(self, command: play_pb2.Command, verdict: verdict_pb2.Verdict) -> None:
        if verdict.outcome == verdict_pb2.OUTCOME_REJECTED:
            reason = verdict_pb2.Reason.Name(verdict.reason).removeprefix("REASON_")
            self.rejections[reason] = self.rejections.get(reason, 0) + 1
            return
        match command.WhichOneof("kind"):
            case "move":
                self.moves += 1
                self.corrections += verdict.outcome == verdict_pb2.OUTCOME_CORRECTED
            case "shot":
                self.shots += 1
                self.hits += any(hit.dealt_milli for hit in verdict.hits)
            case "action":
                self.actions += 1

    def figures(self) -> dict[str, Any]:
        """For `--json`."""
        rtt = sorted(self.rtt_s)
        seconds = time.monotonic() - self.started
        return {
            "seconds": round(seconds, 1),
            "matches": self.matches,
            "kills": self.kills,
            "shots": self.shots,
            "hits": self.hits,
            "hit_ratio": round(self.hits / max(self.shots, 1), 3),
            "moves": self.moves,
            "corrections": self.corrections,
            "actions": self.actions,
            "rejections": dict(sorted(self.rejections.items())),
            "reconnects": self.reconnects,
            "rtt_p50_ms": _milliseconds(rtt, 0.50),
            "rtt_p95_ms": _milliseconds(rtt, 0.95),
            "processor_share": round((time.process_time() - self.processor_s) / max(seconds, 0.001), 3),
        }

    def line(self) -> str:
        """For people."""
        now = self.figures()
        refused = sum(self.rejections.values())
        return (
            f"match {self.matches}  kills {self.kills:,}  shots {self.shots:,}  hit {now['hit_ratio']:.0%}  "
            f"moves {self.moves:,}  corrected {self.corrections:,}  refused {refused:,}  "
            f"rtt {now['rtt_p50_ms']}/{now['rtt_p95_ms']} ms  cpu {now['processor_share']:.0%}"
        )


def show(text: str, *, passing: bool = False) -> None:
    """A line for people, on stderr; a passing one is overwritten by the next on a terminal."""
    terminal = sys.stderr.isatty()
    lead = "\r\x1b[K" if terminal else ""
    print(f"{lead}{text}", end="" if passing and terminal else "\n", file=sys.stderr, flush=True)


def _milliseconds(ordered: list[float], share: float) -> float | None:
    return round(ordered[int(share * (len(ordered) - 1))] * 1000, 1) if ordered else None
