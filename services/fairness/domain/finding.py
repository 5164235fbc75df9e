"""What detectors are given and what they find: whole numbers throughout, so that it can be found again."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Reading:
    """What one event says to one detector about a player. `of`: of a ratio. `group`: of an outlier."""

    value: int
    of: int = 0
    group: str = ""


@dataclass(frozen=True, slots=True)
class Input:
    """A reading, and which event at which time said it."""

    event: str
    at: datetime
    reading: Reading


@dataclass(frozen=True, slots=True)
class Peers:
    """Whom an outlier is compared with. `buckets`: how many values by the least one of each bucket."""

    group: str
    observations: int
    median: int
    mad: int
    buckets: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class Finding:
    """The rule's measure is beyond its threshold. In millionths of the rule's unit."""

    statistic_micro: int
    threshold_micro: int
    peers: Peers | None = None
