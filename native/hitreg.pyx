"""Who a ray, a swing, a blast or a projectile reached, at an instant of the past. Pure: nothing is moved.

Two phases. The broad one looks at every seat of the two rows about the instant, in single precision and
without branches: does the query come near the sphere that holds the whole body? The narrow one takes the few
seats that are left and judges them in double precision in the body's own frame (feet at the origin, facing
+x): those hitboxes whose own spheres the ray comes near, again in single precision. Map geometry is asked
last, and only about contacts.
"""

from libc.math cimport fabs, sqrt
from libc.stdint cimport UINT32_MAX, int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset
from native.geometry cimport (
    MISS, along, dot, length, nearest_on_shape, ray_shape, scale, sincos, subtract, turned, vector,
)
from native.history cimport History, history_at, history_present, history_sample, history_t, instant_t
from native.rig cimport Rig
from native.types cimport BREAK_PRESENT, MAX_HITS, REGION_COUNT, REGION_NONE, pose_t, rig_t, shape_t, vec3
from native.world cimport World, world_ray, world_sees, world_sweep, world_t

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize

cdef extern from *:
    """
    /* 1 << i: a table, because shifts by a number each are not in every vector unit */
    static const uint32_t BIT[24] = {
        0x1, 0x2, 0x4, 0x8, 0x10, 0x20, 0x40, 0x80, 0x100, 0x200, 0x400, 0x800, 0x1000, 0x2000, 0x4000, 0x8000,
        0x10000, 0x20000, 0x40000, 0x80000, 0x100000, 0x200000, 0x400000, 0x800000,
    };
    #define lowest_bit(bits) __builtin_ctz(bits)
    """
    const uint32_t BIT[24]
    int lowest_bit(uint32_t bits) noexcept nogil    # of a number that is not 0

cdef enum:
    BLOCK = 16              # seats looked at together; rows are padded to it
    SHAPES = 24             # MAX_SHAPES, where the compiler must know it


# ---- scratch ------------------------------------------------------------------------------------

cdef int scratch_open(scratch_t *scratch, uint32_t slots) except -1:
    memset(scratch, 0, sizeof(scratch_t))
    cdef float *plane = <float *>calloc(slots, 6 * sizeof(float))
    if plane == NULL:
        raise MemoryError
    scratch.distance = plane
    scratch.scene.x = plane + slots
    scratch.scene.y = plane + 2 * slots
    scratch.scene.z = plane + 3 * slots
    scratch.scene.torn = <int32_t *>(plane + 4 * slots)
    scratch.candidate = <uint32_t *>(plane + 5 * slots)
    return 0


cdef void scratch_close(scratch_t *scratch) noexcept:
    free(scratch.distance)
    memset(scratch, 0, sizeof(scratch_t))


# ---- broad phase --------------------------------------------------------------------------------

cdef void between(const float *older, const float *newer, float share, uint32_t slots,
                  float *out) noexcept nogil:
    cdef uint32_t i
    for i in range(slots):
        out[i] = older[i] + (newer[i] - older[i]) * share


cdef void stage(const history_t *history, const instant_t *instant, scene_t *scene) noexcept nogil:
    """Puts everybody where they were at an instant, unless they stand there already."""
    cdef size_t a = <size_t>instant.older * history.slots
    cdef size_t b = <size_t>instant.newer * history.slots
    cdef float share = <float>instant.fraction
    if (scene.written == history.written and scene.older == instant.older and scene.newer == instant.newer
            and scene.share == share):
        return
    between(history.x + a, history.x + b, share, history.slots, scene.x)
    between(history.y + a, history.y + b, share, history.slots, scene.y)
    between(history.z + a, history.z + b, share, history.slots, scene.z)
    cdef const uint8_t *epoch_a = history.epoch + a
    cdef const uint8_t *epoch_b = history.epoch + b
    cdef const uint8_t *alive_a = history.alive + a
    cdef const uint8_t *alive_b = history.alive + b
    cdef int32_t *torn = scene.torn
    cdef uint32_t i
    for i in range(history.slots):
        torn[i] = (epoch_a[i] != epoch_b[i]) | (alive_a[i] != alive_b[i])
    scene.written = history.written
    scene.older = instant.older
    scene.newer = instant.newer
    scene.share = share


cdef int gather(const history_t *history, const instant_t *instant, const rig_t *rig, const uint8_t *mask,
                uint32_t skip, const vec3 *origin, const vec3 *direction, double reach, double radius,
                scratch_t *scratch) noexcept nogil:
    """Seats whose body may be within `radius` of the first `reach` metres of a ray, in order of seat.

    Never leaves one out: the sphere is widened by far more than the rounding of single precision, and a
    seat whose epoch changes between the rows, and so may be judged elsewhere, always counts as near.
    `scratch.distance` is what its contact cannot be nearer than.
    """
    stage(history, instant, &scratch.scene)
    cdef const float *x = scratch.scene.x
    cdef const float *y = scratch.scene.y
    cdef const float *z = scratch.scene.z
    cdef const int32_t *torn = scratch.scene.torn
    cdef const uint8_t *alive = history.alive + <size_t>instant.newer * history.slots
    cdef float ox = <float>origin.x, oy = <float>origin.y, oz = <float>(origin.z - rig.centre)
    cdef float dx = <float>direction.x, dy = <float>direction.y, dz = <float>direction.z
    cdef double wide = rig.reach + radius
    wide += 1e-3 + 4e-6 * (fabs(origin.x) + fabs(origin.y) + fabs(origin.z) + reach + wide)
    cdef float square = <float>(wide * wide)
    cdef float far = <float>reach, nil = 0.0
    cdef float cx, cy, cz, t
    cdef float centre[BLOCK]
    cdef uint32_t near
    cdef int count = 0
    cdef int blocks = <int>(history.slots // BLOCK), block, j
    cdef size_t i
    for block in range(blocks):
        near = 0
        for j in range(BLOCK):
            i = <size_t>block * BLOCK + j
            cx = x[i] - ox
            cy = y[i] - oy
            cz = z[i] - oz
            t = cx * dx + cy * dy + cz * dz
            centre[j] = t
            t = t if t > nil else nil
            t = t if t < far else far
            cx = cx - t * dx
            cy = cy - t * dy
            cz = cz - t * dz
            near |= BIT[j] if (cx * cx + cy * cy + cz * cz <= square) | torn[i] else 0
        while near:
            j = lowest_bit(near)
            near &= near - 1
            i = <size_t>block * BLOCK + j
            if alive[i] and i != skip and (mask == NULL or mask[i]):
                scratch.candidate[count] = <uint32_t>i
                scratch.distance[count] = (nil if torn[i] else centre[j]) - <float>wide
                count += 1
    return count


# ---- narrow phase -------------------------------------------------------------------------------

ctypedef struct frame_t:        # a ray in a body's own frame
    vec3 origin
    vec3 direction


cdef inline frame_t in_frame(const pose_t *pose, const vec3 *origin, const vec3 *direction) noexcept nogil:
    cdef frame_t frame
    cdef double sine, cosine
    sincos(pose.yaw, &sine, &cosine)
    frame.origin = turned(vector(origin.x - pose.x, origin.y - pose.y, origin.z - pose.z), -sine, cosine)
    frame.direction = turned(direction[0], -sine, cosine)
    return frame


cdef inline uint32_t near_shapes(const rig_t *rig, int stance, const vec3 *start, const vec3 *direction,
                                 double inflate) noexcept nogil:
    """Which hitboxes, as bits, the ray may meet: it comes near the sphere about them. `start` is near the body, or
    nothing is met, so the margin of the spheres is far above the rounding of single precision."""
    cdef const float *x = &rig.ball[stance][0][0]
    cdef const float *y = &rig.ball[stance][1][0]
    cdef const float *z = &rig.ball[stance][2][0]
    cdef const float *radius = &rig.ball[stance][3][0]
    cdef float ox = <float>start.x, oy = <float>start.y, oz = <float>start.z
    cdef float dx = <float>direction.x, dy = <float>direction.y, dz = <float>direction.z
    cdef float more = <float>inflate, nil = 0.0
    cdef float cx, cy, cz, t, wide
    cdef uint32_t near = 0
    cdef int i
    for i in range(SHAPES):
        cx = x[i] - ox
        cy = y[i] - oy
        cz = z[i] - oz
        t = cx * dx + cy * dy + cz * dz
        t = t if t > nil else nil
        cx = cx - t * dx
        cy = cy - t * dy
        cz = cz - t * dz
        wide = radius[i] + more
        near |= BIT[i] if cx * cx + cy * cy + cz * cz <= wide * wide else 0
    return near


cdef inline double meet(const rig_t *rig, const pose_t *pose, const vec3 *origin, const vec3 *direction,
                        double inflate, contact_t *contact) noexcept nogil:
    """Distance to the nearest hitbox inflated by `inflate`, or MISS; its region and shape."""
    cdef frame_t frame = in_frame(pose, origin, direction)
    # Start where the ray enters the sphere about the body: small numbers keep their digits.
    cdef double skipped = dot(vector(-frame.origin.x, -frame.origin.y, rig.centre - frame.origin.z),
                              frame.direction) - (rig.reach + inflate)
    if not (skipped > 0.0):
        skipped = 0.0
    cdef vec3 start = along(frame.origin, frame.direction, skipped)
    cdef const shape_t *shapes = rig.shapes[pose.stance]
    cdef double best = MISS, t
    cdef uint32_t near = near_shapes(rig, pose.stance, &start, &frame.direction, inflate)
    cdef int i
    near &= ((<uint32_t>1) << rig.count[pose.stance]) - 1
    while near:
        i = lowest_bit(near)
        near &= near - 1
        t = ray_shape(start, frame.direction, &shapes[i], inflate)
        if t >= 0.0 and (best < 0.0 or t < best):
            best = t
            contact.shape = <uint8_t>i
            contact.region = shapes[i].region
    return best + skipped if best >= 0.0 else MISS


cdef inline int insert(contact_t *out, int count, int most, const contact_t *contact) noexcept nogil:
    """Keeps `out` sorted by distance; seats come in rising order, so the lower one stays first in a tie."""
    cdef int at = count
    while at > 0 and contact.distance < out[at - 1].distance:
        at -= 1
    if at >= most:
        return count
    cdef int last = count if count < most else most - 1
    while last > at:
        out[last] = out[last - 1]
        last -= 1
    out[at] = contact[0]
    return count + 1 if count < most else most


cdef inline vec3 middle(const rig_t *rig, const pose_t *pose) noexcept nogil:
    """Half way up to the eyes: inside the body in every stance."""
    return vector(pose.x, pose.y, pose.z + 0.5 * rig.eye[pose.stance])


cdef inline bint in_sight(const world_t *world, const rig_t *rig, const vec3 *place,
                          const pose_t *pose) noexcept nogil:
    """The middle of the body or its eyes can be seen from a place."""
    if world == NULL:
        return True
    cdef vec3 point = middle(rig, pose)
    if world_sees(world, place, &point):
        return True
    point.z = pose.z + rig.eye[pose.stance]
    return world_sees(world, place, &point)


# ---- queries --------------------------------------------------------------------------------------

cdef int hitscan(const history_t *history, const instant_t *instant, uint8_t on_break, const rig_t *rig,
                 const world_t *world, const uint8_t *mask, uint32_t skip, const vec3 *origin,
                 const vec3 *direction, double reach, int most, scratch_t *scratch, contact_t *out,
                 double *stopped) noexcept nogil:
    cdef int candidates = gather(history, instant, rig, mask, skip, origin, direction, reach, 0.0, scratch)
    cdef int i, count = 0
    cdef contact_t contact
    contact.share = 0.0
    stopped[0] = reach
    for i in range(candidates):
        if count == most and scratch.distance[i] > out[count - 1].distance:
            continue
        contact.slot = scratch.candidate[i]
        if not history_sample(history, contact.slot, instant, on_break, &contact.pose):
            continue
        contact.distance = meet(rig, &contact.pose, origin, direction, 0.0, &contact)
        if 0.0 <= contact.distance <= reach:
            count = insert(out, count, most, &contact)
    if count == 0 or world == NULL:
        return count
    cdef double furthest = out[count - 1].distance
    cdef double clear = world_ray(world, origin, direction, furthest)
    if clear < furthest:
        stopped[0] = clear
    while count > 0 and out[count - 1].distance > clear:
        count -= 1
    return count


cdef inline double swing(const rig_t *rig, const frame_t *frame, double cosine, double reach,
                         contact_t *contact) noexcept nogil:
    """Distance to the nearest hitbox that has its nearest point in the cone, or is met by its axis."""
    cdef const shape_t *shapes = rig.shapes[contact.pose.stance]
    cdef double best = MISS, distance
    cdef vec3 way
    cdef int i
    for i in range(rig.count[contact.pose.stance]):
        way = subtract(nearest_on_shape(frame.origin, &shapes[i]), frame.origin)
        distance = length(way)
        if not (dot(way, frame.direction) >= cosine * distance):
            distance = ray_shape(frame.origin, frame.direction, &shapes[i], 0.0)
        if 0.0 <= distance <= reach and (best < 0.0 or distance < best):
            best = distance
            contact.shape = <uint8_t>i
            contact.region = shapes[i].region
    return best


cdef int melee(const history_t *history, const instant_t *instant, uint8_t on_break, const rig_t *rig,
               const world_t *world, const uint8_t *mask, uint32_t skip, const vec3 *origin,
               const vec3 *direction, double arc, double reach, int most, scratch_t *scratch,
               contact_t *out) noexcept nogil:
    cdef int candidates = gather(history, instant, rig, mask, skip, origin, direction, 0.0, reach, scratch)
    cdef int i, count = 0
    cdef double sine, cosine
    cdef frame_t frame
    cdef contact_t contact
    contact.share = 0.0
    sincos(arc, &sine, &cosine)
    for i in range(candidates):
        contact.slot = scratch.candidate[i]
        if not history_sample(history, contact.slot, instant, on_break, &contact.pose):
            continue
        frame = in_frame(&contact.pose, origin, direction)
        contact.distance = swing(rig, &frame, cosine, reach, &contact)
        if contact.distance >= 0.0 and in_sight(world, rig, origin, &contact.pose):
            count = insert(out, count, most, &contact)
    return count


cdef inline void touch(const rig_t *rig, const vec3 *centre, contact_t *contact) noexcept nogil:
    """Distance from a point to the middle of the body or its nearest hitbox, whichever is less."""
    cdef frame_t frame = in_frame(&contact.pose, centre, centre)
    cdef const shape_t *shapes = rig.shapes[contact.pose.stance]
    cdef double distance
    cdef int i
    contact.distance = length(subtract(middle(rig, &contact.pose), centre[0]))
    contact.shape = 0
    contact.region = REGION_NONE
    for i in range(rig.count[contact.pose.stance]):
        distance = length(subtract(nearest_on_shape(frame.origin, &shapes[i]), frame.origin))
        if distance < contact.distance:
            contact.distance = distance
            contact.shape = <uint8_t>i
            contact.region = shapes[i].region


cdef int blast(const history_t *history, const rig_t *rig, const world_t *world, const uint8_t *mask,
               int direct, const vec3 *centre, double radius, int most, scratch_t *scratch,
               contact_t *out) noexcept nogil:
    cdef instant_t now = history_present(history)
    cdef vec3 nowhere = vector(0.0, 0.0, 0.0)
    cdef uint32_t first = <uint32_t>direct if direct >= 0 else UINT32_MAX
    cdef int candidates = gather(history, &now, rig, mask, first, centre, &nowhere, 0.0, radius, scratch)
    cdef int i, count = 0
    cdef contact_t contact
    if direct >= 0 and (mask == NULL or mask[first]) and history_sample(
            history, first, &now, BREAK_PRESENT, &contact.pose):
        touch(rig, centre, &contact)
        contact.slot = first
        contact.distance = contact.share = 0.0
        count = insert(out, count, most, &contact)
    for i in range(candidates):
        contact.slot = scratch.candidate[i]
        if not history_sample(history, contact.slot, &now, BREAK_PRESENT, &contact.pose):
            continue
        touch(rig, centre, &contact)
        if contact.distance <= radius and in_sight(world, rig, centre, &contact.pose):
            contact.share = contact.distance / radius if contact.distance > 0.0 else 0.0
            count = insert(out, count, most, &contact)
    return count


cdef int sweep(const history_t *history, const rig_t *rig, const world_t *world, const uint8_t *mask,
               uint32_t skip, const vec3 *start, const vec3 *delta, double radius, scratch_t *scratch,
               contact_t *out, double *share, vec3 *normal) noexcept nogil:
    cdef instant_t now = history_present(history)
    cdef double step = length(delta[0])
    cdef vec3 direction = scale(delta[0], 1.0 / step) if step > 0.0 else vector(0.0, 0.0, 0.0)
    cdef int candidates = gather(history, &now, rig, mask, skip, start, &direction, step, radius, scratch)
    cdef int i, count = 0
    cdef contact_t contact
    cdef vec3 hull = vector(radius, radius, radius)
    contact.share = 0.0
    for i in range(candidates):
        contact.slot = scratch.candidate[i]
        if not history_sample(history, contact.slot, &now, BREAK_PRESENT, &contact.pose):
            continue
        contact.distance = meet(rig, &contact.pose, start, &direction, radius, &contact)
        if 0.0 <= contact.distance <= step:
            count = insert(out, count, 1, &contact)
    normal[0] = vector(0.0, 0.0, 0.0)
    share[0] = 1.0
    if world != NULL:
        share[0] = world_sweep(world, &hull, start, delta, normal)
    if count and out.distance <= share[0] * step:
        normal[0] = vector(0.0, 0.0, 0.0)
        share[0] = out.distance / step if step > 0.0 else 0.0
        return 1
    return 2 if share[0] < 1.0 else 0


cdef vec3 scatter(const vec3 *direction, double spread, uint32_t draw_a, uint32_t draw_b) noexcept nogil:
    """Even over the solid angle: the height above the cone's edge and the turn about its axis are even."""
    cdef double sine, cosine, rise, ring, sign, a, b
    cdef vec3 u, v, out
    if not (spread > 0.0):
        return direction[0]
    sincos(0.5 * spread, &sine, &cosine)
    rise = (draw_a / 4294967296.0) * 2.0 * sine * sine      # 1 - cosine of the angle off the axis
    ring = sqrt(rise * (2.0 - rise))
    sincos((draw_b / 4294967296.0) * 6.283185307179586, &sine, &cosine)
    # Two vectors across the axis, without branches (Duff et al., JCGT 2017).
    sign = 1.0 if direction.z >= 0.0 else -1.0
    a = -1.0 / (sign + direction.z)
    b = direction.x * direction.y * a
    u = vector(1.0 + sign * direction.x * direction.x * a, sign * b, -sign * direction.x)
    v = vector(b, sign + direction.y * direction.y * a, -direction.y)
    out = along(along(scale(direction[0], 1.0 - rise), u, ring * cosine), v, ring * sine)
    return scale(out, 1.0 / length(out))


# ---- the Python door ----------------------------------------------------------------------------

cdef class _Desk:
    """What one call needs: scratch, room for contacts, and the arguments as C values."""

    cdef scratch_t scratch
    cdef contact_t out[16]
    cdef uint8_t *mask
    cdef world_t *world
    cdef vec3 origin
    cdef vec3 direction

    def __cinit__(self, History history, World world, mask, origin, direction):
        cdef uint32_t slots = history.c.slots, i
        scratch_open(&self.scratch, slots)
        self.mask = <uint8_t *>calloc(slots, 1)
        if self.mask == NULL:
            raise MemoryError
        for i in range(slots):
            self.mask[i] = 1 if mask is None else i < len(mask) and bool(mask[i])
        self.world = &world.c if world is not None else NULL
        self.origin = vector(origin[0], origin[1], origin[2])
        self.direction = vector(direction[0], direction[1], direction[2])

    def __dealloc__(self):
        scratch_close(&self.scratch)
        free(self.mask)

    cdef tuple contact(self, int i):
        cdef contact_t *c = &self.out[i]
        pose = (c.pose.x, c.pose.y, c.pose.z, c.pose.yaw, c.pose.pitch, c.pose.stance, c.pose.epoch)
        return (c.slot, c.region, c.shape, c.distance, c.share, pose)

    cdef list contacts(self, int count):
        return [self.contact(i) for i in range(count)]


def _most(int most):
    if not 1 <= most <= MAX_HITS:
        raise ValueError(f"most: {most} is not within 1..{MAX_HITS}")
    return most


def hitscan_at(History history, int64_t time_us, Rig rig, World world, origin, direction, double reach, *,
               int most=MAX_HITS, uint32_t skip=UINT32_MAX, mask=None, uint8_t on_break=BREAK_PRESENT):
    cdef _Desk desk = _Desk(history, world, mask, origin, direction)
    cdef instant_t instant = history_at(&history.c, time_us)
    cdef double stopped
    cdef int count = hitscan(&history.c, &instant, on_break, &rig.c, desk.world, desk.mask, skip, &desk.origin,
                             &desk.direction, reach, _most(most), &desk.scratch, desk.out, &stopped)
    return desk.contacts(count), stopped


def melee_at(History history, int64_t time_us, Rig rig, World world, origin, direction, double arc,
             double reach, *, int most=MAX_HITS, uint32_t skip=UINT32_MAX, mask=None,
             uint8_t on_break=BREAK_PRESENT):
    cdef _Desk desk = _Desk(history, world, mask, origin, direction)
    cdef instant_t instant = history_at(&history.c, time_us)
    return desk.contacts(melee(&history.c, &instant, on_break, &rig.c, desk.world, desk.mask, skip,
                               &desk.origin, &desk.direction, arc, reach, _most(most), &desk.scratch, desk.out))


def blast_now(History history, Rig rig, World world, centre, double radius, *, int direct=-1,
              int most=MAX_HITS, mask=None):
    cdef _Desk desk = _Desk(history, world, mask, centre, (0.0, 0.0, 0.0))
    return desk.contacts(blast(&history.c, &rig.c, desk.world, desk.mask, direct, &desk.origin, radius,
                               _most(most), &desk.scratch, desk.out))


def sweep_now(History history, Rig rig, World world, start, delta, double radius, *,
              uint32_t skip=UINT32_MAX, mask=None):
    cdef _Desk desk = _Desk(history, world, mask, start, delta)
    cdef double share
    cdef vec3 normal
    cdef int what = sweep(&history.c, &rig.c, desk.world, desk.mask, skip, &desk.origin, &desk.direction, radius,
                          &desk.scratch, desk.out, &share, &normal)
    return what, desk.contact(0) if what == 1 else None, share, (normal.x, normal.y, normal.z)


def scattered(direction, double spread, uint32_t draw_a, uint32_t draw_b):
    cdef vec3 axis = vector(direction[0], direction[1], direction[2])
    cdef vec3 out = scatter(&axis, spread, draw_a, draw_b)
    return out.x, out.y, out.z


# One shot and one answer of the batch door; `=qI4x3d3d` and `=iBB2xd` to the struct module.
cdef struct ray_t:
    int64_t time_us
    uint32_t skip
    uint32_t padding
    vec3 origin
    vec3 direction

cdef struct answer_t:
    int32_t slot
    uint8_t region
    uint8_t shape
    uint8_t padding[2]
    double distance


def hitscan_many(History history, Rig rig, World world, bytes rays, double reach):
    if len(rays) % sizeof(ray_t):
        raise ValueError(f"rays: {len(rays)} bytes are not a multiple of {sizeof(ray_t)}")
    cdef Py_ssize_t count = len(rays) // sizeof(ray_t), i
    cdef bytes answers = PyBytes_FromStringAndSize(NULL, count * sizeof(answer_t))
    cdef const ray_t *ray = <const ray_t *>PyBytes_AS_STRING(rays)
    cdef answer_t *answer = <answer_t *>PyBytes_AS_STRING(answers)
    cdef _Desk desk = _Desk(history, world, None, (0.0, 0.0, 0.0), (0.0, 0.0, 0.0))
    cdef double stopped
    cdef instant_t instant
    memset(answer, 0, count * sizeof(answer_t))
    with nogil:
        for i in range(count):
            instant = history_at(&history.c, ray[i].time_us)
            if hitscan(&history.c, &instant, BREAK_PRESENT, &rig.c, desk.world, desk.mask, ray[i].skip,
                       &ray[i].origin, &ray[i].direction, reach, 1, &desk.scratch, desk.out, &stopped):
                answer[i].slot = <int32_t>desk.out[0].slot
                answer[i].region = desk.out[0].region
                answer[i].shape = desk.out[0].shape
                answer[i].distance = desk.out[0].distance
            else:
                answer[i].slot = -1
                answer[i].distance = stopped
    return answers
