"""Who plays: people of very different skill, links and habits, and some of them cheat in one of six ways."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

import numpy as np

Draw = np.random.Generator


class Kind(Enum):
    """Of a cheat."""

    AIM = "aim"
    SPEED = "speed"
    REWIND = "rewind abuse"
    FLOODING = "flooding"
    GAIN = "impossible gain"
    BOT = "bot repetition"


COMBAT = frozenset({Kind.AIM, Kind.SPEED, Kind.REWIND})
"""Kinds that somebody has to fight for."""


@dataclass(frozen=True, slots=True)
class Person:
    """`strength`: of the cheat, more than 0, at most 1; None: honest. Chances are of one shot or one hit, on
    an average day."""

    id: str
    kind: Kind | None
    strength: float
    fights_s: float
    """Of today, in matches; 0: not today."""
    plays_s: float
    """Of today, whatever makes events of live operations; 0: not today."""
    hit: float
    head: float
    snap: float
    slow_link: float
    """How many shots are clamped because of the link alone."""
    stumbles_s: float
    """Moves a second that the game corrects, of an honest client."""
    farms: bool
    """Kills bosses, one after the other."""


def people(players: int, seed: int, cheats_milli: int) -> Iterator[tuple[Person, Draw]]:
    """Each with dice of its own, so that one does the same whoever else is there. `cheats_milli`: how many
    cheat in each way, 1/1000."""
    kinds = [kind for kind in Kind for _ in range(players * cheats_milli // 1000)]
    for number in range(players):
        draw = np.random.default_rng([seed, number])
        yield _person(number, kinds[number] if number < len(kinds) else None, draw), draw


def _person(number: int, kind: Kind | None, draw: Draw) -> Person:
    fights_s = 60 * min(draw.lognormal(np.log(15), 0.9), 240)
    plays_s = 60 * min(draw.lognormal(np.log(40), 0.8), 480)
    return Person(
        id=f"player-{number}",
        kind=kind,
        strength=draw.uniform(0.25, 1) if kind else 0,
        fights_s=max(fights_s, 1200) if kind in COMBAT else fights_s * (draw.random() < 0.6),
        plays_s=max(plays_s, 1800) if kind else plays_s * (draw.random() < 0.8),
        hit=draw.beta(9.5, 22),
        # Most hit where they can; some play a weapon for heads, and play it well.
        head=draw.beta(40, 72) if draw.random() < 0.01 else draw.beta(5, 30),
        snap=draw.beta(1, 60),
        slow_link=draw.uniform(0.3, 1) if draw.random() < 0.007 else draw.beta(1, 100),
        stumbles_s=draw.exponential(0.3 / 60),
        farms=kind is None and draw.random() < 0.03,
    )
