"""Who was reached: the twin, the independent judge, line of sight, order, and what a rig may be."""

from __future__ import annotations

import json
import math
import random
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from native import hitreg
from native.history import History
from native.reference import geometry
from native.reference import history as twin_history
from native.reference import hitreg as twin
from native.reference.geometry import Shape, Vec
from native.reference.history import CLAMP, PRESENT, REJECT, Pose
from native.reference.hitreg import Contact, Scene
from native.rig import Rig
from native.world import World
from tests.support.draw import Draw, cases, draws
from tests.support.signed_distance import first_touch, signed_distance

HUMANOID: dict[str, Any] = json.loads(
    (Path(__file__).parents[3] / "services/combat/data/rigs/humanoid.json").read_text()
)
RIG = Rig(HUMANOID)
RIG_TWIN = twin.Rig.from_document(HUMANOID)
RATE = 30


def unit(v: Vec) -> Vec:
    scale = math.sqrt(geometry.dot(v, v))
    return Vec(v.x / scale, v.y / scale, v.z / scale)


# ---- scenes -------------------------------------------------------------------------------------


@dataclass
class Stage:
    """The same history twice, a map, and a ray that passes near many of the seats."""

    history: History
    scene: Scene
    world: World | None
    mask: list[bool]
    skip: int
    origin: Vec
    direction: Vec
    time_us: int

    def keywords(self) -> dict[str, Any]:
        return {"mask": self.mask, "skip": self.skip}


def about(draw: Draw) -> Vec:
    return Vec(draw.single(-1.25, 1.25), draw.single(-1.25, 1.25), draw.single(-1.25, 1.25))


def heading(draw: Draw) -> Vec:
    """A direction, not far from level."""
    while True:
        tilt = Vec(draw.single(-1.25, 1.25), draw.single(-1.25, 1.25), draw.real(-0.4, 0.4))
        if geometry.dot(tilt, tilt) > 0.01:
            return unit(tilt)


def obstacle(draw: Draw, origin: Vec, direction: Vec) -> World | None:
    """Nothing, or a crate or a pane on or near the ray."""
    if draw.chance(0.5):
        return None
    at = geometry.along(origin, direction, draw.single(-2.0, draw.choice((5.0, 40.0))))
    at = geometry.along(at, about(draw), draw.choice((0.0, 0.5, 1.0)))
    size = draw.single(0.125, 1.0)
    far = 4000.0
    document: dict[str, Any] = {
        "map_id": "test",
        "name": "Test",
        "bounds": {"low": [-far] * 3, "high": [far] * 3},
        "boxes": [],
        "triangles": [],
        "spawns": [{"at": [0, 0, 0], "yaw": 0.0, "team": 0}],
        "waypoints": [],
    }
    if draw.chance(0.5):
        document["boxes"] = [{"low": [p - size for p in at], "high": [p + size for p in at]}]
    else:
        corners = [[at.x - size, at.y, at.z - size], [at.x + size, at.y, at.z - size]]
        document["triangles"] = [[*corners, [at.x, at.y + size, at.z + size]]]
    return World(document)


EVENTS = ("walk", "walk", "walk", "walk", "stance", "teleport", "away")


def step(draw: Draw, x: float, y: float, z: float) -> tuple[float, float, float, float]:
    """Where a body stands and which way it turns: its feet about 0.9 m under the ray at (x, y, z), so that
    about half of the rays meet it."""

    def aside(width: float) -> float:
        return 0.0 if draw.chance(0.25) else draw.uniform(-width, width)

    yaw = draw.randrange(-4, 5) * math.pi / 2.0 if draw.chance(0.5) else draw.uniform(-7.0, 7.0)
    return x + aside(0.5), y + aside(0.5), z - 0.9 + aside(0.75), yaw


def stage_of(draw: Draw) -> Stage:
    seats, rows = draw.randint(1, 5), draw.randint(1, 3)
    far = draw.choice((0.0, 0.0, 300.0, 3000.0))
    origin = geometry.add(Vec(far, -far, 1.5), about(draw))
    direction = heading(draw)

    def spot() -> Vec:
        return geometry.along(origin, direction, draw.randint(-6, draw.choice((12, 120))) / 2.0)

    history, reference = History(4, seats, RATE), twin_history.History(4, RATE)
    first = draw.whole(0, 1000)
    spots = [spot() for _ in range(seats)]
    epochs, stances, absent = [0] * seats, [slot % 3 for slot in range(seats)], [False] * seats
    for tick in range(first, first + rows):
        history.begin(tick)
        reference.begin(tick)
        for slot in range(seats):
            event = draw.choice(EVENTS)
            if event == "away":
                absent[slot] = True
                continue
            if event == "teleport" or absent[slot]:
                spots[slot] = spot()
            if event == "stance":
                stances[slot] = (stances[slot] + 1) % 3
            if event != "walk" or absent[slot]:
                epochs[slot] += 1
            absent[slot] = False
            pose = Pose(*step(draw, *spots[slot]), stance=stances[slot], epoch=epochs[slot])
            history.put(slot, *pose)
            reference.put(slot, pose)
    out = draw.choice((-1, -1, *range(seats)))
    mask = [slot != out for slot in range(seats)]
    skip = draw.choice((0xFFFFFFFF, 0xFFFFFFFF, 0))
    world = obstacle(draw, origin, direction)
    slots = [slot for slot in range(seats) if mask[slot] and slot != skip]
    span = twin_history.tick_time(max(first - 1, 0), RATE), twin_history.tick_time(first + rows, RATE)
    scene = Scene(reference, RIG_TWIN, world, slots)
    return Stage(history, scene, world, mask, skip, origin, direction, draw.whole(*span))


def contacts(native: list[hitreg.Contact]) -> list[Contact]:
    return [Contact(*contact[:5], Pose(*contact[5])) for contact in native]


# ---- the twin -----------------------------------------------------------------------------------

POLICIES = (PRESENT, REJECT, CLAMP)
MOSTS = (1, 2, 16)


@cases(draws)
def test_hitscan_equals_the_twin(draw: Draw) -> None:
    stage = stage_of(draw)
    reach, most, on_break = draw.choice((5.0, 40.0, 1000.0)), draw.choice(MOSTS), draw.choice(POLICIES)
    native, stopped = hitreg.hitscan_at(
        stage.history,
        stage.time_us,
        RIG,
        stage.world,
        stage.origin,
        stage.direction,
        reach,
        most=most,
        on_break=on_break,
        **stage.keywords(),
    )
    instant = stage.scene.history.at(stage.time_us)
    expected = twin.hitscan(
        stage.scene, instant, stage.origin, stage.direction, reach=reach, most=most, on_break=on_break
    )
    assert (contacts(native), stopped) == expected


@cases(draws)
def test_melee_equals_the_twin(draw: Draw) -> None:
    stage = stage_of(draw)
    arc, reach = draw.real(0.0, 3.25), draw.real(0.5, 4.0)
    most, on_break = draw.choice(MOSTS), draw.choice(POLICIES)
    native = hitreg.melee_at(
        stage.history,
        stage.time_us,
        RIG,
        stage.world,
        stage.origin,
        stage.direction,
        arc,
        reach,
        most=most,
        on_break=on_break,
        **stage.keywords(),
    )
    instant = stage.scene.history.at(stage.time_us)
    assert contacts(native) == twin.melee(
        stage.scene,
        instant,
        stage.origin,
        stage.direction,
        arc=arc,
        reach=reach,
        most=most,
        on_break=on_break,
    )


@cases(draws)
def test_blast_equals_the_twin(draw: Draw) -> None:
    stage = stage_of(draw)
    centre = geometry.along(stage.origin, stage.direction, draw.single(0.0, 40.0))
    radius, most, direct = draw.choice((0.5, 5.0, 30.0)), draw.choice(MOSTS), draw.randint(-1, 2)
    native = hitreg.blast_now(
        stage.history, RIG, stage.world, centre, radius, direct=direct, most=most, mask=stage.mask
    )
    slots = [slot for slot, kept in enumerate(stage.mask) if kept]
    scene = Scene(stage.scene.history, RIG_TWIN, stage.world, slots)
    assert contacts(native) == twin.blast(scene, centre, radius, direct=direct, most=most)


@cases(draws)
def test_sweep_equals_the_twin(draw: Draw) -> None:
    stage = stage_of(draw)
    step, radius = draw.real(0.0, 40.0), draw.real(0.0, 0.5)
    delta = Vec(stage.direction.x * step, stage.direction.y * step, stage.direction.z * step)
    what, contact, share, normal = hitreg.sweep_now(
        stage.history, RIG, stage.world, stage.origin, delta, radius, **stage.keywords()
    )
    expected = twin.sweep(stage.scene, stage.origin, delta, radius)
    assert (what, contacts([contact])[0] if contact else None, share, normal) == expected


@cases(draws)
def test_scatter_equals_the_twin_and_stays_in_the_cone(draw: Draw) -> None:
    axis, spread = heading(draw), draw.real(0.0, 1.625)
    a, b = draw.whole(0, 2**32 - 1), draw.whole(0, 2**32 - 1)
    drawn = Vec(*hitreg.scattered(axis, spread, a, b))
    assert drawn == twin.scatter(axis, spread, a, b)
    assert geometry.dot(drawn, drawn) == pytest.approx(1.0, abs=1e-12)
    off = geometry.subtract(drawn, axis)
    assert 2.0 * math.asin(min(1.0, math.sqrt(geometry.dot(off, off)) / 2.0)) <= spread + 1e-7


# ---- the independent judge ----------------------------------------------------------------------


@cases(draws)
def test_a_body_is_met_where_a_walk_by_signed_distance_meets_it(draw: Draw) -> None:
    """The walk takes each point of the ray into the body's frame with the C library's sine and cosine."""
    body = Pose(*about(draw), draw.single(-7.0, 7.0), stance=draw.randint(0, 2))
    direction, off = heading(draw), about(draw)
    away = draw.single(0.0, draw.choice((3.0, 300.0)))
    history = History(2, 1, RATE)
    history.begin(0)
    history.put(0, *body)
    stored = history.sample(0, 0)
    assert stored is not None
    x, y, z, yaw = stored[:4]
    aim = Vec(x + 0.4 * off.x, y + 0.4 * off.y, z + 0.9 + 0.8 * off.z)
    origin = geometry.along(aim, direction, -away)
    cosine, sine = math.cos(yaw), math.sin(yaw)

    def local(t: float) -> Vec:
        p = geometry.along(origin, direction, t)
        u, v = p.x - x, p.y - y
        return Vec(cosine * u + sine * v, cosine * v - sine * u, p.z - z)

    def walk(shape: Shape) -> tuple[float, float]:
        return first_touch(lambda t: signed_distance(local(t), shape), away + 5.0)

    walks = [walk(shape) for shape in RIG_TWIN.shapes[body.stance]]
    if any(abs(margin) < 1e-11 * (away + 10.0) for _, margin in walks):
        return
    met = min(((t, margin) for t, margin in walks if t >= 0.0), default=None)
    judged, _ = hitreg.hitscan_at(history, 0, RIG, None, origin, direction, 1000.0)
    assert (met is None) == (not judged)
    if met:
        slack = 1e-12 * (away + 10.0) * (100.0 + 1.0 / math.sqrt(abs(met[1])))
        assert judged[0][3] == pytest.approx(met[0], abs=slack)


# ---- known cases ----------------------------------------------------------------------------------

EAST = (1.0, 0.0, 0.0)
CHEST = 1.3


def crowd(*places: tuple[float, float], stance: int = 0) -> History:
    """Seats in a row, facing east, in a single row of history."""
    history = History(2, len(places), RATE)
    history.begin(0)
    for slot, (x, y) in enumerate(places):
        history.put(slot, x, y, 0.0, stance=stance)
    return history


def wall(at: float, *, height: float = 3.0) -> World:
    return World(
        {
            "map_id": "wall",
            "name": "Wall",
            "bounds": {"low": [-50.0, -50.0, -10.0], "high": [50.0, 50.0, 20.0]},
            "boxes": [{"low": [at, -10.0, 0.0], "high": [at + 0.5, 10.0, height]}],
            "triangles": [],
            "spawns": [{"at": [0, 0, 0], "yaw": 0.0, "team": 0}],
            "waypoints": [],
        }
    )


def shoot(
    history: History, height: float, world: World | None = None, **options: Any
) -> tuple[list[int], float]:
    found, stopped = hitreg.hitscan_at(history, 0, RIG, world, (0.0, 0.0, height), EAST, 100.0, **options)
    return [contact[0] for contact in found], stopped


@pytest.mark.parametrize(("height", "region"), [(1.7, "head"), (1.3, "torso"), (1.0, "stomach")])
def test_regions_from_the_front(height: float, region: str) -> None:
    contacts, _ = hitreg.hitscan_at(crowd((10.0, 0.0)), 0, RIG, None, (0.0, 0.0, height), EAST, 100.0)
    assert contacts[0][1] == twin.REGIONS[region]


def test_a_ray_goes_on_through_players_in_order_of_distance() -> None:
    history = crowd((30.0, 0.0), (10.0, 0.0), (20.0, 0.0))
    assert shoot(history, CHEST)[0] == [1, 2, 0]
    assert shoot(history, CHEST, most=2)[0] == [1, 2]
    assert shoot(history, CHEST, skip=1)[0] == [2, 0]
    assert shoot(history, CHEST, mask=[True, True, False])[0] == [1, 0]


def test_the_lower_seat_comes_first_at_the_same_distance() -> None:
    history = crowd((10.0, 0.0), (10.0, 0.0), (10.0, 0.0))
    assert shoot(history, CHEST)[0] == [0, 1, 2]
    assert shoot(history, CHEST, most=1)[0] == [0]


def test_a_wall_stops_a_ray() -> None:
    history = crowd((10.0, 0.0), (20.0, 0.0))
    assert shoot(history, CHEST, wall(15.0)) == ([0], 15.0)
    assert shoot(history, CHEST, wall(5.0)) == ([], 5.0)
    assert shoot(history, CHEST, wall(25.0)) == ([0, 1], 100.0)
    assert shoot(history, 5.0, wall(5.0, height=9.0)) == ([], 100.0)  # met nobody: the map is not asked


def test_a_crouched_head_is_lower() -> None:
    assert shoot(crowd((10.0, 0.0), stance=0), 1.7)[0] == [0]
    assert shoot(crowd((10.0, 0.0), stance=1), 1.7)[0] == []
    assert shoot(crowd((10.0, 0.0), stance=1), 1.15)[0] == [0]


def test_a_shot_is_judged_where_the_shooter_saw_the_target() -> None:
    """Runs across the line of fire at 7 m/s; 200 ms later he is 1.4 m away."""
    history = History(16, 1, RATE)
    for tick in range(10):
        history.begin(tick)
        history.put(0, 10.0, (tick - 3) * 7.0 / RATE, 0.0)
    seen = 3 * 1_000_000 // RATE
    now = 9 * 1_000_000 // RATE
    for time_us, met in ((seen, 1), (now, 0)):
        contacts, _ = hitreg.hitscan_at(history, time_us, RIG, None, (0.0, 0.0, CHEST), EAST, 100.0)
        assert len(contacts) == met


def test_a_seat_that_jumps_between_the_rows_is_not_looked_for_half_way() -> None:
    """Halfway between 60 m and 10 m it would be behind the other; it is judged at 10 m."""
    history = History(4, 2, RATE)
    for tick, x in enumerate((60.0, 10.0)):
        history.begin(tick)
        history.put(0, 20.0, 0.0, 0.0)
        history.put(1, x, 0.0, 0.0, epoch=tick)
    between = 1_000_000 // RATE // 2
    for on_break, first in ((PRESENT, 1), (CLAMP, 1), (REJECT, 0)):
        contacts, _ = hitreg.hitscan_at(
            history, between, RIG, None, (0.0, 0.0, CHEST), EAST, 100.0, most=1, on_break=on_break
        )
        assert contacts[0][0] == first


def test_melee_reaches_what_is_near_ahead_and_in_sight() -> None:
    history = crowd((1.5, 0.0), (1.5, 1.5), (-1.5, 0.0), (4.0, 0.0))

    def swing(arc: float, world: World | None = None) -> list[int]:
        origin = (0.0, 0.0, CHEST)
        return [c[0] for c in hitreg.melee_at(history, 0, RIG, world, origin, EAST, arc, 2.0)]

    assert swing(math.radians(20.0)) == [0]
    assert swing(math.radians(60.0)) == [0, 1]
    assert swing(math.pi) == [2, 0, 1] or swing(math.pi) == [0, 2, 1]
    assert swing(0.0) == [0]  # the axis itself
    assert swing(math.radians(60.0), wall(0.5)) == []


def test_a_blast_reaches_round_but_not_through_walls() -> None:
    history = crowd((2.0, 0.0), (-3.0, 0.0), (9.0, 0.0))

    def explode(world: World | None = None, direct: int = -1) -> list[tuple[int, float]]:
        contacts = hitreg.blast_now(history, RIG, world, (0.0, 0.0, 1.0), 5.0, direct=direct)
        return [(c[0], c[4]) for c in contacts]

    near, far = explode()
    assert (near[0], far[0]) == (0, 1)
    assert 0.3 < near[1] < 0.4 and 0.5 < far[1] < 0.6
    assert explode(wall(1.0)) == [far]
    assert explode(wall(1.0, height=1.2)) == [near, far]  # his eyes are above it
    assert explode(direct=1) == [(1, 0.0), near]


def test_a_projectile_meets_player_or_map_first() -> None:
    history = crowd((10.0, 0.0))
    start, far = (0.0, 0.0, CHEST), (20.0, 0.0, 0.0)

    def fly(world: World | None, delta: hitreg.Point = far) -> tuple[int, float, hitreg.Point]:
        what, _, share, normal = hitreg.sweep_now(history, RIG, world, start, delta, 0.125)
        return what, share, normal

    what, share, normal = fly(None)
    assert what == 1 and normal == (0.0, 0.0, 0.0)
    # His forearms reach 0.325 m ahead of him, but the projectile passes above them: the chest is met.
    assert share * 20.0 == pytest.approx(10.0 - 0.13 - 0.125, abs=0.05)
    what, share, normal = fly(wall(5.0))
    assert (what, normal) == (2, (-1.0, 0.0, 0.0))
    assert share * 20.0 == pytest.approx(5.0 - 0.125)
    assert fly(wall(15.0))[0] == 1
    assert fly(None, (9.0, 0.0, 0.0))[:2] == (0, 1.0)
    assert fly(None, (0.0, 0.0, 0.0))[:2] == (0, 1.0)
    assert hitreg.sweep_now(history, RIG, None, start, far, 0.125, skip=0)[0] == 0


def test_scatter_is_even_over_the_solid_angle() -> None:
    """Rings of equal solid angle, and sectors of equal width, get equal shares."""
    spread, rng = 0.3, random.Random(5)
    axis = unit(Vec(0.3, -0.8, 0.2))
    east = unit(geometry.cross(axis, Vec(0.0, 0.0, 1.0)))
    north = geometry.cross(axis, east)
    rings, sectors = [0] * 10, [0] * 12
    draws = 20_000
    for _ in range(draws):
        drawn = Vec(*hitreg.scattered(axis, spread, rng.getrandbits(32), rng.getrandbits(32)))
        rise = (1.0 - geometry.dot(drawn, axis)) / (1.0 - math.cos(spread))
        rings[min(9, int(rise * 10))] += 1
        turn = math.atan2(geometry.dot(drawn, north), geometry.dot(drawn, east)) / (2.0 * math.pi)
        sectors[int(turn % 1.0 * 12) % 12] += 1
    for counts in (rings, sectors):
        expected = draws / len(counts)
        assert sum((count - expected) ** 2 / expected for count in counts) < 32.0


def test_without_spread_the_direction_is_kept() -> None:
    assert hitreg.scattered((0.6, 0.8, 0.0), 0.0, 1, 2) == (0.6, 0.8, 0.0)
    for pole in ((0.0, 0.0, 1.0), (0.0, 0.0, -1.0)):
        assert hitreg.scattered(pole, 0.1, 0, 7)[2] == pole[2]


# ---- the batch door ---------------------------------------------------------------------------


@cases(draws)
def test_the_batch_door_judges_as_single_shots_do(draw: Draw) -> None:
    stage = stage_of(draw)
    ray = struct.pack("=qI4x3d3d", stage.time_us, stage.skip, *stage.origin, *stage.direction)
    answers = hitreg.hitscan_many(stage.history, RIG, stage.world, ray * 2, 50.0)
    found, stopped = hitreg.hitscan_at(
        stage.history,
        stage.time_us,
        RIG,
        stage.world,
        stage.origin,
        stage.direction,
        50.0,
        most=1,
        skip=stage.skip,
    )
    expected = (found[0][0], *found[0][1:4]) if found else (-1, 0, 0, stopped)
    assert list(struct.iter_unpack("=iBB2xd", answers)) == [expected, expected]


def test_half_a_record_is_refused() -> None:
    with pytest.raises(ValueError, match="rays"):
        hitreg.hitscan_many(crowd((1.0, 0.0)), RIG, None, b"short", 50.0)


def test_more_contacts_than_there_is_room_for_are_refused() -> None:
    with pytest.raises(ValueError, match="most"):
        shoot(crowd((1.0, 0.0)), CHEST, most=17)


# ---- rigs ---------------------------------------------------------------------------------------


def test_the_sphere_about_a_body_holds_every_shape() -> None:
    assert (RIG.reach, RIG.centre) == RIG_TWIN.extent
    assert 0.9 < RIG.reach < 1.1 and 0.8 < RIG.centre < 1.0


def test_the_default_body_is_as_tall_as_it_says() -> None:
    for stance, height in ((0, 1.8), (1, 1.25)):
        tops = [s.a.z + s.radius for s in RIG_TWIN.shapes[stance] if s.region == twin.REGIONS["head"]]
        assert tops == [pytest.approx(height)]
        assert RIG_TWIN.eye[stance] < height


SPHERE: dict[str, Any] = {"kind": "sphere", "region": "head", "a": [0, 0, 1], "radius": 0.1}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shapes": {}}, "rig.shapes.stand: is missing"),
        ({"eye_m": {"stand": 1, "crouch": 1}}, "rig.eye_m.air: is missing"),
        ({"eye_m": {"stand": 1, "crouch": 1, "air": "high"}}, "rig.eye_m.air: a number"),
        ({"colour": "red"}, "rig.colour: is not known"),
        ([], "rig.shapes.air: a list of 1 to 24"),
        ([SPHERE] * 25, "rig.shapes.air: a list of 1 to 24"),
        ([SPHERE, SPHERE | {"kind": "cone"}], r"rig.shapes.air\[1\].kind: one of sphere, capsule, box"),
        ([SPHERE | {"region": "tail"}], r"rig.shapes.air\[0\].region: one of none, head"),
        ([SPHERE | {"radius": 0}], r"rig.shapes.air\[0\].radius: 0 is not within"),
        ([SPHERE | {"radius": math.nan}], r"rig.shapes.air\[0\].radius: nan is not within"),
        ([SPHERE | {"a": [0, 1]}], r"rig.shapes.air\[0\].a: three numbers"),
        ([SPHERE | {"a": [0, 0, 1e9]}], r"rig.shapes.air\[0\].a\[2\]: 1000000000.0 is not within"),
        ([SPHERE | {"b": [0, 0, 1]}], r"rig.shapes.air\[0\].b: is not known"),
        ([{"kind": "sphere", "region": "head", "a": [0, 0, 1]}], r"rig.shapes.air\[0\].radius: is missing"),
        ([SPHERE | {"kind": "capsule"}], r"rig.shapes.air\[0\].b: is missing"),
    ],
)
def test_a_wrong_rig_is_named_by_its_path(change: Any, message: str) -> None:
    if isinstance(change, list):
        change = {"shapes": HUMANOID["shapes"] | {"air": change}}
    with pytest.raises(ValueError, match=message):
        Rig(HUMANOID | change)
