"""Bots against the real arena, on a clock of their own: they move within the rules and fight."""

from __future__ import annotations

import itertools
import math
import statistics
from random import Random
from typing import Any

import pytest
from arenamesh.bots.aim import REACTION_LEAST_S, REACTION_MOST_S, Aim
from arenamesh.bots.arsenal import Arsenal
from arenamesh.bots.terrain import Terrain
from hypothesis import given, settings
from hypothesis import strategies as st

from native.world import World as Geometry
from tests.support.court import Court, read

MAPS = ("yard", "foundry", "canyon")


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
