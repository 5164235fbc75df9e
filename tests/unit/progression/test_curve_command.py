"""What `scripts/curve` says."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from services.progression.curves_cli import run
from tests.support.curves import ROOT, diablo3_closed_form

MINE = {
    "kind": "piecewise_linear",
    "first_level": 1,
    "first_cost": 10,
    "slopes": [{"from_level": 1, "step": 5}],
}


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(MINE))
    return path


Captured = pytest.CaptureFixture[str]


def lines(capsys: Captured, *arguments: str) -> list[dict[str, Any]]:
    assert run([*arguments, "--json"]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def told(capsys: Captured, *arguments: str) -> str:
    assert run(arguments) == 0
    return capsys.readouterr().out


def refused(capsys: Captured, *arguments: str) -> str:
    assert run(arguments) == 1
    out, err = capsys.readouterr()
    assert out == ""
    return err


def test_all_curves_are_listed(capsys: Captured) -> None:
    listed = {row["curve"]: row for row in lines(capsys)}
    assert {"base-1", "paragon-1", "mastery-1", "diablo3_paragon-1", "runescape-1", "path_of_exile-1"} <= set(
        listed
    )
    assert listed["runescape-1"]["kind"] == "exponential_floor"
    assert (listed["paragon-1"]["first_level"], listed["paragon-1"]["last_level"]) == (0, None)
    table = told(capsys)
    assert all(name in table and row["about"] in table for name, row in listed.items())


def test_levels_as_json_have_amounts_that_no_reader_rounds(capsys: Captured) -> None:
    rows = lines(capsys, "diablo3_paragon-1", "--from", "8201", "--to", "100000", "--step", "91799")
    assert rows == [
        {
            "level": level,
            "cost": str(diablo3_closed_form(level + 1) - diablo3_closed_form(level)),
            "total": str(diablo3_closed_form(level)),
        }
        for level in (8_201, 100_000)
    ]


def test_levels_as_a_table(capsys: Captured) -> None:
    assert told(capsys, "runescape-1", "--from", "124").splitlines() == [
        "LEVEL         COST        TOTAL",
        "  124   16,128,480  154,948,977",
        "  125   17,807,283  171,077,457",
        "  126            -  188,884,740",
    ]


def test_without_an_end_a_hundred_rows(capsys: Captured) -> None:
    assert [row["level"] for row in lines(capsys, "paragon-1")] == list(range(100))
    assert [row["level"] for row in lines(capsys, "paragon-1", "--from", "7", "--step", "3")][
        -1
    ] == 7 + 99 * 3
    assert len(lines(capsys, "base-1")) == 50


@pytest.mark.parametrize(
    ("curve", "experience", "answer", "words"),
    [
        (
            "runescape-1",
            "13,034,430",
            (98, "1228824", "1228825"),
            "level 98, and 1,228,824 of the 1,228,825 to",
        ),
        ("runescape-1", "13_034_431", (99, "0", "1356729"), "level 99, and 0 of the 1,356,729 to level 100"),
        ("base-1", "146605", (50, "5", None), "level 50, the last one, and 5 beyond it"),
    ],
)
def test_the_level_of_some_experience(
    capsys: Captured, curve: str, experience: str, answer: tuple[int, str, str | None], words: str
) -> None:
    (row,) = lines(capsys, curve, "--level-of", experience)
    assert (row["level"], row["in_level"], row["of_level"]) == answer
    assert told(capsys, curve, "--level-of", experience).startswith(words)


def test_a_file_of_ones_own(capsys: Captured, mine: Path) -> None:
    rows = lines(capsys, str(mine), "--to", "4")
    assert [(row["level"], row["cost"], row["total"]) for row in rows] == [
        (1, "10", "0"),
        (2, "15", "10"),
        (3, "20", "25"),
        (4, "25", "45"),
    ]


def test_a_wrong_file_is_told_with_field_and_rule(capsys: Captured, mine: Path) -> None:
    mine.write_text(json.dumps(MINE | {"first_cost": 0, "steps": []}))
    error = refused(capsys, str(mine))
    assert "mine: first_cost: Input should be greater than or equal to 1" in error
    assert "steps: Extra inputs are not permitted" in error
    mine.write_text("{")
    assert refused(capsys, str(mine)).startswith("mine.json: not JSON: ")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["paragon"], "there is no curve 'paragon': it is one of base-1, "),
        (["./missing.json"], "missing.json"),
        (["base-1", "--to", "51"], "base-1: there is no level 51; they go from 1 to 50"),
        (["base-1", "--from", "0"], "base-1: there is no level 0; they go from 1 to 50"),
        (["paragon-1", "--from", "9", "--to", "8"], "--from 9 is after --to 8"),
    ],
)
def test_what_is_refused(capsys: Captured, arguments: list[str], error: str) -> None:
    assert error in refused(capsys, *arguments)


@pytest.mark.parametrize(
    "arguments", [["base-1", "--step", "0"], ["base-1", "--level-of", "-1"], ["base-1", "--to", "x"]]
)
def test_what_is_no_number(capsys: Captured, arguments: list[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        run(arguments)
    assert f"argument {arguments[1]}" in capsys.readouterr().err


def test_pictures(capsys: Captured, tmp_path: Path) -> None:
    png, svg = tmp_path / "curve.png", tmp_path / "curve.svg"
    told(capsys, "diablo3_paragon-1", "--to", "10000", "--plot", str(png))
    told(capsys, "base-1", "--plot", str(svg))
    assert png.read_bytes().startswith(b"\x89PNG\r\n")
    assert "</svg>" in svg.read_text()


def test_a_picture_without_matplotlib(
    capsys: Captured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "services.progression.curves_plot", raising=False)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert run(["base-1", "--plot", str(tmp_path / "curve.png")]) == 1
    out, err = capsys.readouterr()
    assert "146,600" in out
    assert err.startswith("--plot needs matplotlib: pip install matplotlib")


def test_help_teaches_by_examples(capsys: Captured) -> None:
    with pytest.raises(SystemExit, match="0"):
        run(["--help"])
    text = capsys.readouterr().out
    assert "scripts/curve paragon-1 --to 50" in text
    named = "services/progression/data/curves/README.md"
    assert named in text
    assert (ROOT / named).exists()
