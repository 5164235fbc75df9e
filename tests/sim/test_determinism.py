"""A seed always does the same: otherwise a failure could not be looked at again."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.sim.world import simulate

ROOT = Path(__file__).parents[2]
SEEDS = range(4)


def digest(seed: int) -> str:
    return hashlib.sha256("\n".join(simulate(seed, trace=True).trace).encode()).hexdigest()


@pytest.mark.parametrize("seed", SEEDS)
def test_a_seed_repeats_itself(seed: int) -> None:
    assert digest(seed) == digest(seed)


def test_seeds_differ() -> None:
    assert len({digest(seed) for seed in SEEDS}) == len(SEEDS)


def test_looking_changes_nothing() -> None:
    for seed in SEEDS:
        silent, traced = simulate(seed), simulate(seed, trace=True)
        assert (silent.seconds, silent.records, silent.acknowledged) == (
            traced.seconds,
            traced.records,
            traced.acknowledged,
        )


def test_a_seed_does_the_same_in_another_process() -> None:
    """Where sets of texts are in another order."""
    program = f"from tests.sim.test_determinism import digest; print(*map(digest, range({len(SEEDS)})))"
    path = os.pathsep.join([str(ROOT), str(ROOT / "clients" / "python")])
    answer = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": path, "PYTHONHASHSEED": "7"},
        check=True,
        capture_output=True,
        text=True,
    )
    assert answer.stdout.split() == [digest(seed) for seed in SEEDS]
