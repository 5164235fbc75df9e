"""Where a bot walks: along waypoints to somewhere worth going, and from side to side in a fight."""

from __future__ import annotations

import math
from random import Random

from arenamesh.bots.shapes import Vector
from arenamesh.bots.terrain import Terrain

_REACHED_M = 0.7
_GIVE_UP_S = 0.6
_STRAFE_S = (0.35, 1.1)
_DETOUR_S = 0.8


class Route:
    def __init__(self, terrain: Terrain, random: Random) -> None:
        self._terrain = terrain
        self._random = random
        self._nodes: list[int] = []
        self._strafe_s = 0.0
        self._detour_s = 0.0
        self._side = 1.0
        self._closing = 0.0

    @property
    def idle(self) -> bool:
        """No way is planned."""
        return not self._nodes

    def forget(self) -> None:
        self._nodes = []

    def go(self, here: Vector, goal: Vector | None = None) -> None:
        """Plans a way to `goal`, or to a waypoint picked at random."""
        terrain = self._terrain
        end = terrain.nearest(goal) if goal else self._random.randrange(len(terrain.waypoints))
        self._nodes = terrain.path(terrain.nearest(here), end)

    def along(self, here: Vector, stuck_s: float) -> tuple[float, float]:
        """Direction to walk on, planning anew at the end of the way or when it is blocked."""
        if stuck_s > _GIVE_UP_S:
            self._nodes = []
        while self._nodes and self._reached(here, self._terrain.waypoints[self._nodes[0]]):
            del self._nodes[0]
        if not self._nodes:
            self.go(here)
        x, y, _ = self._terrain.waypoints[self._nodes[0]] if self._nodes else here
        return (x - here[0], y - here[1])

    def fight(
        self, here: Vector, enemy: Vector, wanted_m: float, stuck: bool, dt: float
    ) -> tuple[float, float]:
        """Direction that keeps about `wanted_m` away and does not stand still."""
        if stuck and self.idle:
            # In a corner: out of it along the waypoints first.
            self.go(here)
            self._detour_s = _DETOUR_S
        if self._detour_s > 0:
            self._detour_s -= dt
            return self.along(here, 0.0)
        self.forget()
        self._strafe_s -= dt
        if self._strafe_s <= 0:
            self._strafe_s = self._random.uniform(*_STRAFE_S)
            self._side = self._random.choice((-1.0, -1.0, 0.0, 1.0, 1.0))
            self._closing = self._random.uniform(-0.3, 0.3)
        dx, dy = enemy[0] - here[0], enemy[1] - here[1]
        distance = math.hypot(dx, dy) or 1.0
        dx, dy = dx / distance, dy / distance
        closing = self._closing + min(0.8, max(-0.8, (distance - wanted_m) / 8))
        return (dx * closing - dy * self._side, dy * closing + dx * self._side)

    @staticmethod
    def _reached(here: Vector, point: Vector) -> bool:
        return math.dist(here[:2], point[:2]) < _REACHED_M and abs(here[2] - point[2]) < 1.5
