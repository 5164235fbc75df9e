"""Settings of the whole suite."""

from __future__ import annotations

import gc
import os

import pytest
from hypothesis import HealthCheck, settings

# `full` is what CI runs; `quick` is for the edit-and-try loop: HYPOTHESIS_PROFILE=quick scripts/test
for profile, cases in {"full": 10_000, "quick": 200}.items():
    settings.register_profile(
        profile,
        max_examples=cases,
        deadline=None,
        derandomize=True,
        print_blob=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "full"))


def pytest_collection_finish() -> None:
    """What collecting has made, modules above all, stays: no collection of garbage looks at it again."""
    gc.collect()
    gc.freeze()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Prints what tests had to tell: `record_property("told", ...)`, which comes through from any process."""
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            if name == "told":
                terminalreporter.write_line(f"{report.nodeid}: {value}")
