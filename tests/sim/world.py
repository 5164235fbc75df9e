"""Everything in one place, from one seed: processes, database, edge, clients, faults, and the end."""

from __future__ import annotations

import asyncio
import random
import traceback
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import structlog

from native.arena import Arena
from services.chassis.errors import AlreadyExists, DomainError, FailedPrecondition, Unavailable
from services.combat.catalogue import Catalogue
from services.combat.domain.session import Draft, Session, SessionType
from services.combat.settings import CombatSettings
from tests.sim.checks import check
from tests.sim.client import Client
from tests.sim.database import Network
from tests.sim.edge import Edge
from tests.sim.faults import Faults, Mesh, Process
from tests.sim.history import History
from tests.sim.tables import Tables
from tests.sim.trace import Trace
from tests.sim.worker import Worker
from tests.support.arenas import make_rules, make_world
from tests.support.virtual_time import Loop, Node, StuckError, clocks

CONVERGE_S = 6.0
"""After the last fault every session takes commands again within this time."""
WAITS = ("commit_wait_s", "heartbeat_s", "lease_s", "residence_s", "handover_wait_s", "orphan_s", "sweep_s")


class Arsenal(Catalogue):
    """One small map and one ruleset, for all simulations of the process."""

    def __init__(self) -> None:
        rules = make_rules(modes__deathmatch__score_limit=0, modes__deathmatch__respawn_s=0.3)
        self._worlds = {"plain": make_world()}
        self._rulesets = {(rules.name, rules.version): rules}


@cache
def arsenal() -> Arsenal:
    return Arsenal()


@cache
def settings(slot: str, save_records: int, scale: float) -> CombatSettings:
    """The defaults with every wait `scale` times as long: what matters happens sooner."""
    fields = CombatSettings.model_fields
    waits = {name: fields[name].default * scale for name in WAITS}
    return CombatSettings(worker_name=slot, save_records=save_records, reconnect_seconds=600, **waits)


@dataclass(frozen=True)
class Result:
    seed: int
    violations: list[str]
    seconds: float
    """Simulated."""
    faults: dict[str, int]
    acknowledged: int
    commands: int
    records: int
    takeovers: int
    reads: int
    compared: int
    """Live arenas whose state was compared with their journal's."""
    trace: list[str] = field(repr=False)
    """Lines, when asked for."""


class World:
    def __init__(self, seed: int, *, trace: bool = False) -> None:
        self.seed = seed
        self.loop = Loop()
        self._draw = draw = random.Random(seed)
        self.trace = Trace(self.loop, trace)
        self.options = draw.choice((20, 60, 5000)), draw.choice((0.4, 0.4, 1.0))
        waits = settings("w0", *self.options)
        self.tables = Tables(lambda: self.loop.now, waits.lease_s, waits.orphan_s)
        self.network = Network(self.loop, random.Random(draw.random()), self.tables, self.trace)
        self.network.timeout_s = draw.choice((0.5, 1.0, 3.0))
        self.edge = Edge(self.loop, random.Random(draw.random()), self.trace)
        self.processes: dict[str, Process | None] = {}
        self.histories: list[History] = []
        self.clients: list[Client] = []
        mesh = Mesh(self.loop, self.network, self.edge, self.trace, self.start, self.processes)
        self.faults = Faults(mesh, random.Random(draw.random()), rate_hz=draw.choice((0.3, 1.0, 3.0)))
        self.violations: list[str] = []
        self.compared = 0

    # -- processes --------------------------------------------------------------------------------

    def start(self, slot: str) -> None:
        """A new process in a slot."""
        draw = self._draw
        node = Node(slot, rate=1 + 0.004 * (draw.random() - 0.5), origin_s=1000 * draw.random())
        context = self.loop.context(node)
        worker: Worker = context.run(
            Worker,
            node,
            settings(slot, *self.options),
            arsenal(),
            self.network,
            draw,
        )
        self.processes[slot] = worker
        self.trace.add("world", "start", slot, worker.owner)
        self.loop.spawn(node, self._begin(slot, worker))

    async def _begin(self, slot: str, worker: Worker) -> None:
        await worker.start()
        if self.processes[slot] is worker:
            self.edge.put(slot, worker)

    # -- the course of it -------------------------------------------------------------------------

    async def play(self) -> None:
        draw = self._draw
        for number in range(draw.choice((2, 2, 3, 4))):
            self.start(f"w{number}")
        lives = []
        for number in range(draw.choice((1, 1, 2))):
            lives.append(asyncio.ensure_future(self._session(f"m{number}")))
        await asyncio.sleep(draw.choice((0.0, 0.2)))
        await self.faults.rage(draw.choice((1.0, 2.0, 4.0)))
        self.faults.heal()
        await self._converged()
        for client in self.clients:
            client.stopping = True
        for life in lives:
            life.cancel()
        await asyncio.gather(*lives, return_exceptions=True)
        for history in self.histories:
            await self._check(history)

    async def _session(self, session_id: str) -> None:
        draw = self._draw
        history = History(session_id, self.tables)
        self.histories.append(history)
        bots = draw.choice(([], ["bot-a"], ["bot-a", "bot-b"]))
        people = draw.choice((["ann"], ["ann", "ben"]))
        crews = [([player], False) for player in people] + ([(bots, True)] if bots else [])
        clients = [
            Client(
                self.edge,
                history,
                random.Random(draw.random()),
                crew,
                server=server,
                idle_s=draw.choice((0.1, 0.2)),
                patience_s=draw.choice((0.4, 1.0)),
                trace=self.trace,
            )
            for crew, server in crews
        ]
        await self._create(history, len(people) + len(bots))
        self.clients += clients
        lives = [client.live() for client in clients]
        if draw.random() < 0.25:
            lives.append(self._end(history, draw.random() * 4))
        await asyncio.gather(*lives)

    async def _end(self, history: History, after_s: float) -> None:
        """Ends the session, and goes on asking until it is told that it is over."""
        await asyncio.sleep(after_s)
        while not history.ended:
            try:
                await self.edge.unary(history.session_id, lambda host: host.end(history.session_id))
            except FailedPrecondition as error:
                if error.reason == "SESSION_OVER":
                    history.told_over()
                    history.ended = True
            except DomainError:
                pass
            else:
                history.ended = True
            await asyncio.sleep(0.1)

    async def _create(self, history: History, players: int) -> None:
        draft = Draft(
            name="simulated",
            type=SessionType.TRAINING,
            map_id="plain",
            game_mode="deathmatch",
            max_players=players,
            min_players=1,
            tick_rate_hz=10,
        )
        while not history.created:
            try:
                await self.edge.unary(history.session_id, lambda host: host.create(history.session_id, draft))
            except AlreadyExists:
                pass
            except DomainError:
                await asyncio.sleep(0.1)
                continue
            history.created = True

    async def _converged(self) -> None:
        healed_at = self.loop.now
        while waiting := [c for c in self.clients if not c.over and c.answered_at < healed_at]:
            if self.loop.now - healed_at > CONVERGE_S:
                for client in waiting:
                    client.wrong(f"{client.name} is stuck")
                return
            await asyncio.sleep(0.1)

    async def _check(self, history: History) -> None:
        """Everything, while the live arena stands where its journal ends."""
        row = self.tables.sessions.get(history.session_id)
        owners = [
            process for process in self.processes.values() if process and row and process.owner == row.owner
        ]
        state = None
        if owners and row and row.live:
            try:
                state = await owners[0].settled(history.session_id)
            except Unavailable as error:
                history.wrong(f"cannot be made durable: {error.reason}")
        # Nothing happens between these two.
        wrong, replayed = check(history, blank)
        if replayed is not None and state is not None:
            self.compared += 1
            if state != (replayed.sequence, replayed.state_hash()):
                wrong.append(
                    f"the live arena is at {state[0]}, its journal leads elsewhere, to {replayed.sequence}"
                )
        self.violations += history.violations + wrong

    # -- the end ----------------------------------------------------------------------------------

    def run(self) -> Result:
        with clocks(self.loop, self.seed), _logs(self.loop, self.trace):
            main = self.loop.create_task(self.play())
            try:
                self.loop.run_until_complete(main)
            except StuckError:
                self.violations.append("nothing can happen any more")
            failures = list(self.loop.failures)
            self.trace.on = False
            self.loop.discard()
        return Result(
            seed=self.seed,
            violations=self.violations + failures,
            seconds=self.loop.now,
            faults=self.faults.counts,
            acknowledged=sum(sent.durable for history in self.histories for sent in history.sent.values()),
            commands=sum(len(history.sent) for history in self.histories),
            records=sum(row.journal_sequence for row in self.tables.sessions.values()),
            takeovers=sum(row.epoch - 1 for row in self.tables.sessions.values()),
            reads=sum(history.reads for history in self.histories),
            compared=self.compared,
            trace=self.trace.lines(),
        )


def blank(session: Session) -> Arena:
    """An arena in which nothing has happened."""
    content = arsenal()
    return Arena(
        content.ruleset(session.ruleset_name, session.ruleset_version),
        content.world(session.map_id),
        key=session.arena_key,
        mode=session.game_mode,
        max_players=session.max_players,
        tick_rate=session.tick_rate_hz,
    )


def simulate(seed: int, *, trace: bool = False) -> Result:
    """One seed, from beginning to end."""
    return World(seed, trace=trace).run()


@contextmanager
def _logs(loop: Loop, trace: Trace) -> Iterator[None]:
    """What the services log goes into the trace; an error they did not expect is a failure."""

    def keep(_logger: Any, method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
        if method == "exception" or event.get("exc_info"):
            loop.failures.append(f"logged: {event}: {traceback.format_exc(limit=-3)}")
        trace.add("log", method, event)
        raise structlog.DropEvent

    before = structlog.get_config()
    structlog.configure(
        processors=[keep],
        # Every level, whatever the tests before have set.
        wrapper_class=structlog.make_filtering_bound_logger(0),
        cache_logger_on_first_use=False,
    )
    try:
        yield
    finally:
        structlog.configure(**before)
