"""Settings of the whole suite."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterable, Iterator
from itertools import zip_longest
from pathlib import Path

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

_HERE = Path(__file__).parent
# Tests of these files share nothing and take long: they go to whoever is free, one by one.
_ALONE = ("sim/test_seeds.py",)
# What keeps a processor busy. Most others wait for servers and processes now and then.
_COMPUTING = (*_ALONE, "unit/native/", "sim/", "unit/")


@pytest.hookimpl(tryfirst=True)  # xdist reads the marks in the same hook
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With several pytest processes, the tests of a file stay together, so that each of its fixtures is made
    once; those with a group of their own, together with the group. They begin in the order of `_spread`."""
    if not hasattr(config, "workerinput"):
        return
    groups: dict[str, list[pytest.Item]] = {}
    for item in items:
        place = item.path.relative_to(_HERE).as_posix()
        own = item.get_closest_marker("xdist_group")
        alone = place.startswith(_ALONE)
        if own is None and not alone:
            item.add_marker(pytest.mark.xdist_group(place))
        groups.setdefault(own.args[0] if own else item.nodeid if alone else place, []).append(item)
    items[:] = [item for group in _spread(groups) for item in groups[group]]


def _spread(groups: Iterable[str]) -> Iterator[str]:
    """The whole mesh first, which takes longest; then by turns what computes and what waits, so that each
    fills the gaps of the other. What computes longest comes first: at the end, small things fill the rest."""

    def rank(group: str) -> int:
        return next((rank for rank, first in enumerate(_COMPUTING) if first in group), len(_COMPUTING))

    others = sorted((group for group in groups if group != "mesh"), key=rank)
    computing = [group for group in others if rank(group) < len(_COMPUTING)]
    waiting = others[len(computing) :]
    yield from (group for group in groups if group == "mesh")
    for pair in zip_longest(computing, waiting):
        yield from filter(None, pair)


def pytest_collection_finish(session: pytest.Session) -> None:
    """What collecting has made, modules above all, stays: no collection of garbage looks at it again."""
    if hasattr(session.config, "workerinput") and session.config.getoption("loadgroup"):
        grouped = (item for item in session.items if item.get_closest_marker("xdist_group"))
        lost = [item.nodeid for item in grouped if "@" not in item.nodeid]
        # Versions of pytest and xdist that do not fit: a whole mesh in each process, and nothing tells.
        assert not lost, f"xdist does not see the groups of {len(lost)} tests, such as {lost[0]}"
    gc.collect()
    gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """The process that has the whole mesh begins with it, and comes before the others until then:
    people notice waiting there."""
    if hasattr(item.config, "workerinput") and os.nice(0) == 0:
        group = item.get_closest_marker("xdist_group")
        if group is None or group.args[0] != "mesh":
            os.nice(5)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Prints what tests had to tell: `record_property("told", ...)`, which comes through from any process."""
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            if name == "told":
                terminalreporter.write_line(f"{report.nodeid}: {value}")
