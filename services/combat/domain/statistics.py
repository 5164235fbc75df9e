"""What is counted of a player, and what follows from the counts; pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

REWIND_BIN_US = 1000
"""Width of the bins in which shots are counted by how far back they were judged; the 512th has the rest."""


@dataclass(frozen=True, slots=True)
class WeaponCount:
    """`index`: in the session's ruleset; 0 in a count over several sessions, whose rulesets may differ."""

    index: int
    shots: int
    hits: int
    kills: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PlayerStats:
    """Of one session or of several. `_milli`: 1/1000 health points."""

    player_id: str
    slot: int = 0
    """The last seat, and `team` the last team, from 0; of one session only."""
    team: int = 0
    kills: int = 0
    deaths: int = 0
    assists: int = 0
    damage_dealt_milli: int = 0
    damage_taken_milli: int = 0
    healed_milli: int = 0
    shots: int = 0
    hits: int = 0
    headshots: int = 0
    longest_kill_mm: int = 0
    best_streak: int = 0
    time_alive_us: int = 0
    movement_violations: int = 0
    moved_mm: int = 0
    clamped_rewinds: int = 0
    weapons: Mapping[str, WeaponCount] = field(default_factory=dict)
    """By name."""
    regions: Mapping[int, int] = field(default_factory=dict)
    """Hits by number of the region."""
    rewind_bins: Sequence[int] = ()

    @property
    def rewind_p50_us(self) -> int:
        return percentile_us(self.rewind_bins, 50)

    @property
    def rewind_p99_us(self) -> int:
        return percentile_us(self.rewind_bins, 99)


def percentile_us(bins: Sequence[int], percent: int) -> int:
    """The nearest rank's bin, from its lower end; 0 of nothing."""
    rank, below = -(-percent * sum(bins) // 100), 0
    for index, count in enumerate(bins):
        below += count
        if below >= rank:
            return index * REWIND_BIN_US
    return 0


VIOLATION_MILLI = 1000
MAX_SCORE_MILLI = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Score:
    """How suspicious a player is: 1000 a violation, halved every half-life; integers, as the core has it."""

    milli: int = 0
    at_us: int = 0
    """Session clock of the last violation."""

    def violated(self, now_us: int, half_life_us: int) -> "Score":
        """After one more violation."""
        halvings, rest_us = divmod(max(now_us - self.at_us, 0), half_life_us)
        left = self.milli >> min(halvings, 31)
        left -= left * rest_us // (2 * half_life_us)
        return Score(min(left + VIOLATION_MILLI, MAX_SCORE_MILLI), now_us)
