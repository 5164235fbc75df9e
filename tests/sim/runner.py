"""Many seeds, one after the other, and what they came to."""

from __future__ import annotations

import gc
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.sim.world import Result, simulate


@dataclass
class Summary:
    """Sums over the seeds that were run. `failed`: violations by seed."""

    seeds: int = 0
    seconds: float = 0.0
    commands: int = 0
    acknowledged: int = 0
    records: int = 0
    takeovers: int = 0
    compared: int = 0
    reads: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    failed: dict[int, list[str]] = field(default_factory=dict)

    def add(self, result: Result) -> None:
        self.seeds += 1
        self.seconds += result.seconds
        self.commands += result.commands
        self.acknowledged += result.acknowledged
        self.records += result.records
        self.takeovers += result.takeovers
        self.compared += result.compared
        self.reads += result.reads
        self.faults.update(result.faults)
        if result.violations:
            self.failed[result.seed] = result.violations

    def merge(self, other: Summary) -> None:
        self.seeds += other.seeds
        self.seconds += other.seconds
        self.commands += other.commands
        self.acknowledged += other.acknowledged
        self.records += other.records
        self.takeovers += other.takeovers
        self.compared += other.compared
        self.reads += other.reads
        self.faults.update(other.faults)
        self.failed.update(other.failed)

    def line(self) -> str:
        return (
            f"{self.seeds:,} seeds, {self.seconds:,.0f} s simulated, {sum(self.faults.values()):,} faults, "
            f"{self.takeovers:,} take-overs, {self.acknowledged:,} commands acknowledged, "
            f"{len(self.failed)} seeds failed"
        )


def results(begin: int, end: int) -> Iterator[Result]:
    """Of the seeds from `begin` to before `end`.

    A simulation is full of cycles, and the collector would look at them all the time; between two it finds
    nothing but what is over, while that is still in the processor's caches.
    """
    collecting = gc.isenabled()
    gc.disable()
    gc.collect()
    gc.freeze()  # what was there before stays, and the collector never looks at it again
    try:
        for seed in range(begin, end):
            yield simulate(seed)
            gc.collect()
    finally:
        if collecting:
            gc.enable()


def run(begin: int, end: int, *, budget_s: float = float("inf"), stop_at_failure: bool = False) -> Summary:
    """As many of the seeds, in order, as begin within `budget_s` of real time."""
    summary = Summary()
    deadline = time.monotonic() + budget_s
    for result in results(begin, end):
        summary.add(result)
        if time.monotonic() > deadline or (stop_at_failure and result.violations):
            break
    return summary


def run_slice(bounds: tuple[int, int]) -> Summary:
    """`run`, for a pool of processes."""
    return run(*bounds)
