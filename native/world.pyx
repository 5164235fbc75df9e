"""Static map geometry: what stops a bullet, a look and a body.

Solids are axis-aligned boxes and two-sided triangles under a flat bounding volume hierarchy
(built in `solids`, children after their parent). Everything is f64. Two rules decide edges:

- **Rays** meet the open inside of a box: along a face, or from a face outwards, nothing is met. A ray
  from inside a box is stopped at 0. Triangles count their edges in, with `EDGE` of slack, so that no ray
  slips between two neighbours.
- **Hulls** (axis-aligned boxes that move) may sink `SKIN` into a solid. A hull is stopped at the true
  surface, so one that touches it can always slide along it, and rounding never wedges it. A hull deeper
  than `SKIN` in a solid at the start is stopped at once, unless it moves out by the nearest face.

The hierarchy never changes a result: every solid is first tested against its own bounds with the very
arithmetic used on nodes, which is monotone under rounding; `native.reference.world` has no hierarchy
and gives equal numbers. Ties: smallest share, then the solid that comes first in the document (boxes
before triangles).
"""

import hashlib
import struct

from libc.math cimport fabs, sqrt
from libc.stdlib cimport free
from native.solids cimport MAX_SOLIDS, compile, dot, face_t, node_t, slab_t, solid_t, spawn_points, vector
from native.types cimport vec3

cdef enum:
    DEPTH = 64                  # of the traversal stack; the hierarchy is at most 32 + 17 deep

cdef double SKIN = 1e-3         # metres
cdef double EDGE = 1e-9         # barycentric
cdef double PARALLEL = 1e-30    # a slower step along an axis is none
cdef double FLAT = 1e-12        # twice a triangle's area seen along the ray, square metres
cdef double INFINITE = float("inf")

# Something of half extents `half` that goes `step` from `at`. `inverse` is 0 along axes it keeps still on.
cdef struct path_t:
    vec3 at
    vec3 half
    vec3 front                  # at + half
    vec3 back                   # at - half
    vec3 step
    vec3 inverse
    bint slanted                # still on no axis: the common case has no branches

# When the path is in all slabs so far, and, with the skin taken off, when it is well inside them.
cdef struct span_t:
    double enter
    double leave
    double enter_in
    double leave_in
    vec3 normal             # of the plane behind `enter_in`


cdef inline double inverse(double step) noexcept nogil:
    return 1.0 / step if fabs(step) >= PARALLEL else 0.0


cdef inline path_t path_of(const vec3 *at, const vec3 *half, const vec3 *step) noexcept nogil:
    cdef path_t path
    path.at = at[0]
    path.half = half[0]
    path.front.x = at.x + half.x
    path.front.y = at.y + half.y
    path.front.z = at.z + half.z
    path.back.x = at.x - half.x
    path.back.y = at.y - half.y
    path.back.z = at.z - half.z
    path.step = step[0]
    path.inverse.x = inverse(step.x)
    path.inverse.y = inverse(step.y)
    path.inverse.z = inverse(step.z)
    path.slanted = path.inverse.x != 0.0 and path.inverse.y != 0.0 and path.inverse.z != 0.0
    return path


# ---- bounds -----------------------------------------------------------------------------------

cdef inline double lesser(double a, double b) noexcept nogil:
    return a if a < b else b


cdef inline double greater(double a, double b) noexcept nogil:
    return a if a > b else b


cdef inline bint cut(double low, double high, double front, double back, double inv,
                     double *enter, double *leave) noexcept nogil:
    """Narrows enter..leave to the time between two planes; 0 when a path that stays is not between them."""
    cdef double a = (low - front) * inv
    cdef double b = (high - back) * inv
    if inv == 0.0:
        return front > low and back < high
    enter[0] = greater(enter[0], lesser(a, b))
    leave[0] = lesser(leave[0], greater(a, b))
    return True


cdef inline bint crosses(const vec3 *low, const vec3 *high, const path_t *path,
                         double *enter, double *leave) noexcept nogil:
    """Does the path pass the inside of the bounds at a time after 0? `enter` may be below 0."""
    cdef double ax, ay, az, bx, by, bz
    if path.slanted:
        ax = (low.x - path.front.x) * path.inverse.x
        bx = (high.x - path.back.x) * path.inverse.x
        ay = (low.y - path.front.y) * path.inverse.y
        by = (high.y - path.back.y) * path.inverse.y
        az = (low.z - path.front.z) * path.inverse.z
        bz = (high.z - path.back.z) * path.inverse.z
        enter[0] = greater(greater(lesser(ax, bx), lesser(ay, by)), lesser(az, bz))
        leave[0] = lesser(lesser(greater(ax, bx), greater(ay, by)), greater(az, bz))
        return enter[0] < leave[0] and leave[0] > 0.0
    enter[0] = -INFINITE
    leave[0] = INFINITE
    return (cut(low.x, high.x, path.front.x, path.back.x, path.inverse.x, enter, leave)
            and cut(low.y, high.y, path.front.y, path.back.y, path.inverse.y, enter, leave)
            and cut(low.z, high.z, path.front.z, path.back.z, path.inverse.z, enter, leave)
            and enter[0] < leave[0] and leave[0] > 0.0)


# ---- rays -------------------------------------------------------------------------------------

cdef inline double ray_triangle(const face_t *face, const vec3 *origin, const vec3 *direction) noexcept nogil:
    """Distance to the triangle's plane within its edges (Moeller and Trumbore), or -1."""
    cdef vec3 p, s, q
    cdef double det, inv, u, v
    p.x = direction.y * face.edge_b.z - direction.z * face.edge_b.y
    p.y = direction.z * face.edge_b.x - direction.x * face.edge_b.z
    p.z = direction.x * face.edge_b.y - direction.y * face.edge_b.x
    det = dot(&face.edge_a, &p)
    if fabs(det) < FLAT:
        return -1.0
    inv = 1.0 / det
    s.x = origin.x - face.corner.x
    s.y = origin.y - face.corner.y
    s.z = origin.z - face.corner.z
    u = dot(&s, &p) * inv
    if u < -EDGE or u > 1.0 + EDGE:
        return -1.0
    q.x = s.y * face.edge_a.z - s.z * face.edge_a.y
    q.y = s.z * face.edge_a.x - s.x * face.edge_a.z
    q.z = s.x * face.edge_a.y - s.y * face.edge_a.x
    v = dot(direction, &q) * inv
    if v < -EDGE or u + v > 1.0 + EDGE:
        return -1.0
    return dot(&face.edge_b, &q) * inv


cdef inline double ray_solid(const solid_t *solid, const face_t *faces, const path_t *path) noexcept nogil:
    """Distance to the solid, or -1. Never before the ray enters the solid's bounds."""
    cdef double enter, leave, t
    if not crosses(&solid.low, &solid.high, path, &enter, &leave):
        return -1.0
    if solid.face < 0:
        return enter if enter > 0.0 else 0.0
    t = ray_triangle(&faces[solid.face], &path.at, &path.step)
    if t <= 0.0:
        return -1.0
    if t < enter:
        t = enter
    return t


cdef double nearest(const world_t *world, const vec3 *origin, const vec3 *direction, double reach,
                    bint any_will_do) noexcept nogil:
    cdef const node_t *nodes = <const node_t *>world.node
    cdef const solid_t *solids = <const solid_t *>world.solid
    cdef const face_t *faces = <const face_t *>world.face
    cdef const node_t *node
    cdef int stack[DEPTH]
    cdef double entered[DEPTH]
    cdef int top = 0, i, a, b, swap
    cdef double best = reach, enter, leave, enter_b, t
    cdef bint into_a, into_b
    cdef vec3 point
    point.x = point.y = point.z = 0.0
    cdef path_t path = path_of(origin, &point, direction)
    if world.solids == 0 or not crosses(&nodes[0].low, &nodes[0].high, &path, &enter, &leave):
        return reach
    stack[0] = 0
    entered[0] = enter
    top = 1
    while top:
        top -= 1
        if entered[top] >= best:
            continue
        node = &nodes[stack[top]]
        if node.count:
            for i in range(node.first, node.first + node.count):
                t = ray_solid(&solids[i], faces, &path)
                if 0.0 <= t < best:
                    best = t
                    if any_will_do:
                        return best
            continue
        a = stack[top] + 1
        b = node.first
        into_a = crosses(&nodes[a].low, &nodes[a].high, &path, &enter, &leave)
        into_b = crosses(&nodes[b].low, &nodes[b].high, &path, &enter_b, &leave)
        if into_a and into_b and enter_b < enter:      # the nearer child goes on top
            swap = a
            a = b
            b = swap
            t = enter
            enter = enter_b
            enter_b = t
        if into_b:
            stack[top] = b
            entered[top] = enter_b
            top += 1
        if into_a:
            stack[top] = a
            entered[top] = enter
            top += 1
    return best


cdef double world_ray(const world_t *world, const vec3 *origin, const vec3 *direction,
                      double reach) noexcept nogil:
    return nearest(world, origin, direction, reach, False)


cdef bint world_sees(const world_t *world, const vec3 *a, const vec3 *b) noexcept nogil:
    """The last `SKIN` at either end is not looked at: points on a surface see away from it."""
    cdef vec3 direction, origin
    cdef double length, reach
    direction.x = b.x - a.x
    direction.y = b.y - a.y
    direction.z = b.z - a.z
    length = sqrt(dot(&direction, &direction))
    reach = length - 2.0 * SKIN
    if reach <= 0.0:
        return True
    direction.x = direction.x / length
    direction.y = direction.y / length
    direction.z = direction.z / length
    origin.x = a.x + direction.x * SKIN
    origin.y = a.y + direction.y * SKIN
    origin.z = a.z + direction.z * SKIN
    return nearest(world, &origin, &direction, reach, True) >= reach


# ---- hulls ------------------------------------------------------------------------------------

cdef inline bint within(span_t *span, const vec3 *axis, double low, double high, double at, double half,
                        double inv) noexcept nogil:
    """Narrows the span to one slab; 0 when nothing is left of it."""
    cdef double thin = half - SKIN
    cdef double enter, enter_in, leave_in
    if inv == 0.0:
        return at + thin > low and at - thin < high
    if inv > 0.0:
        enter = (low - (at + half)) * inv
        enter_in = (low - (at + thin)) * inv
        leave_in = (high - (at - thin)) * inv
    else:
        enter = (high - (at - half)) * inv
        enter_in = (high - (at - thin)) * inv
        leave_in = (low - (at + thin)) * inv
    if enter > span.enter:
        span.enter = enter
    if enter_in > span.enter_in:
        span.enter_in = enter_in
        span.normal.x = 0.0 - axis.x if inv > 0.0 else axis.x
        span.normal.y = 0.0 - axis.y if inv > 0.0 else axis.y
        span.normal.z = 0.0 - axis.z if inv > 0.0 else axis.z
    if leave_in < span.leave_in:
        span.leave_in = leave_in
    return span.enter_in < span.leave_in


cdef inline double extent(const vec3 *axis, const vec3 *half) noexcept nogil:
    return fabs(axis.x) * half.x + fabs(axis.y) * half.y + fabs(axis.z) * half.z


cdef inline int axes_of(const solid_t *solid, const face_t *faces) noexcept nogil:
    """Separating axes beyond the hull's own."""
    return faces[solid.face].slabs if solid.face >= 0 else 0


cdef inline slab_t slab_of(const solid_t *solid, const face_t *faces, int i) noexcept nogil:
    """The i-th separating axis: the hull's own three, then the triangle's."""
    cdef slab_t slab
    if i >= 3:
        return faces[solid.face].slab[i - 3]
    slab.axis.x = 1.0 if i == 0 else 0.0
    slab.axis.y = 1.0 if i == 1 else 0.0
    slab.axis.z = 1.0 if i == 2 else 0.0
    slab.low = solid.low.x if i == 0 else (solid.low.y if i == 1 else solid.low.z)
    slab.high = solid.high.x if i == 0 else (solid.high.y if i == 1 else solid.high.z)
    return slab


cdef bint moves_out(const solid_t *solid, const face_t *faces, const path_t *path,
                    vec3 *normal) noexcept nogil:
    """A hull deep in the solid: does it leave by the nearest face, whose normal is given?"""
    cdef slab_t slab
    cdef double at, half, below, above, least = INFINITE
    cdef int i
    for i in range(3 + axes_of(solid, faces)):
        slab = slab_of(solid, faces, i)
        at = dot(&path.at, &slab.axis)
        half = extent(&slab.axis, &path.half)
        below = at + half - slab.low
        above = slab.high - (at - half)
        if below < least:
            least = below
            normal.x = 0.0 - slab.axis.x
            normal.y = 0.0 - slab.axis.y
            normal.z = 0.0 - slab.axis.z
        if above < least:
            least = above
            normal[0] = slab.axis
    return dot(&path.step, normal) > 0.0


cdef double sweep_solid(const solid_t *solid, const face_t *faces, const path_t *path,
                    vec3 *normal) noexcept nogil:
    """Share of the step that is free, 2 when all of it."""
    cdef span_t span
    cdef slab_t slab
    cdef int i
    span.enter = span.enter_in = -INFINITE
    span.leave_in = INFINITE
    span.normal.x = span.normal.y = span.normal.z = 0.0
    for i in range(3 + axes_of(solid, faces)):
        slab = slab_of(solid, faces, i)
        if not within(&span, &slab.axis, slab.low, slab.high, dot(&path.at, &slab.axis),
                      extent(&slab.axis, &path.half), inverse(dot(&path.step, &slab.axis))):
            return 2.0
    if span.leave_in <= 0.0 or span.enter_in >= 1.0:
        return 2.0
    if span.enter_in < 0.0:
        return 2.0 if moves_out(solid, faces, path, normal) else 0.0
    normal[0] = span.normal
    return span.enter if span.enter > 0.0 else 0.0


cdef inline vec3 thick(const vec3 *half) noexcept nogil:
    """A hull thinner than twice the skin would fall through a triangle."""
    cdef vec3 out
    out.x = half.x if half.x > 2.0 * SKIN else 2.0 * SKIN
    out.y = half.y if half.y > 2.0 * SKIN else 2.0 * SKIN
    out.z = half.z if half.z > 2.0 * SKIN else 2.0 * SKIN
    return out


cdef double world_sweep(const world_t *world, const vec3 *half, const vec3 *centre, const vec3 *delta,
                        vec3 *normal) noexcept nogil:
    """`normal` is (0, 0, 0) when nothing stops the hull."""
    cdef const node_t *nodes = <const node_t *>world.node
    cdef const solid_t *solids = <const solid_t *>world.solid
    cdef const face_t *faces = <const face_t *>world.face
    cdef const node_t *node
    cdef int stack[DEPTH]
    cdef int top = 0, i, met = MAX_SOLIDS
    cdef double best = 1.0, enter, leave, share
    cdef vec3 face
    cdef vec3 wide = thick(half)
    cdef path_t path = path_of(centre, &wide, delta)
    normal.x = normal.y = normal.z = 0.0
    if world.solids == 0:
        return 1.0
    stack[0] = 0
    top = 1
    while top:
        top -= 1
        node = &nodes[stack[top]]
        if not crosses(&node.low, &node.high, &path, &enter, &leave) or enter > best:
            continue
        if node.count == 0:
            stack[top + 1] = stack[top] + 1
            stack[top] = node.first
            top += 2
            continue
        for i in range(node.first, node.first + node.count):
            share = sweep_solid(&solids[i], faces, &path, &face)
            if share < best or (share == best and solids[i].id < met):
                best = share
                met = solids[i].id
                normal[0] = face
    return best


cdef bint world_overlaps(const world_t *world, const vec3 *half, const vec3 *centre) noexcept nogil:
    """Deeper than `SKIN` in any solid."""
    cdef const node_t *nodes = <const node_t *>world.node
    cdef const solid_t *solids = <const solid_t *>world.solid
    cdef const face_t *faces = <const face_t *>world.face
    cdef const node_t *node
    cdef int stack[DEPTH]
    cdef int top = 0, i
    cdef double enter, leave
    cdef vec3 face, still
    cdef vec3 wide = thick(half)
    still.x = still.y = still.z = 0.0
    cdef path_t path = path_of(centre, &wide, &still)
    if world.solids == 0:
        return False
    stack[0] = 0
    top = 1
    while top:
        top -= 1
        node = &nodes[stack[top]]
        if not crosses(&node.low, &node.high, &path, &enter, &leave):
            continue
        if node.count == 0:
            stack[top + 1] = stack[top] + 1
            stack[top] = node.first
            top += 2
            continue
        for i in range(node.first, node.first + node.count):
            if sweep_solid(&solids[i], faces, &path, &face) < 1.0:
                return True
    return False


cdef bytes packed(const vec3 *at):
    return struct.pack("<3d", at.x, at.y, at.z)


cdef class World:
    """A map, compiled. Immutable; any number of arenas may share one."""

    def __cinit__(self, dict document):
        self.map_id = document.get("map_id", "")
        compile(&self.c, document)
        self.spawns = spawn_points(document)

    def __dealloc__(self):
        free(self.c.node)
        free(self.c.solid)
        free(self.c.face)

    @property
    def bounds(self):
        return ((self.c.low.x, self.c.low.y, self.c.low.z), (self.c.high.x, self.c.high.y, self.c.high.z))

    @property
    def solids(self):
        return self.c.solids

    def hash(self):
        cdef const solid_t *solid
        cdef const face_t *face
        cdef int i
        low, high = self.bounds
        parts = [b""] * self.c.solids
        for i in range(self.c.solids):
            solid = (<const solid_t *>self.c.solid) + i
            face = (<const face_t *>self.c.face) + solid.face
            parts[solid.id] = packed(&solid.low) + packed(&solid.high)
            if solid.face >= 0:
                parts[solid.id] += packed(&face.corner) + packed(&face.edge_a) + packed(&face.edge_b)
        digest = hashlib.blake2b(struct.pack("<6d", *low, *high), digest_size=8)
        digest.update(b"".join(parts))
        for place in self.spawns:
            digest.update(struct.pack("<4dB", *place))
        return int.from_bytes(digest.digest(), "little")

    def ray(self, origin, direction, double reach):
        cdef vec3 o = vector(origin, "origin"), d = vector(direction, "direction")
        return world_ray(&self.c, &o, &d, reach)

    def sees(self, a, b):
        cdef vec3 from_ = vector(a, "a"), to = vector(b, "b")
        return bool(world_sees(&self.c, &from_, &to))

    def sweep(self, half, centre, delta):
        cdef vec3 h = vector(half, "half"), c = vector(centre, "centre"), d = vector(delta, "delta"), normal
        cdef double share = world_sweep(&self.c, &h, &c, &d, &normal)
        return share, (normal.x, normal.y, normal.z)

    def overlaps(self, half, centre):
        cdef vec3 h = vector(half, "half"), c = vector(centre, "centre")
        return bool(world_overlaps(&self.c, &h, &c))
