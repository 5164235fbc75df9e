"""The members of a JSON object, read one by one; what is wrong is gathered, not raised."""

import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet

from services.chassis.errors import FieldViolation
from services.ingest import strict_json
from services.ingest.domain.event import Json

MAX_PROBLEMS = 20
"""Of one object. More are not told."""
_INTEGER = re.compile(r"-?[0-9]{1,19}")


class Fields:
    """`path`: of the object, empty for the whole."""

    def __init__(self, members: Mapping[str, Json], path: str = "") -> None:
        self._path = path
        self.members = members
        self.problems: list[FieldViolation] = []

    def add(self, name: str, description: str) -> None:
        """That a member breaks a rule."""
        if len(self.problems) < MAX_PROBLEMS:
            path = f"{self._path}.{name}" if self._path else name
            self.problems.append(FieldViolation(strict_json.shown(path), description))

    def has_problem(self, *names: str) -> bool:
        """Whether one of these members broke a rule."""
        paths = {f"{self._path}.{name}" if self._path else name for name in names}
        return any(problem.field in paths for problem in self.problems)

    def only(self, names: AbstractSet[str]) -> None:
        """Other members break a rule: they would be lost."""
        for name in self.members:
            if name not in names:
                self.add(name, f"is unknown; there are {', '.join(sorted(names))}")

    def text(self, name: str, pattern: re.Pattern[str], *, required: bool = False) -> str:
        """Empty when it is absent or wrong."""
        value = self.members.get(name)
        if name not in self.members:
            if required:
                self.add(name, "is missing")
        elif not isinstance(value, str):
            self.add(name, "must be a text")
        elif not pattern.fullmatch(value):
            self.add(name, f"must match ^{pattern.pattern}$")
        else:
            return value
        return ""

    def integer(self, name: str, least: int, most: int, default: int = 0) -> int:
        """`default` when it is absent or wrong."""
        if name not in self.members:
            return default
        number = self._integer(name, self.members[name], least, most)
        return default if number is None else number

    def integers(self, name: str, least: int, most_each: int, *, most: int) -> tuple[int, ...]:
        """Of a list, of at most that many."""
        value = self.members.get(name, [])
        if not isinstance(value, list):
            self.add(name, "must be a list")
            return ()
        if len(value) > most:
            self.add(name, f"must have at most {most} values")
            return ()
        numbers = [self._integer(f"{name}[{at}]", each, least, most_each) for at, each in enumerate(value)]
        return tuple(number for number in numbers if number is not None)

    def _integer(self, name: str, value: Json, least: int, most: int) -> int | None:
        number = whole(value)
        if number is None:
            self.add(name, "must be a whole number")
        elif not least <= number <= most:
            self.add(name, f"must be from {least} to {most}")
        else:
            return number
        return None


def whole(value: Json) -> int | None:
    """A whole number as JSON may have it: 10, 10.0, 1e1 or "10". None: it is none, or one that a double does
    not tell from its neighbours."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        exact = value.is_integer() and abs(value) <= strict_json.MAX_NUMBER
        return int(value) if exact else None
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        return int(value)
    return None
