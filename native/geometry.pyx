"""The Python door to the inline math; for tests, tools and map or ruleset checks."""

from native.geometry cimport exp2, nearest_on_shape, ray_shape, sincos, vector, wrap
from native.types cimport SHAPE_BOX, SHAPE_CAPSULE, SHAPE_SPHERE, shape_t, vec3


cdef vec3 _vec(object values) except *:
    x, y, z = values
    return vector(x, y, z)


cdef shape_t _shape(int kind, object a, object b, double radius, double turn) except *:
    cdef shape_t shape
    if kind not in (SHAPE_SPHERE, SHAPE_CAPSULE, SHAPE_BOX):
        raise ValueError(f"kind: 1 (sphere), 2 (capsule) or 3 (box), not {kind}")
    shape.kind = kind
    shape.region = 0
    shape.radius = radius
    shape.turn = turn
    shape.a = _vec(a)
    shape.b = _vec(b)
    return shape


def sine_cosine(double angle):
    cdef double sine, cosine
    sincos(angle, &sine, &cosine)
    return sine, cosine


def wrapped(double angle):
    return wrap(angle)


def power_of_two(double x):
    return exp2(x)


def ray(origin, direction, int kind, a, b=(0.0, 0.0, 0.0), double radius=0.0, double turn=0.0,
        double inflate=0.0):
    cdef shape_t shape = _shape(kind, a, b, radius, turn)
    return ray_shape(_vec(origin), _vec(direction), &shape, inflate)


def nearest(point, int kind, a, b=(0.0, 0.0, 0.0), double radius=0.0, double turn=0.0):
    cdef shape_t shape = _shape(kind, a, b, radius, turn)
    cdef vec3 found = nearest_on_shape(_vec(point), &shape)
    return found.x, found.y, found.z
