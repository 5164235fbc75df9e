"""Is a move possible? Budgets of distance and of time, gravity, map geometry."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t
from native.types cimport move_rules_t, move_t, vec3
from native.world cimport world_t

ctypedef struct mover_t:
    vec3 position               # feet, authoritative
    vec3 velocity               # horizontal: of the last move; vertical: the most there can be
    double yaw
    double pitch
    uint32_t mode
    uint8_t stance
    uint8_t on_ground
    double budget_m             # horizontal distance in hand; down to -tolerance
    double rise_m               # left to climb of the present jump; down to -tolerance
    int64_t last_us             # server clock of the last judged move
    int64_t client_us           # client clock of it; 0: none yet
    int64_t discrepancy_us      # client clock gained on the server's
    uint8_t paying_back
    int64_t violation_milli     # running score, 1000 a violation, as of `violation_us`
    int64_t violation_us        # when it was last decayed
    int64_t granted_until_us    # MODE_DASH allowed until then
    double granted_mps
    int32_t speed_q16           # product of effects; 65536: plain
    double lift_m               # height of the arc above the feet while in the air, within the tolerance

# Stands still at a place, on the ground, with a fresh clock. The violation score and its time stay: the
# caller zeroes a new mover first.
cdef void mover_place(mover_t *mover, const move_rules_t *rules, const vec3 *position, double yaw,
                      int64_t now_us) noexcept nogil
# Accepts (and applies), corrects (mover unchanged but for clocks, budget and score: the caller sends its
# pose) or rejects (only the score changes). Returns the Outcome; `reason` says which rule.
cdef uint32_t move_judge(const move_rules_t *rules, const world_t *world, mover_t *mover, const move_t *move,
                         int64_t now_us, uint32_t *reason) noexcept nogil
# The violation score at `now_us`.
cdef int64_t violation_at(const move_rules_t *rules, const mover_t *mover, int64_t now_us) noexcept nogil
# Reads rules whose keys are the fields of move_rules_t. ValueError names the key.
cdef int move_rules_from(dict document, move_rules_t *out) except -1
