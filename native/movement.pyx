"""Is a move possible? The client says where its own simulation has put the player; this says whether a
body could have got there in the time that has passed.

Rules, in this order; the first that fails decides:

1. **Range** (reject): finite coordinates, at most 1000 turns of yaw, a pitch from straight down to
   straight up, a known mode, a clock of 0..2^52.
2. **Bounds** (reject): the feet are inside the map's bounds.
3. **Teleport** (reject): no move is longer than `teleport_m`.
4. **Mode** (reject): a mode of speed 0 is not granted; a dash only until `granted_until_us`.
5. **Clock** (reject): the client's clock rises. A client that never states one (0) is timed by the server's.
6. **Pace** (correct): horizontal distance is paid from a token bucket that fills with *server* time:
   `budget = min(budget + speed * dt, speed * burst)`, accepted when the distance is at most budget +
   tolerance. The budget may sink to -tolerance, so the tolerance is given once, not once a move.
   The client's clock fills nothing; but what it gains on the server's is summed (`discrepancy_us`, drift
   forgiven, never below -`clock_behind_us`). Above `clock_ahead_us` it is paid back: server time buys no
   distance until the sum is zero. `PAYBACK_LIMITS` limits is the most that can be owed.
7. **Acceleration** (correct): with displacement d, last velocity v and the client's time t, d lies in the
   disc over the diameter 0..v*t (what walls and friction leave of v: all its projections), widened by
   acceleration * t^2 + tolerance. A dash is free of it, and a move that only the server's clock times (the
   first one, say): arrival times are no measure of speed, so such a move counts as made at full speed.
8. **Height** (correct): see `judge_height`.
9. **Geometry** (correct): the hull is swept from pose to pose, then tested where it stands. It reaches from
   step height to the head, so that stairs and ramps need no special case, and is `tolerance_m` narrower and
   lower than the body. The point under the feet is tested for itself: it may not be below the ground.

Each violation adds 1000 to a score that halves every `violation_decay_us`: halved for each whole half-life,
linear in between, in integers (rounded up).

Swimming is a speed only: maps have no water yet, so it is no way out of gravity.
"""

from libc.math cimport fabs, sqrt
from libc.string cimport memset
from native.types cimport (
    MODE_AIR, MODE_COUNT, MODE_CROUCH, MODE_DASH, MODE_NONE, MODE_SPRINT, MODE_WALK, OUTCOME_ACCEPTED,
    OUTCOME_CORRECTED, OUTCOME_REJECTED, REASON_BLOCKED, REASON_CLOCK_AHEAD, REASON_MODE_NOT_GRANTED,
    REASON_NONE, REASON_OUT_OF_BOUNDS, REASON_OUT_OF_RANGE, REASON_TELEPORT, REASON_TOO_FAST,
    REASON_TOO_HIGH, STANCE_AIR, STANCE_CROUCH, STANCE_STAND,
)
from native.world cimport World, world_overlaps, world_ray, world_sweep

cdef enum:
    PAYBACK_LIMITS = 4
    VIOLATION_MILLI = 1000
    VIOLATION_MAX_MILLI = 1_000_000_000

cdef double COORDINATE_MAX = 1e6
cdef double YAW_MAX = 6283.185307179587     # 1000 turns
cdef double PITCH_MAX = 1.5707964           # half pi, as the next float above
cdef int64_t CLOCK_MAX = 1LL << 52
cdef double GROUND_SLOPE = 0.7              # least upward part of a normal one can stand on (45 degrees)
cdef double HOLD_SLOPE = 0.05               # and of one that slows a fall

# What is under a body.
cdef enum:
    SUPPORT_NONE = 0
    SUPPORT_STEEP = 1           # one slides on it: no fall, but no jump or step either
    SUPPORT_GROUND = 2


# What one move comes to.
cdef struct step_t:
    double x                    # displacement
    double y
    double z
    double across               # its horizontal length
    double speed_mps            # of the mode, with effects
    double client_s             # time by the client's clock, or else by the server's
    double fall_s               # time gravity had: the client's, and the server's beyond the credit
    double lift_m               # of the mover after the move, while in the air
    uint8_t timed               # by the client's clock
    uint8_t stance
    int support                 # after the move
    double surface              # height of what supports


cdef inline double seconds(int64_t us) noexcept nogil:
    return us / 1e6


cdef inline double lesser(double a, double b) noexcept nogil:
    return a if a < b else b


cdef inline double greater(double a, double b) noexcept nogil:
    return a if a > b else b


cdef inline double take_off(const move_rules_t *rules) noexcept nogil:
    return sqrt(2.0 * rules.gravity_mps2 * rules.jump_m)


cdef inline uint8_t stance_of(uint32_t mode) noexcept nogil:
    if mode == MODE_CROUCH:
        return STANCE_CROUCH
    return STANCE_AIR if mode == MODE_AIR else STANCE_STAND


# ---- the running score ------------------------------------------------------------------------

cdef int64_t violation_at(const move_rules_t *rules, const mover_t *mover, int64_t now_us) noexcept nogil:
    cdef int64_t score = mover.violation_milli
    cdef int64_t half = rules.violation_decay_us
    cdef int64_t elapsed = now_us - mover.violation_us
    if elapsed <= 0:
        return score
    if half <= 0 or elapsed // half >= 31:      # more halvings than the score has bits
        return 0
    score >>= elapsed // half
    return score - score * (elapsed % half) // (2 * half)


cdef inline void violate(const move_rules_t *rules, mover_t *mover, int64_t now_us) noexcept nogil:
    mover.violation_milli = violation_at(rules, mover, now_us) + VIOLATION_MILLI
    if mover.violation_milli > VIOLATION_MAX_MILLI:
        mover.violation_milli = VIOLATION_MAX_MILLI
    mover.violation_us = now_us


# ---- rules ------------------------------------------------------------------------------------

cdef uint32_t judge_claim(const move_rules_t *rules, const world_t *world, const mover_t *mover,
                          const move_t *move, int64_t now_us) noexcept nogil:
    """Rules 1 to 5: what no honest client sends."""
    cdef double x, y, z
    if not (fabs(move.x) <= COORDINATE_MAX and fabs(move.y) <= COORDINATE_MAX
            and fabs(move.z) <= COORDINATE_MAX
            and fabs(move.yaw) <= YAW_MAX and fabs(move.pitch) <= PITCH_MAX):       # false for NaN too
        return REASON_OUT_OF_RANGE
    if move.mode <= MODE_NONE or move.mode >= MODE_COUNT or not 0 <= move.client_time_us <= CLOCK_MAX:
        return REASON_OUT_OF_RANGE
    if not (world.low.x <= move.x <= world.high.x and world.low.y <= move.y <= world.high.y
            and world.low.z <= move.z <= world.high.z):
        return REASON_OUT_OF_BOUNDS
    x = move.x - mover.position.x
    y = move.y - mover.position.y
    z = move.z - mover.position.z
    if sqrt(x * x + y * y + z * z) > rules.teleport_m:
        return REASON_TELEPORT
    if move.mode == MODE_DASH:
        if now_us > mover.granted_until_us:
            return REASON_MODE_NOT_GRANTED
    elif not rules.speed_mps[move.mode] > 0.0:
        return REASON_MODE_NOT_GRANTED
    if mover.client_us != 0 and move.client_time_us <= mover.client_us:
        return REASON_CLOCK_AHEAD
    return REASON_NONE


cdef int64_t run_clocks(const move_rules_t *rules, mover_t *mover, const move_t *move, int64_t now_us,
                        step_t *step) noexcept nogil:
    """Advances both clocks to this move. Returns the server time that buys distance."""
    cdef int64_t server_us = now_us - mover.last_us if now_us > mover.last_us else 0
    cdef int64_t client_us = server_us, lost_us = 0, forgiven_us, paid_us
    cdef int64_t owed_us = mover.discrepancy_us
    step.timed = mover.client_us != 0
    if step.timed:
        client_us = move.client_time_us - mover.client_us
        owed_us += client_us - server_us
        forgiven_us = (server_us * rules.clock_drift_q16) >> 16 if server_us < CLOCK_MAX >> 8 else 0
        if owed_us > 0:
            owed_us = owed_us - forgiven_us if owed_us > forgiven_us else 0
        else:
            owed_us = owed_us + forgiven_us if -owed_us > forgiven_us else 0
        if owed_us < -rules.clock_behind_us:
            lost_us = -rules.clock_behind_us - owed_us
            owed_us = -rules.clock_behind_us
        if owed_us > rules.clock_ahead_us:
            mover.paying_back = 1
        if owed_us > PAYBACK_LIMITS * rules.clock_ahead_us:
            owed_us = PAYBACK_LIMITS * rules.clock_ahead_us
    step.client_s = seconds(client_us)
    step.fall_s = seconds(client_us + lost_us)
    mover.client_us = move.client_time_us
    mover.last_us = now_us if now_us > mover.last_us else mover.last_us
    if mover.paying_back:
        paid_us = server_us if server_us < owed_us else owed_us
        owed_us -= paid_us
        server_us -= paid_us
        if owed_us <= 0:
            mover.paying_back = 0
    mover.discrepancy_us = owed_us
    return server_us


cdef uint32_t judge_pace(const move_rules_t *rules, mover_t *mover, const move_t *move, int64_t credit_us,
                         step_t *step) noexcept nogil:
    """Rule 6. Fills the budget; the caller pays from it once the whole move is accepted."""
    cdef double speed = mover.granted_mps
    if move.mode != MODE_DASH:
        speed = rules.speed_mps[move.mode]
        if move.mode == MODE_AIR and mover.on_ground and step.z <= rules.tolerance_m:
            speed = lesser(speed, rules.speed_mps[<int>MODE_SPRINT])     # claims the air, stays on the ground
        speed = speed * (mover.speed_q16 / 65536.0)
    step.speed_mps = speed
    mover.budget_m = lesser(mover.budget_m + speed * seconds(credit_us), speed * seconds(rules.burst_us))
    if step.across > mover.budget_m + rules.tolerance_m:
        return REASON_CLOCK_AHEAD if mover.paying_back else REASON_TOO_FAST
    return REASON_NONE


cdef uint32_t judge_acceleration(const move_rules_t *rules, const mover_t *mover, const move_t *move,
                                 const step_t *step) noexcept nogil:
    """Rule 7."""
    cdef double t = step.client_s
    cdef double x = step.x - mover.velocity.x * t / 2.0
    cdef double y = step.y - mover.velocity.y * t / 2.0
    cdef double pace = sqrt(mover.velocity.x * mover.velocity.x + mover.velocity.y * mover.velocity.y)
    cdef double gain = rules.air_acceleration_mps2
    if move.mode == MODE_DASH or not step.timed:
        return REASON_NONE
    if mover.on_ground or step.support != SUPPORT_NONE:
        gain = rules.acceleration_mps2
    if sqrt(x * x + y * y) > pace * t / 2.0 + gain * t * t + rules.tolerance_m:
        return REASON_TOO_FAST
    return REASON_NONE


cdef uint32_t judge_height(const move_rules_t *rules, const mover_t *mover, const move_t *move,
                           step_t *step) noexcept nogil:
    """Rule 8. On the ground a move rises by a step (when it ends on ground no higher than that) or by the
    start of a jump: at most the take-off speed sqrt(2 g h) for its time, at most h. In the air it stays
    under an arc: the greatest vertical speed there can be, which gravity lowers with time; and the jump's
    total stays h. What the arc is above the feet is kept within the tolerance, so that many small moves win
    no more than one large. Nothing falls faster than `fall_mps`. A dash holds its height, and so may who
    lands or slides on a slope too steep to stand on."""
    cdef double slack = rules.tolerance_m
    cdef double step_up = 0.0
    cdef double drop = greater(rules.fall_mps * step.fall_s, rules.step_m)
    if step.support == SUPPORT_GROUND and step.surface - mover.position.z <= rules.step_m + slack:
        step_up = rules.step_m
    step.lift_m = 0.0
    if step.z < -drop - slack:
        return REASON_TOO_FAST
    if mover.on_ground:
        if step.z > greater(lesser(take_off(rules) * step.client_s, rules.jump_m), step_up) + slack:
            return REASON_TOO_HIGH
        return REASON_NONE
    step.lift_m = lesser(mover.lift_m + rise(mover, move, step) - step.z, slack)
    if step.z > 0.0 and step.z > mover.rise_m + step_up + slack:
        return REASON_TOO_HIGH
    return REASON_TOO_HIGH if step.lift_m + step_up < -slack else REASON_NONE


cdef inline double rise(const mover_t *mover, const move_t *move, const step_t *step) noexcept nogil:
    """How far the arc goes in this move; down is negative."""
    if move.mode == MODE_DASH or step.support != SUPPORT_NONE:
        return greater(mover.velocity.z, 0.0) * step.fall_s
    return mover.velocity.z * step.fall_s


cdef uint32_t judge_geometry(const move_rules_t *rules, const world_t *world, const mover_t *mover,
                             const move_t *move, const step_t *step) noexcept nogil:
    """Rule 9."""
    cdef vec3 half, centre, delta, normal, feet
    hull(rules, step.stance, &mover.position, &half, &centre)
    delta.x = step.x
    delta.y = step.y
    delta.z = step.z
    if world_sweep(world, &half, &centre, &delta, &normal) < 1.0:
        return REASON_BLOCKED
    feet.x = move.x
    feet.y = move.y
    feet.z = move.z
    hull(rules, step.stance, &feet, &half, &centre)
    if world_overlaps(world, &half, &centre):
        return REASON_BLOCKED
    feet.z = feet.z + rules.step_m
    delta.x = delta.y = 0.0
    delta.z = -1.0
    if world_ray(world, &feet, &delta, rules.step_m) < rules.step_m - rules.tolerance_m:
        return REASON_BLOCKED
    return REASON_NONE


cdef inline void hull(const move_rules_t *rules, uint8_t stance, const vec3 *feet, vec3 *half,
                      vec3 *centre) noexcept nogil:
    """The part of a body that must not touch anything: above the step, within the tolerance. Rules that
    leave nothing of it get the thinnest hull a sweep knows."""
    half.x = half.y = rules.half_width_m - rules.tolerance_m
    half.z = (rules.height_m[stance] - rules.tolerance_m - rules.step_m) / 2.0
    centre.x = feet.x
    centre.y = feet.y
    centre.z = feet.z + rules.step_m + half.z


cdef void look_under(const move_rules_t *rules, const world_t *world, const vec3 *half, const vec3 *centre,
                     step_t *step) noexcept nogil:
    """Looks from step height to the tolerance below the feet, and keeps what supports better."""
    cdef vec3 delta, normal
    cdef double reach = rules.step_m + rules.tolerance_m, share
    cdef int support
    delta.x = delta.y = 0.0
    delta.z = -reach
    share = world_sweep(world, half, centre, &delta, &normal)
    if share >= 1.0 or normal.z < HOLD_SLOPE:
        return
    support = SUPPORT_GROUND if normal.z >= GROUND_SLOPE else SUPPORT_STEEP
    if support > step.support:
        step.support = support
        step.surface = centre.z - half.z - share * reach


cdef void find_support(const move_rules_t *rules, const world_t *world, const move_t *move,
                       step_t *step) noexcept nogil:
    """What is under the body, the best of three: under the hull; under its full width, which alone reaches
    the edge of a step or ramp; under the middle, which alone comes down between two slopes."""
    cdef vec3 half, centre, feet
    feet.x = move.x
    feet.y = move.y
    feet.z = move.z
    step.support = SUPPORT_NONE
    step.surface = 0.0
    hull(rules, step.stance, &feet, &half, &centre)
    look_under(rules, world, &half, &centre, step)
    if step.support != SUPPORT_GROUND:
        half.x = half.y = rules.half_width_m
        look_under(rules, world, &half, &centre, step)
    if step.support != SUPPORT_GROUND:
        half.x = half.y = 0.0
        look_under(rules, world, &half, &centre, step)


# ---- applying ---------------------------------------------------------------------------------

cdef void settle(const move_rules_t *rules, mover_t *mover, const move_t *move,
                 const step_t *step) noexcept nogil:
    """Takes over an accepted move."""
    cdef double v0 = take_off(rules), pace, up
    mover.budget_m = mover.budget_m - step.across
    mover.velocity.x = mover.velocity.y = 0.0
    if step.across > 0.0:
        pace = step.speed_mps
        if step.timed:
            pace = lesser(step.across / step.client_s, pace)
        mover.velocity.x = step.x * pace / step.across
        mover.velocity.y = step.y * pace / step.across
    if step.support == SUPPORT_GROUND:
        up = 0.0
        mover.rise_m = rules.jump_m
    elif mover.on_ground:               # jumped, or walked off an edge
        up = 0.0
        if step.z > 0.0:
            up = greater(sqrt(greater(v0 * v0 - 2.0 * rules.gravity_mps2 * step.z, 0.0)),
                         v0 - rules.gravity_mps2 * step.fall_s)
        mover.rise_m = rules.jump_m - greater(step.z, 0.0)
    else:
        up = greater(mover.velocity.z - rules.gravity_mps2 * step.fall_s, -rules.fall_mps)
        if move.mode == MODE_DASH:
            up = greater(mover.velocity.z, 0.0)
        elif step.fall_s > 0.0:         # who fell faster than the arc cannot hang in the air later
            up = greater(lesser(up, (step.z + rules.tolerance_m) / step.fall_s), -rules.fall_mps)
        mover.rise_m = mover.rise_m - greater(step.z, 0.0)
    if step.support == SUPPORT_STEEP and up < 0.0:
        up = 0.0
    mover.velocity.z = up
    mover.lift_m = step.lift_m
    mover.position.x = move.x
    mover.position.y = move.y
    mover.position.z = move.z
    mover.yaw = move.yaw
    mover.pitch = move.pitch
    mover.mode = move.mode
    mover.stance = step.stance
    mover.on_ground = step.support == SUPPORT_GROUND


cdef void mover_place(mover_t *mover, const move_rules_t *rules, const vec3 *position, double yaw,
                      int64_t now_us) noexcept nogil:
    cdef int64_t score = mover.violation_milli, scored_us = mover.violation_us
    memset(mover, 0, sizeof(mover_t))
    mover.position = position[0]
    mover.yaw = yaw
    mover.mode = MODE_WALK
    mover.on_ground = 1
    mover.rise_m = rules.jump_m
    mover.last_us = now_us
    mover.violation_milli = score
    mover.violation_us = scored_us
    mover.speed_q16 = 65536


cdef uint32_t move_judge(const move_rules_t *rules, const world_t *world, mover_t *mover, const move_t *move,
                         int64_t now_us, uint32_t *reason) noexcept nogil:
    cdef step_t step
    cdef int64_t credit_us
    reason[0] = judge_claim(rules, world, mover, move, now_us)
    if reason[0] != REASON_NONE:
        violate(rules, mover, now_us)
        return OUTCOME_REJECTED
    step.x = move.x - mover.position.x
    step.y = move.y - mover.position.y
    step.z = move.z - mover.position.z
    step.across = sqrt(step.x * step.x + step.y * step.y)
    step.stance = stance_of(move.mode)
    credit_us = run_clocks(rules, mover, move, now_us, &step)
    reason[0] = judge_pace(rules, mover, move, credit_us, &step)
    if reason[0] == REASON_NONE:        # only now is the map asked
        find_support(rules, world, move, &step)
        reason[0] = judge_acceleration(rules, mover, move, &step)
    if reason[0] == REASON_NONE:
        reason[0] = judge_height(rules, mover, move, &step)
    if reason[0] == REASON_NONE:
        reason[0] = judge_geometry(rules, world, mover, move, &step)
    if reason[0] != REASON_NONE:
        violate(rules, mover, now_us)
        return OUTCOME_CORRECTED
    settle(rules, mover, move, &step)
    return OUTCOME_ACCEPTED


# ---- loading ----------------------------------------------------------------------------------

cdef double number(dict document, str key, double least, double most) except? -1.0:
    if key not in document:
        raise ValueError(f"{key}: is missing")
    value = document[key]
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= most:
        raise ValueError(f"{key}: {value!r} is not a number of {least:g}..{most:g}")
    return value


cdef int64_t micros(dict document, str key) except? -1:
    number(document, key, 0.0, 3.6e9)
    return <int64_t>int(document[key])


cdef double named(dict document, str key, str name) except? -1.0:
    table = document.get(key)
    if not isinstance(table, dict) or name not in table:
        raise ValueError(f"{key}.{name}: is missing")
    return number({f"{key}.{name}": table[name]}, f"{key}.{name}", 0.0, COORDINATE_MAX)


cdef int move_rules_from(dict document, move_rules_t *out) except -1:
    memset(out, 0, sizeof(move_rules_t))
    for mode, name in enumerate(("walk", "sprint", "crouch", "air", "swim"), start=MODE_WALK):
        out.speed_mps[<int>mode] = named(document, "speed_mps", name)
    for stance, name in enumerate(("stand", "crouch", "air"), start=STANCE_STAND):
        out.height_m[<int>stance] = named(document, "height_m", name)
    out.acceleration_mps2 = number(document, "acceleration_mps2", 0.0, COORDINATE_MAX)
    out.air_acceleration_mps2 = number(document, "air_acceleration_mps2", 0.0, COORDINATE_MAX)
    out.gravity_mps2 = number(document, "gravity_mps2", 0.0, COORDINATE_MAX)
    out.jump_m = number(document, "jump_m", 0.0, COORDINATE_MAX)
    out.fall_mps = number(document, "fall_mps", 0.0, COORDINATE_MAX)
    out.step_m = number(document, "step_m", 0.0, COORDINATE_MAX)
    out.half_width_m = number(document, "half_width_m", 0.0, COORDINATE_MAX)
    out.tolerance_m = number(document, "tolerance_m", 0.0, COORDINATE_MAX)
    out.teleport_m = number(document, "teleport_m", 0.0, COORDINATE_MAX)
    out.burst_us = micros(document, "burst_us")
    out.clock_ahead_us = micros(document, "clock_ahead_us")
    out.clock_behind_us = micros(document, "clock_behind_us")
    out.clock_drift_q16 = <int>number(document, "clock_drift_q16", 0.0, 65536.0)
    out.violation_decay_us = micros(document, "violation_decay_us")
    return 0


# ---- the Python door ----------------------------------------------------------------------------

cdef class Mover:
    cdef move_rules_t rules
    cdef mover_t c
    cdef World world

    def __cinit__(self, dict rules, World world, position, double yaw=0.0, int64_t now_us=0):
        move_rules_from(rules, &self.rules)
        self.world = world
        self.place(position, yaw, now_us)

    def place(self, position, double yaw=0.0, int64_t now_us=0):
        cdef vec3 at
        at.x, at.y, at.z = position
        mover_place(&self.c, &self.rules, &at, yaw, now_us)

    def judge(self, move, int64_t now_us):
        cdef move_t claim
        cdef uint32_t reason
        claim.x, claim.y, claim.z, claim.yaw, claim.pitch, claim.mode, claim.client_time_us = move
        outcome = move_judge(&self.rules, &self.world.c, &self.c, &claim, now_us, &reason)
        return outcome, reason

    def grant(self, int64_t until_us, double speed_mps):
        self.c.granted_until_us = until_us
        self.c.granted_mps = speed_mps

    def slow(self, int32_t speed_q16):
        self.c.speed_q16 = speed_q16

    def violation(self, int64_t now_us):
        return violation_at(&self.rules, &self.c, now_us)

    @property
    def take_off_mps(self):
        return take_off(&self.rules)

    def state(self):
        return {
            "position": (self.c.position.x, self.c.position.y, self.c.position.z),
            "velocity": (self.c.velocity.x, self.c.velocity.y, self.c.velocity.z),
            "yaw": self.c.yaw,
            "pitch": self.c.pitch,
            "mode": self.c.mode,
            "stance": self.c.stance,
            "on_ground": self.c.on_ground,
            "budget_m": self.c.budget_m,
            "rise_m": self.c.rise_m,
            "lift_m": self.c.lift_m,
            "last_us": self.c.last_us,
            "client_us": self.c.client_us,
            "discrepancy_us": self.c.discrepancy_us,
            "paying_back": self.c.paying_back,
            "violation_milli": self.c.violation_milli,
            "violation_us": self.c.violation_us,
        }
