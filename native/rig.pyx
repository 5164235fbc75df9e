"""Hitboxes of a body: the `rig` of a ruleset compiled to shapes, with the spheres that bound them."""

from libc.math cimport INFINITY
from libc.string cimport memset
from native.geometry cimport along, length, scale, subtract, vector
from native.types cimport (
    MAX_SHAPES, MAX_STANCES, SHAPE_BOX, SHAPE_CAPSULE, SHAPE_SPHERE, rig_t, shape_t, vec3,
)

STANCES = ("stand", "crouch", "air")
KINDS = {"sphere": SHAPE_SPHERE, "capsule": SHAPE_CAPSULE, "box": SHAPE_BOX}
REGIONS = {"none": 0, "head": 1, "torso": 2, "stomach": 3, "arm": 4, "leg": 5}
FIELDS = {
    "sphere": ("a", "radius"),
    "capsule": ("a", "b", "radius"),
    "box": ("a", "b", "turn"),
}
# A body is not larger: metres.
SIZE_MAX = 10.0


def _number(document, str path, double low, double high):
    if isinstance(document, bool) or not isinstance(document, (int, float)):
        raise ValueError(f"{path}: a number is needed, not {document!r}")
    if not low <= document <= high:
        raise ValueError(f"{path}: {document} is not within {low:g}..{high:g}")
    return float(document)


def _keys(document, str path, tuple names, tuple optional=()):
    if not isinstance(document, dict):
        raise ValueError(f"{path}: an object is needed")
    for name in names:
        if name not in document:
            raise ValueError(f"{path}.{name}: is missing")
    for name in document:
        if name not in names and name not in optional:
            raise ValueError(f"{path}.{name}: is not known here")


cdef vec3 _point(object document, str path, double low) except *:
    if not isinstance(document, (list, tuple)) or len(document) != 3:
        raise ValueError(f"{path}: three numbers are needed")
    x, y, z = (_number(value, f"{path}[{i}]", low, SIZE_MAX) for i, value in enumerate(document))
    return vector(x, y, z)


cdef int _shape(object document, str path, shape_t *out) except -1:
    if not isinstance(document, dict) or document.get("kind") not in KINDS:
        raise ValueError(f"{path}.kind: one of {', '.join(KINDS)} is needed")
    kind = document["kind"]
    _keys(document, path, ("kind", "region", *FIELDS[kind][:2]), FIELDS[kind])
    if document["region"] not in REGIONS:
        raise ValueError(f"{path}.region: one of {', '.join(REGIONS)} is needed")
    memset(out, 0, sizeof(shape_t))
    out.kind = KINDS[kind]
    out.region = REGIONS[document["region"]]
    out.a = _point(document["a"], f"{path}.a", -SIZE_MAX)
    if kind == "box":
        out.b = _point(document["b"], f"{path}.b", 0.0)
        out.turn = _number(document.get("turn", 0.0), f"{path}.turn", -7.0, 7.0)
        return 0
    out.radius = _number(document.get("radius"), f"{path}.radius", 1e-3, SIZE_MAX)
    if kind == "capsule":
        out.b = _point(document["b"], f"{path}.b", -SIZE_MAX)
    return 0


cdef void _bound_shape(rig_t *rig, int stance, int i) noexcept:
    """The sphere about one shape, a tenth of a millimetre larger for what single precision rounds."""
    cdef const shape_t *shape = &rig.shapes[stance][i]
    cdef vec3 half = scale(subtract(shape.b, shape.a), 0.5)
    cdef vec3 middle = shape.a
    cdef double radius = shape.radius
    if shape.kind == SHAPE_CAPSULE:
        middle = along(shape.a, half, 1.0)
        radius += length(half)
    elif shape.kind == SHAPE_BOX:
        radius = length(shape.b)
    rig.ball[stance][0][i] = <float>middle.x
    rig.ball[stance][1][i] = <float>middle.y
    rig.ball[stance][2][i] = <float>middle.z
    rig.ball[stance][3][i] = <float>(radius + 1e-4)


cdef void _bound(rig_t *rig) noexcept:
    """The sphere about a point on the axis that holds every shape, however the body turns."""
    cdef double low = INFINITY, high = -INFINITY, margin
    cdef const shape_t *shape
    cdef vec3 end
    cdef int stance, i, tip
    for tip in range(2):
        for stance in range(MAX_STANCES):
            for i in range(rig.count[stance]):
                shape = &rig.shapes[stance][i]
                margin = length(shape.b) if shape.kind == SHAPE_BOX else shape.radius
                end = shape.b if tip and shape.kind == SHAPE_CAPSULE else shape.a
                low = min(low, end.z - margin)
                high = max(high, end.z + margin)
    rig.centre = 0.5 * (low + high)
    for tip in range(2):
        for stance in range(MAX_STANCES):
            for i in range(rig.count[stance]):
                shape = &rig.shapes[stance][i]
                margin = length(shape.b) if shape.kind == SHAPE_BOX else shape.radius
                end = shape.b if tip and shape.kind == SHAPE_CAPSULE else shape.a
                rig.reach = max(rig.reach, margin + length(vector(end.x, end.y, end.z - rig.centre)))
    rig.reach += 1e-9


cdef int rig_from(dict document, rig_t *out) except -1:
    """Compiles the `rig` of a ruleset. Raises ValueError with the path of the first thing wrong."""
    _keys(document, "rig", ("eye_m", "shapes"))
    _keys(document["eye_m"], "rig.eye_m", STANCES)
    _keys(document["shapes"], "rig.shapes", STANCES)
    memset(out, 0, sizeof(rig_t))
    cdef int stance, i
    for stance, name in enumerate(STANCES):
        out.eye[stance] = _number(document["eye_m"][name], f"rig.eye_m.{name}", 0.0, SIZE_MAX)
        shapes = document["shapes"][name]
        path = f"rig.shapes.{name}"
        if not isinstance(shapes, list) or not 1 <= len(shapes) <= MAX_SHAPES:
            raise ValueError(f"{path}: a list of 1 to {MAX_SHAPES} shapes is needed")
        out.count[stance] = len(shapes)
        for i in range(out.count[stance]):
            _shape(shapes[i], f"{path}[{i}]", &out.shapes[stance][i])
            _bound_shape(out, stance, i)
    _bound(out)
    return 0


cdef class Rig:
    def __cinit__(self, dict document):
        rig_from(document, &self.c)

    @property
    def reach(self):
        return self.c.reach

    @property
    def centre(self):
        return self.c.centre
