"""What a detector looks for, and what follows: `arenamesh.liveops.v1.Detector`, translated once."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import IntEnum


class Mode(IntEnum):
    """The numbers are the contract's. Each does what those before it do."""

    OFF = 1
    SHADOW = 2
    FLAG = 3
    THROTTLE = 4
    BLOCK = 5


@dataclass(frozen=True, slots=True)
class Filter:
    """The field is one of the values."""

    field: str
    values: frozenset[str]


@dataclass(frozen=True, slots=True)
class Signal:
    """Where in the events of the bus the numbers are. Empty: see the contract."""

    event: str
    player: str
    each: str = ""
    value: str = ""
    of: str = ""
    peers: tuple[str, ...] = ()
    filters: tuple[Filter, ...] = ()


@dataclass(frozen=True, slots=True)
class Bound:
    most: int
    per: timedelta


@dataclass(frozen=True, slots=True)
class Flood:
    rate_milli: int
    burst: int
    strikes: int
    per: timedelta


@dataclass(frozen=True, slots=True)
class Ratio:
    honest_milli: int
    cheat_milli: int
    threshold_milli: int


@dataclass(frozen=True, slots=True)
class Outlier:
    threshold_milli: int
    least_peers: int
    least_scale: int
    days: int


@dataclass(frozen=True, slots=True)
class Drift:
    baseline: int
    allowance_milli: int
    threshold_milli: int
    least_scale: int


@dataclass(frozen=True, slots=True)
class Repetition:
    intervals: int
    tolerance: timedelta
    share_milli: int
    longest: timedelta


Rule = Bound | Flood | Ratio | Outlier | Drift | Repetition


@dataclass(frozen=True, slots=True)
class Detector:
    """`rule_version`: the first version with these signals and this rule; what is remembered of players is of
    it, and begins anew with another. `hold` None: until somebody decides."""

    id: str
    version: int
    rule_version: int
    mode: Mode
    signals: tuple[Signal, ...]
    rule: Rule
    quarantine: bool
    boards: tuple[str, ...]
    hold: timedelta | None
    reason: str
    title: str = ""
    budget_milli: int = 1


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Every detector as it is now, by id. `revision` grows with each change."""

    revision: int
    detectors: Mapping[str, Detector]
