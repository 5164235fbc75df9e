"""Reads a map document and compiles its solids: separating axes of triangles, and a bounding volume
hierarchy by least surface. Deterministic: the document alone fixes it.

Every fault is a ValueError that starts with the path of the value (`boxes[3].low: ...`)."""

from libc.math cimport sqrt
from libc.stdlib cimport calloc, free
from native.types cimport vec3

cdef enum:
    LEAF = 2                    # solids of a leaf, at most
    BALANCED = 32               # depth from which parts are equal

cdef double PAD = 1e-6          # bounds of a triangle, metres
cdef double COORDINATE_MAX = 100_000.0
cdef double AREA_MIN = 1e-6     # square metres


cdef vec3 vector(object value, str path) except *:
    cdef vec3 out
    if not isinstance(value, (list, tuple)) or len(value) != 3:
        raise ValueError(f"{path}: three numbers are needed, got {value!r}")
    for number in value:
        real = isinstance(number, (int, float)) and not isinstance(number, bool)
        if not real or not abs(number) <= COORDINATE_MAX:
            raise ValueError(f"{path}: {number!r} is not a number of at most {COORDINATE_MAX:.0f} m")
    out.x, out.y, out.z = value
    return out


cdef tuple box(object value, str path):
    """((low), (high)), low below high on every axis."""
    if not isinstance(value, dict) or "low" not in value or "high" not in value:
        raise ValueError(f"{path}: low and high are needed, got {value!r}")
    cdef vec3 low = vector(value["low"], f"{path}.low")
    cdef vec3 high = vector(value["high"], f"{path}.high")
    if not (low.x < high.x and low.y < high.y and low.z < high.z):
        raise ValueError(f"{path}.low: must be below high on every axis, got {value!r}")
    return ((low.x, low.y, low.z), (high.x, high.y, high.z))


cdef list entries(dict document, str name):
    value = document.get(name, [])
    if not isinstance(value, list):
        raise ValueError(f"{name}: a list is needed, got {type(value).__name__}")
    return value


cdef tuple spawn(object value, str path):
    if not isinstance(value, dict) or "at" not in value:
        raise ValueError(f"{path}: at is needed, got {value!r}")
    cdef vec3 at = vector(value["at"], f"{path}.at")
    yaw, team = value.get("yaw", 0.0), value.get("team", 0)
    if isinstance(yaw, bool) or not isinstance(yaw, (int, float)) or not abs(yaw) <= 100.0:
        raise ValueError(f"{path}.yaw: {yaw!r} is not an angle in radians")
    if isinstance(team, bool) or not isinstance(team, int) or not 0 <= team <= 255:
        raise ValueError(f"{path}.team: {team!r} is not 0..255")
    return (at.x, at.y, at.z, float(yaw), team)


cdef int fill_slab(face_t *face, const vec3 *axis, const vec3 *b, const vec3 *c) noexcept nogil:
    """Adds the slab of the triangle (corner, b, c) along the axis; none when the axis is no direction."""
    cdef slab_t slab
    cdef double length = sqrt(dot(axis, axis)), p
    if length < 1e-6:
        return 0
    slab.axis.x = axis.x / length
    slab.axis.y = axis.y / length
    slab.axis.z = axis.z / length
    slab.low = slab.high = dot(&face.corner, &slab.axis)
    p = dot(b, &slab.axis)
    if p < slab.low:
        slab.low = p
    if p > slab.high:
        slab.high = p
    p = dot(c, &slab.axis)
    if p < slab.low:
        slab.low = p
    if p > slab.high:
        slab.high = p
    face.slab[face.slabs] = slab
    face.slabs += 1
    return 1


cdef int fill_triangle(solid_t *solid, face_t *face, object corners, str path) except -1:
    cdef vec3 b, c, edge, axis
    cdef int i
    if not isinstance(corners, (list, tuple)) or len(corners) != 3:
        raise ValueError(f"{path}: three corners are needed, got {corners!r}")
    face.corner = vector(corners[0], f"{path}[0]")
    b = vector(corners[1], f"{path}[1]")
    c = vector(corners[2], f"{path}[2]")
    face.edge_a.x = b.x - face.corner.x
    face.edge_a.y = b.y - face.corner.y
    face.edge_a.z = b.z - face.corner.z
    face.edge_b.x = c.x - face.corner.x
    face.edge_b.y = c.y - face.corner.y
    face.edge_b.z = c.z - face.corner.z
    solid.low.x = min(face.corner.x, b.x, c.x) - PAD
    solid.low.y = min(face.corner.y, b.y, c.y) - PAD
    solid.low.z = min(face.corner.z, b.z, c.z) - PAD
    solid.high.x = max(face.corner.x, b.x, c.x) + PAD
    solid.high.y = max(face.corner.y, b.y, c.y) + PAD
    solid.high.z = max(face.corner.z, b.z, c.z) + PAD
    axis.x = face.edge_a.y * face.edge_b.z - face.edge_a.z * face.edge_b.y
    axis.y = face.edge_a.z * face.edge_b.x - face.edge_a.x * face.edge_b.z
    axis.z = face.edge_a.x * face.edge_b.y - face.edge_a.y * face.edge_b.x
    if sqrt(dot(&axis, &axis)) < 2.0 * AREA_MIN:
        raise ValueError(f"{path}: a triangle of no area, {corners!r}")
    fill_slab(face, &axis, &b, &c)
    for i in range(3):
        if i == 0:
            edge = face.edge_a
        elif i == 1:
            edge = face.edge_b
        else:
            edge.x, edge.y, edge.z = c.x - b.x, c.y - b.y, c.z - b.z
        axis.x, axis.y, axis.z = 0.0, edge.z, -edge.y
        fill_slab(face, &axis, &b, &c)
        axis.x, axis.y, axis.z = -edge.z, 0.0, edge.x
        fill_slab(face, &axis, &b, &c)
        axis.x, axis.y, axis.z = edge.y, -edge.x, 0.0
        fill_slab(face, &axis, &b, &c)
    return 0


def _area(low, high):
    x, y, z = (high[k] - low[k] for k in range(3))
    return x * y + y * z + z * x


def _sweep_areas(list bounds, list members):
    """Surface of the bounds of the first 1, 2, 3 ... members."""
    (x, y, z), (u, v, w) = bounds[members[0]]
    areas = []
    for i in members:
        low, high = bounds[i]
        x, y, z = min(x, low[0]), min(y, low[1]), min(z, low[2])
        u, v, w = max(u, high[0]), max(v, high[1]), max(w, high[2])
        areas.append(_area((x, y, z), (u, v, w)))
    return areas


def _halves(list bounds, list members, int depth):
    """The two parts with the least surface times solids, over all three axes: few rays enter a small
    surface. Below `BALANCED` the middle, so that no map makes the hierarchy deeper than its stack."""
    cdef int count = len(members)
    best = None
    for axis in range(3):
        ordered = sorted(members, key=lambda i: (bounds[i][0][axis] + bounds[i][1][axis], i))
        if depth >= BALANCED:
            return ordered[: count // 2], ordered[count // 2 :]
        rising, falling = _sweep_areas(bounds, ordered), _sweep_areas(bounds, ordered[::-1])
        for k in range(1, count):
            cost = rising[k - 1] * k + falling[count - k - 1] * (count - k)
            if best is None or cost < best[0]:
                best = (cost, ordered, k)
    _, ordered, k = best
    return ordered[:k], ordered[k:]


def _split(list bounds, list nodes, list order, list members, int depth):
    """Appends the node of `members` (indices of `bounds`) and its children; solids go to `order`."""
    low = tuple(min(bounds[i][0][k] for i in members) for k in range(3))
    high = tuple(max(bounds[i][1][k] for i in members) for k in range(3))
    place = len(nodes)
    if len(members) <= LEAF:
        nodes.append((low, high, len(order), len(members)))
        order.extend(members)
        return
    nodes.append(None)
    left, right = _halves(bounds, members, depth)
    _split(bounds, nodes, order, left, depth + 1)
    nodes[place] = (low, high, len(nodes), 0)
    _split(bounds, nodes, order, right, depth + 1)


cdef list spawn_points(dict document):
    return [spawn(value, f"spawns[{i}]") for i, value in enumerate(entries(document, "spawns"))]


cdef int fill_solids(solid_t *solids, face_t *faces, list boxes, list triangles) except -1:
    cdef int i, k
    for i in range(len(boxes) + len(triangles)):
        solids[i].id = i
        if i < len(boxes):
            low, high = box(boxes[i], f"boxes[{i}]")
            solids[i].low.x, solids[i].low.y, solids[i].low.z = low
            solids[i].high.x, solids[i].high.y, solids[i].high.z = high
            solids[i].face = -1
        else:
            k = i - len(boxes)
            solids[i].face = k
            fill_triangle(&solids[i], &faces[k], triangles[k], f"triangles[{k}]")
    return 0


cdef int place_solids(world_t *world, const solid_t *solids, int count) except -1:
    """The hierarchy, and the solids in its order."""
    cdef int i
    cdef solid_t *placed
    cdef node_t *nodes
    bounds = [
        ((solids[i].low.x, solids[i].low.y, solids[i].low.z),
         (solids[i].high.x, solids[i].high.y, solids[i].high.z))
        for i in range(count)
    ]
    tree, order = [], []
    _split(bounds, tree, order, list(range(count)), 0)
    world.solid = calloc(count, sizeof(solid_t))
    world.node = calloc(len(tree), sizeof(node_t))
    if world.solid == NULL or world.node == NULL:
        raise MemoryError
    placed = <solid_t *>world.solid
    nodes = <node_t *>world.node
    for i in range(count):
        placed[i] = solids[<int>order[i]]
    for i in range(len(tree)):
        low, high, nodes[i].first, nodes[i].count = tree[i]
        nodes[i].low.x, nodes[i].low.y, nodes[i].low.z = low
        nodes[i].high.x, nodes[i].high.y, nodes[i].high.z = high
    world.solids = count
    world.nodes = len(tree)
    return 0


cdef int compile(world_t *world, dict document) except -1:
    cdef solid_t *solids
    low, high = box(document.get("bounds"), "bounds")
    world.low.x, world.low.y, world.low.z = low
    world.high.x, world.high.y, world.high.z = high
    boxes, triangles = entries(document, "boxes"), entries(document, "triangles")
    count = len(boxes) + len(triangles)
    if count > MAX_SOLIDS:
        raise ValueError(f"boxes, triangles: at most {MAX_SOLIDS} solids, got {count}")
    if count == 0:
        return 0
    solids = <solid_t *>calloc(count, sizeof(solid_t))
    if solids == NULL:
        raise MemoryError
    try:
        world.face = calloc(len(triangles) + 1, sizeof(face_t))
        if world.face == NULL:
            raise MemoryError
        fill_solids(solids, <face_t *>world.face, boxes, triangles)
        place_solids(world, solids, count)
    finally:
        free(solids)
    return 0
