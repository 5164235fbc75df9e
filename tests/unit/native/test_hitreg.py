"""Who was reached: the twin, the independent judge, line of sight, order, and what a rig may be."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from native import hitreg
from native.history import History
from native.reference import geometry
from native.reference import history as twin_history
from native.reference import hitreg as twin
from native.reference.geometry import Vec
from native.reference.history import CLAMP, PRESENT, REJECT, Pose
from native.reference.hitreg import Contact, Scene
from native.world import World

HUMANOID: dict[str, Any] = json.loads(
    (Path(__file__).parents[3] / "services/combat/data/rigs/humanoid.json").read_text()
)
RIG = hitreg.Rig(HUMANOID)
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


close = st.floats(-1.25, 1.25, width=32)
turns = st.floats(-7.0, 7.0, width=32)
directions = st.builds(Vec, close, close, st.floats(-0.4, 0.4)).filter(lambda v: geometry.dot(v, v) > 0.01)


@st.composite
def worlds(draw: st.DrawFn, origin: Vec, direction: Vec) -> World | None:
    """Nothing, or a crate or a pane on or near the ray."""
    if draw(st.booleans()):
        return None
    at = geometry.along(origin, direction, draw(st.floats(-2.0, 40.0, width=32)))
    at = geometry.add(at, Vec(draw(close), draw(close), draw(close)))
    size = draw(st.floats(0.125, 1.0, width=32))
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
    if draw(st.booleans()):
        document["boxes"] = [{"low": [p - size for p in at], "high": [p + size for p in at]}]
    else:
        corners = [[at.x - size, at.y, at.z - size], [at.x + size, at.y, at.z - size]]
        document["triangles"] = [[*corners, [at.x, at.y + size, at.z + size]]]
    return World(document)


@st.composite
def stages(draw: st.DrawFn) -> Stage:
    seats, rows = draw(st.integers(1, 5)), draw(st.integers(1, 3))
    far = draw(st.sampled_from([0.0, 0.0, 300.0, 3000.0]))
    origin = Vec(far + draw(close), -far + draw(close), 1.5 + draw(close))
    direction = unit(draw(directions))
    history, reference = History(4, seats, RATE), twin_history.History(4, RATE)
    first = draw(st.integers(0, 1000))
    spots = [geometry.along(origin, direction, draw(st.floats(-3.0, 60.0, width=32))) for _ in range(seats)]
    epochs = [draw(st.integers(0, 3)) for _ in range(seats)]
    stances = [draw(st.integers(0, 2)) for _ in range(seats)]
    absent = [False] * seats
    for tick in range(first, first + rows):
        history.begin(tick)
        reference.begin(tick)
        for slot in range(seats):
            event = draw(st.sampled_from(["walk", "walk", "walk", "walk", "stance", "teleport", "away"]))
            if event == "away":
                absent[slot] = True
                continue
            if event == "teleport" or absent[slot]:
                away = draw(st.floats(-3.0, 60.0, width=32))
                spots[slot] = geometry.along(origin, direction, away)
            if event == "stance":
                stances[slot] = draw(st.integers(0, 2))
            if event != "walk" or absent[slot]:
                epochs[slot] += 1
            absent[slot] = False
            x, y, z = spots[slot]
            # Feet about 0.9 m under the ray, so that about half of the rays meet the body.
            pose = Pose(x + draw(close) * 0.4, y + draw(close) * 0.4, z - 0.9 + draw(close) * 0.6)
            pose = pose._replace(yaw=draw(turns), stance=stances[slot], epoch=epochs[slot])
            history.put(slot, *pose)
            reference.put(slot, pose)
    mask = [draw(st.integers(0, 9)) > 0 for _ in range(seats)]
    skip = draw(st.sampled_from([0xFFFFFFFF, 0xFFFFFFFF, 0]))
    world = draw(worlds(origin, direction))
    slots = [slot for slot in range(seats) if mask[slot] and slot != skip]
    span = twin_history.tick_time(max(first - 1, 0), RATE), twin_history.tick_time(first + rows, RATE)
    return Stage(
        history,
        Scene(reference, RIG_TWIN, world, slots),
        world,
        mask,
        skip,
        origin,
        direction,
        draw(st.integers(*span)),
    )


def contacts(native: list[hitreg.Contact]) -> list[Contact]:
    return [Contact(*contact[:5], Pose(*contact[5])) for contact in native]


# ---- the twin -----------------------------------------------------------------------------------

policies = st.sampled_from([PRESENT, REJECT, CLAMP])
mosts = st.sampled_from([1, 2, 16])


@given(stages(), st.sampled_from([5.0, 40.0, 1000.0]), mosts, policies)
def test_hitscan_equals_the_twin(stage: Stage, reach: float, most: int, on_break: int) -> None:
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


@given(stages(), st.floats(0.0, 3.2), st.floats(0.5, 4.0), mosts, policies)
def test_melee_equals_the_twin(stage: Stage, arc: float, reach: float, most: int, on_break: int) -> None:
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


@given(stages(), st.floats(0.0, 40.0, width=32), st.sampled_from([0.5, 5.0, 30.0]), mosts, st.integers(-1, 2))
def test_blast_equals_the_twin(stage: Stage, along: float, radius: float, most: int, direct: int) -> None:
    centre = geometry.along(stage.origin, stage.direction, along)
    native = hitreg.blast_now(
        stage.history, RIG, stage.world, centre, radius, direct=direct, most=most, mask=stage.mask
    )
    slots = [slot for slot, kept in enumerate(stage.mask) if kept]
    scene = Scene(stage.scene.history, RIG_TWIN, stage.world, slots)
    assert contacts(native) == twin.blast(scene, centre, radius, direct=direct, most=most)


@given(stages(), st.floats(0.0, 40.0), st.floats(0.0, 0.5))
def test_sweep_equals_the_twin(stage: Stage, step: float, radius: float) -> None:
    delta = Vec(stage.direction.x * step, stage.direction.y * step, stage.direction.z * step)
    what, contact, share, normal = hitreg.sweep_now(
        stage.history, RIG, stage.world, stage.origin, delta, radius, **stage.keywords()
    )
    expected = twin.sweep(stage.scene, stage.origin, delta, radius)
    assert (what, contacts([contact])[0] if contact else None, share, normal) == expected


u32 = st.integers(0, 2**32 - 1)


@given(directions.map(unit), st.floats(0.0, 1.6), u32, u32)
def test_scatter_equals_the_twin_and_stays_in_the_cone(axis: Vec, spread: float, a: int, b: int) -> None:
    drawn = Vec(*hitreg.scattered(axis, spread, a, b))
    assert drawn == twin.scatter(axis, spread, a, b)
    assert geometry.dot(drawn, drawn) == pytest.approx(1.0, abs=1e-12)
    off = geometry.subtract(drawn, axis)
    assert 2.0 * math.asin(min(1.0, math.sqrt(geometry.dot(off, off)) / 2.0)) <= spread + 1e-7
