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
    misjudged: float
    """How many of the clamped ones look like a false claim all the same."""
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
    skill = draw.normal()
    # Most hit where they can; some play a weapon for heads, and play it well.
    heads, alike = (0.357, 0.19) if draw.random() < 0.01 else (0.135, 0.43)
    return Person(
        id=f"player-{number}",
        kind=kind,
        strength=draw.uniform(0.25, 1) if kind else 0,
        fights_s=max(fights_s, 1200) if kind in COMBAT else fights_s * (draw.random() < 0.6),
        plays_s=max(plays_s, 1800) if kind else plays_s * (draw.random() < 0.8),
        hit=_chance(0.3, 0.36, skill, draw),
        head=_chance(heads, alike, skill, draw),
        snap=_chance(0.0115, 0.8, skill, draw),
        # Nobody whose way there and back takes more than the greatest rewind less the interpolation is ever
        # within it; of the others, it depends on jitter.
        slow_link=draw.uniform(0.3, 1) if draw.random() < 0.03 else draw.beta(1, 8),
        misjudged=draw.beta(1, 200),
        stumbles_s=draw.exponential(0.3 / 60),
        farms=kind is None and draw.random() < 0.03,
    )


def _chance(usual: float, spread: float, skill: float, draw: Draw) -> float:
    """`spread`: of the logarithm of the odds. Who is good at one thing is mostly good at the others, too."""
    own = 0.5 * skill + np.sqrt(0.75) * draw.normal()
    return float(1 / (1 + (1 - usual) / usual * np.exp(-spread * own)))
