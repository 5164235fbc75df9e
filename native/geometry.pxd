"""Inline math of the native core: vectors, deterministic sine and power, rays against solids.

Only + - * / sqrt, comparisons and exact conversions on doubles, in a fixed order: the same bits on every
CPU, and in `native/reference/geometry.py`. Directions are unit vectors; a solid is closed (its surface
belongs to it); a ray that starts inside a solid meets it at distance 0.
"""

from libc.math cimport INFINITY, fabs, sqrt
from libc.stdint cimport int64_t, uint64_t
from native.types cimport SHAPE_BOX, SHAPE_CAPSULE, shape_t, vec3

cdef extern from *:
    """
    #define MISS (-1.0)
    /* pi/2 in two parts; the first has 33 bits, so that n * HALF_PI_HIGH is exact up to n = 2^20 */
    #define HALF_PI_HIGH 1.5707963267341256
    #define HALF_PI_LOW 6.077100506506192e-11
    #define TWO_OVER_PI 0.6366197723675814
    """
    const double MISS               # what a ray returns that meets nothing
    const double HALF_PI_HIGH
    const double HALF_PI_LOW
    const double TWO_OVER_PI

ctypedef union double_bits_t:
    double value
    uint64_t bits


# ---- vectors --------------------------------------------------------------------------------

cdef inline vec3 vector(double x, double y, double z) noexcept nogil:
    cdef vec3 v
    v.x = x
    v.y = y
    v.z = z
    return v

cdef inline vec3 add(vec3 a, vec3 b) noexcept nogil:
    return vector(a.x + b.x, a.y + b.y, a.z + b.z)

cdef inline vec3 subtract(vec3 a, vec3 b) noexcept nogil:
    return vector(a.x - b.x, a.y - b.y, a.z - b.z)

cdef inline vec3 scale(vec3 a, double s) noexcept nogil:
    return vector(a.x * s, a.y * s, a.z * s)

cdef inline vec3 along(vec3 a, vec3 d, double s) noexcept nogil:
    """a + s d"""
    return vector(a.x + d.x * s, a.y + d.y * s, a.z + d.z * s)

cdef inline double dot(vec3 a, vec3 b) noexcept nogil:
    return a.x * b.x + a.y * b.y + a.z * b.z

cdef inline vec3 cross(vec3 a, vec3 b) noexcept nogil:
    return vector(a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x)

cdef inline double length(vec3 a) noexcept nogil:
    return sqrt(dot(a, a))

cdef inline double limit(double value, double low, double high) noexcept nogil:
    """`value` moved into low..high; NaN gives `low`."""
    if not (value > low):
        return low
    return value if value < high else high


# ---- angles and powers ------------------------------------------------------------------------

cdef inline int64_t nearest_integer(double x) noexcept nogil:
    return <int64_t>(x + (0.5 if x >= 0.0 else -0.5))

cdef inline void sincos(double angle, double *sine, double *cosine) noexcept nogil:
    """Error under 1e-15 up to 1000 turns. Beyond 1e6 radians, or NaN: the angle counts as 0."""
    if not (-1.0e6 <= angle <= 1.0e6):
        angle = 0.0
    cdef int64_t n = nearest_integer(angle * TWO_OVER_PI)
    cdef double r = (angle - n * HALF_PI_HIGH) - n * HALF_PI_LOW
    cdef double z = r * r
    # Taylor series about 0: on -pi/4..pi/4 the first term left out is under 5e-17.
    cdef double s = r + r * z * (-1.0 / 6.0 + z * (1.0 / 120.0 + z * (-1.0 / 5040.0 + z * (
        1.0 / 362880.0 + z * (-1.0 / 39916800.0 + z * (1.0 / 6227020800.0 + z * (
            -1.0 / 1307674368000.0)))))))
    cdef double c = 1.0 + z * (-0.5 + z * (1.0 / 24.0 + z * (-1.0 / 720.0 + z * (1.0 / 40320.0 + z * (
        -1.0 / 3628800.0 + z * (1.0 / 479001600.0 + z * (-1.0 / 87178291200.0 + z * (
            1.0 / 20922789888000.0))))))))
    cdef int quadrant = <int>(n & 3)
    if quadrant & 1:
        s, c = c, s
    sine[0] = -s if quadrant & 2 else s
    cosine[0] = -c if (quadrant + 1) & 2 else c

cdef inline double wrap(double angle) noexcept nogil:
    """The same direction within -pi..pi. Beyond 1e6 radians, or NaN: 0."""
    if not (-1.0e6 <= angle <= 1.0e6):
        return 0.0
    cdef int64_t n = 4 * nearest_integer(angle * TWO_OVER_PI * 0.25)
    return (angle - n * HALF_PI_HIGH) - n * HALF_PI_LOW

cdef inline double exp2(double x) noexcept nogil:
    """2 to the x, relative error under 1e-15. Above 1023: infinity; under -1022, or NaN: 0."""
    if not (x >= -1022.0):
        return 0.0
    if x > 1023.0:
        return INFINITY
    cdef int64_t n = nearest_integer(x)
    cdef double f = x - n
    # ln(2)^k / k!
    cdef double p = 1.0 + f * (0.6931471805599453 + f * (0.24022650695910072 + f * (0.05550410866482158 + f * (
        0.009618129107628477 + f * (0.0013333558146428443 + f * (0.0001540353039338161 + f * (
            1.5252733804059841e-05 + f * (1.321548679014431e-06 + f * (1.01780860092397e-07 + f * (
                7.054911620801123e-09 + f * (4.4455382718708116e-10 + f * (2.5678435993488206e-11 + f * (
                    1.3691488853904128e-12)))))))))))))
    cdef double_bits_t power
    power.bits = <uint64_t>(n + 1023) << 52
    return p * power.value


# ---- rays ---------------------------------------------------------------------------------------

cdef inline double ray_sphere(vec3 origin, vec3 direction, vec3 centre, double radius) noexcept nogil:
    cdef vec3 to_centre = subtract(centre, origin)
    if dot(to_centre, to_centre) <= radius * radius:
        return 0.0
    cdef double b = dot(to_centre, direction)
    if b < 0.0:
        return MISS
    # The part of `to_centre` across the ray, not b*b - |to_centre|^2: that cancels at long range.
    cdef vec3 across = along(to_centre, direction, -b)
    cdef double h = radius * radius - dot(across, across)
    if h < 0.0:
        return MISS
    return b - sqrt(h)

cdef inline vec3 nearest_on_segment(vec3 point, vec3 a, vec3 b) noexcept nogil:
    cdef vec3 ab = subtract(b, a)
    cdef double square = dot(ab, ab)
    if not (square > 0.0):
        return a
    return along(a, ab, limit(dot(subtract(point, a), ab) / square, 0.0, 1.0))

cdef inline double ray_capsule(vec3 origin, vec3 direction, vec3 a, vec3 b, double radius) noexcept nogil:
    """Everything within `radius` of the segment a..b."""
    cdef vec3 axis = subtract(b, a)
    cdef vec3 from_a = subtract(origin, a)
    cdef vec3 normal = cross(axis, direction)
    cdef double axis2 = dot(axis, axis)
    cdef double climb = dot(axis, direction)
    cdef double square = dot(normal, normal)
    # From the point of the ray nearest to a, so that nothing cancels at long range; `offset` is |normal|
    # times the distance of the two lines.
    cdef double passed = dot(from_a, direction)
    cdef vec3 across = along(from_a, direction, -passed)
    cdef double offset = dot(across, normal)
    cdef double h = radius * radius * square - offset * offset
    # Along the axis within 1e-8, or without one, it is the end that comes first.
    cdef bint slanted = square > 1.0e-16 * axis2
    cdef double t, y
    if slanted and h < 0.0:
        return MISS
    cdef vec3 away = subtract(origin, nearest_on_segment(origin, a, b))
    if dot(away, away) <= radius * radius:
        return 0.0
    if not slanted:
        return ray_sphere(origin, direction, a if climb >= 0.0 else b, radius)
    t = (-dot(cross(axis, across), normal) - sqrt(axis2 * h)) / square
    y = dot(axis, across) + t * climb
    if 0.0 < y < axis2:
        t = t - passed
        return t if t >= 0.0 else MISS
    return ray_sphere(origin, direction, a if y <= 0.0 else b, radius)

cdef inline bint slab(double origin, double direction, double half, double *enter, double *leave) noexcept nogil:
    """Narrows enter..leave to where the ray is within -half..half; no NaN when it runs along the slab."""
    cdef double first, last
    if direction == 0.0:
        return -half <= origin <= half
    first = (-half - origin) / direction
    last = (half - origin) / direction
    if first > last:
        first, last = last, first
    if first > enter[0]:
        enter[0] = first
    if last < leave[0]:
        leave[0] = last
    return enter[0] <= leave[0]

cdef inline double ray_slabs(vec3 origin, vec3 direction, vec3 half) noexcept nogil:
    """A box with half extents `half` about the origin of the frame."""
    cdef double enter = 0.0, leave = INFINITY
    if (slab(origin.x, direction.x, half.x, &enter, &leave)
            and slab(origin.y, direction.y, half.y, &enter, &leave)
            and slab(origin.z, direction.z, half.z, &enter, &leave)):
        return enter
    return MISS

cdef inline double nearer(double t, double u) noexcept nogil:
    """The lesser of two distances that may be MISS."""
    if t < 0.0:
        return u
    return t if u < 0.0 or t <= u else u

cdef inline double ray_rounded(vec3 origin, vec3 direction, vec3 half, double radius) noexcept nogil:
    """Everything within `radius` of the box of `ray_slabs`: three boxes and twelve edges."""
    if ray_slabs(origin, direction, vector(half.x + radius, half.y + radius, half.z + radius)) < 0.0:
        return MISS
    cdef double t = ray_slabs(origin, direction, vector(half.x + radius, half.y, half.z))
    t = nearer(t, ray_slabs(origin, direction, vector(half.x, half.y + radius, half.z)))
    t = nearer(t, ray_slabs(origin, direction, vector(half.x, half.y, half.z + radius)))
    cdef int i
    cdef double u, v
    for i in range(4):
        u = 1.0 if i & 1 else -1.0
        v = 1.0 if i & 2 else -1.0
        t = nearer(t, ray_capsule(origin, direction, vector(-half.x, u * half.y, v * half.z),
                                  vector(half.x, u * half.y, v * half.z), radius))
        t = nearer(t, ray_capsule(origin, direction, vector(u * half.x, -half.y, v * half.z),
                                  vector(u * half.x, half.y, v * half.z), radius))
        t = nearer(t, ray_capsule(origin, direction, vector(u * half.x, v * half.y, -half.z),
                                  vector(u * half.x, v * half.y, half.z), radius))
    return t

cdef inline vec3 turned(vec3 v, double sine, double cosine) noexcept nogil:
    """Turned counter-clockwise about z; with -sine, back."""
    return vector(cosine * v.x - sine * v.y, sine * v.x + cosine * v.y, v.z)

cdef inline double ray_box(vec3 origin, vec3 direction, const shape_t *box, double radius) noexcept nogil:
    """A box turned about its own z axis, inflated by `radius`."""
    cdef double sine, cosine
    origin = subtract(origin, box.a)
    if box.turn != 0.0:
        sincos(box.turn, &sine, &cosine)
        origin = turned(origin, -sine, cosine)
        direction = turned(direction, -sine, cosine)
    if radius > 0.0:
        return ray_rounded(origin, direction, box.b, radius)
    return ray_slabs(origin, direction, box.b)

cdef inline double ray_shape(vec3 origin, vec3 direction, const shape_t *shape, double radius) noexcept nogil:
    """Distance to a hitbox inflated by `radius`, in the body's frame, or MISS."""
    if shape.kind == SHAPE_CAPSULE:
        return ray_capsule(origin, direction, shape.a, shape.b, shape.radius + radius)
    if shape.kind == SHAPE_BOX:
        return ray_box(origin, direction, shape, radius)
    return ray_sphere(origin, direction, shape.a, shape.radius + radius)


# ---- nearest points ---------------------------------------------------------------------------

cdef inline vec3 toward(vec3 core, vec3 point, double radius) noexcept nogil:
    """The point of the ball about `core` that is nearest to `point`: `point` itself when inside."""
    cdef vec3 way = subtract(point, core)
    cdef double square = dot(way, way)
    if square <= radius * radius:
        return point
    return along(core, way, radius / sqrt(square))

cdef inline vec3 nearest_on_box(vec3 point, const shape_t *box) noexcept nogil:
    cdef double sine = 0.0, cosine = 1.0
    cdef vec3 local = subtract(point, box.a)
    if box.turn != 0.0:
        sincos(box.turn, &sine, &cosine)
    local = turned(local, -sine, cosine)
    local = vector(limit(local.x, -box.b.x, box.b.x), limit(local.y, -box.b.y, box.b.y),
                   limit(local.z, -box.b.z, box.b.z))
    return add(turned(local, sine, cosine), box.a)

cdef inline vec3 nearest_on_shape(vec3 point, const shape_t *shape) noexcept nogil:
    """The point of a hitbox nearest to `point`, both in the body's frame."""
    if shape.kind == SHAPE_CAPSULE:
        return toward(nearest_on_segment(point, shape.a, shape.b), point, shape.radius)
    if shape.kind == SHAPE_BOX:
        return nearest_on_box(point, shape)
    return toward(shape.a, point, shape.radius)
