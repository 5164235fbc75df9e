"""What `scripts/sim` says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.sim.__main__ import main
from tests.sim.guards import without

ROOT = Path(__file__).parents[2]
ENV = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "clients" / "python")])}


def sim(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["sim", *arguments])
    return main()


def test_result_as_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert sim(monkeypatch, "--seeds", "5", "--from", "3", "--jobs", "1", "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert result["seeds"] == 5
    assert result["acknowledged"] > 0
    assert result["failed"] == {}


def test_several_processes_do_the_same_as_one() -> None:
    command = [sys.executable, "-m", "tests.sim", "--seeds", "120", "--json"]
    results = [
        json.loads(
            subprocess.run(
                [*command, "--jobs", jobs], check=True, capture_output=True, cwd=ROOT, env=ENV
            ).stdout
        )
        for jobs in ("1", "2")
    ]
    for result in results:
        del result["seconds"]
    assert results[0] == results[1]


def test_a_failure_names_the_command_that_repeats_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with without("commit_before_answer"):
        assert sim(monkeypatch, "--seeds", "1", "--from", "7", "--jobs", "1") == 1
        told = capsys.readouterr().out
        assert "scripts/sim --trace 7" in told
        assert sim(monkeypatch, "--trace", "7") == 1
    assert "VIOLATION" in capsys.readouterr().out


def test_a_trace_shows_everybody(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert sim(monkeypatch, "--trace", "0") == 0
    who = {line.split()[1] for line in capsys.readouterr().out.splitlines()[:-1]}
    assert {"w0", "w1", "faults", "ann", "world"} <= who
