"""A match of bots against the real arena, on a clock of its own."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from random import Random
from typing import Any

from arenamesh.bots.arsenal import Arsenal
from arenamesh.bots.brain import Brain
from arenamesh.bots.cheat import Cheat
from arenamesh.bots.tally import Tally
from arenamesh.bots.terrain import Terrain
from arenamesh.client import World
from arenamesh.client.ledger import Ledger
from arenamesh.client.view import ViewClock
from arenamesh.combat.v1 import play_pb2, verdict_pb2

from native.arena import Arena
from native.ruleset import Ruleset
from native.world import World as Geometry
from services.combat.domain.ruleset import load_ruleset

DATA = Path(__file__).parents[2] / "services" / "combat" / "data"
RATE = 30
STEP_US = 10_000
WAY_US = 20_000  # from the bot to the mesh, and back


def read(path: str) -> Any:
    return json.loads((DATA / path).read_text())


@dataclass
class Seat:
    """One bot and its end of the line."""

    brain: Brain
    world: World = field(default_factory=World)
    clock: ViewClock = field(default_factory=lambda: ViewClock(0.1))
    ledger: Ledger = field(default_factory=Ledger)
    incoming: deque[tuple[int, play_pb2.PlayResponse]] = field(default_factory=deque)
    outgoing: deque[tuple[int, bytes]] = field(default_factory=deque)
    sent: dict[int, play_pb2.Command] = field(default_factory=dict)
    frame: int = 0


class Court:
    """A match of bots with a delay on both ways, stepped as fast as it goes."""

    def __init__(
        self, map_id: str, bots: int, seed: int, mode: str = "deathmatch", cheats: Sequence[Cheat] = ()
    ) -> None:
        """`cheats`: of the first bots, one each."""
        document = read(f"maps/{map_id}.json")
        self.rules = Ruleset(load_ruleset(DATA / "rulesets" / "default-1.json"))
        self.arena = Arena(
            self.rules,
            Geometry(document),
            key=seed,
            mode=mode,
            max_players=bots,
            tick_rate=RATE,
        )
        self.now = 0
        self.tally = Tally()
        self.used: set[str] = set()
        self.weapons: set[int] = set()
        self.rewinds: list[int] = []
        self.clamps: list[int] = []
        arsenal, terrain = Arsenal.load(read("rulesets/default-1.json")), Terrain(document)
        self.arsenal = arsenal
        self.seats: dict[int, Seat] = {}
        for index, cheat in zip_longest(range(bots), cheats):
            brain = Brain(
                arsenal,
                terrain,
                Random(f"{seed}/{index}"),
                friendly_teams=bool(arsenal.teams[mode]),
                cheat=cheat,
            )
            seat = self.seats[self.arena.join(0, f"bot-{index}")] = Seat(brain)
            seat.clock.reset(RATE)
        self.arena.start(0)

    def run(self, seconds: float) -> None:
        end = self.now + round(seconds * 1e6)
        while self.now < end and not self.arena.ended:
            self.now += STEP_US
            ticked = self.arena.advance(self.now)
            events = play_pb2.PlayResponse.FromString(self.arena.take_events()).events
            self.tally.kills += sum(event.HasField("kill") for event in events)
            for slot, seat in self.seats.items():
                self._carry(slot, seat)
                if ticked:
                    snapshot = play_pb2.PlayResponse.FromString(
                        self.arena.snapshot(slot, self.arena.acked(slot))
                    )
                    seat.incoming.append((self.now + WAY_US, snapshot))
                if (self.now // STEP_US + slot) % 5 == 0:
                    self._step(slot, seat)

    def _carry(self, slot: int, seat: Seat) -> None:
        while seat.outgoing and seat.outgoing[0][0] <= self.now:
            answer = play_pb2.PlayResponse.FromString(
                self.arena.judge(self.now, seat.outgoing.popleft()[1], slot)
            )
            seat.incoming.append((self.now + WAY_US, answer))
        while seat.incoming and seat.incoming[0][0] <= self.now:
            response = seat.incoming.popleft()[1]
            if response.HasField("snapshot") and seat.world.apply(response.snapshot):
                seat.clock.observe(response.snapshot.tick, self.now / 1e6)
            for verdict in response.verdicts:
                self._learn(seat, verdict)

    def _learn(self, seat: Seat, verdict: verdict_pb2.Verdict) -> None:
        command = seat.sent.pop(verdict.sequence)
        self.tally.judged(command, verdict)
        seat.brain.answered(command, verdict, self.now / 1e6)
        if verdict.outcome == verdict_pb2.OUTCOME_ACCEPTED:
            if command.HasField("action"):
                self.used.add(self.arsenal.abilities[command.action.action].name)
            elif command.HasField("shot"):
                self.weapons.add(command.shot.weapon)
                self.rewinds.append(verdict.rewind_us)
                self.clamps.append(verdict.clamp)

    def _step(self, slot: int, seat: Seat) -> None:
        me = seat.world.player(slot)
        if me is None:
            return
        view = seat.clock.view(self.now / 1e6)
        commands = seat.brain.step(me, seat.world.at(view), self.now / 1e6, 0.05)
        if not commands:
            return
        for command in commands:
            command.slot = slot
        seat.frame += 1
        batch = seat.ledger.enter(commands, view)
        seat.sent |= {command.sequence: command for command in batch.commands}
        request = play_pb2.PlayRequest(
            frame=seat.frame,
            view_tick=view.tick,
            view_fraction=view.fraction,
            acked_snapshot=seat.world.tick,
            commands=commands,
        )
        seat.outgoing.append((self.now + WAY_US, request.SerializeToString()))
