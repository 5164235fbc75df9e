"""How each kind of curve reckons: from a level to its total, and back. All of it in exact integers.

The documents that describe them, and the rules that make totals rise, are in `curve_documents`.
"""

from abc import ABC, abstractmethod
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from services.progression.domain.roots import floor_root

# The level of an amount is asked for several times for each change of it, and again when it is read.
REMEMBERED = 4096


@dataclass(frozen=True, slots=True)
class Span:
    """A curve's name, and its levels. `last_level` None: there is no end."""

    name: str
    first_level: int
    last_level: int | None


class LevelCurve(ABC):
    """What all kinds share: levels that do not exist are refused."""

    def __init__(self, span: Span) -> None:
        self.name = span.name
        self.first_level = span.first_level
        self.last_level = span.last_level
        self._found = lru_cache(REMEMBERED)(self._level)

    def total(self, level: int) -> int:
        """Raises ValueError: there is no such level."""
        if level < self.first_level or (self.last_level is not None and level > self.last_level):
            last = "without end" if self.last_level is None else f"to {self.last_level}"
            raise ValueError(
                f"{self.name}: there is no level {level}; they go from {self.first_level} {last}"
            )
        return self._total(level)

    def level(self, experience: int) -> int:
        """Raises ValueError: experience is negative."""
        if experience < 0:
            raise ValueError(f"{self.name}: experience must not be negative, as {experience} is")
        return self._found(experience)

    @abstractmethod
    def _total(self, level: int) -> int: ...

    @abstractmethod
    def _level(self, experience: int) -> int: ...


def last_reached(total: Callable[[int], int], experience: int, first: int, last: int | None) -> int:
    """The last level from `first` to `last` whose total is at most `experience`, as that of `first` is.

    In steps that double, then by bisection: it asks for twice as many totals as the answer has binary digits.
    """
    reached, step = first, 1
    while (last is None or reached + step <= last) and total(reached + step) <= experience:
        reached += step
        step *= 2
    above = reached + step if last is None else min(reached + step, last + 1)
    while above - reached > 1:
        middle = (reached + above) // 2
        if total(middle) <= experience:
            reached = middle
        else:
            above = middle
    return reached


class TableCurve(LevelCurve):
    """Every total is written down."""

    def __init__(self, span: Span, totals: Sequence[int]) -> None:
        super().__init__(span)
        self._totals = totals

    def _total(self, level: int) -> int:
        return self._totals[level - self.first_level]

    def _level(self, experience: int) -> int:
        return self.first_level + bisect_right(self._totals, experience) - 1


@dataclass(frozen=True, slots=True)
class Piece:
    """From `level` on, each level costs `step` more than the one before it, and `step` rises by `growth`.

    `cost`: of `level`, that is, from it to the next.
    """

    level: int
    total: int
    cost: int
    step: int
    growth: int = 0

    def cost_at(self, level: int) -> int:
        n = level - self.level
        return self.cost + n * self.step + n * (n - 1) // 2 * self.growth

    def total_at(self, level: int) -> int:
        n = level - self.level
        pairs = n * (n - 1) // 2
        return self.total + n * self.cost + pairs * self.step + pairs * (n - 2) // 3 * self.growth

    def followed(self, level: int, step: int, growth: int = 0) -> "Piece":
        """The piece that takes over at `level`."""
        return Piece(level, self.total_at(level), self.cost_at(level), step, growth)


class PieceCurve(LevelCurve):
    """Polynomials, one after the other, each in closed form: no level is further away than another."""

    def __init__(self, span: Span, pieces: Sequence[Piece]) -> None:
        super().__init__(span)
        self._pieces = pieces
        self._levels = [piece.level for piece in pieces]
        self._totals = [piece.total for piece in pieces]

    def _total(self, level: int) -> int:
        return self._pieces[bisect_right(self._levels, level) - 1].total_at(level)

    def _level(self, experience: int) -> int:
        at = bisect_right(self._totals, experience) - 1
        last = self._levels[at + 1] - 1 if at + 1 < len(self._levels) else self.last_level
        return last_reached(self._pieces[at].total_at, experience, self._levels[at], last)


class ExponentialCurve(LevelCurve):
    """total(L) = floor(S(L) / divisor), S(L) = sum of floor(linear x i + factor x ratio^(i / every)), i < L.

    Every S is reckoned once, when it or one beyond it is first needed.
    """

    def __init__(
        self, span: Span, *, linear: int, factor: int, ratio: Fraction, every: int, divisor: int
    ) -> None:
        super().__init__(span)
        self._linear = linear
        self._factor = factor
        self._ratio = ratio
        self._every = every
        self._divisor = divisor
        self._sums = [0]

    def _total(self, level: int) -> int:
        if level > self._newest:
            self._sums = self._reckoned(level)
        return self._sums[level - self.first_level] // self._divisor

    def _level(self, experience: int) -> int:
        beyond = (experience + 1) * self._divisor  # floor(S / divisor) <= experience means S < beyond
        while self._sums[-1] < beyond and self._newest != self.last_level:
            self._sums = self._reckoned(self._newest + len(self._sums))
        return self.first_level + bisect_left(self._sums, beyond) - 1

    @property
    def _newest(self) -> int:
        """The last level whose S is known."""
        return self.first_level + len(self._sums) - 1

    def _reckoned(self, last: int) -> list[int]:
        """Every S up to that of `last`, or of the end. A new list: a thread may be reading the old one."""
        sums, first = self._sums.copy(), self._newest
        # (factor x ratio^(i / every))^every, as a fraction.
        above = self._factor**self._every * self._ratio.numerator**first
        below = self._ratio.denominator**first
        for i in range(first, last if self.last_level is None else min(last, self.last_level)):
            sums.append(sums[-1] + self._linear * i + floor_root(above // below, self._every))
            above *= self._ratio.numerator
            below *= self._ratio.denominator
        return sums


class PowerCurve(LevelCurve):
    """total(L) = floor(factor x (L - first)^exponent)."""

    def __init__(self, span: Span, factor: Fraction, exponent: Fraction) -> None:
        super().__init__(span)
        root = exponent.denominator
        self._above = factor.numerator**root
        self._below = factor.denominator**root
        self._power = exponent.numerator
        self._root = root

    def _total(self, level: int) -> int:
        n = level - self.first_level
        return floor_root(self._above * n**self._power // self._below, self._root)

    def _level(self, experience: int) -> int:
        # floor(x^(1/root)) <= experience means x < (experience + 1)^root; and x = above * n^power / below.
        n = floor_root((self._below * (experience + 1) ** self._root - 1) // self._above, self._power)
        level = self.first_level + n
        return level if self.last_level is None else min(level, self.last_level)
