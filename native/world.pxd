"""Static map geometry: boxes and triangles under a bounding volume hierarchy."""

from native.types cimport vec3

ctypedef struct world_t:
    vec3 low            # map bounds
    vec3 high
    int solids
    int nodes
    void *node          # flat BVH; layout private to world.pyx
    void *solid
    void *face          # what triangles have beyond their bounds

cdef class World:
    cdef world_t c
    cdef readonly str map_id
    # Spawn points: x, y, z, yaw, team plus one (0: any).
    cdef readonly list spawns

# Distance along the unit direction to the first solid within `reach`; `reach` itself when clear.
cdef double world_ray(const world_t *world, const vec3 *origin, const vec3 *direction,
                      double reach) noexcept nogil
# Can a be seen from b?
cdef bint world_sees(const world_t *world, const vec3 *a, const vec3 *b) noexcept nogil
# Share 0..1 of `delta` a box with half extents `half` about `centre` can go; `normal` of what stopped it.
cdef double world_sweep(const world_t *world, const vec3 *half, const vec3 *centre, const vec3 *delta,
                        vec3 *normal) noexcept nogil
cdef bint world_overlaps(const world_t *world, const vec3 *half, const vec3 *centre) noexcept nogil
