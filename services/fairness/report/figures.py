"""What a watched population says of the detectors: how many of the flagged are guilty, how many of the guilty
are flagged, and whether the honest are flagged more often than a detector's budget allows."""

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

from services.fairness.domain.detector import Detector, Mode
from services.fairness.report.people import Kind
from services.fairness.report.watch import Watched

MEANT_FOR: dict[str, frozenset[Kind]] = {
    "aim_headshots": frozenset({Kind.AIM}),
    "aim_heads": frozenset({Kind.AIM}),
    "aim_hits": frozenset({Kind.AIM}),
    "aim_snaps": frozenset({Kind.AIM}),
    "damage_drift": frozenset({Kind.AIM}),
    "speed": frozenset({Kind.SPEED}),
    "rewind_abuse": frozenset({Kind.REWIND}),
    "combat_violations": frozenset({Kind.REWIND}),
    "flooding": frozenset({Kind.FLOODING}),
    "duplicate_events": frozenset({Kind.FLOODING}),
    "impossible_gain": frozenset({Kind.GAIN}),
    "experience_rate": frozenset({Kind.GAIN}),
    "score_outlier": frozenset({Kind.GAIN}),
    "bot_bosses": frozenset({Kind.BOT}),
    "bot_drops": frozenset({Kind.BOT}),
}
_UNSEEN = 3
"""Where so many false flags are to be expected, there is none in one of twenty days: the rule of three."""


@dataclass(frozen=True, slots=True)
class Figures:
    """Of a detector on the day. `true`: flagged players that cheat in a way that it is for; `false`: the
    other flagged ones."""

    detector: str
    mode: str
    players: int
    inputs: int
    true: int
    false: int
    planted: int
    budget_milli: int
    found_after_s: float | None
    """Median of the true ones."""
    expected_precision: float | None
    """At the assumed prevalence, with as many false flags as on this day, or when there are few, with as many
    as could have been expected."""
    replayed: int
    """Flags whose evidence led to the same finding."""

    @property
    def flags(self) -> int:
        return self.true + self.false

    @property
    def precision(self) -> float | None:
        return self.true / self.flags if self.flags else None

    @property
    def recall(self) -> float | None:
        return self.true / self.planted if self.planted else None

    @property
    def within_budget(self) -> bool:
        return self.false * 1000 <= self.budget_milli


@dataclass(frozen=True, slots=True)
class Found:
    """Of those who cheat in one way, how many were found; `followed`: by a detector that not only watches."""

    kind: str
    planted: int
    followed: int
    found: int


def expected_precision(recall: float, false_rate: float, prevalence: float) -> float | None:
    """How many of the flagged are guilty, when so many of all are. None: nobody is flagged."""
    guilty, innocent = recall * prevalence, false_rate * (1 - prevalence)
    return guilty / (guilty + innocent) if guilty + innocent else None


def figures(detectors: Iterable[Detector], watched: Watched, prevalence: float) -> list[Figures]:
    """`prevalence`: how many of all players are assumed to cheat in a way that the detector is meant for."""
    return [_figures(detector, watched, prevalence) for detector in detectors]


def _figures(detector: Detector, watched: Watched, prevalence: float) -> Figures:
    kinds, seen = MEANT_FOR.get(detector.id, frozenset[Kind]()), watched.seen[detector.id]
    true = [flag for flag in seen.flags if flag.person.kind in kinds]
    false = len(seen.flags) - len(true)
    planted = sum(watched.planted[kind] for kind in kinds)
    others = watched.honest + sum(watched.planted.values()) - planted
    return Figures(
        detector=detector.id,
        mode=detector.mode.name.lower(),
        players=seen.players,
        inputs=seen.inputs,
        true=len(true),
        false=false,
        planted=planted,
        budget_milli=detector.budget_milli,
        found_after_s=median(flag.after_us for flag in true) / 1e6 if true else None,
        expected_precision=(
            expected_precision(len(true) / planted, max(false, _UNSEEN) / others, prevalence)
            if planted and others
            else None
        ),
        replayed=sum(flag.replayed for flag in seen.flags),
    )


def found(detectors: Iterable[Detector], watched: Watched) -> list[Found]:
    """By kind of cheat."""
    ids: dict[Kind, set[str]] = {kind: set() for kind in Kind}
    followed: dict[Kind, set[str]] = {kind: set() for kind in Kind}
    for detector in detectors:
        for flag in watched.seen[detector.id].flags:
            kind = flag.person.kind
            if kind is not None and kind in MEANT_FOR.get(detector.id, ()):
                ids[kind].add(flag.person.id)
                if detector.mode > Mode.SHADOW:
                    followed[kind].add(flag.person.id)
    return [Found(kind.value, watched.planted[kind], len(followed[kind]), len(ids[kind])) for kind in Kind]
