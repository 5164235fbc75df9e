"""Faults, drawn from a seed: what, whom, for how long, and when the next may come."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from random import Random

from tests.chaos.checker import STUCK_S
from tests.chaos.cluster import Cluster
from tests.chaos.history import Recorder

KINDS = (
    "worker-kill",
    "worker-stop",
    "worker-drain",
    "postgres-kill",
    "postgres-stop",
    "redis-kill",
    "redis-flush",
    "envoy-kill",
    "projector-kill",
)
# Of every so many faults, one is two at once.
_PAIRS = 6
# A pause of a process, in seconds: less than anybody notices, to far beyond every lease.
_PAUSES_S = (0.5, 4.0)
_LOAD_WINDOW_S = 1.0


@dataclass(frozen=True, slots=True)
class Blow:
    """One fault on one part."""

    kind: str
    target: str
    seconds: float = 0.0
    """For a pause."""


class Nemesis:
    """Deals faults until it is told to stop. Each kind comes once before any comes again."""

    def __init__(
        self,
        cluster: Cluster,
        recorder: Recorder,
        *,
        seed: int,
        kinds: Sequence[str],
        live: Callable[[], Iterable[str]],
        between_s: tuple[float, float],
    ) -> None:
        self._cluster = cluster
        self._recorder = recorder
        self._random = Random(seed)
        self._kinds = [kind for kind in kinds if kind != "projector-kill" or cluster.has_projector]
        self._live = live
        self._between_s = between_s
        self._deck: list[str] = []
        self.dealt = 0
        self.doing = ""
        """For people."""

    async def run(self, enough: Callable[[], bool]) -> None:
        """One fault after another; `enough` is asked between two."""
        while True:
            await asyncio.sleep(self._random.uniform(*self._between_s))
            if enough():
                return
            await self._deal(self._draw())

    @property
    def round_over(self) -> bool:
        """Every kind has come as often as any other."""
        return self.dealt > 0 and not self._deck

    # -- one fault --------------------------------------------------------------------------------

    def _draw(self) -> list[Blow]:
        blows = [self._blow(self._next_kind())]
        if self._random.randrange(_PAIRS) == 0 and self._deck:
            second = self._blow(self._next_kind())
            if second.target != blows[0].target:
                blows.append(second)
        return blows

    def _next_kind(self) -> str:
        if not self._deck:
            self._deck = self._random.sample(self._kinds, len(self._kinds))
        return self._deck.pop()

    def _blow(self, kind: str) -> Blow:
        part = kind.partition("-")[0]
        target = self._random.choice(self._cluster.workers) if part == "worker" else part
        seconds = self._random.uniform(*_PAUSES_S) if kind.endswith("-stop") else 0.0
        return Blow(kind, target, seconds)

    async def _deal(self, blows: Sequence[Blow]) -> None:
        load = await self._load()
        sessions = await self._affected(blows)
        number = self.dealt
        self.dealt += 1
        self._recorder.fault(
            number, "+".join(blow.kind for blow in blows), [blow.target for blow in blows], sessions, load
        )
        self.doing = ", ".join(f"{blow.kind} {blow.target}" for blow in blows)
        replaced = [pair for pairs in await asyncio.gather(*map(self._strike, blows)) for pair in pairs]
        if await self._cluster.until_healed(replaced):
            self._recorder.healed(number)
            await self._until_served(self._recorder.now())

    async def _strike(self, blow: Blow) -> list[tuple[str, int]]:
        """Does it. Returns the part with the process that must be another one when it is healed."""
        cluster = self._cluster
        if blow.kind == "redis-flush":
            await cluster.flush_redis()
            return []
        number = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP, "drain": signal.SIGTERM}[
            blow.kind.partition("-")[2]
        ]
        pid = cluster.signal(blow.target, number)
        if pid is None:
            return []
        if number is not signal.SIGSTOP:
            return [(blow.target, pid)]
        await asyncio.sleep(blow.seconds)
        cluster.go_on(pid)
        return []

    async def _affected(self, blows: Sequence[Blow]) -> set[str]:
        """Sessions whose service may be interrupted: of the struck workers, or all."""
        live = set(self._live())
        if all(blow.kind.startswith("worker") for blow in blows):
            return live & await self._cluster.owned_by(blow.target for blow in blows)
        return live

    async def _load(self) -> float:
        """Acknowledged commands a second, now."""
        before, begun = self._recorder.acknowledged, self._recorder.now()
        await asyncio.sleep(_LOAD_WINDOW_S)
        return (self._recorder.acknowledged - before) / (self._recorder.now() - begun)

    async def _until_served(self, healed: float) -> None:
        """Until every live session has accepted something new, or is stuck: the checker says which."""
        while self._recorder.now() < healed + STUCK_S:
            if all(self._recorder.newest.get(session, 0.0) > healed for session in self._live()):
                return
            await asyncio.sleep(0.05)
