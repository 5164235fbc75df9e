"""What `native/rewind.pyx` does, in plain Python."""

from __future__ import annotations

from dataclasses import dataclass, field

NONE, MAX_REWIND, ACKED_SNAPSHOT, NEWEST_SNAPSHOT, ROUND_TRIP, MONOTONE, FUTURE = range(7)
WINDOW_US = 10_000_000


@dataclass(frozen=True)
class Rules:
    max_rewind_us: int = 250_000
    interpolation_us: int = 100_000
    interpolation_max_us: int = 200_000
    extrapolation_max_us: int = 50_000
    jitter_min_us: int = 10_000
    jitter_max_us: int = 60_000
    jitter_factor_q16: int = 262_144


@dataclass
class Link:
    rules: Rules = field(default_factory=Rules)
    windows: list[int] = field(default_factory=list)
    """Least round trip of each window so far."""
    window_start_us: int = 0
    last_rtt_us: int = -1
    jitter_us: int = 0
    last_view_us: int = -1

    def measure(self, now_us: int, sent_us: int) -> None:
        rtt = now_us - sent_us
        if rtt < 0:
            return
        if self.windows:
            step = abs(rtt - self.last_rtt_us) - self.jitter_us
            self.jitter_us += step // 16 if step >= 0 else -(-step // 16)  # toward zero, as C divides
        if not self.windows or now_us - self.window_start_us >= WINDOW_US:
            self.windows.append(rtt)
            self.window_start_us = now_us
        self.windows[-1] = min(self.windows[-1], rtt)
        self.last_rtt_us = rtt

    @property
    def rtt_us(self) -> int:
        return min(self.windows[-2:], default=-1)

    def view(
        self, now_us: int, claimed_us: int, acked_us: int = -1, newest_us: int = -1, trusted: bool = False
    ) -> tuple[int, int]:
        rules = self.rules
        oldest_us = now_us - rules.max_rewind_us

        def possible(time_us: int) -> int:
            return min(max(time_us, oldest_us), now_us)

        bounds: list[tuple[int, int | None, int | None]] = []  # clamp, at least, at most
        if newest_us >= 0 and not trusted:
            bounds.append((NEWEST_SNAPSHOT, None, newest_us + rules.extrapolation_max_us))
        bounds += [(FUTURE, None, now_us), (MAX_REWIND, oldest_us, None)]
        if not trusted:
            if acked_us >= 0:
                held_us = acked_us - rules.interpolation_max_us
                bounds.append((ACKED_SNAPSHOT, min(max(held_us, 0), now_us), None))
            if self.windows:
                centre = now_us - self.rtt_us - rules.interpolation_us
                band = self.jitter_us * rules.jitter_factor_q16 // 65536
                band = min(max(band, rules.jitter_min_us), rules.jitter_max_us)
                bounds.append((ROUND_TRIP, possible(centre - band), possible(centre + band)))
            bounds.append((MONOTONE, self.last_view_us, None))

        used_us, clamp = claimed_us, NONE
        for name, least, most in bounds:
            moved = used_us if most is None else min(used_us, most)
            moved = moved if least is None else max(moved, least)
            if moved != used_us:
                used_us, clamp = moved, name
        if not trusted:
            self.last_view_us = used_us
        return used_us, clamp
