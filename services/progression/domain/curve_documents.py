"""What the JSON of a curve may say, kind by kind, and the rules that put every total above the one before."""

import re
from abc import abstractmethod
from fractions import Fraction
from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, InstanceOf, model_validator

from services.progression.domain.curve_kinds import (
    ExponentialCurve,
    LevelCurve,
    Piece,
    PieceCurve,
    PowerCurve,
    Span,
    TableCurve,
)

# Limits of a document; one that is beyond them is refused when it is read.
TABLE_LEVELS = 100_000
SLOPES = 1_000
EXPONENTIAL_LEVELS = 10_000
"""The last level at most, and when the document names none: the sums up to it may all come to be kept."""

_EXACT = re.compile(r"[0-9]{1,6}(\.[0-9]{1,4}|/[1-9][0-9]{0,3})?")


def _exact(value: object) -> Fraction:
    if isinstance(value, int | str) and not isinstance(value, bool) and _EXACT.fullmatch(str(value)):
        return Fraction(value)
    raise ValueError('must be an integer or, in quotes, a decimal or a fraction: 2, "1.1", "11/10"')


Exact = Annotated[InstanceOf[Fraction], BeforeValidator(_exact)]
Level = Annotated[int, Field(ge=0, le=2**63 - 1)]
Amount = Annotated[int, Field(ge=1)]


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class CurveDocument(Part):
    about: Annotated[str, Field(max_length=500)] = ""
    """For people: where its numbers are from, what it is for."""
    first_level: Level

    @abstractmethod
    def curve(self, name: str) -> LevelCurve: ...


class Table(CurveDocument):
    kind: Literal["table"]
    totals: Annotated[list[int], Field(min_length=1, max_length=TABLE_LEVELS)]
    """One for each level, from `first_level` on."""

    @model_validator(mode="after")
    def check(self) -> Self:
        if self.totals[0] != 0:
            raise ValueError(f"totals[0] must be 0, not {self.totals[0]}: the first level needs nothing")
        for at, (total, following) in enumerate(pairwise(self.totals), start=1):
            if following <= total:
                raise ValueError(f"totals[{at}] must be above the one before it, {total}, not {following}")
        return self

    def curve(self, name: str) -> LevelCurve:
        return TableCurve(Span(name, self.first_level, self.first_level + len(self.totals) - 1), self.totals)


class Slope(Part):
    """From `from_level` on, each level costs `step` more than the one before it."""

    from_level: Level
    step: int


class Tail(Part):
    """From `from_level` on, besides, `step` itself rises by `growth` with each level."""

    from_level: Level
    step: Annotated[int, Field(ge=0)]
    growth: Amount


class Sloped(CurveDocument):
    """What the two kinds made of slopes share. A level's cost: from it to the next."""

    first_cost: Amount
    """Of `first_level`."""
    slopes: Annotated[list[Slope], Field(min_length=1, max_length=SLOPES)]

    @abstractmethod
    def parts(self) -> dict[str, Slope | Tail]:
        """All that follow one another, by path."""

    @abstractmethod
    def last(self) -> int | None: ...

    @model_validator(mode="after")
    def check(self) -> Self:
        parts = self.parts()
        if self.slopes[0].from_level != self.first_level:
            raise ValueError(f"slopes[0].from_level must be first_level, {self.first_level}")
        for (_, part), (path, following) in pairwise(parts.items()):
            if following.from_level <= part.from_level:
                raise ValueError(f"{path}.from_level must be above the one before it, {part.from_level}")
        self._check_costs(list(parts))
        return self

    def _check_costs(self, paths: list[str]) -> None:
        # Costs are linear in between, so that the ends of each part tell.
        pieces, last = self.pieces(), self.last()
        ends = [piece.level for piece in pieces[1:]]
        if last is None:
            if pieces[-1].step < 0:
                raise ValueError(f"{paths[-1]}.step must not be negative where there is no last_level")
        elif last <= pieces[-1].level:
            raise ValueError(f"last_level must be above {paths[-1]}.from_level, {pieces[-1].level}")
        else:
            ends.append(last - 1)
        for path, piece, end in zip(paths, pieces, ends, strict=False):
            if (cost := piece.cost_at(end)) < 1:
                raise ValueError(f"{path}.step makes level {end} cost {cost}; every cost must be positive")

    def pieces(self) -> list[Piece]:
        first, *following = self.parts().values()
        pieces = [Piece(first.from_level, 0, self.first_cost, first.step)]
        for part in following:
            growth = part.growth if isinstance(part, Tail) else 0
            pieces.append(pieces[-1].followed(part.from_level, part.step, growth))
        return pieces

    def curve(self, name: str) -> LevelCurve:
        return PieceCurve(Span(name, self.first_level, self.last()), self.pieces())

    def _slopes(self) -> dict[str, Slope | Tail]:
        return {f"slopes[{at}]": slope for at, slope in enumerate(self.slopes)}


class PiecewiseLinear(Sloped):
    """Costs in straight lines."""

    kind: Literal["piecewise_linear"]
    last_level: Level | None = None

    def parts(self) -> dict[str, Slope | Tail]:
        return self._slopes()

    def last(self) -> int | None:
        return self.last_level


class QuadraticTail(Sloped):
    """Costs in straight lines, and a parabola without end after them."""

    kind: Literal["quadratic_tail"]
    tail: Tail

    def parts(self) -> dict[str, Slope | Tail]:
        return self._slopes() | {"tail": self.tail}

    def last(self) -> int | None:
        return None


class ExponentialFloor(CurveDocument):
    """Level i costs floor(`linear` x i + `factor` x `ratio`^(i / `every`)), and all costs are divided
    together by `divisor`, rounding down."""

    kind: Literal["exponential_floor"]
    last_level: Annotated[int, Field(le=EXPONENTIAL_LEVELS)] = EXPONENTIAL_LEVELS
    linear: Annotated[int, Field(ge=0)] = 0
    factor: Amount
    ratio: Exact
    every: Annotated[int, Field(ge=1, le=100)] = 1
    """Levels in which the cost is multiplied by `ratio`."""
    divisor: Amount = 1

    @model_validator(mode="after")
    def check(self) -> Self:
        if self.last_level <= self.first_level:
            raise ValueError(f"last_level must be above first_level, {self.first_level}")
        if self.ratio < 1:
            raise ValueError(f"ratio must be at least 1, not {self.ratio}")
        undivided = self.model_copy(update={"divisor": 1}).curve("").total(self.first_level + 1)
        if self.divisor > undivided:
            raise ValueError(f"divisor must be at most {undivided}, what the first level costs without it")
        return self

    def curve(self, name: str) -> LevelCurve:
        return ExponentialCurve(
            Span(name, self.first_level, self.last_level),
            linear=self.linear,
            factor=self.factor,
            ratio=self.ratio,
            every=self.every,
            divisor=self.divisor,
        )


class Power(CurveDocument):
    """total(L) = floor(`factor` x (L - first_level)^`exponent`)."""

    kind: Literal["power"]
    last_level: Level | None = None
    factor: Exact
    exponent: Exact

    @model_validator(mode="after")
    def check(self) -> Self:
        if self.last_level is not None and self.last_level <= self.first_level:
            raise ValueError(f"last_level must be above first_level, {self.first_level}")
        if self.factor < 1:
            raise ValueError(f"factor must be at least 1, not {self.factor}: every level must cost something")
        if not 1 <= self.exponent <= 10 or self.exponent.denominator > 100:
            raise ValueError(f"exponent must be from 1 to 10, in hundredths, not {self.exponent}")
        return self

    def curve(self, name: str) -> LevelCurve:
        return PowerCurve(Span(name, self.first_level, self.last_level), self.factor, self.exponent)


KINDS: dict[str, type[CurveDocument]] = {
    "table": Table,
    "piecewise_linear": PiecewiseLinear,
    "quadratic_tail": QuadraticTail,
    "exponential_floor": ExponentialFloor,
    "power": Power,
}
