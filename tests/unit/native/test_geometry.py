"""Rays against solids: equal to the twin bit for bit, and true by two independent judges.

The judges know nothing of the formulas: one walks the ray by the signed distance to the solid, the other
decides grazing rays in rational numbers.
"""

from __future__ import annotations

import math
from fractions import Fraction

import pytest

from native import geometry
from native.reference import geometry as twin
from native.reference.geometry import BOX, CAPSULE, MISS, SPHERE, Shape, Vec
from tests.support.draw import Draw, cases, draws
from tests.support.signed_distance import first_touch, signed_distance


def unit(v: Vec) -> Vec:
    scale = math.sqrt(twin.dot(v, v))
    return Vec(v.x / scale, v.y / scale, v.z / scale)


AXES = (Vec(1.0, 0.0, 0.0), Vec(0.0, -1.0, 0.0), Vec(0.0, 0.0, 1.0))


def vector(draw: Draw) -> Vec:
    return Vec(draw.single(-3.0, 3.0), draw.single(-3.0, 3.0), draw.single(-3.0, 3.0))


def size(draw: Draw) -> float:
    return draw.single(0.015625, 1.5)


def heading(draw: Draw) -> Vec:
    while True:
        tilt = vector(draw)
        if twin.dot(tilt, tilt) > 0.01:
            return unit(tilt)


def solid(draw: Draw) -> Shape:
    a, kind = vector(draw), draw.choice((SPHERE, CAPSULE, CAPSULE, BOX))
    if kind == SPHERE:
        return Shape(SPHERE, a, radius=size(draw))
    if kind == CAPSULE:
        return Shape(CAPSULE, a, a if draw.chance(0.5) else vector(draw), size(draw))
    return Shape(BOX, a, Vec(size(draw), size(draw), size(draw)), turn=draw.single(-7.0, 7.0))


def ray_near(draw: Draw, shape: Shape) -> tuple[Vec, Vec]:
    """A ray aimed at a point near a shape, from within it up to 300 m away, often along an axis."""
    directions = [draw.choice(AXES), heading(draw), heading(draw)]
    aim = shape.a
    if shape.kind == CAPSULE:
        axis = twin.subtract(shape.b, shape.a)
        aim = twin.along(aim, axis, draw.single(0.0, 1.0))
        if twin.dot(axis, axis) > 0.01:
            directions.append(unit(axis))
    aim = twin.along(aim, vector(draw), draw.choice((0.0, 0.25, 0.5, 1.0)))
    direction = draw.choice(directions)
    return twin.along(aim, direction, -draw.single(*draw.choice(((-4.0, 4.0), (0.0, 300.0))))), direction


def native_ray(origin: Vec, direction: Vec, shape: Shape, inflate: float = 0.0) -> float:
    return geometry.ray(
        origin, direction, shape.kind, shape.a, shape.b, shape.radius, shape.turn, inflate=inflate
    )


@cases(draws)
def test_rays_equal_the_twin(draw: Draw) -> None:
    shape, inflate = solid(draw), draw.choice((0.0, 0.0625, 0.5))
    ray = ray_near(draw, shape)
    assert native_ray(*ray, shape, inflate) == twin.ray_shape(*ray, shape, inflate)


@cases(draws)
def test_nearest_points_equal_the_twin(draw: Draw) -> None:
    point, shape = vector(draw), solid(draw)
    found = geometry.nearest(point, shape.kind, shape.a, shape.b, shape.radius, shape.turn)
    assert found == twin.nearest_on_shape(point, shape)


# ---- first judge: signed distance and root search ---------------------------------------------


@cases(draws)
def test_rays_agree_with_a_walk_by_signed_distance(draw: Draw) -> None:
    shape, inflate = solid(draw), draw.choice((0.0, 0.0, 0.25))
    origin, direction = ray_near(draw, shape)
    judged = native_ray(origin, direction, shape, inflate)
    reach = math.dist(shape.a, origin) + 20.0
    true, margin = first_touch(
        lambda t: signed_distance(twin.along(origin, direction, t), shape) - inflate, reach
    )
    if abs(margin) < 1e-12 * reach:
        return  # grazing: within the rounding of the walk; the rational judge has these
    assert (judged == MISS) == (true == MISS)
    if judged != MISS:
        # The nearer to grazing, the more a rounding of the offset moves the point of entry along the ray.
        assert judged == pytest.approx(true, abs=1e-10 * reach + 1e-13 * reach / math.sqrt(abs(margin)))


# ---- second judge: rational numbers -------------------------------------------------------------


def exact_square_to_line(origin: Vec, direction: Vec, point: Vec) -> Fraction:
    """Squared distance of a point to a line, exactly."""
    o, d, p = ([Fraction(value) for value in v] for v in (origin, direction, point))
    w = [a - b for a, b in zip(p, o, strict=True)]
    dd, wd, ww = (
        sum((a * b for a, b in zip(s, t, strict=True)), Fraction(0)) for s, t in ((d, d), (w, d), (w, w))
    )
    return ww - wd * wd / dd


@cases(draws)
def test_grazing_spheres_are_judged_as_in_rational_numbers(draw: Draw) -> None:
    centre, direction, radius = vector(draw), heading(draw), size(draw)
    steps, away = draw.randint(-40, 40), draw.single(3.0, 1000.0)
    side = unit(twin.cross(direction, Vec(0.0, 0.0, 1.0) if abs(direction.z) < 0.9 else Vec(1.0, 0.0, 0.0)))
    # As near to the edge as a few roundings of the radius.
    aim = twin.along(centre, side, radius * (1.0 + steps * 2.0**-50))
    origin = twin.along(aim, direction, -away)
    exact = exact_square_to_line(origin, direction, centre)
    margin = abs(float(exact - Fraction(radius) ** 2)) / (2.0 * radius)
    hit = native_ray(origin, direction, Shape(SPHERE, centre, radius=radius)) != MISS
    if hit != (exact <= Fraction(radius) ** 2):
        assert margin < 4e-16 * (away + 10.0)


@cases(draws)
def test_grazing_capsules_are_judged_as_in_rational_numbers(draw: Draw) -> None:
    """Across an upright capsule, at half height: the cylinder decides."""
    a, radius = vector(draw), size(draw)
    steps, away = draw.randint(-40, 40), draw.single(3.0, 1000.0)
    sine, cosine = twin.sincos(draw.single(-7.0, 7.0))
    direction, side = Vec(cosine, sine, 0.0), Vec(-sine, cosine, 0.0)
    b = Vec(a.x, a.y, a.z + 2.0)
    aim = twin.along(Vec(a.x, a.y, a.z + 1.0), side, radius * (1.0 + steps * 2.0**-50))
    origin = twin.along(aim, direction, -away)
    exact = exact_square_to_line(origin, direction, Vec(a.x, a.y, origin.z))
    margin = abs(float(exact - Fraction(radius) ** 2)) / (2.0 * radius)
    hit = native_ray(origin, direction, Shape(CAPSULE, a, b, radius)) != MISS
    if hit != (exact <= Fraction(radius) ** 2):
        assert margin < 4e-16 * (away + 10.0)


# ---- known cases ----------------------------------------------------------------------------

LIMB = Shape(CAPSULE, Vec(0.0, 0.0, 0.0), Vec(0.0, 0.0, 1.0), 0.25)
CRATE = Shape(BOX, Vec(0.0, 0.0, 0.0), Vec(1.0, 1.0, 1.0))


@pytest.mark.parametrize(
    ("origin", "direction", "shape", "distance"),
    [
        (Vec(-5, 0, 0.5), Vec(1, 0, 0), LIMB, 4.75),
        (Vec(0, 0, -5), Vec(0, 0, 1), LIMB, 4.75),  # along the axis, from below
        (Vec(0, 0, 5), Vec(0, 0, -1), LIMB, 3.75),  # and from above
        (Vec(0.2, 0, 5), Vec(0, 0, 1), LIMB, MISS),  # away
        (Vec(0.3, 0, 5), Vec(0, 0, -1), LIMB, MISS),  # beside, parallel
        (Vec(0, 0, 0.5), Vec(1, 0, 0), LIMB, 0.0),  # inside
        (Vec(5, 0, 0.5), Vec(1, 0, 0), LIMB, MISS),  # behind
        (Vec(0, 0, 1.5), Vec(1, 0, 0), LIMB, MISS),  # within the endless cylinder, beyond the cap
        (Vec(-5, 0.25, 0.5), Vec(1, 0, 0), LIMB, 5.0),  # touching
        (Vec(-5, 0, 0), Vec(1, 0, 0), CRATE, 4.0),
        (Vec(-5, 1, 0), Vec(1, 0, 0), CRATE, 4.0),  # along a face
        (Vec(-5, 1, 1), Vec(1, 0, 0), CRATE, 4.0),  # along an edge
        (Vec(-5, 1.0000001, 0), Vec(1, 0, 0), CRATE, MISS),
        (Vec(0, 0, 0), Vec(0, 0, 1), CRATE, 0.0),
        (Vec(-5, 0, 0), Vec(1, 0, 0), CRATE._replace(turn=math.pi / 4), 5.0 - math.sqrt(2.0)),
    ],
)
def test_known_rays(origin: Vec, direction: Vec, shape: Shape, distance: float) -> None:
    assert native_ray(origin, direction, shape) == pytest.approx(distance, abs=1e-12)


def test_a_box_is_rounded_when_inflated() -> None:
    corner = Vec(-5.0, 1.0 + 0.5 * math.sqrt(0.5) + 0.01, 1.0 + 0.5 * math.sqrt(0.5) + 0.01)
    assert native_ray(corner, Vec(1.0, 0.0, 0.0), CRATE, 0.5) == MISS
    assert native_ray(Vec(-5.0, corner.y - 0.02, corner.z - 0.02), Vec(1.0, 0.0, 0.0), CRATE, 0.5) > 0.0


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="kind"):
        geometry.ray((0, 0, 0), (1, 0, 0), 4, (0, 0, 0))


# ---- angles and powers --------------------------------------------------------------------------


@cases(draws)
def test_sine_and_cosine(draw: Draw) -> None:
    value = draw.real(-6300.0, 6300.0)
    sine, cosine = geometry.sine_cosine(value)
    assert (sine, cosine) == twin.sincos(value)
    assert sine == pytest.approx(math.sin(value), abs=1e-15)
    assert cosine == pytest.approx(math.cos(value), abs=1e-15)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1.1e6])
def test_angles_out_of_range_count_as_zero(value: float) -> None:
    assert geometry.sine_cosine(value) == (0.0, 1.0) == twin.sincos(value)
    assert geometry.wrapped(value) == 0.0 == twin.wrap(value)


@cases(draws)
def test_wrapped_angles_point_the_same_way(draw: Draw) -> None:
    value = draw.real(-6300.0, 6300.0)
    wrapped = geometry.wrapped(value)
    assert wrapped == twin.wrap(value)
    assert abs(wrapped) <= math.pi + 1e-9
    assert math.sin(wrapped) == pytest.approx(math.sin(value), abs=1e-12)
    assert math.cos(wrapped) == pytest.approx(math.cos(value), abs=1e-12)


@cases(draws)
def test_powers_of_two(draw: Draw) -> None:
    value = draw.real(-1100.0, 1100.0)
    power = geometry.power_of_two(value)
    assert power == twin.exp2(value)
    if -1022.0 <= value <= 1023.0:
        assert power == pytest.approx(2.0**value, rel=1e-15)


def test_powers_of_two_saturate() -> None:
    assert geometry.power_of_two(1e9) == math.inf
    assert geometry.power_of_two(-1e9) == 0.0 == geometry.power_of_two(math.nan)
    assert [geometry.power_of_two(n) for n in (-1022, 0, 10, 1023)] == [2.0**-1022, 1.0, 1024.0, 2.0**1023]
