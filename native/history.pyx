"""Where everybody was: a ring of poses by tick.

A row is one tick, a column one seat; poses are held as single-precision numbers, angles wrapped. Between
two rows a pose is interpolated, the yaw along the shorter arc, but only inside one epoch: what was never
between two places is not put there. An instant older than the ring is said so; one after the newest row
is the newest row, never extrapolated.

A break matters only between the two rows about the instant: a target that crouched or teleported since is
still judged where the shooter saw it. A target that died since is another life and is not judged at all.
"""

from libc.math cimport INFINITY
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset
from native.geometry cimport wrap
from native.types cimport BREAK_CLAMP, BREAK_PRESENT, BREAK_REJECT, MAX_STANCES, pose_t

cdef extern from *:
    """
    #define PADDING 16
    #define MOST_TICKS 65536
    #define MOST_SLOTS 65536
    #define PI_ 3.141592653589793
    """
    const uint32_t PADDING
    const uint32_t MOST_TICKS
    const uint32_t MOST_SLOTS
    const double PI_


# ---- the ring ---------------------------------------------------------------------------------

cdef int history_open(history_t *history, uint32_t ticks, uint32_t slots, uint32_t tick_rate) except -1:
    """Allocates everything the ring will ever need. `ticks` is rounded up to a power of two."""
    memset(history, 0, sizeof(history_t))
    if not 2 <= ticks <= MOST_TICKS:
        raise ValueError(f"ticks: {ticks} is not within 2..{MOST_TICKS}")
    if not 1 <= slots <= MOST_SLOTS:
        raise ValueError(f"slots: {slots} is not within 1..{MOST_SLOTS}")
    if not 1 <= tick_rate <= 1000:
        raise ValueError(f"tick_rate: {tick_rate} is not within 1..1000 a second")
    history.ticks = 2
    while history.ticks < ticks:
        history.ticks *= 2
    history.slots = (slots + PADDING - 1) // PADDING * PADDING
    history.tick_rate = tick_rate
    cdef size_t cells = <size_t>history.ticks * history.slots
    # One block: five planes of numbers, then three of bytes.
    cdef float *plane = <float *>calloc(cells, 5 * sizeof(float) + 3)
    if plane == NULL:
        raise MemoryError(f"history of {ticks} ticks x {slots} slots")
    history.x = plane
    history.y = plane + cells
    history.z = plane + 2 * cells
    history.yaw = plane + 3 * cells
    history.pitch = plane + 4 * cells
    history.stance = <uint8_t *>(plane + 5 * cells)
    history.epoch = history.stance + cells
    history.alive = history.epoch + cells
    return 0


cdef void history_close(history_t *history) noexcept:
    free(history.x)
    memset(history, 0, sizeof(history_t))


cdef inline size_t row_start(const history_t *history, uint32_t row) noexcept nogil:
    return <size_t>row * history.slots


cdef inline uint32_t newest_row(const history_t *history) noexcept nogil:
    return history.newest & (history.ticks - 1)


cdef void history_begin(history_t *history, uint32_t tick) noexcept nogil:
    """Ticks come one by one; a gap or a step back forgets all rows before it."""
    if history.rows > 0 and tick == history.newest + 1:
        if history.rows < history.ticks:
            history.rows += 1
    elif history.rows == 0 or tick != history.newest:
        history.rows = 1
    history.newest = tick
    history.written += 1
    cdef size_t start = row_start(history, newest_row(history))
    memset(history.alive + start, 0, history.slots)
    memset(history.epoch + start, 0, history.slots)


cdef void history_put(history_t *history, uint32_t slot, const pose_t *pose) noexcept nogil:
    """Writes into the newest row. The caller has checked slot < slots and that the pose is finite."""
    cdef size_t at = row_start(history, newest_row(history)) + slot
    history.x[at] = <float>pose.x
    history.y[at] = <float>pose.y
    history.z[at] = <float>pose.z
    history.yaw[at] = <float>wrap(pose.yaw)
    history.pitch[at] = <float>pose.pitch
    history.stance[at] = pose.stance if pose.stance < MAX_STANCES else 0
    history.epoch[at] = pose.epoch
    history.alive[at] = 1 if pose.alive else 0
    history.written += 1


# ---- time -------------------------------------------------------------------------------------

cdef int64_t tick_time(uint32_t tick, uint32_t tick_rate) noexcept nogil:
    return <int64_t>(<uint64_t>tick * 1000000 // tick_rate)


cdef instant_t history_at(const history_t *history, int64_t time_us) noexcept nogil:
    cdef instant_t out
    cdef int64_t newest = history.newest
    cdef int64_t oldest = newest - history.rows + 1 if history.rows else newest
    # The last tick whose time, rounded down to a microsecond, is not after `time_us`.
    cdef int64_t tick = ((time_us + 1) * history.tick_rate - 1) // 1000000 if time_us >= 0 else -1
    cdef int64_t before
    out.fraction = 0.0
    out.found = history.rows > 0
    if tick >= newest or history.rows == 0:
        tick = newest
    elif tick < oldest:
        tick = oldest
        out.found = 0
    else:
        before = tick_time(<uint32_t>tick, history.tick_rate)
        out.fraction = <double>(time_us - before) / <double>(
            tick_time(<uint32_t>tick + 1, history.tick_rate) - before)
    out.tick = <uint32_t>tick
    out.older = out.tick & (history.ticks - 1)
    # On a tick there is one row, and so no break to cross.
    out.newer = (out.tick + 1) & (history.ticks - 1) if out.fraction > 0.0 else out.older
    return out


cdef instant_t history_present(const history_t *history) noexcept nogil:
    cdef instant_t out
    out.tick = history.newest
    out.older = out.newer = newest_row(history)
    out.fraction = 0.0
    out.found = history.rows > 0
    return out


# ---- poses ------------------------------------------------------------------------------------

cdef inline void read_pose(const history_t *history, size_t at, pose_t *out) noexcept nogil:
    out.x = history.x[at]
    out.y = history.y[at]
    out.z = history.z[at]
    out.yaw = history.yaw[at]
    out.pitch = history.pitch[at]
    out.stance = history.stance[at]
    out.epoch = history.epoch[at]
    out.alive = history.alive[at]


cdef inline void blend(pose_t *out, const history_t *history, size_t b, double share) noexcept nogil:
    """Moves `out` toward cell b of the same epoch."""
    out.x = out.x + (history.x[b] - out.x) * share
    out.y = out.y + (history.y[b] - out.y) * share
    out.z = out.z + (history.z[b] - out.z) * share
    cdef double arc = history.yaw[b] - out.yaw
    if arc > PI_:
        arc = arc - 2.0 * PI_
    elif arc < -PI_:
        arc = arc + 2.0 * PI_
    out.yaw = out.yaw + arc * share
    out.pitch = out.pitch + (history.pitch[b] - out.pitch) * share


cdef bint died_since(const history_t *history, uint32_t slot, uint32_t row) noexcept nogil:
    cdef uint32_t last = newest_row(history)
    while row != last:
        row = (row + 1) & (history.ticks - 1)
        if not history.alive[row_start(history, row) + slot]:
            return True
    return False


cdef int history_sample(const history_t *history, uint32_t slot, const instant_t *instant, uint8_t on_break,
                        pose_t *out) noexcept nogil:
    if slot >= history.slots or history.rows == 0:
        return 0
    cdef size_t a = row_start(history, instant.older) + slot
    cdef size_t b = row_start(history, instant.newer) + slot
    cdef size_t present = row_start(history, newest_row(history)) + slot
    if not history.alive[b]:
        return 0
    # Death changes the epoch, so the walk is only for seats whose epoch moved.
    if not history.alive[present] or (
            history.epoch[present] != history.epoch[b] and died_since(history, slot, instant.newer)):
        return 0
    if history.alive[a] and history.epoch[a] == history.epoch[b]:
        read_pose(history, a, out)
        if a != b:
            blend(out, history, b, instant.fraction)
        return 1
    if on_break == BREAK_REJECT:
        return 0
    read_pose(history, b if on_break == BREAK_CLAMP else present, out)
    return 1


# ---- the Python door ----------------------------------------------------------------------------

cdef class History:
    def __cinit__(self, uint32_t ticks, uint32_t slots, uint32_t tick_rate):
        history_open(&self.c, ticks, slots, tick_rate)

    def __dealloc__(self):
        history_close(&self.c)

    @property
    def slots(self):
        return self.c.slots

    @property
    def ticks(self):
        return self.c.ticks

    def begin(self, uint32_t tick):
        history_begin(&self.c, tick)

    def put(self, uint32_t slot, double x, double y, double z, double yaw=0.0, double pitch=0.0,
            uint8_t stance=0, uint8_t epoch=0, bint alive=True):
        if slot >= self.c.slots:
            raise ValueError(f"slot: {slot} is not within 0..{self.c.slots - 1}")
        if self.c.rows == 0:
            raise ValueError("put: no row yet, call begin first")
        cdef pose_t pose
        for name, value in (("x", x), ("y", y), ("z", z), ("yaw", yaw), ("pitch", pitch)):
            if not -INFINITY < <double>value < INFINITY:
                raise ValueError(f"{name}: {value} is not finite")
        pose.x, pose.y, pose.z, pose.yaw, pose.pitch = x, y, z, yaw, pitch
        pose.stance, pose.epoch, pose.alive = stance, epoch, alive
        history_put(&self.c, slot, &pose)

    def at(self, int64_t time_us):
        cdef instant_t instant = history_at(&self.c, time_us)
        return instant.tick, instant.older, instant.newer, instant.fraction, bool(instant.found)

    def sample(self, uint32_t slot, int64_t time_us, uint8_t on_break=BREAK_PRESENT):
        cdef instant_t instant = history_at(&self.c, time_us)
        cdef pose_t pose
        if not history_sample(&self.c, slot, &instant, on_break, &pose):
            return None
        return pose.x, pose.y, pose.z, pose.yaw, pose.pitch, pose.stance, pose.epoch
