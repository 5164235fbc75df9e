"""Every C type that crosses a module of the native core. Units: metres, radians, microseconds of the
session clock, 1/1000 health points (`_milli`), 1/65536 (`_q16`). Enumerations equal those of the
contract; `tests/contract` compares them."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef extern from *:
    """
    #define MAX_HITS 16
    #define MAX_SHAPES 24
    #define MAX_STANCES 3
    #define MAX_WEAPONS 32
    #define MAX_ACTIONS 32
    #define MAX_ACTION_EFFECTS 4
    #define MAX_MODES 16
    #define MAX_ACTIVE_EFFECTS 16
    #define MAX_CURVE 8
    """
    const int MAX_HITS             # targets one command can reach
    const int MAX_SHAPES           # hitboxes of a rig
    const int MAX_STANCES
    const int MAX_WEAPONS
    const int MAX_ACTIONS
    const int MAX_ACTION_EFFECTS   # effects one action brings
    const int MAX_MODES            # game modes of a ruleset
    const int MAX_ACTIVE_EFFECTS   # effects on one player at once
    const int MAX_CURVE            # points of a piecewise-linear falloff


# ---- contract enumerations ------------------------------------------------------------------

ctypedef enum Outcome:
    OUTCOME_ACCEPTED = 1
    OUTCOME_CORRECTED = 2
    OUTCOME_REJECTED = 3

ctypedef enum Reason:
    REASON_NONE = 0
    REASON_NOT_ACTIVE = 1
    REASON_UNKNOWN_SLOT = 2
    REASON_FOREIGN_SLOT = 3
    REASON_DEAD = 4
    REASON_BAD_SEQUENCE = 5
    REASON_REPEAT_TOO_OLD = 6
    REASON_OUT_OF_RANGE = 7
    REASON_NOT_TRUSTED = 8
    REASON_NO_KIND = 9
    REASON_UNKNOWN_WEAPON = 20
    REASON_FIRE_RATE = 21
    REASON_NO_AMMO = 22
    REASON_RELOADING = 23
    REASON_BAD_ORIGIN = 24
    REASON_NO_HISTORY = 25
    REASON_PROJECTILE_LIMIT = 26
    REASON_STUNNED = 27
    REASON_CASTING = 28
    REASON_UNKNOWN_ACTION = 40
    REASON_COOLDOWN = 41
    REASON_NO_CHARGES = 42
    REASON_NO_RESOURCE = 43
    REASON_BAD_TARGET = 44
    REASON_TARGET_RANGE = 45
    REASON_NO_LINE_OF_SIGHT = 46
    REASON_INTERRUPTED = 47
    REASON_TOO_FAST = 60
    REASON_TOO_HIGH = 61
    REASON_BLOCKED = 62
    REASON_OUT_OF_BOUNDS = 63
    REASON_TELEPORT = 64
    REASON_CLOCK_AHEAD = 65
    REASON_MODE_NOT_GRANTED = 66
    REASON_PROTECTED = 80
    REASON_FRIENDLY_FIRE = 81
    REASON_IMMUNE = 82

ctypedef enum Clamp:
    CLAMP_NONE = 0
    CLAMP_MAX_REWIND = 1
    CLAMP_ACKED_SNAPSHOT = 2
    CLAMP_NEWEST_SNAPSHOT = 3
    CLAMP_ROUND_TRIP = 4
    CLAMP_MONOTONE = 5
    CLAMP_FUTURE = 6

ctypedef enum Region:
    REGION_NONE = 0
    REGION_HEAD = 1
    REGION_TORSO = 2
    REGION_STOMACH = 3
    REGION_ARM = 4
    REGION_LEG = 5
    REGION_COUNT = 6

ctypedef enum MoveMode:
    MODE_NONE = 0
    MODE_WALK = 1
    MODE_SPRINT = 2
    MODE_CROUCH = 3
    MODE_AIR = 4
    MODE_SWIM = 5
    MODE_DASH = 6
    MODE_COUNT = 7

ctypedef enum Stance:
    STANCE_STAND = 0
    STANCE_CROUCH = 1
    STANCE_AIR = 2

ctypedef enum EndReason:
    END_NONE = 0
    END_SCORE_LIMIT = 1
    END_TIME_LIMIT = 2
    END_REQUESTED = 3
    END_EMPTY = 4
    END_LAST_STANDING = 5
    END_ABORTED = 6

ctypedef enum ActionPhase:
    PHASE_NONE = 0
    PHASE_CAST = 1
    PHASE_EFFECT = 2
    PHASE_INTERRUPTED = 3

ctypedef enum CommandKind:      # field numbers of Command.kind
    COMMAND_NONE = 0
    COMMAND_MOVE = 5
    COMMAND_SHOT = 6
    COMMAND_ACTION = 7
    COMMAND_DAMAGE = 8


# ---- geometry -------------------------------------------------------------------------------

ctypedef struct vec3:
    double x
    double y
    double z

ctypedef struct pose_t:
    double x            # feet
    double y
    double z
    double yaw          # counter-clockwise from +x
    double pitch        # up from the horizon
    uint8_t stance
    uint8_t epoch       # changes on spawn, death, teleport, stance change: never interpolate across
    uint8_t alive

ctypedef enum ShapeKind:
    SHAPE_SPHERE = 1    # a, radius
    SHAPE_CAPSULE = 2   # a..b, radius
    SHAPE_BOX = 3       # centre a, half extents b, turned by `turn` about z

ctypedef struct shape_t:
    uint8_t kind
    uint8_t region
    double turn
    double radius
    vec3 a              # in the body's frame: feet at the origin, facing +x
    vec3 b

# Hitboxes of a body, one set for each stance.
ctypedef struct rig_t:
    int count[3]                # by Stance
    shape_t shapes[3][24]       # [Stance][shape]
    double eye[3]               # eye height by stance
    double reach                # radius of the sphere about `centre` that holds every shape of every stance
    double centre               # height of that sphere's centre
    float ball[3][4][24]        # [Stance][x, y, z, radius][shape]: a sphere about each shape, a little larger


# ---- rules (compiled from a ruleset) ----------------------------------------------------------

ctypedef struct rewind_rules_t:
    int64_t max_rewind_us       # 250,000
    int64_t interpolation_us    # what a good client renders behind: 100,000
    int64_t interpolation_max_us
    int64_t extrapolation_max_us
    int64_t jitter_min_us
    int64_t jitter_max_us
    int32_t jitter_factor_q16   # allowed deviation = factor x measured jitter
    uint8_t on_break            # BreakPolicy

ctypedef enum BreakPolicy:      # what a rewind across an epoch does
    BREAK_PRESENT = 0           # judge the present pose
    BREAK_REJECT = 1            # the target cannot be hit
    BREAK_CLAMP = 2             # judge the epoch's oldest pose

ctypedef enum FalloffKind:
    FALLOFF_NONE = 0
    FALLOFF_CURVE = 1           # piecewise linear over (distance, factor)
    FALLOFF_SMOOTH = 2          # smoothstep about a reference distance (Team Fortress 2)
    FALLOFF_EXPONENTIAL = 3     # halves every `half_m`

ctypedef struct falloff_t:
    uint8_t kind
    uint8_t points
    double reference_m          # SMOOTH: distance of factor 1
    double half_m               # EXPONENTIAL
    double distance_m[8]        # CURVE, rising
    double factor[8]

ctypedef enum WeaponKind:
    WEAPON_HITSCAN = 1
    WEAPON_MELEE = 2
    WEAPON_PROJECTILE = 3

ctypedef struct weapon_t:
    uint8_t kind
    uint8_t heals               # restores allies instead of wounding enemies
    uint8_t bypass              # skips armour and shield
    uint8_t pellets
    uint8_t penetration         # further targets a ray goes on to
    int32_t penetration_q16     # damage kept at each of them
    int64_t damage_milli        # each pellet
    double range_m
    double spread_rad           # half angle of the cone, drawn by the server
    int64_t fire_interval_us
    int32_t magazine            # 0: unlimited
    int32_t reserve             # 0: unlimited
    int64_t reload_us
    int64_t crit_chance_q32     # of 2^32
    int32_t crit_q16
    int32_t region_q16[6]       # by Region
    int32_t lifesteal_q16
    falloff_t falloff
    double arc_rad              # MELEE: half angle
    double speed_mps            # PROJECTILE
    double gravity_mps2
    double radius_m
    int64_t fuse_us             # explodes then at the latest
    uint8_t bounces             # explodes on touch when 0
    double blast_m              # 0: no blast
    int32_t blast_edge_q16      # share of damage at the edge
    int32_t blast_self_q16

ctypedef enum ArmourKind:
    ARMOUR_NONE = 0
    ARMOUR_RATING = 1           # 100 / (100 + armour), 2 - 100 / (100 - armour) below zero
    ARMOUR_ABSORB = 2           # takes a share while it lasts (Half-Life 2)
    ARMOUR_PERCENT = 3

ctypedef struct armour_rules_t:
    uint8_t kind
    int32_t health_share_q16    # ABSORB: what always goes through, 0.2
    int32_t bonus_q16           # ABSORB: armour spent a point of damage, 1
    int32_t percent_q16         # PERCENT

ctypedef enum EffectKind:
    EFFECT_NONE = 0
    EFFECT_DAMAGE = 1           # over time when `duration_us`, by `period_us`
    EFFECT_HEAL = 2
    EFFECT_SHIELD = 3           # `amount_milli` of shield for `duration_us`
    EFFECT_SPEED = 4            # movement budget x amount_q16
    EFFECT_DAMAGE_DEALT = 5     # x amount_q16
    EFFECT_DAMAGE_TAKEN = 6     # x amount_q16
    EFFECT_STUN = 7             # no commands
    EFFECT_IMMUNE = 8           # takes nothing
    EFFECT_DASH = 9             # grants MODE_DASH at `speed_mps`
    EFFECT_RELOAD = 10          # fills the weapon in hand

ctypedef struct effect_t:
    uint8_t kind
    int64_t amount_milli
    int32_t amount_q16
    int64_t duration_us
    int64_t period_us
    double speed_mps

ctypedef enum TargetKind:
    TARGET_SELF = 1
    TARGET_ALLY = 2
    TARGET_ENEMY = 3
    TARGET_POINT = 4            # everyone `area_m` about a point, by `area_side`
    TARGET_AREA = 5             # everyone `area_m` about the user

ctypedef enum AreaSide:
    SIDE_ENEMIES = 1
    SIDE_ALLIES = 2
    SIDE_ALL = 3

ctypedef struct action_t:
    uint8_t target
    uint8_t area_side
    uint8_t needs_sight
    uint8_t interruptible       # damage stops the cast
    uint8_t effects
    uint8_t charges             # 1: plain cooldown
    double range_m
    double area_m
    int64_t cooldown_us         # to win back one charge
    int64_t cast_us
    int64_t cost_milli          # of the resource
    effect_t effect[4]

ctypedef struct move_rules_t:
    double speed_mps[7]         # by MoveMode; DASH comes from the effect
    double acceleration_mps2    # how fast the horizontal speed may change on the ground
    double air_acceleration_mps2
    double gravity_mps2
    double jump_m               # apex; take-off speed is sqrt(2 g h)
    double fall_mps             # terminal speed
    double step_m
    double half_width_m         # hull: a box, half_width x half_width x height
    double height_m[3]          # by Stance
    double tolerance_m          # added to every comparison
    double teleport_m           # further in one move is refused outright
    int64_t burst_us            # unused time a player may save up for the next move
    int64_t clock_ahead_us      # discrepancy that starts payback: 250,000
    int64_t clock_behind_us     # credit that is kept: 250,000
    int32_t clock_drift_q16     # discrepancy forgiven a second
    int64_t violation_decay_us  # the score halves in this time

ctypedef struct mode_t:
    uint8_t teams               # 0: everyone for himself
    uint8_t friendly_fire
    uint8_t respawns
    int32_t score_limit         # kills of a team or player; 0: none
    int64_t time_limit_us       # 0: none
    int64_t respawn_us
    int64_t protection_us       # after a spawn
    int64_t assist_us           # damage this long before a death counts

ctypedef struct ruleset_t:
    int weapons
    int actions
    int modes
    int64_t health_milli
    int64_t armour_milli
    int64_t shield_max_milli
    int64_t resource_milli
    int64_t resource_per_s_milli
    double origin_tolerance_m   # claimed muzzle to the rewound eye
    double interest_m           # radius of the area of interest
    int32_t history_ticks
    rewind_rules_t rewind
    armour_rules_t armour
    move_rules_t move
    rig_t rig
    weapon_t weapon[32]
    action_t action[32]
    mode_t mode[16]


# ---- commands and verdicts --------------------------------------------------------------------

ctypedef struct move_t:
    double x
    double y
    double z
    double yaw
    double pitch
    uint32_t mode
    int64_t client_time_us

ctypedef struct shot_t:
    uint32_t weapon
    vec3 origin
    vec3 direction              # as sent; the judge normalises

ctypedef struct use_t:
    uint32_t action
    uint32_t target             # seat plus one, 0: none
    vec3 point

ctypedef struct direct_t:
    uint32_t target
    uint32_t amount_milli
    uint32_t source
    uint8_t bypass

ctypedef struct command_t:
    uint32_t slot
    uint32_t sequence
    uint32_t view_tick
    uint32_t view_fraction
    uint32_t kind               # CommandKind
    uint32_t reason             # Reason; not NONE when the decoder found a value out of range
    move_t move
    shot_t shot
    use_t use
    direct_t direct
    const uint8_t* raw          # the Command message as received
    uint32_t raw_size

ctypedef struct hit_t:          # Hit of the contract
    uint32_t slot
    uint32_t region
    uint32_t reason
    uint8_t critical
    uint8_t lethal
    double distance_m
    int64_t dealt_milli
    int64_t armour_milli
    int64_t shield_milli
    int64_t overkill_milli
    int64_t health_milli
    int64_t healed_milli

ctypedef struct verdict_t:      # Verdict of the contract
    uint32_t slot
    uint32_t sequence
    uint32_t outcome
    uint32_t reason
    uint8_t repeated
    uint8_t hits
    uint8_t corrected
    uint32_t clamp
    int64_t rewind_us
    uint64_t journal_sequence
    uint32_t ammo
    vec3 position               # when corrected
    vec3 velocity
    hit_t hit[16]
