"""The readable twin of `native.world`: every solid is asked, there is no hierarchy. Results are equal, not
close: the same double arithmetic in the same order."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, sqrt
from typing import Any

Vector = tuple[float, float, float]
Slab = tuple[Vector, float, float]  # axis, low, high

SKIN = 1e-3
PAD = 1e-6
EDGE = 1e-9
PARALLEL = 1e-30
FLAT = 1e-12
AXES: tuple[Vector, ...] = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))


def dot(a: Vector, b: Vector) -> float:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def sub(a: Vector, b: Vector) -> Vector:
    return (a[0] - b[0], a[1] - b[1], a[2] - b[2])


def cross(a: Vector, b: Vector) -> Vector:
    return (a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0])


def opposite(a: Vector) -> Vector:
    return (0.0 - a[0], 0.0 - a[1], 0.0 - a[2])


def inverse(step: float) -> float:
    return 1.0 / step if abs(step) >= PARALLEL else 0.0


@dataclass(frozen=True)
class Solid:
    """A box (`corners` empty) or a triangle. `slabs`: the planes that separate it from a hull, the
    hull's own three axes first."""

    slabs: list[Slab]
    corners: tuple[Vector, ...] = ()

    @staticmethod
    def box(low: Vector, high: Vector) -> Solid:
        return Solid([(axis, low[k], high[k]) for k, axis in enumerate(AXES)])

    @staticmethod
    def triangle(a: Vector, b: Vector, c: Vector) -> Solid:
        slabs = [
            (axis, min(a[k], b[k], c[k]) - PAD, max(a[k], b[k], c[k]) + PAD) for k, axis in enumerate(AXES)
        ]
        axes = [cross(sub(b, a), sub(c, a))]
        for edge in (sub(b, a), sub(c, a), sub(c, b)):
            axes += [(0.0, edge[2], -edge[1]), (-edge[2], 0.0, edge[0]), (edge[1], -edge[0], 0.0)]
        for axis in axes:
            length = sqrt(dot(axis, axis))
            if length < 1e-6:  # an edge along the hull's own axis
                continue
            unit = (axis[0] / length, axis[1] / length, axis[2] / length)
            marks = [dot(corner, unit) for corner in (a, b, c)]
            slabs.append((unit, min(marks), max(marks)))
        return Solid(slabs, (a, b, c))


def ray_bounds(solid: Solid, origin: Vector, direction: Vector) -> float | None:
    """Where the ray enters the solid's bounds; None when it does not pass their inside."""
    enter, leave = -inf, inf
    for k in range(3):
        _, low, high = solid.slabs[k]
        inv = inverse(direction[k])
        if inv == 0.0:
            if not low < origin[k] < high:
                return None
            continue
        a, b = (low - origin[k]) * inv, (high - origin[k]) * inv
        if inv < 0.0:
            a, b = b, a
        enter, leave = max(enter, a), min(leave, b)
    return enter if enter < leave and leave > 0.0 else None


def ray_triangle(solid: Solid, origin: Vector, direction: Vector) -> float | None:
    a, b, c = solid.corners
    edge_a, edge_b = sub(b, a), sub(c, a)
    p = cross(direction, edge_b)
    det = dot(edge_a, p)
    if abs(det) < FLAT:
        return None
    inv = 1.0 / det
    s = sub(origin, a)
    u = dot(s, p) * inv
    q = cross(s, edge_a)
    v = dot(direction, q) * inv
    if u < -EDGE or u > 1.0 + EDGE or v < -EDGE or u + v > 1.0 + EDGE:
        return None
    t = dot(edge_b, q) * inv
    return t if t > 0.0 else None


def sweep_solid(solid: Solid, half: Vector, centre: Vector, delta: Vector) -> tuple[float, Vector] | None:
    """Free share of the step and what stopped it; None when the solid is not in the way."""
    enter, enter_in, leave_in = -inf, -inf, inf
    normal = (0.0, 0.0, 0.0)
    for axis, low, high in solid.slabs:
        at, step = dot(centre, axis), dot(delta, axis)
        wide = abs(axis[0]) * half[0] + abs(axis[1]) * half[1] + abs(axis[2]) * half[2]
        thin = wide - SKIN
        inv = inverse(step)
        if inv == 0.0:
            if not (at + thin > low and at - thin < high):
                return None
            continue
        if inv > 0.0:
            first, first_in = (low - (at + wide)) * inv, (low - (at + thin)) * inv
            last_in = (high - (at - thin)) * inv
        else:
            first, first_in = (high - (at - wide)) * inv, (high - (at - thin)) * inv
            last_in = (low - (at + thin)) * inv
        enter = max(enter, first)
        if first_in > enter_in:
            enter_in, normal = first_in, opposite(axis) if inv > 0.0 else axis
        leave_in = min(leave_in, last_in)
    if not enter_in < leave_in or leave_in <= 0.0 or enter_in >= 1.0:
        return None
    if enter_in < 0.0:  # deep inside already: only the way out by the nearest face is free
        normal = nearest_face(solid, half, centre)
        return None if dot(delta, normal) > 0.0 else (0.0, normal)
    return max(enter, 0.0), normal


def nearest_face(solid: Solid, half: Vector, centre: Vector) -> Vector:
    least, normal = inf, (0.0, 0.0, 0.0)
    for axis, low, high in solid.slabs:
        at = dot(centre, axis)
        wide = abs(axis[0]) * half[0] + abs(axis[1]) * half[1] + abs(axis[2]) * half[2]
        below, above = at + wide - low, high - (at - wide)
        if below < least:
            least, normal = below, opposite(axis)
        if above < least:
            least, normal = above, axis
    return normal


def thick(half: Vector) -> Vector:
    return (max(half[0], 2.0 * SKIN), max(half[1], 2.0 * SKIN), max(half[2], 2.0 * SKIN))


class World:
    def __init__(self, document: dict[str, Any]) -> None:
        def corner(value: list[float]) -> Vector:
            return (float(value[0]), float(value[1]), float(value[2]))

        self.bounds = (corner(document["bounds"]["low"]), corner(document["bounds"]["high"]))
        self.solids = [
            Solid.box(corner(box["low"]), corner(box["high"])) for box in document.get("boxes", [])
        ] + [Solid.triangle(*map(corner, corners)) for corners in document.get("triangles", [])]

    def ray(self, origin: Vector, direction: Vector, reach: float) -> float:
        best = reach
        for solid in self.solids:
            enter = ray_bounds(solid, origin, direction)
            if enter is None:
                continue
            t = max(enter, 0.0)
            if solid.corners:
                met = ray_triangle(solid, origin, direction)
                if met is None:
                    continue
                t = max(met, enter)
            best = min(best, t)
        return best

    def sees(self, a: Vector, b: Vector) -> bool:
        way = sub(b, a)
        length = sqrt(dot(way, way))
        reach = length - 2.0 * SKIN
        if reach <= 0.0:
            return True
        unit = (way[0] / length, way[1] / length, way[2] / length)
        origin = (a[0] + unit[0] * SKIN, a[1] + unit[1] * SKIN, a[2] + unit[2] * SKIN)
        return self.ray(origin, unit, reach) >= reach

    def sweep(self, half: Vector, centre: Vector, delta: Vector) -> tuple[float, Vector]:
        best, normal = 1.0, (0.0, 0.0, 0.0)
        for solid in self.solids:
            met = sweep_solid(solid, thick(half), centre, delta)
            if met is not None and met[0] < best:
                best, normal = met
        return best, normal

    def overlaps(self, half: Vector, centre: Vector) -> bool:
        still = (0.0, 0.0, 0.0)
        return any(sweep_solid(solid, thick(half), centre, still) is not None for solid in self.solids)
