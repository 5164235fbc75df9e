"""The readable twin of `native.movement`, equal to the last bit. The rules are told there."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import NamedTuple

from native.reference.world import Vector, World

ACCEPTED, CORRECTED, REJECTED = 1, 2, 3
NONE, OUT_OF_RANGE = 0, 7
TOO_FAST, TOO_HIGH, BLOCKED, OUT_OF_BOUNDS, TELEPORT, CLOCK_AHEAD, MODE_NOT_GRANTED = (
    60,
    61,
    62,
    63,
    64,
    65,
    66,
)
WALK, SPRINT, CROUCH, AIR, SWIM, DASH = 1, 2, 3, 4, 5, 6
STAND, CROUCHED, AIRBORNE = 0, 1, 2

COORDINATE_MAX = 1e6
YAW_MAX = 6283.185307179587
PITCH_MAX = 1.5707964
CLOCK_MAX = 1 << 52
PAYBACK_LIMITS = 4
VIOLATION_MILLI = 1000
VIOLATION_MAX_MILLI = 1_000_000_000
GROUND_SLOPE = 0.7
HOLD_SLOPE = 0.05
AIRY, STEEP, GROUND = 0, 1, 2  # what is under a body
PLAIN = 65536


class Move(NamedTuple):
    x: float
    y: float
    z: float
    yaw: float
    pitch: float
    mode: int
    client_time_us: int


@dataclass
class Rules:
    speed_mps: dict[int, float]
    height_m: dict[int, float]
    acceleration_mps2: float
    air_acceleration_mps2: float
    gravity_mps2: float
    jump_m: float
    fall_mps: float
    step_m: float
    half_width_m: float
    tolerance_m: float
    teleport_m: float
    burst_us: int
    clock_ahead_us: int
    clock_behind_us: int
    clock_drift_q16: int
    violation_decay_us: int

    @property
    def take_off_mps(self) -> float:
        return sqrt(2.0 * self.gravity_mps2 * self.jump_m)


@dataclass
class Step:
    """What one move comes to: displacement, its horizontal length, speed allowed, times, the end."""

    x: float
    y: float
    z: float
    across: float
    stance: int
    speed_mps: float = 0.0
    timed: bool = False
    client_s: float = 0.0
    fall_s: float = 0.0
    lift_m: float = 0.0
    support: int = AIRY
    surface: float = 0.0


class Mover:
    def __init__(
        self, rules: Rules, world: World, position: Vector, yaw: float = 0.0, now_us: int = 0
    ) -> None:
        self.rules = rules
        self.world = world
        self.violation_milli = 0
        self.violation_us = 0
        self.place(position, yaw, now_us)

    def place(self, position: Vector, yaw: float = 0.0, now_us: int = 0) -> None:
        self.position = position
        self.velocity: Vector = (0.0, 0.0, 0.0)
        self.yaw, self.pitch = yaw, 0.0
        self.mode, self.stance, self.on_ground = WALK, STAND, True
        self.budget_m, self.rise_m, self.lift_m = 0.0, self.rules.jump_m, 0.0
        self.last_us, self.client_us = now_us, 0
        self.discrepancy_us, self.paying_back = 0, False
        self.granted_until_us, self.granted_mps = 0, 0.0
        self.speed_q16 = PLAIN

    def judge(self, move: Move, now_us: int) -> tuple[int, int]:
        if reason := self.judge_claim(move, now_us):
            self.violate(now_us)
            return REJECTED, reason
        x, y, z = (move.x - self.position[0], move.y - self.position[1], move.z - self.position[2])
        step = Step(x, y, z, sqrt(x * x + y * y), {CROUCH: CROUCHED, AIR: AIRBORNE}.get(move.mode, STAND))
        credit_us = self.run_clocks(move, now_us, step)
        reason = self.judge_pace(move, credit_us, step)
        if not reason:
            step.support, step.surface = self.find_support(move, step.stance)
            reason = (
                self.judge_acceleration(move, step)
                or self.judge_height(move, step)
                or self.judge_geometry(move, step)
            )
        if reason:
            self.violate(now_us)
            return CORRECTED, reason
        self.settle(move, step)
        return ACCEPTED, NONE

    # ---- the running score ------------------------------------------------------------------

    def violation(self, now_us: int) -> int:
        half, elapsed = self.rules.violation_decay_us, now_us - self.violation_us
        if elapsed <= 0:
            return self.violation_milli
        if half <= 0 or elapsed // half >= 31:
            return 0
        score = self.violation_milli >> elapsed // half
        return score - score * (elapsed % half) // (2 * half)

    def violate(self, now_us: int) -> None:
        self.violation_milli = min(self.violation(now_us) + VIOLATION_MILLI, VIOLATION_MAX_MILLI)
        self.violation_us = now_us

    # ---- rules ------------------------------------------------------------------------------

    def judge_claim(self, move: Move, now_us: int) -> int:
        low, high = self.world.bounds
        place = (move.x, move.y, move.z)
        if (
            not all(abs(value) <= COORDINATE_MAX for value in place)
            or not abs(move.yaw) <= YAW_MAX
            or not abs(move.pitch) <= PITCH_MAX
            or not WALK <= move.mode <= DASH
            or not 0 <= move.client_time_us <= CLOCK_MAX
        ):
            return OUT_OF_RANGE
        if not all(low[k] <= place[k] <= high[k] for k in range(3)):
            return OUT_OF_BOUNDS
        x, y, z = (place[k] - self.position[k] for k in range(3))
        if sqrt(x * x + y * y + z * z) > self.rules.teleport_m:
            return TELEPORT
        dashes = move.mode == DASH
        if (dashes and now_us > self.granted_until_us) or (
            not dashes and not self.rules.speed_mps[move.mode] > 0
        ):
            return MODE_NOT_GRANTED
        if self.client_us and move.client_time_us <= self.client_us:
            return CLOCK_AHEAD
        return NONE

    def run_clocks(self, move: Move, now_us: int, step: Step) -> int:
        rules = self.rules
        server_us = max(now_us - self.last_us, 0)
        client_us, lost_us, owed_us = server_us, 0, self.discrepancy_us
        step.timed = self.client_us != 0
        if step.timed:
            client_us = move.client_time_us - self.client_us
            owed_us += client_us - server_us
            forgiven_us = server_us * rules.clock_drift_q16 >> 16 if server_us < CLOCK_MAX >> 8 else 0
            owed_us = max(owed_us - forgiven_us, 0) if owed_us > 0 else min(owed_us + forgiven_us, 0)
            lost_us = max(-rules.clock_behind_us - owed_us, 0)
            owed_us = max(owed_us, -rules.clock_behind_us)
            if owed_us > rules.clock_ahead_us:
                self.paying_back = True
            owed_us = min(owed_us, PAYBACK_LIMITS * rules.clock_ahead_us)
        step.client_s = client_us / 1e6
        step.fall_s = (client_us + lost_us) / 1e6
        self.client_us = move.client_time_us
        self.last_us = max(now_us, self.last_us)
        if self.paying_back:
            paid_us = min(server_us, owed_us)
            owed_us -= paid_us
            server_us -= paid_us
            self.paying_back = owed_us > 0
        self.discrepancy_us = owed_us
        return server_us

    def judge_pace(self, move: Move, credit_us: int, step: Step) -> int:
        rules = self.rules
        if move.mode == DASH:
            speed = self.granted_mps
        else:
            speed = rules.speed_mps[move.mode]
            if move.mode == AIR and self.on_ground and step.z <= rules.tolerance_m:
                speed = min(speed, rules.speed_mps[SPRINT])
            speed = speed * (self.speed_q16 / 65536.0)
        step.speed_mps = speed
        self.budget_m = min(self.budget_m + speed * (credit_us / 1e6), speed * (rules.burst_us / 1e6))
        if step.across > self.budget_m + rules.tolerance_m:
            return CLOCK_AHEAD if self.paying_back else TOO_FAST
        return NONE

    def judge_acceleration(self, move: Move, step: Step) -> int:
        t, (vx, vy, _) = step.client_s, self.velocity
        x, y = step.x - vx * t / 2.0, step.y - vy * t / 2.0
        touches = self.on_ground or step.support != AIRY
        gain = self.rules.acceleration_mps2 if touches else self.rules.air_acceleration_mps2
        pace = sqrt(vx * vx + vy * vy)
        outside = sqrt(x * x + y * y) > pace * t / 2.0 + gain * t * t + self.rules.tolerance_m
        return TOO_FAST if outside and step.timed and move.mode != DASH else NONE

    def judge_height(self, move: Move, step: Step) -> int:
        rules, slack = self.rules, self.rules.tolerance_m
        within = step.surface - self.position[2] <= rules.step_m + slack
        step_up = rules.step_m if step.support == GROUND and within else 0.0
        if step.z < -max(rules.fall_mps * step.fall_s, rules.step_m) - slack:
            return TOO_FAST
        if self.on_ground:
            jump = min(rules.take_off_mps * step.client_s, rules.jump_m)
            return TOO_HIGH if step.z > max(jump, step_up) + slack else NONE
        held = move.mode == DASH or step.support != AIRY
        up = max(self.velocity[2], 0.0) if held else self.velocity[2]
        step.lift_m = min(self.lift_m + up * step.fall_s - step.z, slack)
        if step.z > 0.0 and step.z > self.rise_m + step_up + slack:
            return TOO_HIGH
        return TOO_HIGH if step.lift_m + step_up < -slack else NONE

    def hull(self, stance: int, feet: Vector) -> tuple[Vector, Vector]:
        """Half extents and centre of the part of a body that must not touch anything."""
        rules = self.rules
        wide = rules.half_width_m - rules.tolerance_m
        tall = (rules.height_m[stance] - rules.tolerance_m - rules.step_m) / 2.0
        return (wide, wide, tall), (feet[0], feet[1], feet[2] + rules.step_m + tall)

    def judge_geometry(self, move: Move, step: Step) -> int:
        half, centre = self.hull(step.stance, self.position)
        if self.world.sweep(half, centre, (step.x, step.y, step.z))[0] < 1.0:
            return BLOCKED
        half, centre = self.hull(step.stance, (move.x, move.y, move.z))
        if self.world.overlaps(half, centre):
            return BLOCKED
        reach = self.rules.step_m
        depth = self.world.ray((move.x, move.y, move.z + reach), (0.0, 0.0, -1.0), reach)
        return BLOCKED if depth < reach - self.rules.tolerance_m else NONE

    def find_support(self, move: Move, stance: int) -> tuple[int, float]:
        """The best of three widths, the first of equals, and the height of its surface."""
        half, centre = self.hull(stance, (move.x, move.y, move.z))
        widths = (half[0], self.rules.half_width_m, 0.0)
        found = [self.support((wide, wide, half[2]), centre) for wide in widths]
        return max(found, key=lambda support: support[0])

    def support(self, half: Vector, centre: Vector) -> tuple[int, float]:
        reach = self.rules.step_m + self.rules.tolerance_m
        share, normal = self.world.sweep(half, centre, (0.0, 0.0, -reach))
        if share >= 1.0 or normal[2] < HOLD_SLOPE:
            return AIRY, 0.0
        return GROUND if normal[2] >= GROUND_SLOPE else STEEP, centre[2] - half[2] - share * reach

    # ---- applying ---------------------------------------------------------------------------

    def settle(self, move: Move, step: Step) -> None:
        x, y = 0.0, 0.0
        if step.across > 0.0:
            pace = min(step.across / step.client_s, step.speed_mps) if step.timed else step.speed_mps
            x, y = step.x * pace / step.across, step.y * pace / step.across
        up, self.rise_m = self.arc(move, step)
        if step.support == STEEP:
            up = max(up, 0.0)
        self.velocity = (x, y, up)
        self.budget_m = self.budget_m - step.across
        self.lift_m = step.lift_m
        self.position = (move.x, move.y, move.z)
        self.yaw, self.pitch, self.mode = move.yaw, move.pitch, move.mode
        self.stance, self.on_ground = step.stance, step.support == GROUND

    def arc(self, move: Move, step: Step) -> tuple[float, float]:
        """The greatest vertical speed there can be after the move, and what is left to climb."""
        rules, v0, climbed = self.rules, self.rules.take_off_mps, max(step.z, 0.0)
        if step.support == GROUND:
            return 0.0, rules.jump_m
        if self.on_ground:
            if step.z <= 0.0:
                return 0.0, rules.jump_m
            energy = max(v0 * v0 - 2.0 * rules.gravity_mps2 * step.z, 0.0)
            return max(sqrt(energy), v0 - rules.gravity_mps2 * step.fall_s), rules.jump_m - climbed
        up = max(self.velocity[2] - rules.gravity_mps2 * step.fall_s, -rules.fall_mps)
        if move.mode == DASH:
            up = max(self.velocity[2], 0.0)
        elif step.fall_s > 0.0:
            up = max(min(up, (step.z + rules.tolerance_m) / step.fall_s), -rules.fall_mps)
        return up, self.rise_m - climbed
