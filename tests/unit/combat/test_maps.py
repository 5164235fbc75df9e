"""The maps that ship are playable: everyone can spawn, stand, and walk wherever the bots' graph says."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from native.world import World
from services.combat.domain.map import load_map, parse_map

MAPS = Path(__file__).parents[3] / "services/combat/data/maps"
# The body of the default ruleset.
RULES = json.loads((MAPS.parent / "rulesets/default-1.json").read_text(encoding="utf-8"))["movement"]
HALF_WIDTH = RULES["half_width_m"]
HEIGHT = RULES["height_m"]["stand"]
STEP = RULES["step_m"]
SLOPE = 0.8  # steepest way up, rise over run
PACE = 0.5  # an edge is walked in steps of at most this

Point = tuple[float, float, float]


@pytest.fixture(params=["yard", "foundry", "canyon"])
def document(request: pytest.FixtureRequest) -> dict[str, Any]:
    return load_map(MAPS / f"{request.param}.json")


@pytest.fixture
def world(document: dict[str, Any]) -> World:
    return World(document)


def ground(world: World, x: float, y: float, z: float) -> float | None:
    """Height of the ground within a step or so of `z`."""
    up, down = 0.9, 1.2
    reach = world.ray((x, y, z + up), (0.0, 0.0, -1.0), up + down)
    return None if reach >= up + down else z + up - reach


def raised(x: float, y: float, z: float) -> tuple[Point, Point]:
    """The standing hull above step height: what must not meet anything."""
    half = (HEIGHT - STEP) / 2.0
    return (HALF_WIDTH, HALF_WIDTH, half), (x, y, z + STEP + half)


def walk(world: World, a: Point, b: Point) -> str:
    """Walks straight from a to b over the ground; what stops the walker, or ''."""
    steps = max(1, math.ceil(math.dist(a[:2], b[:2]) / PACE))
    x, y, z = a
    for i in range(1, steps + 1):
        to_x, to_y = a[0] + (b[0] - a[0]) * i / steps, a[1] + (b[1] - a[1]) * i / steps
        to_z = ground(world, to_x, to_y, z)
        if to_z is None:
            return f"no ground at {to_x:.2f}, {to_y:.2f}"
        if abs(to_z - z) > max(STEP, SLOPE * math.dist((x, y), (to_x, to_y))):
            return f"too steep at {to_x:.2f}, {to_y:.2f}"
        half, centre = raised(x, y, z)
        if world.sweep(half, centre, (to_x - x, to_y - y, to_z - z))[0] < 1.0:
            return f"blocked before {to_x:.2f}, {to_y:.2f}"
        x, y, z = to_x, to_y, to_z
    return "" if abs(z - b[2]) < 0.1 else f"ends at height {z:.2f}"


def test_identity_and_size(document: dict[str, Any], world: World) -> None:
    players = {"yard": 16, "foundry": 24, "canyon": 64}[document["map_id"]]
    assert len(world.spawns) >= players
    teams = [spawn[4] for spawn in world.spawns]
    assert min(teams.count(1), teams.count(2)) >= 8
    assert len(document["waypoints"]) >= 100


def test_teams_spawn_on_their_own_side_and_do_not_see_each_other(world: World) -> None:
    def eyes(team: int) -> list[Point]:
        return [(x, y, z + 1.6) for x, y, z, _, of in world.spawns if of == team]

    assert all(x < 0.0 for x, _, _ in eyes(1))
    assert all(x > 0.0 for x, _, _ in eyes(2))
    seen = sum(world.sees(a, b) for a in eyes(1) for b in eyes(2))
    assert seen <= 0.1 * len(eyes(1)) * len(eyes(2))


def test_every_spawn_is_free_and_on_the_ground(world: World) -> None:
    for x, y, z, _, _ in world.spawns:
        assert not world.overlaps((HALF_WIDTH, HALF_WIDTH, HEIGHT / 2.0), (x, y, z + HEIGHT / 2.0)), (x, y, z)
        under = ground(world, x, y, z)
        assert under is not None
        assert -0.001 <= z - under <= 0.1, (x, y, z)


def test_spawns_of_a_team_are_apart(world: World) -> None:
    places = [spawn[:3] for spawn in world.spawns]
    assert all(math.dist(a, b) > 1.5 for i, a in enumerate(places) for b in places[:i])


def test_there_is_ground_everywhere_and_a_wall_around(world: World) -> None:
    (low_x, low_y, _), (high_x, high_y, top) = world.bounds
    for i in range(1, 60):
        for j in range(1, 60):
            x, y = low_x + (high_x - low_x) * i / 60.0, low_y + (high_y - low_y) * j / 60.0
            assert world.ray((x, y, top), (0.0, 0.0, -1.0), 200.0) < 200.0, (x, y)
    for x, y, z, _, _ in world.spawns:
        for k in range(64):
            angle = k * math.tau / 64.0
            assert world.ray((x, y, z + 1.0), (math.cos(angle), math.sin(angle), 0.0), 400.0) < 400.0


def test_every_edge_of_the_graph_can_be_walked(document: dict[str, Any], world: World) -> None:
    points = [tuple(waypoint["at"]) for waypoint in document["waypoints"]]
    for i, waypoint in enumerate(document["waypoints"]):
        under = ground(world, *points[i])
        assert under is not None
        assert abs(points[i][2] - under) < 0.01
        for other in waypoint["next"]:
            assert not (stopped := walk(world, points[i], points[other])), f"{i} to {other}: {stopped}"


def test_the_graph_is_connected_and_spawns_are_near_it(document: dict[str, Any], world: World) -> None:
    waypoints = document["waypoints"]
    seen, front = {0}, [0]
    while front:
        for other in waypoints[front.pop()]["next"]:
            if other not in seen:
                seen.add(other)
                front.append(other)
    assert len(seen) == len(waypoints)
    for x, y, z, _, _ in world.spawns:
        near = sorted(waypoints, key=lambda waypoint: math.dist(waypoint["at"], (x, y, z)))[:8]
        assert math.dist(near[0]["at"], (x, y, z)) < 6.0
        assert any(not walk(world, (x, y, z), tuple(waypoint["at"])) for waypoint in near)


def test_a_half_turn_leaves_the_map_as_it_is(document: dict[str, Any]) -> None:
    """Neither team has the better side."""

    def turned(at: Point) -> Point:
        return (-at[0], -at[1], at[2])

    def sides(teams: set[int]) -> set[Point]:
        return {tuple(spawn["at"]) for spawn in document["spawns"] if spawn["team"] in teams}

    boxes = {(tuple(box["low"]), tuple(box["high"])) for box in document["boxes"]}
    for low, high in boxes:
        assert ((-high[0], -high[1], low[2]), (-low[0], -low[1], high[2])) in boxes
    triangles = {frozenset(map(tuple, corners)) for corners in document["triangles"]}
    assert triangles == {frozenset(map(turned, corners)) for corners in triangles}
    assert sides({1}) == set(map(turned, sides({2})))
    assert sides({0}) == set(map(turned, sides({0})))


def test_the_upper_floors_are_part_of_the_graph() -> None:
    for name, height in (("yard", 2.0), ("foundry", 3.6), ("canyon", 12.0)):
        waypoints = load_map(MAPS / f"{name}.json")["waypoints"]
        assert any(waypoint["at"][2] >= height - 0.01 for waypoint in waypoints)


BOX = {"low": [0, 0, 0], "high": [1, 1, 1]}
PLAIN: dict[str, Any] = {"map_id": "m", "name": "M", "bounds": BOX, "spawns": [{"at": [0, 0, 0]}]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"map_id": "Yard"}, "map_id: String should match"),
        ({"bounds": {"low": [0, 0, 0], "high": [0, 1, 1]}}, "bounds: low must be below high on every axis"),
        ({"boxes": [BOX, {"low": [0, 0, 0]}]}, r"boxes\[1\]\.high: Field required"),
        ({"boxes": [{"low": [0, 0, math.nan], "high": [1, 1, 1]}]}, r"boxes\[0\]\.low\[2\]: Input should be"),
        (
            {"boxes": [{"low": [0, 0, 0], "high": [1, 1, "2"]}]},
            r"boxes\[0\]\.high\[2\]: Input should be a valid",
        ),
        (
            {"boxes": [{"low": [0, 0, 0], "high": [1, 1, 1e5]}]},
            r"boxes\[0\]\.high\[2\]: Input should be less",
        ),
        ({"triangles": [[[0, 0, 0], [1, 1, 1]]]}, r"triangles\[0\]\[2\]: Field required"),
        ({"spawns": []}, "spawns: List should have at least 1 item"),
        ({"spawns": [{"at": [0, 0, 2]}]}, r"spawns\[0\]\.at: outside of bounds"),
        ({"waypoints": [{"at": [0, 0, 0], "next": [0]}]}, r"waypoints\[0\]\.next: 0 is not another waypoint"),
        (
            {"waypoints": [{"at": [0, 0, 0], "next": [1]}, {"at": [1, 1, 1], "next": []}]},
            r"waypoints\[0\]\.next: 1 does not lead back",
        ),
        ({"colour": "red"}, "colour: Extra inputs are not permitted"),
    ],
)
def test_faults_are_named_with_their_path(change: dict[str, Any], message: str) -> None:
    assert parse_map(PLAIN).map_id == "m"
    with pytest.raises(ValueError, match=message):
        parse_map({**PLAIN, **change})


def test_a_file_that_is_no_map_is_named(tmp_path: Path) -> None:
    path = tmp_path / "broken.json"
    path.write_text("{", encoding="utf-8")
    with pytest.raises(ValueError, match=r"broken\.json: Expecting"):
        load_map(path)
