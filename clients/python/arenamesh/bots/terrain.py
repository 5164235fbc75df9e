"""The map as a bot sees it: what blocks a look, where the ground is, how to get somewhere."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from arenamesh.bots.shapes import Box, Solid, Triangle, Vector

_CELL_M = 4.0
# A body stands this much clear of a slope, and its lower part this much of what rises beside it.
_SKIN_M = 0.01
_CLEAR_M = 0.05
# Above every step; how many waypoints are looked at for a straight way.
_KNEE_M = 0.5
_STRAIGHT_TRIES = 40


class Terrain:
    """Solids in a grid of columns, and the waypoint graph, of one map."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.map_id = str(document["map_id"])
        self.low: Vector = _vector(document["bounds"]["low"])
        self.high: Vector = _vector(document["bounds"]["high"])
        self.waypoints: list[Vector] = [_vector(point["at"]) for point in document["waypoints"]]
        self._next: list[list[tuple[int, float]]] = [
            [(to, math.dist(self.waypoints[index], self.waypoints[to])) for to in point["next"]]
            for index, point in enumerate(document["waypoints"])
        ]
        self._columns: dict[tuple[int, int], list[Solid]] = {}
        for box in document.get("boxes", ()):
            self._enter(Box(_vector(box["low"]), _vector(box["high"])))
        for triangle in document.get("triangles", ()):
            self._enter(Triangle(*map(_vector, triangle)))

    def _enter(self, solid: Solid) -> None:
        for cx in range(int(solid.low[0] // _CELL_M), int(solid.high[0] // _CELL_M) + 1):
            for cy in range(int(solid.low[1] // _CELL_M), int(solid.high[1] // _CELL_M) + 1):
                self._columns.setdefault((cx, cy), []).append(solid)

    def _under(self, x: float, y: float, half: float) -> Sequence[Solid]:
        """What may touch a body about (x, y); some of it twice when it stands across columns."""
        x0, x1 = int((x - half) // _CELL_M), int((x + half) // _CELL_M)
        y0, y1 = int((y - half) // _CELL_M), int((y + half) // _CELL_M)
        if x0 == x1 and y0 == y1:
            return self._columns.get((x0, y0), ())
        found: list[Solid] = []
        for cx in range(x0, x1 + 1):
            for cy in range(y0, y1 + 1):
                found += self._columns.get((cx, cy), ())
        return found

    # -- looking ------------------------------------------------------------------------------

    def sees(self, eye: Vector, point: Vector) -> bool:
        """Is the straight line between two points free of geometry?"""
        low, high = min(eye[2], point[2]), max(eye[2], point[2])
        for column in self._along(eye, point):
            for solid in self._columns.get(column, ()):
                if solid.high[2] >= low and solid.low[2] <= high and solid.crosses(eye, point):
                    return False
        return True

    @staticmethod
    def _along(a: Vector, b: Vector) -> Iterator[tuple[int, int]]:
        """Columns that a line passes, in order."""
        cx, cy = int(a[0] // _CELL_M), int(a[1] // _CELL_M)
        dx, dy = b[0] - a[0], b[1] - a[1]
        sx, sy = (1 if dx > 0 else -1), (1 if dy > 0 else -1)
        wide, tall = (_CELL_M / abs(dx) if dx else math.inf), (_CELL_M / abs(dy) if dy else math.inf)
        tx = ((cx + (dx > 0)) * _CELL_M - a[0]) / dx if dx else math.inf
        ty = ((cy + (dy > 0)) * _CELL_M - a[1]) / dy if dy else math.inf
        yield cx, cy
        while min(tx, ty) <= 1:
            if tx < ty:
                cx, tx = cx + sx, tx + wide
            else:
                cy, ty = cy + sy, ty + tall
            yield cx, cy

    # -- standing -----------------------------------------------------------------------------

    def ground(self, x: float, y: float, z: float, half: float, step: float) -> tuple[float, bool]:
        """Height of the highest thing under a body at (x, y), at most `step` above z; can it stand there?"""
        top = z + step + _SKIN_M
        height, stands = self.low[2], True
        for solid in self._under(x, y, half):
            if solid.low[2] > top or solid.high[2] <= height:
                continue
            if not (solid.low[0] < x + half and solid.high[0] > x - half):
                continue
            if not (solid.low[1] < y + half and solid.high[1] > y - half):
                continue
            if isinstance(solid, Box):
                if solid.high[2] <= top:
                    height, stands = solid.high[2], True
            elif solid.has_top:
                at = solid.height(x, y)
                if at is not None and height < at + _SKIN_M <= top:
                    height, stands = at + _SKIN_M, solid.stands
                # The feet are on the slope in the middle; uphill it may not come up to the step.
                for px, py in (
                    (x - half, y - half),
                    (x - half, y + half),
                    (x + half, y - half),
                    (x + half, y + half),
                ):
                    at = solid.height(px, py)
                    if at is not None and height < at - step + _CLEAR_M <= z:
                        height = at - step + _CLEAR_M
        return height, stands

    def fits(self, at: Vector, half: float, step: float, height: float) -> bool:
        """Is there room for a body standing there? What is below `step` is climbed, unless it is steep."""
        x, y, z = at
        if not (
            self.low[0] + half < x < self.high[0] - half and self.low[1] + half < y < self.high[1] - half
        ):
            return False
        low = (x - half, y - half, z + step)
        sole = (x - half, y - half, z + _CLEAR_M)
        high = (x + half, y + half, z + height)
        return not any(
            solid.overlaps(low if isinstance(solid, Box) or solid.stands else sole, high)
            for solid in self._under(x, y, half)
        )

    # -- walking ------------------------------------------------------------------------------

    def nearest(self, point: Vector) -> int:
        """The closest waypoint that a body at `point` can walk to straight; the closest, when none is."""

        def far(index: int) -> float:
            at = self.waypoints[index]
            return math.dist(point[:2], at[:2]) + 4 * abs(point[2] - at[2])  # one floor up is far away

        closest = heapq.nsmallest(_STRAIGHT_TRIES, range(len(self.waypoints)), key=far)
        knee = (point[0], point[1], point[2] + _KNEE_M)
        for index in closest:
            x, y, z = self.waypoints[index]
            if self.sees(knee, (x, y, z + _KNEE_M)):
                return index
        return closest[0]

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


def _vector(numbers: Sequence[float]) -> Vector:
    x, y, z = numbers
    return (float(x), float(y), float(z))
