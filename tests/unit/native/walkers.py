"""An honest client: its own physics, in floats of the wire, with no knowledge of the judge's code."""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING

from native.reference.movement import AIR, CROUCH, SPRINT, WALK, Move, Rules
from native.world import World
from tests.support.draw import f32

if TYPE_CHECKING:
    from native.movement import State

Point = tuple[float, float, float]


class Walker:
    """Wanders about a map, jumps now and then, slides along walls, steps up stairs, falls off edges."""

    def __init__(self, rules: Rules, world: World, at: Point, seed: int) -> None:
        self.rules, self.world = rules, world
        self.at = at
        self.velocity = (0.0, 0.0)
        self.climb = 0.0
        self.grounded = True
        self.random = random.Random(seed)
        self.heading = 0.0
        self.mode = WALK
        self.jumps = 0

    def step(self, dt: float, client_us: int) -> Move:
        rules, chance = self.rules, self.random
        if chance.random() < dt / 1.5:
            self.heading = chance.uniform(-math.pi, math.pi)
            self.mode = chance.choice([WALK, SPRINT, SPRINT, CROUCH])
        if self.grounded and self.mode != CROUCH and chance.random() < dt / 2.0:
            self.grounded, self.climb = False, rules.take_off_mps
            self.jumps += 1
        self._steer(dt)
        before = self.at
        if self.grounded:
            self._walk(dt)
        else:
            self._fly(dt)
        # What really was gone is the speed: walls take the rest.
        self.velocity = ((self.at[0] - before[0]) / dt, (self.at[1] - before[1]) / dt)
        mode = self.mode if self.grounded else AIR
        x, y, z = self.at
        return Move(f32(x), f32(y), f32(z), f32(self.heading), 0.0, mode, client_us)

    def correct(self, state: State) -> None:
        """Takes the authoritative pose and velocity."""
        self.at = state["position"]
        self.velocity = (state["velocity"][0], state["velocity"][1])
        self.climb = state["velocity"][2]
        self.grounded = bool(state["on_ground"])

    def _steer(self, dt: float) -> None:
        rules = self.rules
        gain = (rules.acceleration_mps2 if self.grounded else rules.air_acceleration_mps2) * dt * 0.95
        speed = rules.speed_mps[self.mode] * 0.995
        x, y = (
            speed * math.cos(self.heading) - self.velocity[0],
            speed * math.sin(self.heading) - self.velocity[1],
        )
        share = min(1.0, gain / max(math.hypot(x, y), 1e-9))
        self.velocity = (self.velocity[0] + x * share, self.velocity[1] + y * share)

    def _hull(self, at: Point) -> tuple[Point, Point]:
        """On the ground the hull ends at step height; in the air it is all of the body."""
        rules = self.rules
        foot = rules.step_m if self.grounded else 0.0
        half = (rules.height_m[0] - foot) / 2.0
        return (rules.half_width_m, rules.half_width_m, half), (at[0], at[1], at[2] + foot + half)

    def _slide(self, delta: Point) -> bool:
        """Whether it came down on ground."""
        landed = False
        for _ in range(3):
            half, centre = self._hull(self.at)
            share, normal = self.world.sweep(half, centre, delta)
            share = max(0.0, share - 1e-4)
            self.at = (
                self.at[0] + delta[0] * share,
                self.at[1] + delta[1] * share,
                self.at[2] + delta[2] * share,
            )
            if normal == (0.0, 0.0, 0.0):
                return landed
            landed = landed or normal[2] >= 0.7
            if 0.0 < normal[2] < 0.7:  # too steep to be pushed up by: a wall
                flat = math.hypot(normal[0], normal[1])
                normal = (normal[0] / flat, normal[1] / flat, 0.0) if delta[2] >= 0.0 else normal
            rest = [part * (1.0 - share) for part in delta]
            into = sum(part * n for part, n in zip(rest, normal, strict=True))
            delta = (rest[0] - into * normal[0], rest[1] - into * normal[1], rest[2] - into * normal[2])
            if normal[2] > 0.0 and delta[2] > 0.0:  # nor is a fall turned into a rise
                delta = (delta[0], delta[1], 0.0)
        return landed

    def _ground(self, at: Point, down: float) -> float | None:
        """Height of the ground under the hull, from a step above the feet to `down` below them."""
        half, centre = self._hull(at)
        reach = self.rules.step_m + down
        share, normal = self.world.sweep(half, centre, (0.0, 0.0, -reach))
        return None if share >= 1.0 or normal[2] < 0.7 else at[2] + self.rules.step_m - share * reach

    def _walk(self, dt: float) -> None:
        """Keeps to the ground; does not go where it rises or falls by more than a step."""
        before = self.at
        self._slide((self.velocity[0] * dt, self.velocity[1] * dt, 0.0))
        ground, step = self._ground(self.at, self.rules.step_m), self.rules.step_m
        x, y, z = self.at
        if self.world.ray((x, y, z + step), (0.0, 0.0, -1.0), step) < step and ground is None:
            self.at = before  # into a slope too steep to walk
            return
        if ground is None:
            self.grounded, self.climb = False, 0.0
            return
        if abs(ground - before[2]) > self.rules.step_m:
            self.at = before
            return
        self.at = (self.at[0], self.at[1], ground)

    def _fly(self, dt: float) -> None:
        self.climb = max(self.climb - self.rules.gravity_mps2 * dt, -self.rules.fall_mps)
        before = self.at
        landed = self._slide((self.velocity[0] * dt, self.velocity[1] * dt, self.climb * dt))
        self.climb = (self.at[2] - before[2]) / dt
        if landed:
            self.grounded, self.climb = True, 0.0
