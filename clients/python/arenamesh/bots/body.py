"""How a bot's body moves: speeds up and slows down, climbs steps, falls, and stops at walls."""

from __future__ import annotations

import math

from arenamesh.bots.arsenal import Movement
from arenamesh.bots.shapes import Vector
from arenamesh.bots.terrain import Terrain
from arenamesh.combat.v1 import play_pb2

# The mesh's clock decides how far a move may go: stay this much below, for what the way here varies.
_CAUTION = 0.96
_SLOPE_DOWN_M = 0.5


class Body:
    """The client's own simulation of one player, within the movement rules."""

    def __init__(self, terrain: Terrain, rules: Movement, *, haste: float = 1.0) -> None:
        """`haste`: of the speed that the rules allow; an honest body has 1."""
        self._terrain = terrain
        self._rules = rules
        self._pace = _CAUTION * haste
        # What the mesh lets stand on the ground: a body narrower by the tolerance.
        self._sole = rules.half_width_m - rules.tolerance_m
        self.position: Vector = (0.0, 0.0, 0.0)
        self.velocity: Vector = (0.0, 0.0, 0.0)
        self.mode: play_pb2.MoveMode = play_pb2.MOVE_MODE_WALK
        self.stuck_s = 0.0
        """For how long it has wanted to move and could not."""
        self._dash_mps = 0.0
        self._dash_s = 0.0
        self._placed = True

    @property
    def eye(self) -> Vector:
        x, y, z = self.position
        return (x, y, z + self._rules.eye_m)

    def place(self, position: Vector, velocity: Vector = (0.0, 0.0, 0.0)) -> None:
        """Where the mesh says the player is. The next step stands still, which starts the mesh's timing."""
        self.position, self.velocity = position, velocity
        self._dash_s = 0.0
        self._placed = True

    def dash(self, speed_mps: float, duration_s: float) -> None:
        """A dash was granted."""
        self._dash_mps, self._dash_s = speed_mps, duration_s

    def step(self, direction: tuple[float, float], sprint: bool, dt: float) -> None:
        """Moves for `dt` seconds the way `direction` points (zero: stop)."""
        if self._placed:
            self._placed = False
            return
        rules = self._rules
        length = math.hypot(*direction)
        airborne = self.mode == play_pb2.MOVE_MODE_AIR
        speed = rules.sprint_mps if sprint and not airborne else rules.walk_mps
        self.mode = play_pb2.MOVE_MODE_SPRINT if sprint else play_pb2.MOVE_MODE_WALK
        vx, vy, vz = self.velocity
        if self._dash_s > 0 and length > 0:
            self._dash_s -= dt
            self.mode = play_pb2.MOVE_MODE_DASH
            speed = self._dash_mps
            vx, vy = direction[0] / length * speed * self._pace, direction[1] / length * speed * self._pace
        elif not airborne:
            pace = math.hypot(vx, vy)
            if pace > speed:  # a dash is over
                vx, vy = vx / pace * speed, vy / pace * speed
            scale = speed * self._pace / length if length > 0 else 0.0
            vx, vy = self._towards((vx, vy), (direction[0] * scale, direction[1] * scale), dt)
        wanted = length > 0 and math.hypot(vx, vy) > 0.5
        x, y, z = self._slide(vx * dt, vy * dt)
        moved = math.dist((x, y), self.position[:2])
        self.stuck_s = self.stuck_s + dt if wanted and moved < 0.3 * math.hypot(vx, vy) * dt else 0.0
        vz, z = self._settle(x, y, z, vz, dt)
        self.velocity = ((x - self.position[0]) / dt, (y - self.position[1]) / dt, vz)
        self.position = (x, y, z)

    def _towards(self, now: tuple[float, float], wish: tuple[float, float], dt: float) -> tuple[float, float]:
        """Changes a speed no faster than the rules allow."""
        dx, dy = wish[0] - now[0], wish[1] - now[1]
        change, most = math.hypot(dx, dy), self._rules.acceleration_mps2 * self._pace * dt
        if change <= most:
            return wish
        return now[0] + dx / change * most, now[1] + dy / change * most

    def _slide(self, dx: float, dy: float) -> Vector:
        """Goes as far as there is room: the whole way, or along one axis, or not at all."""
        x, y, z = self.position
        rules = self._rules
        half = rules.half_width_m
        _, stood = self._terrain.ground(x, y, z, self._sole, rules.step_m)
        for nx, ny in ((x + dx, y + dy), (x + dx, y), (x, y + dy)):
            ground, stands = self._terrain.ground(nx, ny, z, self._sole, rules.step_m)
            level = max(z, ground)
            if (stands or not stood) and self._terrain.fits(
                (nx, ny, level), half, rules.step_m, rules.height_m
            ):
                return (nx, ny, level)
        return (x, y, z)

    def _settle(self, x: float, y: float, z: float, vz: float, dt: float) -> tuple[float, float]:
        """Vertical speed and height: on the ground, down a slope, or falling."""
        rules = self._rules
        ground, _ = self._terrain.ground(x, y, z, self._sole, rules.step_m)
        if z - ground <= _SLOPE_DOWN_M * max(dt * rules.sprint_mps, 0.02) and vz <= 0:
            return 0.0, ground
        self.mode = play_pb2.MOVE_MODE_AIR
        fallen = vz * dt - 0.5 * rules.gravity_mps2 * dt * dt
        vz = max(vz - rules.gravity_mps2 * dt, -rules.fall_mps)
        if z + fallen <= ground:
            return 0.0, ground
        return vz, z + fallen
