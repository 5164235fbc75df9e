"""Boxes and triangles of a map against a line of sight and against a standing body. Metres."""

from __future__ import annotations

import math
from collections.abc import Iterator

Vector = tuple[float, float, float]
# Least upward part of the normal of a triangle one can stand on (45 degrees), and of one that has a top.
_STANDS = 0.707
_TOP = 0.05


class Box:
    """Axis-parallel."""

    __slots__ = ("high", "low")

    def __init__(self, low: Vector, high: Vector) -> None:
        self.low, self.high = low, high

    def crosses(self, a: Vector, b: Vector) -> bool:
        """Does the line from a to b touch it?"""
        near, far = 0.0, 1.0
        for start, end, low, high in zip(a, b, self.low, self.high, strict=True):
            way = end - start
            if -1e-12 < way < 1e-12:
                if start < low or start > high:
                    return False
                continue
            first, last = (low - start) / way, (high - start) / way
            if first > last:
                first, last = last, first
            near, far = max(near, first), min(far, last)
            if near > far:
                return False
        return True

    def overlaps(self, low: Vector, high: Vector) -> bool:
        """Is there a common inside with another box?"""
        return (
            self.low[0] < high[0]
            and self.high[0] > low[0]
            and self.low[1] < high[1]
            and self.high[1] > low[1]
            and self.low[2] < high[2]
            and self.high[2] > low[2]
        )


class Triangle:
    """Both sides count."""

    __slots__ = ("_edges", "_normal", "_slope", "corners", "has_top", "high", "low", "stands")

    def __init__(self, a: Vector, b: Vector, c: Vector) -> None:
        self.corners = (a, b, c)
        self._edges = (_minus(b, a), _minus(c, b), _minus(a, c))
        self._normal = normal = _cross(self._edges[0], self._edges[1])
        self.low: Vector = (min(a[0], b[0], c[0]), min(a[1], b[1], c[1]), min(a[2], b[2], c[2]))
        self.high: Vector = (max(a[0], b[0], c[0]), max(a[1], b[1], c[1]), max(a[2], b[2], c[2]))
        upward = abs(normal[2]) / (math.hypot(*normal) or 1.0)
        self.stands = upward >= _STANDS
        self.has_top = upward >= _TOP
        self._slope = (-normal[0] / normal[2], -normal[1] / normal[2]) if self.has_top else (0.0, 0.0)

    def height(self, x: float, y: float) -> float | None:
        """Of the surface at a point; None beside it. Only for a triangle that `has_top`."""
        sides = [
            edge[0] * (y - corner[1]) - edge[1] * (x - corner[0])
            for corner, edge in zip(self.corners, self._edges, strict=True)
        ]
        if min(sides) < 0 < max(sides):
            return None
        at = self.corners[0]
        return at[2] + self._slope[0] * (x - at[0]) + self._slope[1] * (y - at[1])

    def crosses(self, a: Vector, b: Vector) -> bool:
        """Does the line from a to b go through it?"""
        way = _minus(b, a)
        u_edge, v_edge = self._edges[0], _minus(self.corners[2], self.corners[0])
        p = _cross(way, v_edge)
        volume = _dot(u_edge, p)
        if -1e-12 < volume < 1e-12:
            return False
        start = _minus(a, self.corners[0])
        u = _dot(start, p) / volume
        if not 0 <= u <= 1:
            return False
        q = _cross(start, u_edge)
        v = _dot(way, q) / volume
        return v >= 0 and u + v <= 1 and 0 <= _dot(v_edge, q) / volume <= 1

    def overlaps(self, low: Vector, high: Vector) -> bool:
        """Does it reach into a box? By separating axes."""
        for axis in (0, 1, 2):
            if self.high[axis] <= low[axis] or self.low[axis] >= high[axis]:
                return False
        centre = tuple((low[axis] + high[axis]) / 2 for axis in (0, 1, 2))
        half = tuple((high[axis] - low[axis]) / 2 for axis in (0, 1, 2))
        moved = [_minus(corner, centre) for corner in self.corners]  # type: ignore[arg-type]
        return not any(_apart(axis, moved, half) for axis in self._axes())  # type: ignore[arg-type]

    def _axes(self) -> Iterator[Vector]:
        yield self._normal
        for x, y, z in self._edges:
            yield (0.0, -z, y)
            yield (z, 0.0, -x)
            yield (-y, x, 0.0)


Solid = Box | Triangle


def _apart(axis: Vector, corners: list[Vector], half: Vector) -> bool:
    reach = half[0] * abs(axis[0]) + half[1] * abs(axis[1]) + half[2] * abs(axis[2])
    along = [_dot(axis, corner) for corner in corners]
    return min(along) >= reach or max(along) <= -reach if reach else False


def _minus(a: Vector, b: Vector) -> Vector:
    return (a[0] - b[0], a[1] - b[1], a[2] - b[2])


def _cross(a: Vector, b: Vector) -> Vector:
    return (a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0])


def _dot(a: Vector, b: Vector) -> float:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
