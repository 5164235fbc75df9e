"""A human hand: reacts late, overshoots, settles, and never holds quite still."""

from __future__ import annotations

import math
from random import Random

# Reaction to something that comes into sight: lognormal, median 250 ms, nearly all within 180-350 ms.
REACTION_MEDIAN_S = 0.25
REACTION_SIGMA = 0.17
REACTION_LEAST_S, REACTION_MOST_S = 0.18, 0.35

_FIRST_ERROR_RAD = math.radians(5.0)
_SETTLE_S = 0.35  # the error shrinks to 1/e in this time ...
_FLOOR_RAD = math.radians(0.55)  # ... but not below this
_DRIFT_S = 0.15  # how long the hand keeps one error
_TURN_RAD_S = math.radians(540)
_EASE_S = 0.12


def turned(angle: float) -> float:
    """An angle brought into -pi..pi."""
    return (angle + math.pi) % (2 * math.pi) - math.pi


class Aim:
    """Where a bot looks, and how well."""

    def __init__(self, random: Random, steadiness: float) -> None:
        """`steadiness`: 1 for an average hand; errors are divided by it."""
        self._random = random
        self._steadiness = steadiness
        self.yaw = 0.0
        self.pitch = 0.0
        self._ready_s = 0.0
        self._held_s = 0.0
        self._error = (0.0, 0.0)

    def acquire(self) -> None:
        """A new target came into sight."""
        delay = self._random.lognormvariate(math.log(REACTION_MEDIAN_S), REACTION_SIGMA)
        self._ready_s = min(max(delay, REACTION_LEAST_S), REACTION_MOST_S)
        self._held_s = 0.0
        self._error = self._draw(self._spread())

    @property
    def reacting(self) -> bool:
        return self._ready_s > 0

    def track(self, yaw: float, pitch: float, dt: float) -> float:
        """Follows a target in that direction; returns how far off the aim is, radians."""
        if self._ready_s > 0:
            self._ready_s -= dt
            return math.pi
        self._held_s += dt
        keep = math.exp(-dt / _DRIFT_S)
        new = self._draw(self._spread() * math.sqrt(1 - keep * keep))
        self._error = (self._error[0] * keep + new[0], self._error[1] * keep + new[1])
        self._turn(turned(yaw + self._error[0] - self.yaw), pitch + self._error[1] - self.pitch, dt)
        return math.hypot(turned(yaw - self.yaw) * math.cos(pitch), pitch - self.pitch)

    def look(self, yaw: float, pitch: float, dt: float) -> None:
        """Turns towards a direction, smoothly."""
        ease = 1 - math.exp(-dt / _EASE_S)
        self._turn(turned(yaw - self.yaw) * ease, (pitch - self.pitch) * ease, dt)

    def _turn(self, yaw: float, pitch: float, dt: float) -> None:
        most = _TURN_RAD_S * dt
        self.yaw = turned(self.yaw + min(most, max(-most, yaw)))
        self.pitch = min(1.5, max(-1.5, self.pitch + min(most, max(-most, pitch))))

    def _spread(self) -> float:
        settled = math.exp(-self._held_s / _SETTLE_S)
        return (_FLOOR_RAD + _FIRST_ERROR_RAD * settled) / self._steadiness

    def _draw(self, sigma: float) -> tuple[float, float]:
        return self._random.gauss(0, sigma), self._random.gauss(0, sigma * 0.6)


class Aimbot(Aim):
    """No human hand: it is where the target is, from one step to the next."""

    def acquire(self) -> None:
        """There is nothing to get used to."""

    def track(self, yaw: float, pitch: float, dt: float) -> float:  # it takes no time
        self.yaw, self.pitch = yaw, pitch
        return 0.0
