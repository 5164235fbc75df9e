"""What a change of a player brings about beside: what is kept, what others are told."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from services.fairness.domain import audit
from services.fairness.domain.detector import Detector
from services.fairness.domain.finding import Finding, Peers, Reading
from services.fairness.domain.flag import Flag
from services.fairness.domain.sanction import Hidden, Standing
from services.fairness.domain.track import Track

Readings = Mapping[str, Reading]
"""By detector."""
PeersOf = Callable[[Detector, str], Peers | None]
"""Whom a reading of a group is compared with."""


@dataclass(frozen=True, slots=True)
class Limits:
    """`dismissed`: how long a detector raises nothing after its flag was dismissed. `appeal`: how long
    after a restriction began the player may object."""

    dismissed: timedelta = timedelta(days=1)
    appeal: timedelta = timedelta(days=180)


@dataclass(frozen=True, slots=True)
class Occasion:
    """When something happens, who does it, and by which rules. `actor`: as in the log."""

    now: datetime
    actor: str
    detectors: Mapping[str, Detector]
    peers: PeersOf
    limits: Limits


class Observation(NamedTuple):
    """What an event said of a player, its `number`th observation."""

    player_id: str
    number: int
    event: str
    at: datetime
    readings: Readings


class Opened(NamedTuple):
    """A flag just raised, and where its evidence is: the observations of the track's run."""

    flag: Flag
    detector: Detector
    track: Track
    finding: Finding
    number: int
    """Of the observation in which it was found."""


@dataclass(frozen=True, slots=True)
class FlagChanged:
    flag: Flag
    what: str
    """`opened`, `decided`, `appealed`"""
    cause: str


@dataclass(frozen=True, slots=True)
class StandingChanged:
    standing: Standing


@dataclass(frozen=True, slots=True)
class ScoresChanged:
    hidden: tuple[Hidden, ...]


Told = FlagChanged | StandingChanged | ScoresChanged
"""What others hear."""


def opened_entry(opened: Opened, digest: str) -> audit.Entry:
    """The line of a flag just raised. `digest`: of its evidence."""
    flag, detector, finding = opened.flag, opened.detector, opened.finding
    return audit.entry(
        flag.opened_at,
        f"detector:{detector.id}@{detector.version}",
        "flag.opened",
        player_id=flag.player_id,
        flag_id=flag.id,
        mode=flag.mode.name.lower(),
        statistic_micro=finding.statistic_micro,
        threshold_micro=finding.threshold_micro,
        evidence=digest,
    )
