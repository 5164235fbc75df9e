"""What a curve's document may say: every refusal names the field and the rule."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from services.progression.domain.curve import CurveError, load_curves, parse_curve, read_curve
from services.progression.domain.curve_documents import KINDS, TABLE_LEVELS
from tests.support.curves import CURVES

TABLE = {"kind": "table", "first_level": 1, "totals": [0, 10, 30]}
LINEAR = {
    "kind": "piecewise_linear",
    "first_level": 0,
    "first_cost": 100,
    "slopes": [{"from_level": 0, "step": 5}, {"from_level": 10, "step": 20}],
}
TAIL = LINEAR | {"kind": "quadratic_tail", "tail": {"from_level": 20, "step": 30, "growth": 1}}
EXPONENTIAL = {"kind": "exponential_floor", "first_level": 1, "last_level": 99, "factor": 300, "ratio": "1.1"}
POWER = {"kind": "power", "first_level": 0, "factor": 100, "exponent": "1.5"}


def slopes(*pairs: tuple[int, int]) -> dict[str, Any]:
    return {"slopes": [{"from_level": level, "step": step} for level, step in pairs]}


def problems(document: Any) -> list[str]:
    with pytest.raises(CurveError, match=r"^mine-1: ") as caught:
        parse_curve(document, "mine-1")
    return caught.value.problems


@pytest.mark.parametrize("document", [TABLE, LINEAR, TAIL, EXPONENTIAL, POWER], ids=lambda each: each["kind"])
def test_one_of_each_kind_is_right(document: dict[str, Any]) -> None:
    assert parse_curve(document, "mine-1").name == "mine-1"


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        (["table"], "a curve is a JSON object"),
        (
            {},
            "one of table, piecewise_linear, quadratic_tail, exponential_floor, power, not None",
        ),
        ({"kind": "cubic"}, "not 'cubic'"),
        ({"kind": ["table"]}, "not ['table']"),
        (TABLE | {"total": []}, "total: Extra inputs are not permitted"),
        (TABLE | {"first_level": -1}, "first_level: Input should be greater than or equal to 0"),
        (TABLE | {"about": 1}, "about: Input should be a valid string"),
        ({"kind": "table", "totals": [0]}, "first_level: Field required"),
        (TABLE | {"totals": []}, "totals: List should have at least 1 item"),
        (
            TABLE | {"totals": [0] * (TABLE_LEVELS + 1)},
            f"totals: List should have at most {TABLE_LEVELS} items",
        ),
        (TABLE | {"totals": [5, 10]}, "totals[0] must be 0, not 5: the first level needs nothing"),
        (TABLE | {"totals": [0, 10, 10]}, "totals[2] must be above the one before it, 10, not 10"),
        (TABLE | {"totals": [0, 10, 9, 8]}, "totals[2] must be above the one before it, 10, not 9"),
        (TABLE | {"totals": [0, 10.5]}, "totals[1]: Input should be a valid integer"),
        (TABLE | {"totals": [0, "10"]}, "totals[1]: Input should be a valid integer"),
        (TABLE | {"totals": [0, True]}, "totals[1]: Input should be a valid integer"),
        (LINEAR | {"first_cost": 0}, "first_cost: Input should be greater than or equal to 1"),
        (LINEAR | {"slopes": []}, "slopes: List should have at least 1 item"),
        (LINEAR | {"slopes": [{"from_level": 0}]}, "slopes[0].step: Field required"),
        (LINEAR | slopes((1, 5)), "slopes[0].from_level must be first_level, 0"),
        (LINEAR | slopes((0, 5), (9, 5), (9, 6)), "slopes[2].from_level must be above the one before it, 9"),
        (
            LINEAR | slopes((0, 5), (9, -1)),
            "slopes[1].step must not be negative where there is no last_level",
        ),
        (
            LINEAR | slopes((0, -10), (10, 1)),
            "slopes[0].step makes level 10 cost 0; every cost must be positive",
        ),
        (
            LINEAR | slopes((0, -10)) | {"last_level": 12},
            "slopes[0].step makes level 11 cost -10; every cost must be positive",
        ),
        (LINEAR | {"last_level": 10}, "last_level must be above slopes[1].from_level, 10"),
        (TAIL | {"last_level": 30}, "last_level: Extra inputs are not permitted"),
        (TAIL | {"tail": {"from_level": 20, "step": 1, "growth": 0}}, "tail.growth: Input should be greater"),
        (TAIL | {"tail": {"from_level": 20, "step": -1, "growth": 1}}, "tail.step: Input should be greater"),
        (
            TAIL | {"tail": {"from_level": 10, "step": 1, "growth": 1}},
            "tail.from_level must be above the one before it, 10",
        ),
        (
            TAIL | slopes((0, 5), (10, -20)),
            "slopes[1].step makes level 20 cost -50; every cost must be positive",
        ),
        (EXPONENTIAL | {"ratio": 1.1}, "ratio: must be an integer or, in quotes, a decimal or a fraction"),
        (EXPONENTIAL | {"ratio": "1e3"}, "ratio: must be an integer or, in quotes"),
        (EXPONENTIAL | {"ratio": "11/0"}, "ratio: must be an integer or, in quotes"),
        (EXPONENTIAL | {"ratio": True}, "ratio: must be an integer or, in quotes"),
        (EXPONENTIAL | {"ratio": "0.9"}, "ratio must be at least 1, not 9/10"),
        (EXPONENTIAL | {"last_level": 10_001}, "last_level: Input should be less than or equal to 10000"),
        (EXPONENTIAL | {"last_level": 1}, "last_level must be above first_level, 1"),
        (
            EXPONENTIAL | {"divisor": 331},
            "divisor must be at most 330, what the first level costs without it",
        ),
        (EXPONENTIAL | {"every": 0}, "every: Input should be greater than or equal to 1"),
        (POWER | {"factor": "0.5"}, "factor must be at least 1, not 1/2: every level must cost something"),
        (POWER | {"exponent": "0.5"}, "exponent must be from 1 to 10, in hundredths, not 1/2"),
        (POWER | {"exponent": "1.001"}, "exponent must be from 1 to 10, in hundredths, not 1001/1000"),
        (POWER | {"last_level": 0}, "last_level must be above first_level, 0"),
    ],
)
def test_a_wrong_document_names_field_and_rule(document: Any, problem: str) -> None:
    assert any(problem in each for each in problems(document)), problems(document)


def test_every_wrong_field_is_named_at_once() -> None:
    found = problems({"kind": "power", "first_level": -1, "factor": 2.5, "exponent": "x"})
    assert [line.split(":")[0] for line in found] == ["first_level", "factor", "exponent"]


def test_costs_may_fall_as_long_as_they_are_positive() -> None:
    curve = parse_curve(LINEAR | slopes((0, -10)) | {"last_level": 10}, "mine-1")
    assert [curve.total(level) for level in (9, 10)] == [540, 550]
    assert curve.level(549) == 9


def test_amounts_of_any_size() -> None:
    curve = parse_curve(TABLE | {"totals": [0, 10**300, 10**300 + 1]}, "mine-1")
    assert curve.level(10**300) == 2


def test_a_folder_of_curves(tmp_path: Path) -> None:
    (tmp_path / "mine-1.json").write_text(json.dumps(TABLE))
    (tmp_path / "mine-2.json").write_text(json.dumps(POWER))
    (tmp_path / "README.md").write_text("no curve")
    curves = load_curves(tmp_path)
    assert {name: curve.total(2) for name, curve in curves.items()} == {"mine-1": 10, "mine-2": 282}


@pytest.mark.parametrize(
    ("file", "text", "error"),
    [
        ("mine.json", json.dumps(TABLE), "mine.json: must be named <name>-<version>.json"),
        ("Mine-1.json", json.dumps(TABLE), "Mine-1.json: must be named <name>-<version>.json"),
        ("mine-1.json", "{", "mine-1.json: not JSON: "),
        ("mine-1.json", json.dumps(TABLE | {"totals": [1]}), "mine-1: totals[0] must be 0"),
    ],
)
def test_a_wrong_file_is_named(tmp_path: Path, file: str, text: str, error: str) -> None:
    (tmp_path / file).write_text(text)
    with pytest.raises(CurveError, match=re.escape(error)):
        load_curves(tmp_path)


def test_the_readme_has_a_right_example_of_each_kind(tmp_path: Path) -> None:
    examples = re.findall(r"```json\n(.*?)```", (CURVES / "README.md").read_text(), re.DOTALL)
    kinds = []
    for example in examples:
        path = tmp_path / "example.json"
        path.write_text(example)
        read_curve(path)
        kinds.append(json.loads(example)["kind"])
    assert sorted(kinds) == sorted(KINDS)
