"""Bots against the real arena, on a clock of their own: they move within the rules and fight."""

from __future__ import annotations

import itertools
import json
import math
import statistics
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import pytest
from arenamesh.bots.aim import REACTION_LEAST_S, REACTION_MOST_S, Aim
from arenamesh.bots.arsenal import Arsenal
from arenamesh.bots.brain import Brain
from arenamesh.bots.tally import Tally
from arenamesh.bots.terrain import Terrain
from arenamesh.client import World
from arenamesh.client.ledger import Ledger
from arenamesh.client.view import ViewClock
from arenamesh.combat.v1 import play_pb2, verdict_pb2
from hypothesis import given, settings
from hypothesis import strategies as st

from native.arena import Arena
from native.ruleset import Ruleset
from native.world import World as Geometry
from services.combat.domain.ruleset import load_ruleset

DATA = Path(__file__).parents[3] / "services" / "combat" / "data"
MAPS = ("yard", "foundry", "canyon")
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

    def __init__(self, map_id: str, bots: int, seed: int, mode: str = "deathmatch") -> None:
        document = read(f"maps/{map_id}.json")
        self.arena = Arena(
            Ruleset(load_ruleset(DATA / "rulesets" / "default-1.json")),
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
        for index in range(bots):
            brain = Brain(
                arsenal, terrain, Random(f"{seed}/{index}"), friendly_teams=bool(arsenal.teams[mode])
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


@pytest.mark.parametrize("map_id", MAPS)
def test_bots_fight_within_the_rules(map_id: str) -> None:
    court = Court(map_id, bots=12, seed=7)
    court.run(30)
    tally = court.tally
    figures = tally.figures()
    assert tally.moves > 5_000
    assert tally.corrections < 0.003 * tally.moves, figures
    assert not tally.rejections.keys() - {"DEAD", "MODE_NOT_GRANTED", "FIRE_RATE"}, figures
    assert tally.kills >= 5, figures
    assert 0.1 < tally.hits / tally.shots < 0.7, figures
    assert sum(tally.rejections.values()) < 0.05 * (tally.moves + tally.shots), figures
    assert len(court.weapons) >= 3
    assert court.used


def test_what_bots_see_is_what_the_mesh_rewinds_to() -> None:
    court = Court("yard", bots=8, seed=3)
    court.run(30)
    assert court.clamps.count(0) > 0.9 * len(court.clamps)
    # 100 ms of interpolation and 20 ms each way.
    assert 0.12 <= statistics.median(court.rewinds) / 1e6 <= 0.2


def test_the_same_seed_plays_the_same_match() -> None:
    def play(seed: int) -> tuple[int, dict[str, Any]]:
        court = Court("yard", bots=6, seed=seed)
        court.run(10)
        counts = court.tally
        return court.arena.state_hash(), {"moves": counts.moves, "shots": counts.shots, "kills": counts.kills}

    assert play(5) == play(5)
    assert play(5)[0] != play(6)[0]


def test_team_mates_are_spared() -> None:
    court = Court("yard", bots=8, seed=4, mode="team_deathmatch")
    court.run(40)
    assert court.tally.kills
    teams = {slot: court.arena.team(slot) for slot in court.seats}
    for slot, seat in court.seats.items():
        target = seat.brain._target
        assert target is None or teams[target.slot] != teams[slot]


@pytest.mark.parametrize("map_id", MAPS)
def test_lines_of_sight_are_those_of_the_mesh(map_id: str) -> None:
    document = read(f"maps/{map_id}.json")
    terrain, geometry = Terrain(document), Geometry(document)
    random = Random(1)
    points = [(x, y, z + 1.6) for x, y, z in terrain.waypoints]
    agree = sum(
        terrain.sees(a, b) == geometry.sees(a, b)
        for a, b in ((random.choice(points), random.choice(points)) for _ in range(1000))
        if a != b
    )
    assert agree > 980  # all but lines that graze an edge


@pytest.mark.parametrize("map_id", MAPS)
def test_every_way_is_walked_along_edges(map_id: str) -> None:
    terrain = Terrain(read(f"maps/{map_id}.json"))
    random = Random(2)
    for _ in range(30):
        start, goal = (random.randrange(len(terrain.waypoints)) for _ in range(2))
        nodes = terrain.path(start, goal)
        assert nodes[0] == start
        assert nodes[-1] == goal
        for here, there in itertools.pairwise(nodes):
            assert there in [to for to, _ in terrain._next[here]]


@settings(max_examples=300)
@given(st.integers(0, 10_000), st.floats(-3, 3), st.floats(-0.5, 0.5))
def test_an_aim_reacts_like_a_person_and_settles(seed: int, yaw: float, pitch: float) -> None:
    aim = Aim(Random(seed), steadiness=1.0)
    aim.acquire()
    waited = 0.0
    while aim.reacting:
        assert aim.track(yaw, pitch, 0.01) == math.pi
        waited += 0.01
    assert REACTION_LEAST_S - 0.011 <= waited <= REACTION_MOST_S + 0.011
    for _ in range(150):
        off = aim.track(yaw, pitch, 0.01)
    assert off < math.radians(4)


def test_weapons_are_chosen_by_distance() -> None:
    arsenal = Arsenal.load(read("rulesets/default-1.json"))
    by_name = {weapon.name: weapon for weapon in arsenal.weapons}

    def best(distance: float) -> str:
        fighting = [weapon for weapon in arsenal.weapons if not weapon.heals]
        return max(fighting, key=lambda weapon: weapon.worth_at(distance)).name

    assert best(50) in ("rifle", "sniper", "pistol")
    assert best(110) in ("rifle", "sniper")
    assert best(300) == "sniper"
    assert by_name["shotgun"].worth_at(4) > by_name["rifle"].worth_at(4) * 0.4
    assert by_name["knife"].worth_at(10) == 0
    assert by_name["rocket_launcher"].worth_at(2) == 0, "not at one's own feet"
