"""What `native/geometry.pxd` computes, in plain Python: the specification and the twin in tests.

Every operation is in the order of the native code; a Python float is the same IEEE double, so the results
are equal bit for bit.
"""

from __future__ import annotations

import math
import struct
from typing import NamedTuple

SPHERE, CAPSULE, BOX = 1, 2, 3
MISS = -1.0

HALF_PI_HIGH = 1.5707963267341256  # 33 bits of pi/2 ...
HALF_PI_LOW = 6.077100506506192e-11  # ... and the rest
TWO_OVER_PI = 0.6366197723675814


class Vec(NamedTuple):
    x: float
    y: float
    z: float


class Shape(NamedTuple):
    """A hitbox in the body's frame: feet at the origin, facing +x."""

    kind: int
    a: Vec
    b: Vec = Vec(0.0, 0.0, 0.0)
    radius: float = 0.0
    turn: float = 0.0
    region: int = 0


# ---- vectors ----------------------------------------------------------------------------------


def subtract(a: Vec, b: Vec) -> Vec:
    return Vec(a.x - b.x, a.y - b.y, a.z - b.z)


def add(a: Vec, b: Vec) -> Vec:
    return Vec(a.x + b.x, a.y + b.y, a.z + b.z)


def along(a: Vec, d: Vec, s: float) -> Vec:
    """a + s d"""
    return Vec(a.x + d.x * s, a.y + d.y * s, a.z + d.z * s)


def dot(a: Vec, b: Vec) -> float:
    return a.x * b.x + a.y * b.y + a.z * b.z


def cross(a: Vec, b: Vec) -> Vec:
    return Vec(a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x)


def limit(value: float, low: float, high: float) -> float:
    """`value` moved into low..high; NaN gives `low`."""
    if not value > low:
        return low
    return value if value < high else high


def float32(value: float) -> float:
    """Rounded to the nearest single-precision number, as stored in the history."""
    return float(struct.unpack("<f", struct.pack("<f", value))[0])


# ---- angles and powers --------------------------------------------------------------------------


def nearest_integer(x: float) -> int:
    return int(x + (0.5 if x >= 0.0 else -0.5))


def sincos(angle: float) -> tuple[float, float]:
    if not -1.0e6 <= angle <= 1.0e6:
        angle = 0.0
    n = nearest_integer(angle * TWO_OVER_PI)
    r = (angle - n * HALF_PI_HIGH) - n * HALF_PI_LOW
    z = r * r
    s = 0.0
    for k in (15, 13, 11, 9, 7, 5, 3):
        s = (-1.0) ** (k // 2) / math.factorial(k) + z * s
    s = r + r * z * s
    c = 0.0
    for k in (16, 14, 12, 10, 8, 6, 4, 2):
        c = (-1.0) ** (k // 2) / math.factorial(k) + z * c
    c = 1.0 + z * c
    quadrant = n & 3
    if quadrant & 1:
        s, c = c, s
    return (-s if quadrant & 2 else s), (-c if (quadrant + 1) & 2 else c)


def wrap(angle: float) -> float:
    if not -1.0e6 <= angle <= 1.0e6:
        return 0.0
    n = 4 * nearest_integer(angle * TWO_OVER_PI * 0.25)
    return (angle - n * HALF_PI_HIGH) - n * HALF_PI_LOW


LN2_POWERS = (  # ln(2)^k / k!, k = 13 down to 1
    1.3691488853904128e-12,
    2.5678435993488206e-11,
    4.4455382718708116e-10,
    7.054911620801123e-09,
    1.01780860092397e-07,
    1.321548679014431e-06,
    1.5252733804059841e-05,
    0.0001540353039338161,
    0.0013333558146428443,
    0.009618129107628477,
    0.05550410866482158,
    0.24022650695910072,
    0.6931471805599453,
)


def exp2(x: float) -> float:
    if not x >= -1022.0:
        return 0.0
    if x > 1023.0:
        return math.inf
    n = nearest_integer(x)
    f = x - n
    p = 0.0
    for coefficient in LN2_POWERS:
        p = coefficient + f * p
    return (1.0 + f * p) * math.ldexp(1.0, n)


# ---- rays ---------------------------------------------------------------------------------------


def ray_sphere(origin: Vec, direction: Vec, centre: Vec, radius: float) -> float:
    to_centre = subtract(centre, origin)
    if dot(to_centre, to_centre) <= radius * radius:
        return 0.0
    b = dot(to_centre, direction)
    if b < 0.0:
        return MISS
    across = along(to_centre, direction, -b)
    h = radius * radius - dot(across, across)
    return b - math.sqrt(h) if h >= 0.0 else MISS


def nearest_on_segment(point: Vec, a: Vec, b: Vec) -> Vec:
    ab = subtract(b, a)
    square = dot(ab, ab)
    if not square > 0.0:
        return a
    return along(a, ab, limit(dot(subtract(point, a), ab) / square, 0.0, 1.0))


def ray_capsule(origin: Vec, direction: Vec, a: Vec, b: Vec, radius: float) -> float:
    axis = subtract(b, a)
    from_a = subtract(origin, a)
    normal = cross(axis, direction)
    axis2 = dot(axis, axis)
    climb = dot(axis, direction)
    square = dot(normal, normal)
    passed = dot(from_a, direction)
    across = along(from_a, direction, -passed)
    offset = dot(across, normal)
    h = radius * radius * square - offset * offset
    slanted = square > 1.0e-16 * axis2
    if slanted and h < 0.0:
        return MISS
    away = subtract(origin, nearest_on_segment(origin, a, b))
    if dot(away, away) <= radius * radius:
        return 0.0
    if not slanted:
        return ray_sphere(origin, direction, a if climb >= 0.0 else b, radius)
    t = (-dot(cross(axis, across), normal) - math.sqrt(axis2 * h)) / square
    y = dot(axis, across) + t * climb
    if 0.0 < y < axis2:
        t = t - passed
        return t if t >= 0.0 else MISS
    return ray_sphere(origin, direction, a if y <= 0.0 else b, radius)


def ray_slabs(origin: Vec, direction: Vec, half: Vec) -> float:
    enter, leave = 0.0, math.inf
    for o, d, h in zip(origin, direction, half, strict=True):
        if d == 0.0:
            if not -h <= o <= h:
                return MISS
            continue
        first, last = (-h - o) / d, (h - o) / d
        if first > last:
            first, last = last, first
        enter = max(enter, first)
        leave = min(leave, last)
        if not enter <= leave:
            return MISS
    return enter


def nearer(t: float, u: float) -> float:
    """The lesser of two distances that may be MISS."""
    if t < 0.0:
        return u
    return t if u < 0.0 or t <= u else u


def ray_rounded(origin: Vec, direction: Vec, half: Vec, radius: float) -> float:
    if ray_slabs(origin, direction, Vec(half.x + radius, half.y + radius, half.z + radius)) < 0.0:
        return MISS
    t = ray_slabs(origin, direction, Vec(half.x + radius, half.y, half.z))
    t = nearer(t, ray_slabs(origin, direction, Vec(half.x, half.y + radius, half.z)))
    t = nearer(t, ray_slabs(origin, direction, Vec(half.x, half.y, half.z + radius)))
    for u, v in ((-1.0, -1.0), (1.0, -1.0), (-1.0, 1.0), (1.0, 1.0)):
        for low, high in (
            (Vec(-half.x, u * half.y, v * half.z), Vec(half.x, u * half.y, v * half.z)),
            (Vec(u * half.x, -half.y, v * half.z), Vec(u * half.x, half.y, v * half.z)),
            (Vec(u * half.x, v * half.y, -half.z), Vec(u * half.x, v * half.y, half.z)),
        ):
            t = nearer(t, ray_capsule(origin, direction, low, high, radius))
    return t


def turned(v: Vec, sine: float, cosine: float) -> Vec:
    """Turned counter-clockwise about z; with -sine, back."""
    return Vec(cosine * v.x - sine * v.y, sine * v.x + cosine * v.y, v.z)


def ray_box(origin: Vec, direction: Vec, box: Shape, radius: float) -> float:
    origin = subtract(origin, box.a)
    if box.turn != 0.0:
        sine, cosine = sincos(box.turn)
        origin = turned(origin, -sine, cosine)
        direction = turned(direction, -sine, cosine)
    if radius > 0.0:
        return ray_rounded(origin, direction, box.b, radius)
    return ray_slabs(origin, direction, box.b)


def ray_shape(origin: Vec, direction: Vec, shape: Shape, radius: float) -> float:
    """Distance to a hitbox inflated by `radius`, in the body's frame, or MISS."""
    if shape.kind == CAPSULE:
        return ray_capsule(origin, direction, shape.a, shape.b, shape.radius + radius)
    if shape.kind == BOX:
        return ray_box(origin, direction, shape, radius)
    return ray_sphere(origin, direction, shape.a, shape.radius + radius)


# ---- nearest points -------------------------------------------------------------------------


def toward(core: Vec, point: Vec, radius: float) -> Vec:
    """The point of the ball about `core` that is nearest to `point`: `point` itself when inside."""
    way = subtract(point, core)
    square = dot(way, way)
    if square <= radius * radius:
        return point
    return along(core, way, radius / math.sqrt(square))


def nearest_on_box(point: Vec, box: Shape) -> Vec:
    sine, cosine = sincos(box.turn) if box.turn != 0.0 else (0.0, 1.0)
    local = turned(subtract(point, box.a), -sine, cosine)
    local = Vec(*(limit(p, -h, h) for p, h in zip(local, box.b, strict=True)))
    return add(turned(local, sine, cosine), box.a)


def nearest_on_shape(point: Vec, shape: Shape) -> Vec:
    if shape.kind == CAPSULE:
        return toward(nearest_on_segment(point, shape.a, shape.b), point, shape.radius)
    if shape.kind == BOX:
        return nearest_on_box(point, shape)
    return toward(shape.a, point, shape.radius)
