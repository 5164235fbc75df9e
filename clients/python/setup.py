"""Generates the stubs from the contract, two folders up, before the packages are looked for."""

import sys
from pathlib import Path

from setuptools import setup

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import stubs  # noqa: E402

if not (HERE.parents[1] / "proto").is_dir():
    raise SystemExit("build from the repository: the stubs are made from its folder `proto`")
stubs.generate(HERE.parents[1])
setup()
