"""Which instant the player sees: the newest snapshot's time less the interpolation delay, moving smoothly."""

from __future__ import annotations

from typing import NamedTuple

# The offset between the clocks is looked for among the snapshots of this long, then half forgotten.
_WINDOW_S = 2.0


class View(NamedTuple):
    """An instant of the match: a tick, and the way to the next one in 1/65536."""

    tick: int
    fraction: int

    @property
    def ticks(self) -> float:
        return self.tick + self.fraction / 65536

    @classmethod
    def of(cls, ticks: float) -> View:
        whole = int(ticks)
        return cls(whole, min(65535, int((ticks - whole) * 65536)))


class ViewClock:
    """Follows the server's ticks with the local clock.

    Snapshots arrive late by a varying amount; the least late one of a sliding window says where the
    server is, so that a late one does not make the picture stutter.
    """

    def __init__(self, interpolation_s: float) -> None:
        self._interpolation_s = interpolation_s
        self._rate = 30.0
        self._offset = self._previous = float("-inf")  # ticks; greatest of this window and the one before
        self._window_start = 0.0
        self._newest = 0
        self._shown = 0.0

    def reset(self, tick_rate_hz: int) -> None:
        """A new stream: its ticks may come by another way, and from another worker."""
        self._rate = float(tick_rate_hz or 30)
        self._offset = self._previous = float("-inf")
        self._newest = 0
        self._shown = 0.0

    def observe(self, tick: int, now: float) -> None:
        """A snapshot of `tick` arrived at `now`, local seconds."""
        self._newest = max(self._newest, tick)
        if now - self._window_start > _WINDOW_S:
            self._previous, self._offset = self._offset, float("-inf")
            self._window_start = now
        self._offset = max(self._offset, tick - now * self._rate)

    def view(self, now: float) -> View:
        """The instant to draw and aim at. Never runs back, never ahead of the newest snapshot."""
        if not self._newest:
            return View(0, 0)
        reached = now * self._rate + max(self._offset, self._previous)
        shown = min(reached - self._interpolation_s * self._rate, float(self._newest))
        self._shown = max(self._shown, shown, 0.0)
        return View.of(self._shown)
