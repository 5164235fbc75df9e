"""What `native/hitreg.pyx` judges, in plain Python and without a broad phase: every seat is asked."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Protocol

from native.reference.geometry import (
    BOX,
    CAPSULE,
    MISS,
    SPHERE,
    Shape,
    Vec,
    along,
    dot,
    nearest_on_shape,
    ray_shape,
    sincos,
    subtract,
    turned,
)
from native.reference.history import PRESENT, History, Instant, Pose

STANCES = ("stand", "crouch", "air")
KINDS = {"sphere": SPHERE, "capsule": CAPSULE, "box": BOX}
REGIONS = {"none": 0, "head": 1, "torso": 2, "stomach": 3, "arm": 4, "leg": 5}

Point = tuple[float, float, float]


class Occluder(Protocol):
    """Map geometry: `native.world.World` or its own twin."""

    def ray(self, origin: Sequence[float], direction: Sequence[float], reach: float) -> float: ...
    def sees(self, a: Sequence[float], b: Sequence[float]) -> bool: ...
    def sweep(
        self, half: Sequence[float], centre: Sequence[float], delta: Sequence[float]
    ) -> tuple[float, Point]: ...


class Contact(NamedTuple):
    slot: int
    region: int
    shape: int
    distance: float
    share: float
    pose: Pose


@dataclass(frozen=True)
class Rig:
    eye: tuple[float, ...]
    shapes: tuple[tuple[Shape, ...], ...]

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> Rig:
        return cls(
            tuple(document["eye_m"][stance] for stance in STANCES),
            tuple(tuple(map(shape_from, document["shapes"][stance])) for stance in STANCES),
        )

    @cached_property
    def extent(self) -> tuple[float, float]:
        """(reach, centre): the sphere about a point on the axis that holds every shape."""
        ends = [
            (end, length(s.b) if s.kind == BOX else s.radius)
            for shapes in self.shapes
            for s in shapes
            for end in ((s.a, s.b) if s.kind == CAPSULE else (s.a,))
        ]
        centre = 0.5 * (min(p.z - margin for p, margin in ends) + max(p.z + margin for p, margin in ends))
        return max(margin + length(Vec(p.x, p.y, p.z - centre)) for p, margin in ends) + 1e-9, centre


def shape_from(document: dict[str, Any]) -> Shape:
    return Shape(
        KINDS[document["kind"]],
        Vec(*map(float, document["a"])),
        Vec(*map(float, document.get("b", (0, 0, 0)))),
        float(document.get("radius", 0)),
        float(document.get("turn", 0)),
        REGIONS[document["region"]],
    )


def length(v: Vec) -> float:
    return math.sqrt(dot(v, v))


class Frame(NamedTuple):
    """A ray in a body's own frame: feet at the origin, facing +x."""

    origin: Vec
    direction: Vec


def in_frame(pose: Pose, origin: Vec, direction: Vec) -> Frame:
    sine, cosine = sincos(pose.yaw)
    return Frame(
        turned(Vec(origin.x - pose.x, origin.y - pose.y, origin.z - pose.z), -sine, cosine),
        turned(direction, -sine, cosine),
    )


def nearest_shape(
    rig: Rig, pose: Pose, distance_to: Callable[[Shape], float]
) -> tuple[float, int, int] | None:
    """(distance, shape, region) of the least distance that is not a MISS; the lower shape in a tie."""
    best: tuple[float, int, int] | None = None
    for index, shape in enumerate(rig.shapes[pose.stance]):
        distance = distance_to(shape)
        if distance >= 0.0 and (best is None or distance < best[0]):
            best = distance, index, shape.region
    return best


def meet(rig: Rig, pose: Pose, origin: Vec, direction: Vec, inflate: float) -> tuple[float, int, int] | None:
    reach, centre = rig.extent
    frame = in_frame(pose, origin, direction)
    to_centre = Vec(-frame.origin.x, -frame.origin.y, centre - frame.origin.z)
    skipped = max(0.0, dot(to_centre, frame.direction) - (reach + inflate))
    start = along(frame.origin, frame.direction, skipped)
    met = nearest_shape(rig, pose, lambda shape: ray_shape(start, frame.direction, shape, inflate))
    return (met[0] + skipped, met[1], met[2]) if met else None


@dataclass(frozen=True)
class Scene:
    """What a query looks at; `slots` are the seats that may be reached."""

    history: History
    rig: Rig
    world: Occluder | None
    slots: Iterable[int]

    def poses(self, instant: Instant, on_break: int) -> Iterable[tuple[int, Pose]]:
        for slot in sorted(self.slots):
            pose = self.history.sample(slot, instant, on_break)
            if pose is not None:
                yield slot, pose


def at_height(pose: Pose, height: float) -> Vec:
    return Vec(pose.x, pose.y, pose.z + height)


def in_sight(scene: Scene, place: Vec, pose: Pose) -> bool:
    """The middle of the body or its eyes can be seen from a place."""
    eye = scene.rig.eye[pose.stance]
    return scene.world is None or any(
        scene.world.sees(place, at_height(pose, height)) for height in (0.5 * eye, eye)
    )


def nearest_first(contacts: list[Contact], most: int) -> list[Contact]:
    return sorted(contacts, key=lambda contact: (contact.distance, contact.slot))[:most]


def hitscan(
    scene: Scene,
    instant: Instant,
    origin: Vec,
    direction: Vec,
    *,
    reach: float,
    most: int = 16,
    on_break: int = PRESENT,
) -> tuple[list[Contact], float]:
    contacts = []
    for slot, pose in scene.poses(instant, on_break):
        met = meet(scene.rig, pose, origin, direction, 0.0)
        if met and met[0] <= reach:
            contacts.append(Contact(slot, met[2], met[1], met[0], 0.0, pose))
    contacts = nearest_first(contacts, most)
    if not contacts or scene.world is None:
        return contacts, reach
    furthest = contacts[-1].distance
    clear = scene.world.ray(origin, direction, furthest)
    kept = [contact for contact in contacts if contact.distance <= clear]
    return kept, clear if clear < furthest else reach


def melee(
    scene: Scene,
    instant: Instant,
    origin: Vec,
    direction: Vec,
    *,
    arc: float,
    reach: float,
    most: int = 16,
    on_break: int = PRESENT,
) -> list[Contact]:
    _, cosine = sincos(arc)
    contacts = []
    for slot, pose in scene.poses(instant, on_break):
        frame = in_frame(pose, origin, direction)

        def swing(shape: Shape, frame: Frame = frame) -> float:
            way = subtract(nearest_on_shape(frame.origin, shape), frame.origin)
            distance = length(way)
            if not dot(way, frame.direction) >= cosine * distance:
                distance = ray_shape(frame.origin, frame.direction, shape, 0.0)
            return distance if distance <= reach else MISS

        met = nearest_shape(scene.rig, pose, swing)
        if met and in_sight(scene, origin, pose):
            contacts.append(Contact(slot, met[2], met[1], met[0], 0.0, pose))
    return nearest_first(contacts, most)


def blast(scene: Scene, centre: Vec, radius: float, *, direct: int = -1, most: int = 16) -> list[Contact]:
    contacts = []
    for slot, pose in scene.poses(scene.history.present(), PRESENT):
        local = in_frame(pose, centre, centre).origin
        shapes = scene.rig.shapes[pose.stance]
        distances = [length(subtract(nearest_on_shape(local, shape), local)) for shape in shapes]
        distance = min(distances)
        index = distances.index(distance)
        region = shapes[index].region
        middle = length(subtract(at_height(pose, 0.5 * scene.rig.eye[pose.stance]), centre))
        if middle <= distance:
            distance, index, region = middle, 0, 0
        if slot == direct:
            distance = 0.0
        elif distance > radius or not in_sight(scene, centre, pose):
            continue
        share = distance / radius if distance > 0.0 else 0.0
        contacts.append(Contact(slot, region, index, distance, share, pose))
    contacts.sort(key=lambda contact: (contact.slot != direct, contact.distance, contact.slot))
    return contacts[:most]


def sweep(scene: Scene, start: Vec, delta: Vec, radius: float) -> tuple[int, Contact | None, float, Point]:
    step = length(delta)
    inverse = 1.0 / step if step > 0.0 else 0.0
    direction = Vec(delta.x * inverse, delta.y * inverse, delta.z * inverse)
    contacts = []
    for slot, pose in scene.poses(scene.history.present(), PRESENT):
        met = meet(scene.rig, pose, start, direction, radius)
        if met and met[0] <= step:
            contacts.append(Contact(slot, met[2], met[1], met[0], 0.0, pose))
    share, normal = 1.0, (0.0, 0.0, 0.0)
    if scene.world is not None:
        share, normal = scene.world.sweep((radius, radius, radius), start, delta)
    for contact in nearest_first(contacts, 1):
        if contact.distance <= share * step:
            return 1, contact, contact.distance / step if step > 0.0 else 0.0, (0.0, 0.0, 0.0)
    return (2 if share < 1.0 else 0), None, share, normal


def scatter(direction: Vec, spread: float, draw_a: int, draw_b: int) -> Vec:
    if not spread > 0.0:
        return direction
    sine, cosine = sincos(0.5 * spread)
    rise = (draw_a / 4294967296.0) * 2.0 * sine * sine
    ring = math.sqrt(rise * (2.0 - rise))
    sine, cosine = sincos((draw_b / 4294967296.0) * 6.283185307179586)
    x, y, z = direction
    sign = 1.0 if z >= 0.0 else -1.0
    a = -1.0 / (sign + z)
    b = x * y * a
    u = Vec(1.0 + sign * x * x * a, sign * b, -sign * x)
    v = Vec(b, sign + y * y * a, -y)
    axis = Vec(x * (1.0 - rise), y * (1.0 - rise), z * (1.0 - rise))
    out = along(along(axis, u, ring * cosine), v, ring * sine)
    inverse = 1.0 / length(out)
    return Vec(out.x * inverse, out.y * inverse, out.z * inverse)
