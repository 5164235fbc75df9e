"""Where an amount of experience stands on a curve."""

from dataclasses import dataclass

from services.chassis.errors import OutOfRange
from services.progression.domain.curve import Curve

MOST = 2**63 - 1
"""The contract's levels and points are 64-bit integers."""


@dataclass(frozen=True, slots=True)
class Level:
    """`in_level`: experience since it was reached. `of_level`: what all of it takes; None: the highest."""

    level: int
    experience: int
    in_level: int
    of_level: int | None

    @property
    def done_milli(self) -> int:
        """The share of the level that is done, in 1/1000 of a percent, rounded down."""
        return 100_000 if self.of_level is None else self.in_level * 100_000 // self.of_level


def level_at(curve: Curve, experience: int, cap: int | None = None) -> Level:
    """`cap`: the highest level, when the curve goes on beyond it, which no experience there passes."""
    last = curve.last_level if cap is None else cap
    number = curve.level(experience)
    reached = curve.total(number)
    of_level = None if number == last else curve.total(number + 1) - reached
    return Level(number, experience, experience - reached, of_level)


def within_range(number: int, what: str) -> int:
    """`number`, when the contract can tell it. Raises OutOfRange LEVEL_OUT_OF_RANGE."""
    if number > MOST:
        raise OutOfRange(
            f"{what} would pass {MOST}", reason="LEVEL_OUT_OF_RANGE", metadata={"limit": str(MOST)}
        )
    return number
