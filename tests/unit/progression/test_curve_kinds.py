"""Every kind of curve: its totals by its definition, its levels as their inverse, whatever it is made of."""

from __future__ import annotations

import ast
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.progression.domain.curve import Curve, load_curves, parse_curve
from services.progression.domain.curve_kinds import last_reached
from services.progression.domain.roots import floor_root
from tests.support.curves import CURVES, ROOT, check_inverse

FIRST = st.integers(0, 200)
COST = st.integers(1, 10**20)


@st.composite
def tables(draw: st.DrawFn) -> dict[str, Any]:
    totals = draw(st.sets(COST, max_size=40))
    return {"kind": "table", "first_level": draw(FIRST), "totals": [0, *sorted(totals)]}


@st.composite
def slopes(draw: st.DrawFn, kind: str = "piecewise_linear") -> dict[str, Any]:
    first = draw(FIRST)
    levels = sorted(draw(st.sets(st.integers(first + 1, first + 300), min_size=2, max_size=6)))
    starts = [first, *levels[:-1]]
    steps = draw(st.lists(st.integers(0, 10**15), min_size=len(starts), max_size=len(starts)))
    return {
        "kind": kind,
        "first_level": first,
        "first_cost": draw(COST),
        "slopes": [{"from_level": at, "step": step} for at, step in zip(starts, steps, strict=True)],
    } | ({"last_level": levels[-1]} if kind == "piecewise_linear" and draw(st.booleans()) else {})


@st.composite
def tails(draw: st.DrawFn) -> dict[str, Any]:
    document = draw(slopes("quadratic_tail"))
    after = document["slopes"][-1]["from_level"] + draw(st.integers(1, 100))
    tail = {"from_level": after, "step": draw(st.integers(0, 10**12)), "growth": draw(st.integers(1, 10**9))}
    return document | {"tail": tail}


@st.composite
def exponentials(draw: st.DrawFn) -> dict[str, Any]:
    factor = draw(st.integers(1, 10**9))
    return {
        "kind": "exponential_floor",
        "first_level": (first := draw(FIRST)),
        "last_level": first + draw(st.integers(1, 300)),
        "linear": draw(st.integers(0, 10**6)),
        "factor": factor,
        "ratio": draw(st.sampled_from([1, 2, "1.1", "1.0001", "11/10", "3/2"])),
        "every": draw(st.integers(1, 20)),
        "divisor": draw(st.integers(1, min(factor, 100))),
    }


@st.composite
def powers(draw: st.DrawFn) -> dict[str, Any]:
    return {
        "kind": "power",
        "first_level": draw(FIRST),
        "factor": draw(st.sampled_from([1, 7, "1.5", "1000.0001", "22/7", 999_999])),
        "exponent": draw(st.sampled_from([1, 2, "1.5", "2.71", "7/3", "10", "1.01"])),
        "last_level": draw(st.none() | st.integers(201, 10**6)),
    }


DOCUMENTS = st.one_of(tables(), slopes(), tails(), exponentials(), powers())


# -- by their definitions -----------------------------------------------------------------------------


@settings(max_examples=60)
@given(st.one_of(slopes(), tails()))
def test_slopes_are_their_costs_added_up(document: dict[str, Any]) -> None:
    curve = parse_curve(document, "any-1")
    slope_from = {slope["from_level"]: slope["step"] for slope in document["slopes"]}
    tail = document.get("tail", {"from_level": 10**6, "step": 0, "growth": 0})
    total, cost, step = 0, document["first_cost"], 0
    for level in range(document["first_level"], document.get("last_level", document["first_level"] + 400)):
        assert curve.total(level) == total
        total += cost
        step = slope_from.get(level, step)
        if level >= tail["from_level"]:
            step = tail["step"] + tail["growth"] * (level - tail["from_level"])
        cost += step


@settings(max_examples=60)
@given(exponentials())
def test_exponentials_are_their_floored_steps_added_up_and_divided(document: dict[str, Any]) -> None:
    curve = parse_curve(document, "any-1")
    factor, every, ratio = document["factor"], document["every"], Fraction(document["ratio"])
    total = 0
    for level in range(document["first_level"], min(document["last_level"], document["first_level"] + 60)):
        assert curve.total(level) == total // document["divisor"]
        power = factor**every * ratio**level
        root = floor_root(power.numerator // power.denominator, every)
        assert root**every <= power < (root + 1) ** every
        total += document["linear"] * level + root


@settings(max_examples=60)
@given(powers(), st.integers(0, 10**9))
def test_powers_are_floored_once(document: dict[str, Any], n: int) -> None:
    total = parse_curve(document | {"last_level": None}, "any-1").total(document["first_level"] + n)
    factor, exponent = Fraction(document["factor"]), Fraction(document["exponent"])
    power = factor**exponent.denominator * n**exponent.numerator
    assert total**exponent.denominator <= power < (total + 1) ** exponent.denominator


@settings(max_examples=200)
@given(st.integers(0, 2**600), st.integers(1, 40))
def test_a_root_is_the_greatest_whose_power_fits(value: int, degree: int) -> None:
    root = floor_root(value, degree)
    assert root**degree <= value < (root + 1) ** degree


# -- each other's inverse -----------------------------------------------------------------------------


@settings(max_examples=200)
@given(DOCUMENTS, st.data())
def test_a_level_begins_with_its_total(document: dict[str, Any], data: st.DataObject) -> None:
    curve = parse_curve(document, "any-1")
    last = curve.last_level if curve.last_level is not None else 2**63
    if last > curve.first_level:
        check_inverse(curve, data.draw(st.lists(st.integers(curve.first_level + 1, last), max_size=5)))
        check_inverse(curve, [curve.first_level + 1])


@settings(max_examples=200)
@given(DOCUMENTS, st.integers(0, 2**200))
def test_any_experience_is_between_its_level_and_the_next(document: dict[str, Any], experience: int) -> None:
    curve = parse_curve(document, "any-1")
    level = curve.level(experience)
    assert curve.total(level) <= experience
    if level != curve.last_level:
        assert experience < curve.total(level + 1)


@settings(max_examples=50)
@given(DOCUMENTS)
def test_totals_begin_at_0_and_rise(document: dict[str, Any]) -> None:
    curve = parse_curve(document, "any-1")
    last = curve.first_level + 100
    last = last if curve.last_level is None else min(last, curve.last_level)
    totals = [curve.total(level) for level in range(curve.first_level, last + 1)]
    assert totals[0] == 0
    assert all(total < following for total, following in pairwise(totals))


@settings(max_examples=50)
@given(exponentials(), st.data())
def test_sums_are_the_same_in_whatever_order_they_are_asked_for(
    document: dict[str, Any], data: st.DataObject
) -> None:
    curve, fresh = parse_curve(document, "any-1"), parse_curve(document, "any-1")
    in_order = {level: fresh.total(level) for level in range(fresh.first_level, document["last_level"] + 1)}
    for level in data.draw(st.lists(st.sampled_from(list(in_order)), max_size=10)):
        assert curve.total(level) == in_order[level]
        assert curve.level(in_order[level]) == level


# -- without end, and exact ---------------------------------------------------------------------------

ENDLESS = [curve for curve in load_curves(CURVES).values() if curve.last_level is None]


@pytest.mark.parametrize("curve", ENDLESS, ids=lambda curve: curve.name)
def test_no_level_is_far_away(curve: Curve) -> None:
    check_inverse(curve, [100_000, 10**9, 2**63 - 1, 2**63, 10**30])


@pytest.mark.parametrize("answer", [0, 1, 2, 3, 1_000, 10**9, 2**63])
@pytest.mark.parametrize("last", [None, 2**63])
def test_a_level_is_found_in_as_many_steps_as_twice_its_digits(answer: int, last: int | None) -> None:
    asked = []

    def total(level: int) -> int:
        asked.append(level)
        return level * level

    assert last_reached(total, answer * answer, 0, last) == answer
    assert len(asked) <= 2 * answer.bit_length() + 1


@pytest.mark.parametrize("module", ["roots", "curve", "curve_kinds", "curve_documents", "level_difference"])
def test_nothing_is_reckoned_in_floats(module: str) -> None:
    """No number with a point, no true division of numbers, nothing that makes a float."""
    tree = ast.parse((ROOT / "services" / "progression" / "domain" / f"{module}.py").read_text())
    for node in ast.walk(tree):
        assert not (isinstance(node, ast.Constant) and isinstance(node.value, float))
        assert not isinstance(node, ast.Div)
        assert not (isinstance(node, ast.Name) and node.id in {"float", "math"})


# -- the default curves -------------------------------------------------------------------------------


def test_the_default_curves() -> None:
    curves = load_curves(CURVES)
    spans = {name: (curve.first_level, curve.last_level) for name, curve in curves.items()}
    assert spans == {
        "base-1": (1, 50),
        "diablo3_paragon-1": (0, None),
        "mastery-1": (1, 100),
        "paragon-1": (0, None),
        "path_of_exile-1": (1, 100),
        "prestige_cost-1": (0, None),
        "respec_cost-1": (0, None),
        "runescape-1": (1, 126),
    }
    assert all(name == curve.name for name, curve in curves.items())


def test_what_a_name_and_version_means_never_changes() -> None:
    """Characters keep their levels by these: another idea of a curve is another version of it."""
    kept = {
        "base-1": {2: 200, 10: 3_600, 25: 23_850, 40: 77_100, 50: 146_600},
        "paragon-1": {1: 1_000, 100: 347_500, 500: 10_727_500, 1000: 64_915_000, 100_000: 4_917_444_415_000},
        "mastery-1": {2: 62, 25: 5_660, 50: 26_432, 100: 319_762},
        "prestige_cost-1": {1: 1_000, 2: 2_828, 10: 31_622},
        "respec_cost-1": {1: 100, 2: 225, 10: 2_125},
    }
    curves = load_curves(CURVES)
    assert kept == {name: {level: curves[name].total(level) for level in kept[name]} for name in kept}


# -- misuse -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", [-1, 0, 51, 10**9])
def test_a_level_that_is_not_there(level: int) -> None:
    with pytest.raises(ValueError, match=rf"base-1: there is no level {level}; they go from 1 to 50"):
        load_curves(CURVES)["base-1"].total(level)


def test_a_level_before_the_first_of_an_endless_curve() -> None:
    with pytest.raises(ValueError, match="paragon-1: there is no level -1; they go from 0 without end"):
        load_curves(CURVES)["paragon-1"].total(-1)


@pytest.mark.parametrize("name", ["base-1", "paragon-1", "mastery-1", "prestige_cost-1", "path_of_exile-1"])
def test_negative_experience(name: str) -> None:
    with pytest.raises(ValueError, match="experience must not be negative, as -1 is"):
        load_curves(CURVES)[name].level(-1)
