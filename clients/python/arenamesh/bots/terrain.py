"""The map as a bot sees it: what blocks a look, where the ground is, how to get somewhere."""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping, Sequence
from typing import Any

Vector = tuple[float, float, float]
Box = tuple[float, float, float, float, float, float]
_SKIN_M = 0.01
_STEEP = 0.5  # least upward part of the normal of a triangle one can stand on
_CELL_M = 4.0


class Terrain:
    """Boxes, triangles and the waypoint graph of one map."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.map_id = str(document["map_id"])
        self.low: Vector = tuple(document["bounds"]["low"])
        self.high: Vector = tuple(document["bounds"]["high"])
        self.boxes: list[Box] = [(*box["low"], *box["high"]) for box in document.get("boxes", ())]
        self.triangles: list[tuple[Vector, Vector, Vector]] = [
            (tuple(a), tuple(b), tuple(c)) for a, b, c in document.get("triangles", ())
        ]
        self.waypoints: list[Vector] = [tuple(point["at"]) for point in document["waypoints"]]
        self._next: list[list[tuple[int, float]]] = [
            [(to, math.dist(self.waypoints[index], self.waypoints[to])) for to in point["next"]]
            for index, point in enumerate(document["waypoints"])
        ]
        self._floors = [_Floor(triangle) for triangle in self.triangles]
        self._cells: dict[tuple[int, int], list[Box]] = {}
        for box in self.boxes:
            for cell in _cells(box[0] - 1, box[1] - 1, box[3] + 1, box[4] + 1):
                self._cells.setdefault(cell, []).append(box)

    # -- looking ------------------------------------------------------------------------------

    def sees(self, eye: Vector, point: Vector) -> bool:
        """Is the straight line between two points free of geometry?"""
        return not (
            any(_crosses_box(eye, point, box) for box in self.boxes)
            or any(_crosses_triangle(eye, point, triangle) for triangle in self.triangles)
        )

    # -- standing -----------------------------------------------------------------------------

    def ground(self, x: float, y: float, z: float, half: float, step: float) -> float:
        """Height of what carries a body whose feet are at (x, y, z) or up to `step` below it."""
        top = z + step + _SKIN_M
        height = self.low[2]
        for box in self._near(x, y):
            if (
                height < box[5] <= top
                and box[0] - half < x < box[3] + half
                and box[1] - half < y < box[4] + half
            ):
                height = box[5]
        for floor in self._floors:
            if floor.near(x, y, half):
                # The body is a box: on a slope its uphill edge stands.
                for px, py in ((x, y), *((x + sx * half, y + sy * half) for sx in (-1, 1) for sy in (-1, 1))):
                    at = floor.height(px, py)
                    if at is not None and height < at + _SKIN_M <= top:
                        height = at + _SKIN_M
        return height

    def fits(self, x: float, y: float, z: float, half: float, height: float) -> bool:
        """Is there room for a body standing at (x, y, z)?"""
        if not (
            self.low[0] + half < x < self.high[0] - half and self.low[1] + half < y < self.high[1] - half
        ):
            return False
        low, high = z + _SKIN_M, z + height
        return not any(
            box[0] - half < x < box[3] + half
            and box[1] - half < y < box[4] + half
            and box[2] < high
            and box[5] > low
            for box in self._near(x, y)
        )

    def _near(self, x: float, y: float) -> Sequence[Box]:
        return self._cells.get((int(x // _CELL_M), int(y // _CELL_M)), ())

    # -- walking ------------------------------------------------------------------------------

    def nearest(self, point: Vector) -> int:
        """The closest waypoint; one floor up counts as far away."""
        return min(
            range(len(self.waypoints)),
            key=lambda index: (
                math.dist(point[:2], self.waypoints[index][:2]) + 4 * abs(point[2] - self.waypoints[index][2])
            ),
        )

    def path(self, start: int, goal: int) -> list[int]:
        """Waypoints from `start` to `goal`, shortest way; [start] when there is none."""
        best = {start: 0.0}
        came: dict[int, int] = {}
        queue = [(0.0, start)]
        while queue:
            far, node = heapq.heappop(queue)
            if node == goal:
                break
            if far > best[node]:
                continue
            for to, length in self._next[node]:
                reached = far + length
                if reached < best.get(to, math.inf):
                    best[to], came[to] = reached, node
                    heapq.heappush(queue, (reached, to))
        if goal not in best:
            return [start]
        nodes = [goal]
        while nodes[-1] != start:
            nodes.append(came[nodes[-1]])
        return nodes[::-1]


class _Floor:
    """A triangle flat enough to stand on, asked for its height at a point."""

    def __init__(self, triangle: tuple[Vector, Vector, Vector]) -> None:
        (ax, ay, az), (bx, by, bz), (cx, cy, cz) = triangle
        nx = (by - ay) * (cz - az) - (bz - az) * (cy - ay)
        ny = (bz - az) * (cx - ax) - (bx - ax) * (cz - az)
        nz = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        length = math.sqrt(nx * nx + ny * ny + nz * nz)
        self._stands = length > 0 and abs(nz) >= _STEEP * length
        self._corners = ((ax, ay), (bx, by), (cx, cy))
        self._low = (min(ax, bx, cx), min(ay, by, cy))
        self._high = (max(ax, bx, cx), max(ay, by, cy))
        self._at = (ax, ay, az)
        self._slope = (-nx / nz, -ny / nz) if self._stands else (0.0, 0.0)

    def near(self, x: float, y: float, half: float) -> bool:
        return (
            self._stands
            and self._low[0] - half <= x <= self._high[0] + half
            and self._low[1] - half <= y <= self._high[1] + half
        )

    def height(self, x: float, y: float) -> float | None:
        """At a point; None beside the triangle."""
        (ax, ay), (bx, by), (cx, cy) = self._corners
        first = (bx - ax) * (y - ay) - (by - ay) * (x - ax)
        second = (cx - bx) * (y - by) - (cy - by) * (x - bx)
        third = (ax - cx) * (y - cy) - (ay - cy) * (x - cx)
        if min(first, second, third) < 0 < max(first, second, third):
            return None
        return self._at[2] + self._slope[0] * (x - self._at[0]) + self._slope[1] * (y - self._at[1])


def _cells(x0: float, y0: float, x1: float, y1: float) -> list[tuple[int, int]]:
    return [
        (cx, cy)
        for cx in range(int(x0 // _CELL_M), int(x1 // _CELL_M) + 1)
        for cy in range(int(y0 // _CELL_M), int(y1 // _CELL_M) + 1)
    ]


def _crosses_box(a: Vector, b: Vector, box: Box) -> bool:
    near, far = 0.0, 1.0
    for axis in (0, 1, 2):
        start, way = a[axis], b[axis] - a[axis]
        low, high = box[axis], box[axis + 3]
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


def _crosses_triangle(a: Vector, b: Vector, triangle: tuple[Vector, Vector, Vector]) -> bool:
    (ax, ay, az), (bx, by, bz), (cx, cy, cz) = triangle
    ux, uy, uz = bx - ax, by - ay, bz - az
    vx, vy, vz = cx - ax, cy - ay, cz - az
    dx, dy, dz = b[0] - a[0], b[1] - a[1], b[2] - a[2]
    px, py, pz = dy * vz - dz * vy, dz * vx - dx * vz, dx * vy - dy * vx
    volume = ux * px + uy * py + uz * pz
    if -1e-12 < volume < 1e-12:
        return False
    sx, sy, sz = a[0] - ax, a[1] - ay, a[2] - az
    u = (sx * px + sy * py + sz * pz) / volume
    qx, qy, qz = sy * uz - sz * uy, sz * ux - sx * uz, sx * uy - sy * ux
    v = (dx * qx + dy * qy + dz * qz) / volume
    t = (vx * qx + vy * qy + vz * qz) / volume
    return u >= 0 and v >= 0 and u + v <= 1 and 0 <= t <= 1
