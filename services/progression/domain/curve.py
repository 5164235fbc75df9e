"""From experience to levels and back, in exact integers.

A curve says how much experience in all reaches each level. The level of an amount is the last one whose total
is not above it, so that a total is inside its own level.
"""

import json
import re
from pathlib import Path
from typing import Any, Protocol

from pydantic import ValidationError

from services.progression.domain.curve_documents import KINDS

_NAME = re.compile(r"[a-z0-9_]{1,60}-[1-9][0-9]{0,8}")


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
        """Experience in all that reaches `level`, 0 for the first. Raises ValueError: no such level."""

    def level(self, experience: int) -> int:
        """The last level whose total is at most `experience`. Raises ValueError: that is negative."""


class CurveError(ValueError):
    """A document that is no curve. `problems`: one line for each field, its path first."""

    def __init__(self, name: str, problems: list[str]) -> None:
        super().__init__(f"{name}: " + "; ".join(problems))
        self.problems = problems


def load_curves(folder: Path) -> dict[str, Curve]:
    """Every `<name>-<version>.json` of a folder, by name. Raises CurveError, OSError (cannot be read)."""
    curves = {}
    for path in sorted(folder.glob("*.json")):
        if not _NAME.fullmatch(path.stem):
            raise CurveError(path.name, ["must be named <name>-<version>.json: small letters, digits and _"])
        curves[path.stem] = read_curve(path)
    return curves


def read_curve(path: Path) -> Curve:
    """The curve of a file, named as it is without its ending. Raises as `load_curves`."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CurveError(path.name, [f"not JSON: {error}"]) from error
    return parse_curve(document, path.stem)


def parse_curve(document: object, name: str) -> Curve:
    """The curve that a document describes. Raises CurveError with every field that is wrong and its rule."""
    if not isinstance(document, dict):
        raise CurveError(name, ["a curve is a JSON object"])
    kind = document.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise CurveError(name, [f"kind: must be one of {', '.join(KINDS)}, not {kind!r}"])
    try:
        return KINDS[kind].model_validate(document).curve(name)
    except ValidationError as error:
        raise CurveError(name, [_described(problem) for problem in error.errors()]) from error


def _described(problem: Any) -> str:
    """`slopes[0].step: Input should be ...` of one pydantic error. A rule between fields names them."""
    path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in problem["loc"])
    message = problem["msg"].removeprefix("Value error, ")
    return f"{path.removeprefix('.')}: {message}" if path else message
