"""The compiled form of a map's solids, and the hierarchy over them. Layout only; nothing outside
`world` and `solids` looks inside."""

from native.types cimport vec3
from native.world cimport world_t

cdef extern from *:
    """
    #define OBLIQUE 10
    #define MAX_SOLIDS 100000
    """
    const int OBLIQUE           # separating axes of a triangle that are not the hull's own
    const int MAX_SOLIDS

# A pair of parallel planes: low <= axis . point <= high; the axis is a unit vector.
ctypedef struct slab_t:
    vec3 axis
    double low
    double high

# Small, so that many are in the cache: a ray looks at bounds most of all.
ctypedef struct solid_t:
    vec3 low                    # bounds; of a box, the box
    vec3 high
    int id                      # place in the document: boxes, then triangles
    int face                    # of a triangle, else -1

ctypedef struct face_t:
    vec3 corner
    vec3 edge_a
    vec3 edge_b
    int slabs
    slab_t slab[10]

ctypedef struct node_t:
    vec3 low
    vec3 high
    int first                   # leaf: its solids; else the second child (the first follows the node)
    int count                   # of solids; 0: not a leaf

cdef inline double dot(const vec3 *a, const vec3 *b) noexcept nogil:
    return a.x * b.x + a.y * b.y + a.z * b.z

cdef vec3 vector(object value, str path) except *
# Allocates and fills `world.node`, `world.solid` and `world.face`, and reads the bounds.
cdef int compile(world_t *world, dict document) except -1
# x, y, z, yaw, team plus one (0: any).
cdef list spawn_points(dict document)
