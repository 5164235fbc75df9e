"""One run: a mesh, a load, faults; then the verdict over all of it."""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos import audit, journal
from tests.chaos.checker import Findings, check
from tests.chaos.cluster import Cluster, running
from tests.chaos.history import History, Recorder, load
from tests.chaos.load import Load, Shape
from tests.chaos.nemesis import KINDS, Nemesis

_WARM_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A run.

    Attributes:
        minutes: how long faults are dealt; 0: until each kind has come once.
        between_s: quiet between two faults, at least and at most.
        keep: where the history and the mesh's logs stay; None: nowhere.
    """

    minutes: float
    seed: int
    kinds: Sequence[str] = KINDS
    workers: int = 2
    shape: Shape = field(default_factory=Shape)
    between_s: tuple[float, float] = (0.5, 2.5)
    keep: Path | None = None
    progress: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    plan: Plan
    history: History
    findings: Findings
    seconds: float
    acknowledged: int
    sessions: int
    audited: audit.Audit
    restarts: dict[str, int]


async def run(plan: Plan) -> Outcome:
    """Raises nothing for what the run finds; see `Outcome.findings`."""
    with tempfile.TemporaryDirectory(prefix="arenamesh-chaos-") as scratch:
        folder = plan.keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        async with running(folder / "mesh", plan.workers) as cluster:
            recorder = Recorder(folder / "history.jsonl")
            begun = time.monotonic()
            try:
                await _hurt(cluster, recorder, plan)
            finally:
                recorder.close()
            seconds = time.monotonic() - begun
            async with cluster.database() as connection:
                journals = await journal.fetch(connection)
            history = load(folder / "history.jsonl")
            findings = check(history, journals)
            audited = await audit.audit(cluster, journals, findings)
            return Outcome(
                plan,
                history,
                findings,
                seconds,
                recorder.acknowledged,
                len(journals),
                audited,
                cluster.restarts(),
            )


async def _hurt(cluster: Cluster, recorder: Recorder, plan: Plan) -> None:
    load = Load(cluster.target, recorder, plan.shape, seed=plan.seed)
    nemesis = Nemesis(
        cluster,
        recorder,
        seed=plan.seed,
        kinds=plan.kinds,
        live=lambda: load.live,
        between_s=plan.between_s,
    )
    end = recorder.now() + plan.minutes * 60

    def enough() -> bool:
        return recorder.now() >= end if plan.minutes else nemesis.round_over

    async with asyncio.TaskGroup() as group:
        loading = group.create_task(load.run())
        telling = group.create_task(_progress(recorder, nemesis, plan))
        while len(load.live) < plan.shape.sessions:  # noqa: ASYNC110 - six tasks fill it
            await asyncio.sleep(0.05)
        await asyncio.sleep(_WARM_S)
        try:
            await nemesis.run(enough)
        finally:
            load.stop()
        await loading
        telling.cancel()


async def _progress(recorder: Recorder, nemesis: Nemesis, plan: Plan) -> None:
    """One line, rewritten every second, when somebody watches."""
    before = 0
    while plan.progress:
        await asyncio.sleep(1)
        told, before = recorder.acknowledged - before, recorder.acknowledged
        line = (
            f"{recorder.now():5.0f} s   faults {nemesis.dealt:<4} acknowledged {before:<9,} {told:6,}/s   "
            f"{nemesis.doing}"
        )
        print(f"\r{line:<100}", end="", file=sys.stderr, flush=True)
