"""An independent judge of rays: walks them by the signed distance to a solid, and knows none of the formulas
of the core. Slow, and true to about 1e-12 of the range."""

from __future__ import annotations

import math
from collections.abc import Callable

from native.reference.geometry import BOX, CAPSULE, MISS, Shape, Vec

CLOSE = 1e-7
GOLDEN = (math.sqrt(5.0) - 1.0) / 2.0


def signed_distance(point: Vec, shape: Shape) -> float:
    """To the surface of a hitbox, negative inside. Written from the definition of each solid."""
    x, y, z = point.x - shape.a.x, point.y - shape.a.y, point.z - shape.a.z
    if shape.kind == BOX:
        c, s = math.cos(shape.turn), math.sin(shape.turn)
        p, q, r = abs(c * x + s * y) - shape.b.x, abs(c * y - s * x) - shape.b.y, abs(z) - shape.b.z
        return math.hypot(max(p, 0.0), max(q, 0.0), max(r, 0.0)) + min(max(p, q, r), 0.0)
    end = shape.b if shape.kind == CAPSULE else shape.a
    u, v, w = end.x - shape.a.x, end.y - shape.a.y, end.z - shape.a.z
    square = u * u + v * v + w * w
    share = min(1.0, max(0.0, (x * u + y * v + z * w) / square)) if square else 0.0
    return math.hypot(x - share * u, y - share * v, z - share * w) - shape.radius


def first_touch(height: Callable[[float], float], far: float) -> tuple[float, float]:
    """(where `height` along a ray first reaches 0, or MISS; its least value met on the way).

    The solid is convex and the distance to it changes no faster than one goes, so a step as long as the
    distance cannot jump through it. Once within `CLOSE`, the root is bracketed and halved.
    """
    t, least = 0.0, height(0.0)
    if least <= 0.0:
        return 0.0, least
    while t < far:
        here = height(t)
        least = min(least, here)
        if here < CLOSE:
            low = bottom(height, t, t + 20.0)
            least = min(least, height(low))
            return (MISS if least > 0.0 else halve(height, t, low)), least
        t += here
    return MISS, least


def bottom(height: Callable[[float], float], low: float, high: float) -> float:
    """Where a convex function is least, by the golden section."""
    left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
    at_left, at_right = height(left), height(right)
    for _ in range(75):  # of 20 m no more is left than a double tells apart
        if at_left < at_right:
            high, right, at_right = right, left, at_left
            left = high - GOLDEN * (high - low)
            at_left = height(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + GOLDEN * (high - low)
            at_right = height(right)
    return (low + high) / 2.0


def halve(height: Callable[[float], float], outside: float, inside: float) -> float:
    for _ in range(60):
        middle = (outside + inside) / 2.0
        outside, inside = (middle, inside) if height(middle) > 0.0 else (outside, middle)
    return inside
