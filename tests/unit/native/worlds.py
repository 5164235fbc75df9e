"""Little random maps, and slow exact geometry that shares no formula with the kernel."""

from __future__ import annotations

from fractions import Fraction
from math import sqrt
from typing import Any

from hypothesis import strategies as st

from tests.support import draw

Point = tuple[float, float, float]
Exact = tuple[Fraction, Fraction, Fraction]


class Draw(draw.Draw):
    """Little worlds and what moves in them."""

    def number(self) -> float:
        """Half of them whole and half numbers, so that faces coincide and rays graze."""
        return self.randint(-8, 8) / 2.0 if self.random() < 0.5 else self.uniform(-4.0, 4.0)

    def point(self) -> Point:
        return (self.number(), self.number(), self.number())

    def half(self) -> Point:
        sizes = (0.0, 0.05, 0.4, 0.5, 1.0)
        return (self.choice(sizes), self.choice(sizes), self.choice(sizes))

    def box(self) -> dict[str, list[float]]:
        low = self.point()
        return {"low": list(low), "high": [part + self.choice((0.25, 0.5, 1.0, 3.0)) for part in low]}

    def triangle(self) -> list[Point]:
        while True:
            corners = [self.point(), self.point(), self.point()]
            if area(corners) > 0.01:
                return corners

    def document(self) -> dict[str, Any]:
        return document(
            [self.box() for _ in range(self.randint(0, 7))],
            [self.triangle() for _ in range(self.randint(0, 7))],
        )

    def ray(self, some: dict[str, Any]) -> tuple[Point, Point]:
        """Half of them run through a corner, or a point of an edge, of a solid."""
        origin, target = self.point(), self.point()
        marks: list[Any] = [corner for triangle in some["triangles"] for corner in triangle]
        marks += [box[end] for box in some["boxes"] for end in ("low", "high")]
        if marks and self.random() < 0.5:
            a, b = self.choice(marks), self.choice(marks)
            share = self.choice((0.0, 0.25, 0.5, 1.0))
            target = (
                a[0] + (b[0] - a[0]) * share,
                a[1] + (b[1] - a[1]) * share,
                a[2] + (b[2] - a[2]) * share,
            )
        straight = unit((target[0] - origin[0], target[1] - origin[1], target[2] - origin[2]))
        return origin, straight or (1.0, 0.0, 0.0)


draws = st.integers(0, 2**64 - 1).map(Draw)


def area(corners: list[Point]) -> float:
    a, b, c = corners
    u, v = [b[k] - a[k] for k in range(3)], [c[k] - a[k] for k in range(3)]
    normal = (u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0])
    return sqrt(sum(part * part for part in normal)) / 2.0


def document(
    some_boxes: list[dict[str, list[float]]] | None = None, some_triangles: list[Any] | None = None
) -> dict[str, Any]:
    return {
        "map_id": "little",
        "bounds": {"low": [-9.0, -9.0, -9.0], "high": [9.0, 9.0, 9.0]},
        "boxes": some_boxes or [],
        "triangles": some_triangles or [],
    }


def unit(direction: Point) -> Point | None:
    length = sqrt(sum(part * part for part in direction))
    if length < 1e-3:
        return None
    return (direction[0] / length, direction[1] / length, direction[2] / length)


# ---- the judges -------------------------------------------------------------------------------


def exact(point: Any) -> Exact:
    return (Fraction(point[0]), Fraction(point[1]), Fraction(point[2]))


def ray_box(box: dict[str, list[float]], origin: Point, direction: Point) -> tuple[float, float]:
    """(distance or infinity, margin: how much longer the ray stays in than it must), in rational numbers."""
    at, way = exact(origin), exact(direction)
    low, high = exact(box["low"]), exact(box["high"])
    enter, leave, beside = Fraction(-(10**9)), Fraction(10**9), Fraction(10**9)
    for k in range(3):
        if way[k] == 0:
            beside = min(beside, at[k] - low[k], high[k] - at[k])
            continue
        first, last = sorted(((low[k] - at[k]) / way[k], (high[k] - at[k]) / way[k]))
        enter, leave = max(enter, first), min(leave, last)
    margin = min(leave - enter, leave, beside)
    return (float(max(enter, Fraction(0))) if margin > 0 else float("inf")), float(margin)


def ray_triangle(corners: list[Point], origin: Point, direction: Point) -> tuple[float, float]:
    """As `ray_box`; the margin is of the barycentric coordinates and the distance."""
    at, way = exact(origin), exact(direction)
    a, b, c = (exact(corner) for corner in corners)

    def volume(p: Exact, q: Exact, r: Exact) -> Fraction:
        return (
            p[0] * (q[1] * r[2] - q[2] * r[1])
            - p[1] * (q[0] * r[2] - q[2] * r[0])
            + p[2] * (q[0] * r[1] - q[1] * r[0])
        )

    def less(p: Exact, q: Exact) -> Exact:
        return (p[0] - q[0], p[1] - q[1], p[2] - q[2])

    # The signed volumes that the ray's line spans with the three edges all have one sign inside.
    spans = [volume(way, less(p, at), less(q, at)) for p, q in ((a, b), (b, c), (c, a))]
    total = sum(spans, Fraction(0))
    if total == 0:
        return float("inf"), 0.0
    distance = volume(less(a, at), less(b, at), less(c, at)) / total
    margin = min(*(span / total for span in spans), distance)
    return (float(distance) if margin >= 0 else float("inf")), float(margin)


def touches(corners: list[Point], low: Point, high: Point) -> bool:
    """Is any of the triangle in the box? It is cut by the six half-spaces, one after another."""
    polygon = [tuple(corner) for corner in corners]
    for k in range(3):
        for sign, limit in ((1.0, low[k]), (-1.0, -high[k])):
            kept = []
            for i, here in enumerate(polygon):
                before = polygon[i - 1]
                inside, was = sign * here[k] - limit, sign * before[k] - limit
                if (inside >= 0.0) != (was >= 0.0):
                    share = was / (was - inside)
                    kept.append(tuple(before[j] + (here[j] - before[j]) * share for j in range(3)))
                if inside >= 0.0:
                    kept.append(here)
            polygon = kept
    return bool(polygon)
