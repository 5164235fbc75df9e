"""Reading a rules document: each value by its unit, each error with the path of the field.

Documents carry natural units, named by suffix (health points plain, `_s`, `_m`, `_deg`, factors as plain
numbers); the native core counts in integers (1/1000 points, microseconds, 1/65536). This is where one
becomes the other, and where a value that does not fit its C type is refused. What is sensible for a game
is checked before, by `services.combat.domain.ruleset`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

INT32_MAX = 2**31 - 1
INT64_MAX = 2**63 - 1
RADIANS_PER_DEGREE = math.pi / 180.0


def half_away(value: float) -> int:
    """The nearest integer, a half going away from zero."""
    whole = int(abs(value))
    if abs(value) - whole >= 0.5:
        whole += 1
    return -whole if value < 0 else whole


class Document:
    """One object of a document and the path that leads to it. Every reader raises ValueError."""

    def __init__(self, value: object, path: str = "") -> None:
        if not isinstance(value, Mapping):
            raise ValueError(f"{path or 'document'}: is no object but {type(value).__name__}")  # noqa: TRY004
        self.value: Mapping[str, object] = value
        self.path = path

    def at(self, key: str) -> str:
        return f"{self.path}.{key}" if self.path else key

    def refuse(self, key: str, rule: str) -> ValueError:
        return ValueError(f"{self.at(key)}: {rule}")

    def raw(self, key: str) -> object:
        if key not in self.value:
            raise self.refuse(key, "is missing")
        return self.value[key]

    def child(self, key: str) -> Document:
        return Document(self.raw(key), self.at(key))

    def sequence(self, key: str, most: int) -> Sequence[object]:
        value = self.raw(key)
        if not isinstance(value, Sequence) or isinstance(value, (str, bytes)):
            raise self.refuse(key, f"must be a list, not {type(value).__name__}")
        if len(value) > most:
            raise self.refuse(key, f"has {len(value)} entries, at most {most} fit")
        return value

    def children(self, key: str, most: int) -> Iterator[Document]:
        for index, value in enumerate(self.sequence(key, most)):
            yield Document(value, f"{self.at(key)}[{index}]")

    def text(self, key: str) -> str:
        value = self.raw(key)
        if not isinstance(value, str) or not value:
            raise self.refuse(key, "must be a text that is not empty")
        return value

    def flag(self, key: str) -> bool:
        value = self.raw(key)
        if not isinstance(value, bool):
            raise self.refuse(key, f"must be true or false, not {value!r}")
        return value

    def number(self, key: str) -> float:
        return self._finite(key, self.raw(key))

    def whole(self, key: str, most: int) -> int:
        """An integer 0..most."""
        value = self.raw(key)
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.refuse(key, f"must be an integer, not {value!r}")
        if not 0 <= value <= most:
            raise self.refuse(key, f"must be 0..{most}, not {value}")
        return value

    def choice(self, key: str, table: Mapping[str, int]) -> int:
        value = self.raw(key)
        if not isinstance(value, str) or value not in table:
            raise self.refuse(key, f"must be one of {', '.join(table)}, not {value!r}")
        return table[value]

    def points(self, key: str, most: int) -> list[tuple[float, float]]:
        """A list of pairs of numbers."""
        pairs = []
        for index, pair in enumerate(self.sequence(key, most)):
            here = f"{key}[{index}]"
            if not isinstance(pair, Sequence) or isinstance(pair, (str, bytes)) or len(pair) != 2:
                raise self.refuse(here, "must be a pair of numbers")
            pairs.append((self._finite(here, pair[0]), self._finite(here, pair[1])))
        return pairs

    def radians(self, key: str) -> float:
        return self.number(key) * RADIANS_PER_DEGREE

    def milli(self, key: str) -> int:
        """Points, counted in 1/1000."""
        return self._scaled(key, 1000.0, INT64_MAX)

    def micros(self, key: str) -> int:
        """Seconds, counted in microseconds."""
        return self._scaled(key, 1e6, INT64_MAX)

    def q16(self, key: str) -> int:
        """A factor, counted in 1/65536."""
        return self._scaled(key, 65536.0, INT32_MAX)

    def q32(self, key: str) -> int:
        """A chance 0..1, counted in 2^-32."""
        return self._scaled(key, 4294967296.0, 2**32)

    def _scaled(self, key: str, scale: float, most: int) -> int:
        value = self.number(key)
        if not 0 <= value * scale <= most:
            raise self.refuse(key, f"must be 0..{most / scale:g}, not {value!r}")
        return half_away(value * scale)

    def _finite(self, key: str, value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self.refuse(key, f"must be a number, not {value!r}")
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise self.refuse(key, f"must be finite, not {value!r}")
        return number
