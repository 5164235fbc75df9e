"""The presets against what was published, and the traps that those tables know, tried on the code."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from services.progression.domain.curve import load_curves
from services.progression.domain.roots import floor_root
from tests.support.curves import (
    CURVES,
    ROOT,
    check_diablo3,
    check_inverse,
    check_path_of_exile,
    check_roots,
    check_runescape,
)

DOMAIN = "services.progression.domain"
MODULES = ("roots", "curve_kinds", "curve_documents", "curve")
"""In the order in which they import each other."""


def test_diablo3_all_10_001_totals_and_its_closed_form() -> None:
    check_diablo3(load_curves(CURVES)["diablo3_paragon-1"])


def test_diablo3_passes_what_floats_and_64_bits_hold() -> None:
    curve = load_curves(CURVES)["diablo3_paragon-1"]
    assert curve.total(8_200) <= 2**53 < curve.total(8_201)
    assert curve.total(81_573) < 2**63 <= curve.total(81_574)


def test_runescape_1_to_99_and_its_virtual_levels() -> None:
    check_runescape(load_curves(CURVES)["runescape-1"])


def test_path_of_exile_1_to_100() -> None:
    curve = load_curves(CURVES)["path_of_exile-1"]
    check_path_of_exile(curve)
    assert curve.level(2**31 - 1) == 91


def test_integer_roots() -> None:
    check_roots(floor_root)


# -- the traps ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Trap:
    """`before` occurs in the module once; the check must not survive `after`."""

    module: str
    before: str
    after: str
    check: Callable[[dict[str, ModuleType]], None]


def preset(check: Callable[[Any], None], name: str) -> Callable[[dict[str, ModuleType]], None]:
    return lambda modules: check(modules["curve"].load_curves(CURVES)[name])


diablo3 = preset(check_diablo3, "diablo3_paragon-1")
runescape = preset(check_runescape, "runescape-1")
path_of_exile = preset(check_path_of_exile, "path_of_exile-1")
power = preset(lambda curve: check_inverse(curve, range(1, 500)), "prestige_cost-1")


def roots(modules: dict[str, ModuleType]) -> None:
    check_roots(modules["roots"].floor_root)


TOTAL = "return self._total(level)"
PIECE = "return self.total + n * self.cost + pairs * self.step + pairs * (n - 2) // 3 * self.growth"
STEP = "self._linear * i + floor_root(above // below, self._every)"
FOUND = "return root\n"
TRAPS = {
    "totals as floats": Trap("curve_kinds", TOTAL, "return float(self._total(level))", diablo3),
    "totals cut from floats": Trap("curve_kinds", TOTAL, "return int(float(self._total(level)))", diablo3),
    "a float inside the closed form": Trap(
        "curve_kinds",
        PIECE,
        PIECE.replace("return self.total", "return int(float(self.total)") + ")",
        diablo3,
    ),
    "experience as a float": Trap(
        "curve_kinds", "return self._found(experience)", "return self._found(int(float(experience)))", diablo3
    ),
    "totals that wrap in 64 bits": Trap(
        "curve_kinds", TOTAL, "return (self._total(level) + 2**63) % 2**64 - 2**63", diablo3
    ),
    "totals that stop at 2^63 - 1": Trap(
        "curve_kinds", TOTAL, "return min(self._total(level), 2**63 - 1)", diablo3
    ),
    "each quarter step rounded down": Trap(
        "curve_kinds", STEP, f"({STEP}) // self._divisor * self._divisor", runescape
    ),
    "a float root in the formula": Trap(
        "curve_kinds", STEP, "self._linear * i + int((above // below) ** (1 / self._every))", runescape
    ),
    "roots cut from floats": Trap("roots", FOUND, "return int(value ** (1 / degree))\n", roots),
    "roots rounded from floats": Trap("roots", FOUND, "return round(value ** (1 / degree))\n", roots),
    "a boundary outside its level, in a table": Trap(
        "curve_kinds",
        "self.first_level + bisect_right(self._totals, experience) - 1",
        "self.first_level + max(bisect_left(self._totals, experience), 1) - 1",
        path_of_exile,
    ),
    "a boundary outside its level, between pieces": Trap(
        "curve_kinds",
        "at = bisect_right(self._totals, experience) - 1",
        "at = max(bisect_left(self._totals, experience), 1) - 1",
        diablo3,
    ),
    "a boundary outside its level, where steps double": Trap(
        "curve_kinds", "total(reached + step) <= experience", "total(reached + step) < experience", diablo3
    ),
    "a boundary outside its level, in the bisection": Trap(
        "curve_kinds", "total(middle) <= experience", "total(middle) < experience", diablo3
    ),
    "a boundary outside its level, in the sums": Trap(
        "curve_kinds",
        "beyond = (experience + 1) * self._divisor",
        "beyond = max(experience, 1) * self._divisor",
        runescape,
    ),
    "a boundary outside its level, in the inverse of a power": Trap(
        "curve_kinds",
        "(self._below * (experience + 1) ** self._root - 1)",
        "self._below * experience**self._root",
        power,
    ),
    "an experience that its divisor makes a level of": Trap(
        "curve_kinds",
        "beyond = (experience + 1) * self._divisor",
        "beyond = (experience + 1) * self._divisor + 1",
        runescape,
    ),
    "a slope one level late": Trap(
        "curve_kinds",
        "n = level - self.level\n        pairs",
        "n = level - self.level - 1\n        pairs",
        diablo3,
    ),
    "a parabola without its cubic": Trap("curve_kinds", PIECE, PIECE.replace("(n - 2)", "n"), diablo3),
}


@pytest.fixture
def changed(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str, str], dict[str, ModuleType]]:
    """The modules of curves made anew from their sources, with one place of one of them changed."""

    def build(module: str, before: str, after: str) -> dict[str, ModuleType]:
        made = {}
        for name in MODULES:
            path = ROOT / "services" / "progression" / "domain" / f"{name}.py"
            source = path.read_text()
            if name == module:
                assert source.count(before) == 1, f"{before!r} is not once in {path}"
                source = source.replace(before, after)
            made[name] = ModuleType(f"{DOMAIN}.{name}")
            monkeypatch.setitem(sys.modules, f"{DOMAIN}.{name}", made[name])
            exec(compile(source, path, "exec"), made[name].__dict__)
        return made

    return build


Changed = Callable[[str, str, str], dict[str, ModuleType]]


@pytest.mark.parametrize("trap", TRAPS.values(), ids=list(TRAPS))
def test_each_trap_is_caught(trap: Trap, changed: Changed) -> None:
    with pytest.raises(AssertionError) as caught:
        trap.check(changed(trap.module, trap.before, trap.after))
    # By the conformance checks, not for want of a place to change.
    assert Path(caught.traceback[-1].path).name == "curves.py"


def test_sources_made_anew_and_unchanged_are_right(changed: Changed) -> None:
    modules = changed("roots", "return root\n", "return root\n")
    for check in {trap.check for trap in TRAPS.values()}:
        check(modules)
