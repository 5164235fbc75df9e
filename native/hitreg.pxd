"""Who a ray, a swing, a blast or a projectile reached, at an instant of the past."""

from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t
from native.history cimport history_t, instant_t
from native.types cimport pose_t, rig_t, vec3
from native.world cimport world_t

ctypedef struct contact_t:
    uint32_t slot
    uint8_t region
    uint8_t shape
    double distance             # from the origin, metres
    double share                # BLAST: 0 at the centre, 1 at the edge
    pose_t pose                 # the target as judged

# Where everybody was at an instant: the shots of a frame share one, so it is worked out once for all of them.
ctypedef struct scene_t:
    float *x                    # [slots] each
    float *y
    float *z
    int32_t *torn               # 1: the epoch or life changes between the rows, so it may be judged elsewhere
    uint64_t written            # of the history, when this was worked out; 0: never
    uint32_t older
    uint32_t newer
    float share

# Caller-owned scratch of one arena: as many entries each as the history has slots.
ctypedef struct scratch_t:
    float *distance
    uint32_t *candidate
    scene_t scene

cdef int scratch_open(scratch_t *scratch, uint32_t slots) except -1
cdef void scratch_close(scratch_t *scratch) noexcept

# All fill `out` (at most `most`) nearest first, ties by lowest seat then shape, and return the count.
# `skip` is the shooter's seat. `mask[slot]` = 0 leaves a seat out (own team, say). `direction` is a unit
# vector. `mask` and `world` may be NULL. `stopped` is where map geometry ended the ray before its last
# contact, or `reach`: the map is asked about contacts only, so a ray that met nobody is not stopped by it.
cdef int hitscan(const history_t *history, const instant_t *instant, uint8_t on_break, const rig_t *rig,
                 const world_t *world, const uint8_t *mask, uint32_t skip, const vec3 *origin,
                 const vec3 *direction, double reach, int most, scratch_t *scratch, contact_t *out,
                 double *stopped) noexcept nogil
# A cone of half angle `arc` and length `reach` from the origin. A hitbox is in it when its point nearest to
# the origin is, or when the axis meets it. The middle or the eyes of the target must be in sight.
cdef int melee(const history_t *history, const instant_t *instant, uint8_t on_break, const rig_t *rig,
               const world_t *world, const uint8_t *mask, uint32_t skip, const vec3 *origin,
               const vec3 *direction, double arc, double reach, int most, scratch_t *scratch,
               contact_t *out) noexcept nogil
# Present poses (newest row). The distance is that of the body's middle or nearest hitbox; the middle or the
# eyes must be in sight. `direct` is the seat hit by the projectile itself, or -1: it comes first, at share 0.
cdef int blast(const history_t *history, const rig_t *rig, const world_t *world, const uint8_t *mask,
               int direct, const vec3 *centre, double radius, int most, scratch_t *scratch,
               contact_t *out) noexcept nogil
# One step of a projectile: a sphere from `start` along `delta`, against players (newest row) and the map,
# where it is a cube as wide as the sphere. A player and the map at the same place: the player.
# Returns 0 nothing, 1 a player (`out`), 2 the map (`normal`); `share` of the step gone.
cdef int sweep(const history_t *history, const rig_t *rig, const world_t *world, const uint8_t *mask,
               uint32_t skip, const vec3 *start, const vec3 *delta, double radius, scratch_t *scratch,
               contact_t *out, double *share, vec3 *normal) noexcept nogil
# A direction drawn evenly from the cone of half angle `spread` about `direction`.
cdef vec3 scatter(const vec3 *direction, double spread, uint32_t draw_a, uint32_t draw_b) noexcept nogil
