"""From experience to levels and back, in exact integers.

A curve says how much experience in all reaches each level. The level of an amount is the last one whose total
is not above it, so that a total is inside its own level.
"""

from typing import Protocol


class Curve(Protocol):
    """`name`: with its version, such as `paragon-1`; what a name means never changes."""

    @property
    def name(self) -> str: ...

    @property
    def first_level(self) -> int:
        """Reached by no experience at all."""

    @property
    def last_level(self) -> int | None:
        """None: there is no end."""

    def total(self, level: int) -> int:
        """Experience in all that reaches `level`, from `first_level` to `last_level`. 0 for the first."""

    def level(self, experience: int) -> int:
        """The last level whose total is at most `experience`, which is not negative."""
